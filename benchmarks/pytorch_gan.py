"""The network of PyTorch-GAN's dcgan.py, as a family that a user brings."""

from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from cardigan.networks.base import Discriminator, Family, Generator, Judgement, Labels, Latent
from cardigan.networks.dcgan import DCGANLatent
from cardigan.networks.layers.labels import Head
from cardigan.networks.layers.pixels import ToPixels
from cardigan.networks.layers.precision import full
from cardigan.networks.layers.resampling import UpConvolution
from cardigan.randomness import current
from cardigan.sample import Form


class PyTorchGan(Family):
    """The very network of dcgan.py: 3x3 convolutions, channel dropout before normalisation, its eps of 0.8."""

    family: Literal["pytorch_gan:PyTorchGan"] = "pytorch_gan:PyTorchGan"
    latent: Latent = DCGANLatent()

    def build_generator(self, form: Form, labels: Labels = "none") -> "PyTorchGanGenerator":
        """A generator of pictures whose sides are multiples of 4."""
        return PyTorchGanGenerator(form, self.latent)

    def build_discriminator(self, form: Form, labels: Labels = "none") -> "PyTorchGanDiscriminator":
        """A discriminator of pictures whose sides are multiples of 16."""
        return PyTorchGanDiscriminator(form)


class PyTorchGanGenerator(Generator):
    """Latents (N, L) -> 128 maps of a quarter of the size -> doubled twice -> pictures."""

    def __init__(self, form: Form, latent: Latent) -> None:
        super().__init__(form, latent)
        self.size = (128, form.shape[1] // 4, form.shape[2] // 4)
        self.start = nn.Linear(latent.dimension, 128 * self.size[1] * self.size[2])
        self.layers = nn.Sequential(
            nn.BatchNorm2d(128),
            UpConvolution(128, 128),
            nn.BatchNorm2d(128, 0.8),
            nn.LeakyReLU(0.2),
            UpConvolution(128, 64),
            nn.BatchNorm2d(64, 0.8),
            nn.LeakyReLU(0.2),
            ToPixels(64, form.shape[0]),
        )

    def synthesize(self, mapped: Tensor, labels: Tensor | None = None) -> Tensor:
        """(N, L) latents -> pictures (N, C, H, W)."""
        return torch.tanh(full(self.layers(self.start(mapped).unflatten(1, self.size))))


class PyTorchGanDiscriminator(Discriminator):
    """Pictures (N, C, H, W) -> halved four times -> logits (N,)."""

    def __init__(self, form: Form) -> None:
        super().__init__()
        widths = [form.shape[0], 16, 32, 64, 128]
        layers: list[nn.Module] = []
        for index, (inputs, outputs) in enumerate(pairwise(widths)):
            layers += [nn.Conv2d(inputs, outputs, 3, 2, 1), nn.LeakyReLU(0.2), ChannelDropout()]
            layers += [nn.BatchNorm2d(outputs, 0.8)] if index else []
        self.layers = nn.Sequential(*layers)
        self.head = Head(128 * (form.shape[1] // 16) * (form.shape[2] // 16), form, "none")

    def forward(self, sample: Tensor, condition: Tensor | None = None, features: bool = False) -> Judgement:
        """Pictures (N, C, H, W) -> logits (N,)."""
        judgement: Judgement = self.head(self.layers(sample).flatten(1), condition, ())
        return judgement


class ChannelDropout(nn.Module):
    """Zeroes a quarter of the maps (N, C, H, W), whole ones."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        if not self.training:
            return x
        return x * ((current().bytes(len(x), x.shape[1], 1, 1) >= 64).to(x.dtype) / 0.75)
