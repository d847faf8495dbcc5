"""Lossy compression: blocks of 8x8 and coarse colours, as JPEG leaves them."""

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import torch
from torch import Tensor

from cardigan.data.degradations.base import Degradation, Restorer
from cardigan.data.degradations.eightbit import by_pillow, colours_of, on_grid
from cardigan.data.degradations.ranges import WholeRange, within
from cardigan.data.degradations.restoring import UNCHANGED, unchanged

if TYPE_CHECKING:
    from PIL.Image import Image


class Jpeg(Degradation):
    """Compressed and read again by Pillow, with its usual halving of colour (4:2:0); alpha keeps its values."""

    kind: Literal["jpeg"] = "jpeg"
    """This kind of degradation."""
    quality: Annotated[WholeRange, within(1, 100)] = WholeRange(low=30, high=95)
    """libjpeg's quality, 1 (worst) to 100; one for each picture, drawn."""

    def apply(self, pictures: Tensor, randoms: Sequence[torch.Generator]) -> Tensor:
        """See `Degradation.apply`."""
        return compressed(pictures, [self.quality.draw(random) for random in randoms])

    def restorers(self) -> Mapping[str, Restorer]:
        """None: filters that hide the blocks take away more than compression did."""
        return {UNCHANGED: unchanged}


def compressed(pictures: Tensor, qualities: Sequence[int]) -> Tensor:
    """(N, C, H, W) in [-1, 1], C from 1 to 4 -> the same on the 8-bit grid, colours through JPEG of N qualities."""
    from PIL.Image import open as opened

    def change(image: "Image", index: int) -> "Image":
        file = io.BytesIO()
        image.save(file, "JPEG", quality=qualities[index])
        return opened(file)

    colours = colours_of(pictures.shape[1:])
    return torch.cat([by_pillow(pictures[:, :colours], change), on_grid(pictures[:, colours:])], dim=1)
