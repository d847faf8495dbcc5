"""Pictures made smaller, as super-resolution undoes it: to the bit as Pillow resizes a file."""

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor

from cardigan.data.degradations.base import Degradation, Restorer, Shape
from cardigan.data.degradations.restoring import enlargers, resized
from cardigan.errors import CardiganError


class Downscale(Degradation):
    """Both sides divided by a whole number; smoothed first, as Pillow does it."""

    kind: Literal["downscale"] = "downscale"
    """This kind of degradation."""
    factor: Literal[2, 3, 4, 8] = 4
    """Sides of the clean picture over those of the small one."""
    filter: Literal["bicubic", "bilinear", "lanczos", "area"] = "bicubic"
    """Pillow's filter; area is the plain mean of factor x factor pixels (Pillow's BOX). Benchmarks use bicubic."""

    def shape(self, shape: Shape) -> Shape:
        """See `Degradation.shape`."""
        return reduced(shape, self.factor, self.kind)

    def apply(self, pictures: Tensor, randoms: Sequence[torch.Generator]) -> Tensor:
        """See `Degradation.apply`; nothing is random. 1 to 4 channels, colours weighted by alpha as Pillow does."""
        _, height, width = self.shape((pictures.shape[1], pictures.shape[2], pictures.shape[3]))
        return resized(pictures, height, width, self.filter)

    def restorers(self) -> Mapping[str, Restorer]:
        """Enlarged by Pillow."""
        return enlargers(self.factor)


def reduced(shape: Shape, factor: int, kind: str) -> Shape:
    """(C, H, W) -> (C, H / factor, W / factor).

    Raises:
        CardiganError: a side that is no multiple of the factor.
    """
    channels, height, width = shape
    if height % factor or width % factor:
        raise CardiganError(
            f"{kind}.factor: {factor} does not divide pictures of {height}x{width} pixels; "
            f"allowed: sides that are multiples of {factor}"
        )
    return channels, height // factor, width // factor
