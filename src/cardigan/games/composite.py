"""Translators that keep what their source shows: everything outside of a hole, or the brightness of a grey picture."""

import torch
from torch import Tensor

from cardigan.errors import CardiganError
from cardigan.networks.base import Translator
from cardigan.sample import Form

LUMA = (0.299, 0.587, 0.114)
"""Shares of red, green and blue in what a grey picture shows (ITU-R 601)."""


def composite(inner: Translator, form: Form) -> Translator:
    """`inner`, held to what sources of `form` show.

    Raises:
        CardiganError: sources that are neither the sample and a mask of the hole nor grey beside samples with colours.
    """
    assert form.source is not None
    channels, *size = form.shape
    if form.source == (channels + 1, *size):
        return KeptPixels(inner)
    if form.source == (1, *size) and channels == 3:
        return KeptLuma(inner)
    raise CardiganError(
        "game.composite: needs sources that show a part of the sample: all but a hole (data.degradations with mask), "
        "or RGB pictures without their colours (data.degradations with grey)"
    )


class Kept(Translator):
    """A translator around another, of which it keeps what tiles need to know."""

    def __init__(self, inner: Translator) -> None:
        super().__init__()
        self.inner = inner
        self.scale, self.multiple, self.margin = inner.scale, inner.multiple, inner.margin


class KeptPixels(Kept):
    """A translator whose pixels count in the hole alone: where the last channel of the source is 1, not -1."""

    def forward(self, source: Tensor) -> Tensor:
        """(N, C + 1, H, W) -> (N, C, H, W)."""
        hole = (source[:, -1:] + 1) / 2
        return source[:, :-1] * (1 - hole) + self.inner(source) * hole


class KeptLuma(Kept):
    """A translator whose colours alone count: every pixel is moved along grey until its luma is the source's.

    Else the least deviation of brightness tells a discriminator that sees the source what is made.
    """

    def __init__(self, inner: Translator) -> None:
        super().__init__(inner)
        self.shares: Tensor
        self.register_buffer("shares", torch.tensor(LUMA).view(3, 1, 1), persistent=False)

    def forward(self, source: Tensor) -> Tensor:
        """(N, 1, H, W) -> (N, 3, H, W), which can leave [-1, 1] where a colour is too bright or dark for its luma."""
        made: Tensor = self.inner(source)
        return made + (source - (made * self.shares).sum(1, keepdim=True))
