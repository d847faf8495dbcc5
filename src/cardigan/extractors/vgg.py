"""VGG-16 and VGG-19: activations at chosen layers, for perceptual terms. Nothing here needs them: weights are optional.

Simonyan & Zisserman 2015, "Very deep convolutional networks for large-scale image recognition", configurations D and E,
with the weights that torchvision publishes: their tensors are named `features.N.weight`, as here. The classifier that
the files hold too is left out.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from cardigan.data.base import Watch, silent
from cardigan.errors import CardiganError
from cardigan.extractors.weights import Weights, find, read, sha256
from cardigan.resizing import COLOURS, WHITE, to_rgb

Kind = Literal["vgg16", "vgg19"]
CONVOLUTIONS: dict[Kind, tuple[int, ...]] = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
"""Of each of the five blocks."""
WIDTHS = (64, 128, 256, 512, 512)
"""Channels of each block."""
LPIPS_LAYERS = ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3")
"""What LPIPS compares, of VGG-16."""
ESRGAN_LAYERS = ("conv5_4",)
"""What ESRGAN compares, of VGG-19: before the activation, where more of a picture is left."""
LAYERS: dict[Kind, tuple[str, ...]] = {"vgg16": LPIPS_LAYERS, "vgg19": ESRGAN_LAYERS}
"""Unless others are asked for."""
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's colours in [0, 1]: what torchvision's weights were trained with."""
RESIZING = f"none; {COLOURS}; mean {MEAN}, deviation {DEVIATION}"
"""What is done to a picture first, in words."""
SITE = "https://download.pytorch.org/models"
PUBLISHED: dict[Kind, Weights] = {
    "vgg16": Weights(
        file="vgg16-397923af.pth",
        url=f"{SITE}/vgg16-397923af.pth",
        sha256="397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
        size=553_433_881,
    ),
    "vgg19": Weights(
        file="vgg19-dcbb9e9d.pth",
        url=f"{SITE}/vgg19-dcbb9e9d.pth",
        sha256="dcbb9e9dad569fff7a846263a77324fc34978fea2bfb039c012d710e1776ae44",
        size=574_673_361,
    ),
}
"""The files of torchvision. It publishes the first eight digits of each sha256, in the file's name; the others, and the
size, are what several public projects state and were not computed from the files when this table was written."""


class Trunk(nn.Module):
    """The convolutional part of a published classifier, (N, 3, H, W) normalised -> activations at chosen places.

    Args:
        layers: one after another, at the places that their weights' names give them; none of them in place.
        wanted: places whose output is given, ascending; what comes after the last is not computed.
    """

    def __init__(self, layers: Sequence[nn.Module], wanted: Sequence[int]) -> None:
        super().__init__()
        self.features = nn.Sequential(*layers[: max(wanted) + 1])
        self.wanted = frozenset(wanted)

    def forward(self, pictures: Tensor) -> tuple[Tensor, ...]:
        """(N, 3, H, W) -> (N, D, h, w) at each wanted place."""
        found = []
        for place, layer in enumerate(self.features):
            pictures = layer(pictures)
            if place in self.wanted:
                found.append(pictures)
        return tuple(found)


