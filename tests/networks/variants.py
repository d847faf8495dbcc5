"""Families at tiny size, in every variant that changes what is built."""

from cardigan.networks.base import Family
from cardigan.networks.dcgan import DCGAN
from cardigan.networks.mlp import MLP
from cardigan.networks.resnet import ResNet

PLAIN = {"normalisation": "none"}
VARIANTS: dict[str, Family] = {
    "mlp": MLP(width=8),
    "mlp-batch": MLP(width=8, growth=1, generator={"normalisation": "batch"}, discriminator={"dropout": 0}),
    "dcgan": DCGAN(width=4),
    "dcgan-plain": DCGAN(
        width=4, init="default", generator={**PLAIN, "upsample": "resize", "refine": True}, discriminator=PLAIN
    ),
    "dcgan-layer": DCGAN(
        width=4, depth=3, generator={"normalisation": "layer"}, discriminator={"normalisation": "layer", "dropout": 0.5}
    ),
    "dcgan-spectral": DCGAN(width=4, discriminator={**PLAIN, "spectral": True}),
    "resnet": ResNet(width=8),
    "resnet-plain": ResNet(width=4, growth=2, attention=16, generator=PLAIN, discriminator={"pool": "mean"}),
    "resnet-layer": ResNet(
        width=4, generator={"normalisation": "layer"}, discriminator={"normalisation": "layer", "spectral": True}
    ),
    "resnet-batch": ResNet(width=4, attention=8, discriminator={"normalisation": "batch"}),
    "mlp-deviation": MLP(width=8, discriminator={"deviation_group": 4}),
    "dcgan-deviation": DCGAN(width=4, discriminator={**PLAIN, "deviation_group": 2}),
    "resnet-deviation": ResNet(width=4, discriminator={"deviation_group": 4, "spectral": True}),
}
SHAPES = [(1, 28, 28), (3, 17, 23), (4, 32, 32)]
