"""Residual translators in the manner of CycleGAN (Zhu et al., 2017, arXiv:1703.10593; Johnson et al., 2016)."""

from itertools import pairwise
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from cardigan.networks.base import Depth, Translator, TranslatorFamily, Units
from cardigan.networks.layers.initialisation import init_normal
from cardigan.networks.layers.normalisation import MapKind, Normalisation
from cardigan.networks.layers.pictures import channels, check_depth
from cardigan.networks.layers.precision import full
from cardigan.networks.layers.recomputation import Chain, recomputable
from cardigan.networks.layers.resampling import UpConvolution
from cardigan.networks.layers.sources import cropped, padded, scale_of, source_shape, worth_keeping
from cardigan.sample import Form


class ResNetTranslator(TranslatorFamily):
    """A 7x7 convolution, halvings, residual blocks at the smallest size, doublings, a 7x7 convolution.

    For samples of their source's size. The paper's network, with nearest neighbours and 3x3 convolutions for its
    transposed ones, which leave checkerboards; initial weights are N(0, 0.02), or torch's default without
    normalisation.
    """

    family: Literal["resnet-translator"] = "resnet-translator"
    width: Units = 64
    """Channels at the full size: doubled at every smaller one, up to 8 times as many."""
    halvings: Annotated[int, Field(ge=0, le=4)] = 2
    """Times that the size is halved before the blocks, and doubled after them."""
    blocks: Depth = 6
    """Residual blocks of two 3x3 convolutions; the paper has 6 for 128x128, 9 for 256x256."""
    normalisation: MapKind = "instance"
    """After every layer but the last: "instance", "batch", "layer" or "none"."""

    def build(self, form: Form) -> "ResidualTranslator":
        """A translator to pictures of the same size, in [-1, 1].

        Raises:
            CardiganError: sources and samples of different sizes; too many halvings.
        """
        scale_of(form, self.family)
        check_depth(self.halvings, form, "game.generator.halvings")
        return ResidualTranslator(form, self)


class Block(nn.Module):
    """x + norm(convolve(rectify(norm(convolve(x))))), 3x3, edges reflected.

    Args:
        channels: D.
        kind: of normalisation.
    """

    def __init__(self, channels: int, kind: MapKind) -> None:
        super().__init__()
        self.first = _reflecting(channels, channels, 3, bias=kind == "none")
        self.first_norm = Normalisation(kind, channels)
        self.second = _reflecting(channels, channels, 3, bias=kind == "none")
        self.second_norm = Normalisation(kind, channels)

    @recomputable
    def forward(self, x: Tensor) -> Tensor:
        """(N, D, H, W) -> (N, D, H, W)."""
        hidden = F.relu(self.first_norm(self.first(x)))
        return x + self.second_norm(self.second(hidden))


class ResidualTranslator(Translator):
    """Sources (N, C', H, W) -> pictures (N, C, H, W) in [-1, 1].

    Sides that are no multiples of 2^halvings are lengthened by repeating their last pixels, and the picture is cropped.

    Args:
        form: of samples and sources.
        settings: the fields.
    """

    def __init__(self, form: Form, settings: ResNetTranslator) -> None:
        super().__init__()
        kind, bias = settings.normalisation, settings.normalisation == "none"
        levels = channels(settings.width, settings.halvings + 1)
        self.multiple = 2**settings.halvings
        # The two ends look 3 pixels beyond, a halving 1 and a doubling 2 of the larger picture, a block 2 of its own.
        reach = 6 + 3 * (self.multiple - 1) + 2 * settings.blocks * self.multiple
        self.margin = worth_keeping(reach, kind)
        start = _reflecting(source_shape(form, settings.family)[0], levels[0], 7, bias)
        down = [nn.Conv2d(*pair, 3, stride=2, padding=1, bias=bias) for pair in pairwise(levels)]
        self.inward = nn.ModuleList(
            _rectified(layer, kind, level) for layer, level in zip([start, *down], levels, strict=True)
        )
        self.blocks = nn.ModuleList(Block(levels[-1], kind) for _ in range(settings.blocks))
        self.outward = nn.ModuleList(
            _rectified(UpConvolution(*pair, bias=bias), kind, pair[1]) for pair in pairwise(levels[::-1])
        )
        self.end = _reflecting(levels[0], form.shape[0], 7, bias=True)
        if kind != "none":
            init_normal(self)

    def forward(self, source: Tensor) -> Tensor:
        """Sources (N, C', H, W) -> pictures (N, C, H, W) in [-1, 1]."""
        x = self._padded(source)
        for layer in [*self.inward, *self.blocks, *self.outward]:
            x = layer(x)
        return torch.tanh(full(cropped(self.end(x), source)))

    def encode(self, source: Tensor) -> tuple[Tensor, ...]:
        """Activations (N, D, h, w), as in CUT (Park et al., 2020, arXiv:2007.15651).

        The source, what the first convolution and every halving make of it, the first block and the middle one.
        """
        seen = [self._padded(source)]
        for stage in self.inward:
            seen.append(stage(seen[-1]))
        x, middle = seen[-1], len(self.blocks) // 2
        for index, block in enumerate(self.blocks[: middle + 1]):
            x = block(x)
            if index in (0, middle):
                seen.append(x)
        return tuple(seen)

    def _padded(self, source: Tensor) -> Tensor:
        """To multiples of 2^halvings, and to what can be reflected: 3 pixels at full size, 1 at the smallest."""
        return padded(source, self.multiple, max(2 * self.multiple, 4))


def _reflecting(inputs: int, outputs: int, kernel: int, bias: bool) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=bias, padding_mode="reflect")


def _rectified(layer: nn.Module, kind: MapKind, outputs: int) -> nn.Module:
    return Chain(layer, Normalisation(kind, outputs), nn.ReLU())