class VGG:
    """Activations of VGG-16 or VGG-19; see `vgg`.

    Attributes:
        name: "vgg16" or "vgg19".
        digest: hash of the weights.
        resizing: what is done to a picture first, in words.
        layers: whose activations are given.
    """

    resizing = RESIZING

    def __init__(
        self,
        kind: Kind,
        state: Mapping[str, Tensor],
        digest: str,
        layers: Sequence[str] | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        """`state`: tensors by name, those of `features` among them; `layers`: as of `vgg`.

        Raises:
            CardiganError: unknown layers, or the tensors are those of another network.
        """
        known, layers = names(kind), LAYERS[kind] if layers is None else layers
        if unknown := [each for each in layers if each not in known]:
            raise CardiganError(f"{kind} has no layer {unknown[0]!r}; allowed: {', '.join(known)}")
        self.name, self.digest, self.device = kind, digest, torch.device(device)
        self.layers = tuple(sorted(layers, key=known.index))
        self.network = loaded(kind, lambda: vgg_trunk(kind, self.layers), state).to(self.device)

    def maps(self, samples: Tensor) -> tuple[Tensor, ...]:
        """(N, 1 | 2 | 3 | 4, H, W) in [-1, 1] -> (N, D, h, w) of each layer, in float32; differentiable.

        Raises:
            CardiganError: the samples are no pictures, or so small that nothing is left of them at the last layer.
        """
        halvings = sum(isinstance(each, nn.MaxPool2d) for each in self.network.features)
        return look(self.name, self.network.to(samples.device), samples, 2**halvings)


def vgg(
    kind: Kind = "vgg19",
    layers: Sequence[str] | None = None,
    path: Path | str | None = None,
    watch: Watch = silent,
    device: torch.device | str = "cpu",
) -> VGG:
    """VGG with torchvision's weights, downloaded when they are first needed (550 MB).

    Args:
        kind: "vgg16" or "vgg19".
        layers: of `names(kind)`; None: `LPIPS_LAYERS` of VGG-16, `ESRGAN_LAYERS` of VGG-19.
        path: a file of the same tensors (.safetensors or .pth) to be taken instead, whatever its checksum.
        watch: told how many bytes have come.

    Raises:
        CardiganError: the weights can neither be found nor downloaded, or are not VGG's; unknown layers.
    """
    state, digest = weights_of(PUBLISHED[kind], path, watch)
    return VGG(kind, state, digest, layers, device)


def names(kind: Kind) -> list[str]:
    """Layers by their place: conv1_1, relu1_1, ..., pool1, conv2_1, ..., pool5."""
    found = []
    for block, count in enumerate(CONVOLUTIONS[kind], 1):
        found += [f"{layer}{block}_{index}" for index in range(1, count + 1) for layer in ("conv", "relu")]
        found.append(f"pool{block}")
    return found


def vgg_trunk(kind: Kind, layers: Sequence[str]) -> Trunk:
    """The network, freshly initialised, up to the last of `layers`."""
    modules: list[nn.Module] = []
    channels = 3
    for count, width in zip(CONVOLUTIONS[kind], WIDTHS, strict=True):
        for _ in range(count):
            modules += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
            channels = width
        modules.append(nn.MaxPool2d(2))
    known = names(kind)
    return Trunk(modules, [known.index(each) for each in layers])


def weights_of(
    published: Weights, path: Path | str | None = None, watch: Watch = silent
) -> tuple[dict[str, Tensor], str]:
    """Tensors by name and the hash of their file: the user's own at `path`, else the published one.

    Raises:
        CardiganError: there is none to be had, or it is damaged.
    """
    if path is None:
        return read(find(published, watch)), published.sha256
    return read(Path(path)), sha256(Path(path))


def loaded(name: str, make: Callable[[], Trunk], state: Mapping[str, Tensor]) -> Trunk:
    """The trunk with the tensors of `state` whose names it knows, as float32, fixed.

    Raises:
        CardiganError: some are missing, or of other shapes.
    """
    with torch.device("meta"):  # no numbers are drawn only to be overwritten
        network = make()
    mine = {key: state[key].float() for key in network.state_dict() if key in state}
    try:
        network.load_state_dict(mine, strict=True, assign=True)
    except RuntimeError as error:
        raise CardiganError(f"not weights of {name}: {error}") from None
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network.eval().requires_grad_(False)


def look(name: str, network: Trunk, samples: Tensor, smallest: int) -> tuple[Tensor, ...]:
    """(N, 1 | 2 | 3 | 4, H, W) in [-1, 1], `smallest` pixels or more on a side -> activations in float32."""
    if samples.dim() == 4 and min(samples.shape[2:]) < smallest:
        height, width = samples.shape[2:]
        raise CardiganError(f"pictures of {height}x{width}; {name} needs sides of at least {smallest} pixels here")
    with torch.autocast(samples.device.type, enabled=False):
        pictures = to_rgb((samples.float() + 1) * (WHITE / 2)) / WHITE
        mean, deviation = (torch.tensor(each, device=samples.device).view(3, 1, 1) for each in (MEAN, DEVIATION))
        found: tuple[Tensor, ...] = network((pictures - mean) / deviation)
    return found
