"""U-Nets in the manner of pix2pix (Isola et al., 2017, arXiv:1611.07004), for any size of picture."""

from collections.abc import Callable
from itertools import pairwise
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from cardigan.networks.base import Translator, TranslatorFamily, Units, pick
from cardigan.networks.dcgan import UPSAMPLINGS, Upsample
from cardigan.networks.layers.dropout import Dropout
from cardigan.networks.layers.initialisation import init_normal, init_scaled
from cardigan.networks.layers.normalisation import MapKind, Normalisation
from cardigan.networks.layers.pictures import channels, check_depth, halvings
from cardigan.networks.layers.precision import full
from cardigan.networks.layers.recomputation import recomputable
from cardigan.networks.layers.sources import check_added, cropped, padded, scale_of, source_shape, worth_keeping
from cardigan.sample import Form

DEEPEST = 8
"""Most halvings: the paper's number for 256x256."""


class UNet(TranslatorFamily):
    """Halvings, as many doublings, and at every size what was seen on the way in beside what comes from below.

    For samples of their source's size. By default the paper's network with fewer halvings and with nearest neighbours
    and 3x3 convolutions for its transposed ones; initial weights are N(0, 0.02), or torch's default without
    normalisation.
    """

    family: Literal["unet"] = "unet"
    width: Units = 64
    """Channels at half the size: doubled at every smaller one, up to 8 times as many."""
    depth: Annotated[int, Field(ge=1, le=DEEPEST)] | None = None
    """Halvings of the size; null: until the shorter side has at most 4 pixels, at most 8."""
    normalisation: MapKind = "instance"
    """After every layer but those that see the source, the innermost and the last: "instance", "batch" (the paper's;
    its batches of one make it "instance"), "layer" or "none"."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Probability with which an activation is dropped in the deepest half of the doublings, three at most; the paper's
    noise has 0.5."""
    gated: bool = False
    """Whether every layer but the last is multiplied by the sigmoid of a second convolution (Yu et al., 2019,
    arXiv:1806.03589): for sources with holes, whose mask is one of their channels."""
    upsample: Upsample = "resize"
    """How sizes double: nearest neighbours and a 3x3 convolution, or a 4x4 transposed convolution of stride 2."""
    output: Literal["tanh", "residual"] = "tanh"
    """What the last layer makes: the picture, through tanh; or a correction, added to the source's first channels."""
    refine: bool | None = None
    """Whether a 3x3 convolution at full size makes it, from `width` channels and as many that a convolution of the
    source gives; false: the last doubling does, as in the paper; null: with "residual", since details smaller than two
    pixels need it."""

    def build(self, form: Form) -> "UNetTranslator":
        """A translator to pictures of the same size.

        Raises:
            CardiganError: sources and samples of different sizes, too many halvings, too few channels to add to.
        """
        scale_of(form, self.family)
        depth = pick([self.depth, min(max(halvings(form, 4), 1), DEEPEST)])
        check_depth(depth, form, "game.generator.depth")
        if self.output == "residual":
            check_added(form, "game.generator.output", self.output, "tanh")
        return UNetTranslator(form, depth, self)


class Stage(nn.Module):
    """Convolve, normalise, rectify, drop; gated: multiplied by the sigmoid of a second convolution.

    Args:
        layer: what makes a convolution, of inputs, outputs and bias.
        inputs: I channels.
        outputs: O channels.
        kind: of normalisation.
        slope: of the rectifier below zero.
        gated: whether there is a gate.
        dropout: probability of zero.
    """

    def __init__(
        self,
        layer: Callable[..., nn.Module],
        inputs: int,
        outputs: int,
        kind: MapKind,
        slope: float,
        gated: bool,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        # A bias before a normalisation that has its own would have no effect.
        self.layer = layer(inputs, outputs, bias=kind == "none")
        self.norm = Normalisation(kind, outputs)
        self.gate = layer(inputs, outputs, bias=True) if gated else None
        self.dropout = Dropout(dropout)
        self.slope = slope

    @recomputable
    def forward(self, x: Tensor) -> Tensor:
        """(N, I, H, W) -> (N, O, H', W'), of the size that the convolution makes."""
        hidden = F.leaky_relu(self.norm(self.layer(x)), self.slope)
        if self.gate is not None:
            hidden = hidden * torch.sigmoid(self.gate(x))
        return self.dropout(hidden)


class UNetTranslator(Translator):
    """Sources (N, C', H, W) -> pictures (N, C, H, W): in [-1, 1], or the source and a correction of any size.

    Sides that are no multiples of 2^depth are lengthened by repeating their last pixels, and the picture is cropped.

    Args:
        form: of samples and sources.
        depth: number of halvings.
        settings: the other fields.
    """

    def __init__(self, form: Form, depth: int, settings: UNet) -> None:
        super().__init__()
        kind, gated, double = settings.normalisation, settings.gated, UPSAMPLINGS[settings.upsample]
        seen, width, levels = source_shape(form, settings.family)[0], settings.width, channels(settings.width, depth)
        self.channels, self.residual = form.shape[0], settings.output == "residual"
        refine = self.residual if settings.refine is None else settings.refine
        self.multiple = 2**depth
        # A halving looks 1 pixel beyond, a doubling 2, of the larger picture.
        self.margin = worth_keeping(3 * (2**depth - 1) + refine, kind)
        kinds: list[MapKind] = ["none" if level in (0, depth - 1) else kind for level in range(depth)]
        inward = zip(pairwise([seen, *levels]), kinds, strict=True)
        self.inward = nn.ModuleList(Stage(_halving, *pair, each, 0.2, gated) for pair, each in inward)
        self.fine = Stage(_keeping, seen, width, "none", 0.2, gated) if refine else None
        # Everything but what comes from the innermost size has company from the way in.
        inputs = [levels[-1], *[2 * level for level in levels[-2::-1]]]
        outputs = [*levels[-2::-1], *([width] if refine else [])]
        dropouts = [settings.dropout if step < min(3, depth // 2) else 0.0 for step in range(depth)]
        outward = zip(inputs, outputs, dropouts, strict=False)
        self.outward = nn.ModuleList(Stage(double, i, o, kind, 0.0, gated, dropout) for i, o, dropout in outward)
        end, last = (_keeping, 2 * width) if refine else (double, inputs[-1])
        self.end = end(last, self.channels, bias=True)
        self._initialise(kind)

    def forward(self, source: Tensor) -> Tensor:
        """Sources (N, C', H, W) -> pictures (N, C, H, W)."""
        ways = [padded(source, self.multiple)]
        for stage in self.inward:
            ways.append(stage(ways[-1]))
        if self.fine is not None:
            ways[0] = self.fine(ways[0])
        x = ways.pop()
        for stage in self.outward:
            x = torch.cat([stage(x), ways.pop()], dim=1)
        x = full(cropped(self.end(x), source))
        return full(source[:, : self.channels]) + x if self.residual else torch.tanh(x)

    def _initialise(self, kind: MapKind) -> None:
        """As the paper where there is normalisation; a correction starts small, so that the source comes through."""
        if kind != "none":
            init_normal(self)
        if self.residual:
            init_scaled(self.end, 0.1)


def _keeping(inputs: int, outputs: int, bias: bool) -> nn.Module:
    return nn.Conv2d(inputs, outputs, 3, padding=1, bias=bias)


def _halving(inputs: int, outputs: int, bias: bool) -> nn.Module:
    return nn.Conv2d(inputs, outputs, 4, stride=2, padding=1, bias=bias)
