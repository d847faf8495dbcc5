"""Drawings of pictures: dark lines on white, from which colour and texture are to be made."""

from collections.abc import Sequence
from typing import Annotated, Literal, Self

import torch
import torch.nn.functional as F
from pydantic import Field, NonNegativeFloat, PositiveFloat, model_validator
from torch import Tensor

from cardigan.data.degradations.base import Degradation, Shape, check_read
from cardigan.data.degradations.eightbit import on_grid
from cardigan.data.degradations.filtering import smoothed
from cardigan.data.degradations.grey import luma
from cardigan.resizing import to_bytes, to_rgb

_WIDER = 1.6
"""Deviation of the second Gaussian over that of the first: their difference is nearly a Laplacian (Marr & Hildreth)."""


class Edges(Degradation):
    """A drawing of one channel; what is transparent is laid on white first."""

    kind: Literal["edges"] = "edges"
    """This kind of degradation."""
    method: Literal["sobel", "xdog"] = "xdog"
    """sobel: lines where brightness is steep. xdog: lines and dark areas as with a brush."""
    deviation: Annotated[float, Field(ge=0.3, le=20)] = 0.8
    """Of the Gaussian that smooths the picture first, in pixels; wider: only large things are drawn."""
    slope: NonNegativeFloat = 8.0
    """Of sobel: where a line begins, in grey levels per pixel."""
    softness: PositiveFloat = 20.0
    """Of sobel: how much steeper, in grey levels per pixel, until the line is black."""
    sharpness: NonNegativeFloat = 20.0
    """Of xdog: weight p of the difference of Gaussians against the picture itself; more: more lines."""
    level: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Of xdog: brightness, 0 to 1, after sharpening, above which all is white. 0: lines alone; more: dark areas too."""
    steepness: PositiveFloat = 5.0
    """Of xdog: how fast white falls to black below the level; less: softer lines."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        check_read(self, "method", {"sobel": ["slope", "softness"], "xdog": ["sharpness", "level", "steepness"]})
        return self

    def shape(self, shape: Shape) -> Shape:
        """See `Degradation.shape`."""
        return 1, *shape[1:]

    def apply(self, pictures: Tensor, randoms: Sequence[torch.Generator]) -> Tensor:
        """See `Degradation.apply`; nothing is random. 1 to 4 channels."""
        grey = luma(to_rgb(to_bytes(pictures))) / 255
        drawn = [self._sobel(each) if self.method == "sobel" else self._xdog(each) for each in grey]
        return on_grid(torch.stack(drawn) * 2 - 1)

    def _sobel(self, grey: Tensor) -> Tensor:
        steep = slopes(smoothed(grey, self.deviation)) * 255
        share = ((steep - self.slope) / self.softness).clamp(0, 1)
        return 1 - share * share * (3 - 2 * share)

    def _xdog(self, grey: Tensor) -> Tensor:
        """Winnemöller et al. 2012, "XDoG: an eXtended difference-of-Gaussians compendium", its soft threshold."""
        narrow, wide = smoothed(grey, self.deviation), smoothed(grey, _WIDER * self.deviation)
        sharpened = narrow + self.sharpness * (narrow - wide)
        return torch.where(sharpened >= self.level, 1.0, 1 + torch.tanh(self.steepness * (sharpened - self.level)))


def slopes(grey: Tensor) -> Tensor:
    """(1, H, W) -> (1, H, W): how steep it is at each pixel, per pixel, by Sobel's filter; flat beyond the borders."""
    around = F.pad(grey[None], (1, 1, 1, 1), mode="replicate")[0]
    right = (around[:, :, 2:] - around[:, :, :-2]) / 2
    down = (around[:, 2:] - around[:, :-2]) / 2
    right = (right[:, :-2] + 2 * right[:, 1:-1] + right[:, 2:]) / 4
    down = (down[:, :, :-2] + 2 * down[:, :, 1:-1] + down[:, :, 2:]) / 4
    return torch.hypot(right, down)
