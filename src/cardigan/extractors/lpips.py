"""LPIPS: how different two pictures look, learned from what people said of pairs of pictures. Its weights are optional.

Zhang et al. 2018, "The unreasonable effectiveness of deep features as a perceptual metric", version 0.1: AlexNet or
VGG-16 as torchvision publishes them, and one weight for each of their channels. These few weights come with the
authors' package `lpips`; it asks for torchvision when it is imported, so its files are read and nothing in it is run.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import torch
from torch import Tensor, nn

from cardigan.data.base import Watch, silent
from cardigan.errors import CardiganError
from cardigan.extractors.base import CHUNK
from cardigan.extractors.vgg import LPIPS_LAYERS, PUBLISHED, RESIZING, SITE, Trunk, loaded, look, vgg_trunk, weights_of
from cardigan.extractors.weights import Weights, read, sha256

Kind = Literal["alex", "vgg"]
INSTALL = "pip install --no-deps lpips"
EPSILON = 1e-10
"""Added to the length of a channel vector before it is divided by."""
ALEXNET = Weights(
    file="alexnet-owt-7be5be79.pth",
    url=f"{SITE}/alexnet-owt-7be5be79.pth",
    sha256="7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
    size=244_408_911,
)
"""As of VGG: torchvision publishes the first eight digits, the rest is what several public projects state."""


def alexnet() -> Trunk:
    """Krizhevsky 2014, "One weird trick for parallelizing convolutional neural networks", up to its fifth ReLU."""
    layers = [
        *(nn.Conv2d(3, 64, 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(192, 384, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(384, 256, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(256, 256, 3, padding=1), nn.ReLU()),
    ]
    return Trunk(layers, (1, 4, 7, 9, 11))


@dataclass(frozen=True)
class Backbone:
    """A network that LPIPS looks through.

    Attributes:
        weights: its published file.
        make: the network.
        channels: of each of the five maps.
        smallest: side in pixels of the smallest picture of which anything reaches the last map.
    """

    weights: Weights
    make: Callable[[], Trunk]
    channels: tuple[int, ...]
    smallest: int


BACKBONES: dict[Kind, Backbone] = {
    "alex": Backbone(ALEXNET, alexnet, (64, 192, 384, 256, 256), 31),
    "vgg": Backbone(PUBLISHED["vgg16"], lambda: vgg_trunk("vgg16", LPIPS_LAYERS), (64, 128, 256, 512, 512), 16),
}
"""By their names in the package."""


class LPIPS:
    """d(x, y) = sum_l 1 / (h w) sum over pixels of w_l . (x_l / |x_l| - y_l / |y_l|)^2; see `lpips`.

    Attributes:
        name: "lpips-alex" or "lpips-vgg".
        digest: hash of both files of weights.
        resizing, facts: see `Eye`.
    """

    resizing = RESIZING
    facts: Mapping[str, Any] = MappingProxyType({})

    def __init__(
        self,
        kind: Kind,
        state: Mapping[str, Tensor],
        linear: Mapping[str, Tensor],
        digest: str,
        device: torch.device | str = "cpu",
    ) -> None:
        """`state`: the backbone's tensors by name; `linear`: those of the package's file.

        Raises:
            CardiganError: tensors of another network.
        """
        backbone = BACKBONES[kind]
        self.name, self.digest, self.device = f"lpips-{kind}", digest, torch.device(device)
        self.network = loaded(f"the {kind} network of LPIPS", backbone.make, state).to(self.device)
        self.smallest = backbone.smallest
        self.weights = [each.to(self.device) for each in _linear(kind, linear)]

    def distance(self, samples: Tensor, others: Tensor) -> Tensor:
        """Two of (N, 1 | 2 | 3 | 4, H, W) in [-1, 1] -> (N,), not negative, on the device of LPIPS; differentiable.

        Raises:
            CardiganError: the samples are no pictures, differ in shape, or are too small.
        """
        if samples.shape != others.shape:
            raise CardiganError(f"{self.name}: {tuple(samples.shape)} and {tuple(others.shape)}; allowed: equal shapes")
        sides = [look(self.name, self.network, side.to(self.device), self.smallest) for side in (samples, others)]
        layers = [
            (weight * (unit(one) - unit(other)).square()).sum(1).mean((1, 2))
            for weight, one, other in zip(self.weights, *sides, strict=True)
        ]
        return torch.stack(layers).sum(0)

    @torch.no_grad()
    def __call__(self, samples: Tensor, others: Tensor) -> Tensor:
        """The same on the CPU, without gradients, in chunks that bound the memory."""
        pieces = zip(samples.split(CHUNK), others.split(CHUNK), strict=True)
        return torch.cat([self.distance(one, other) for one, other in pieces]).cpu()


def lpips(
    kind: Kind = "alex",
    path: Path | str | None = None,
    linear: Path | str | None = None,
    watch: Watch = silent,
    device: torch.device | str = "cpu",
) -> LPIPS:
    """LPIPS with its authors' weights; those of its backbone are downloaded when first needed (244 or 553 MB).

    Args:
        kind: "alex" is what scores are reported with, "vgg" what is trained with.
        path: a file of the backbone's tensors to be taken instead.
        linear: the file of the channels' weights; None: that of the installed package.
        watch: told how many bytes have come.

    Raises:
        CardiganError: the package is not installed; weights can neither be found nor downloaded, or are others.
    """
    file = Path(linear) if linear is not None else packaged(kind)
    learned, learned_digest = read(file), sha256(file)
    state, digest = weights_of(BACKBONES[kind].weights, path, watch)
    return LPIPS(kind, state, learned, f"{digest[:16]}-{learned_digest[:16]}", device)


def available(kind: Kind = "alex") -> bool:
    """Whether the channels' weights are installed."""
    try:
        return packaged(kind).is_file()
    except CardiganError:
        return False


def packaged(kind: Kind) -> Path:
    """The file of the channels' weights in the installed package, which is found, not imported.

    Raises:
        CardiganError: it is not installed, or lacks the file.
    """
    spec = find_spec("lpips")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        file = Path(folder) / "weights" / "v0.1" / f"{kind}.pth"
        if file.is_file():
            return file
    raise CardiganError(f"lpips needs the weights in the package lpips: {INSTALL}")


def unit(activations: Tensor) -> Tensor:
    """(N, D, ...) divided by the length of its channel vectors; those of length 0 stay 0, with a finite gradient."""
    return activations / (torch.linalg.vector_norm(activations, dim=1, keepdim=True) + EPSILON)


def _linear(kind: Kind, linear: Mapping[str, Tensor]) -> list[Tensor]:
    """(D, 1, 1) of each map."""
    found = []
    for index, channels in enumerate(BACKBONES[kind].channels):
        weight = linear.get(f"lin{index}.model.1.weight")
        if weight is None or weight.shape != (1, channels, 1, 1):
            raise CardiganError(f"not the weights of LPIPS for {kind}: they lack lin{index} of {channels} channels")
        found.append(weight[0].float())
    return found
