"""Enlarging by residual-in-residual dense blocks: ESRGAN (Wang et al., 2018, arXiv:1809.00219)."""

from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from cardigan.networks.base import Depth, Translator, TranslatorFamily, Units
from cardigan.networks.layers.initialisation import init_scaled
from cardigan.networks.layers.pixels import ToPixels
from cardigan.networks.layers.precision import full
from cardigan.networks.layers.recomputation import recomputable
from cardigan.networks.layers.resampling import UpConvolution
from cardigan.networks.layers.sources import scale_of, source_shape
from cardigan.sample import Form

SCALES = (1, 2, 4, 8)
SLOPE = 0.2
"""Of every rectifier below zero."""


FARTHEST = 64
"""Pixels of a source around a tile, at most. What 23 blocks make of a pixel depends on 349 on each side, with which a
tile of 256 would cost fourteen times what it makes; each block adds a fifth of what it sees, and what comes from afar
has passed through many. Of more than 4 blocks, tiles therefore do not agree exactly where they overlap."""


class RRDB(TranslatorFamily):
    """Blocks of three dense blocks each at the source's size, then doublings up to the sample's.

    For samples 1, 2, 4 or 8 times as large as their source. The authors' network and initial weights: within blocks a
    tenth of He's normal ones, torch's default elsewhere.
    """

    family: Literal["rrdb"] = "rrdb"
    width: Units = 64
    """Channels of every layer outside of the dense blocks."""
    blocks: Depth = 23
    """Residual blocks of three dense blocks, fifteen convolutions, each."""
    growth: Units = 32
    """Channels that a layer of a dense block adds to those that the next ones see."""
    residual: Annotated[float, Field(gt=0, le=1)] = 0.2
    """Factor of what a block adds to its input."""

    def build(self, form: Form) -> "RRDBTranslator":
        """A translator to pictures of the same size, or 2, 4 or 8 times as large.

        Raises:
            CardiganError: sources and samples of other sizes.
        """
        return RRDBTranslator(form, scale_of(form, self.family, SCALES), self)


class Dense(nn.Module):
    """Five 3x3 convolutions, each of which sees the input and all before it; x + residual * the last one.

    Args:
        width: D channels.
        growth: channels that each of the first four adds.
        residual: factor of what is added.
    """

    def __init__(self, width: int, growth: int, residual: float) -> None:
        super().__init__()
        self.residual = residual
        self.layers = nn.ModuleList(nn.Conv2d(width + step * growth, growth, 3, padding=1) for step in range(4))
        self.end = nn.Conv2d(width + 4 * growth, width, 3, padding=1)
        init_scaled(self, 0.1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, D, H, W) -> (N, D, H, W)."""
        seen = [x]
        for layer in self.layers:
            seen.append(F.leaky_relu(layer(torch.cat(seen, dim=1)), SLOPE))
        return torch.add(x, self.end(torch.cat(seen, dim=1)), alpha=self.residual)


class Block(nn.Module):
    """x + residual * three dense blocks of x.

    Args:
        width: D channels.
        growth: channels that a layer of a dense block adds.
        residual: factor of what is added.
    """

    def __init__(self, width: int, growth: int, residual: float) -> None:
        super().__init__()
        self.residual = residual
        self.dense = nn.Sequential(*(Dense(width, growth, residual) for _ in range(3)))

    @recomputable
    def forward(self, x: Tensor) -> Tensor:
        """(N, D, H, W) -> (N, D, H, W)."""
        return torch.add(x, self.dense(x), alpha=self.residual)


class RRDBTranslator(Translator):
    """Sources (N, C', H, W) -> pictures (N, C, H * scale, W * scale), which nothing keeps within [-1, 1].

    Args:
        form: of samples and sources.
        scale: 1, 2, 4 or 8.
        settings: the fields.
    """

    def __init__(self, form: Form, scale: int, settings: RRDB) -> None:
        super().__init__()
        width, doublings = settings.width, SCALES.index(scale)
        self.scale = scale
        # The field: two convolutions and the blocks at the source's size; what follows looks 2 of its pixels beyond.
        self.margin = min(2 + 15 * settings.blocks + 2, FARTHEST)
        self.start = nn.Conv2d(source_shape(form, settings.family)[0], width, 3, padding=1)
        self.blocks = nn.Sequential(
            *(Block(width, settings.growth, settings.residual) for _ in range(settings.blocks)),
            nn.Conv2d(width, width, 3, padding=1),
        )
        self.outward = nn.ModuleList(UpConvolution(width, width) for _ in range(doublings))
        self.refine = nn.Conv2d(width, width, 3, padding=1)
        self.end = ToPixels(width, form.shape[0])

    def forward(self, source: Tensor) -> Tensor:
        """Sources (N, C', H, W) -> pictures (N, C, H * scale, W * scale)."""
        x = self.start(source)
        x = x + self.blocks(x)
        for layer in [*self.outward, self.refine]:
            x = self._rectified(layer, x)
        return full(self.end(x))

    @recomputable
    def _rectified(self, layer: nn.Module, x: Tensor) -> Tensor:
        return F.leaky_relu(layer(x), SLOPE)
