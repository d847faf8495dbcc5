"""Pictures of any size -> small ones by exact area means, which a survey keeps in their place."""

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cardigan.data.sources.fitting import laid_on

if TYPE_CHECKING:
    from PIL.Image import Image

SIDE = 16
"""Height and width of the small luma picture; the colours are kept at a quarter of it."""
LUMA = np.asarray([0.299, 0.587, 0.114], np.float32)
"""Weights of red, green and blue in brightness (ITU-R BT.601)."""


def small(pixels: NDArray[np.generic], side: int = SIDE) -> NDArray[np.float32]:
    """(N, H, W, C) of any type -> (N, side, side, C): each value the mean of the area that it covers.

    A picture smaller than that is magnified; its aspect ratio is lost.
    """
    return _weighed(pixels, _areas(pixels.shape[1], side), _areas(pixels.shape[2], side))


def _weighed(
    pixels: NDArray[np.generic], rows: NDArray[np.float32], columns: NDArray[np.float32]
) -> NDArray[np.float32]:
    across = np.matmul(rows, pixels.astype(np.float32).reshape(len(pixels), pixels.shape[1], -1))
    across = across.reshape(len(pixels), len(rows), *pixels.shape[2:])
    return np.einsum("wv,nhvc->nhwc", columns, across, optimize=True).astype(np.float32)


@lru_cache(maxsize=256)
def _areas(length: int, side: int, factor: int = 1) -> NDArray[np.float32]:
    """(side, n): the share of each of n pixels in each of `side` cells of equal width; rows sum to one.

    A pixel stands for `factor` of the `length` original ones, the last for what is left.
    """
    edges = np.linspace(0, length, side + 1)
    starts = np.arange(0, length, factor)
    overlap = np.minimum(edges[1:, None], np.minimum(starts + factor, length)) - np.maximum(edges[:-1, None], starts)
    return (np.maximum(overlap, 0) * (side / length)).astype(np.float32)


def seen(image: "Image") -> "Image":
    """`image` (L, LA, RGB or RGBA) as training without alpha sees it: on white, mode L or RGB."""
    return laid_on(image, "white") if image.mode in ("LA", "RGBA") else image


def shrunk(image: "Image", side: int = SIDE) -> NDArray[np.float32]:
    """One opaque picture of mode L or RGB as (side, side, 3), 0 to 255."""
    factor = max(1, min(image.size) // (4 * side))  # the bulk of the work in Pillow
    pixels = np.asarray(image.reduce(factor) if factor > 1 else image)
    rows, columns = _areas(image.height, side, factor), _areas(image.width, side, factor)
    thumb = _weighed(pixels.reshape(1, *pixels.shape[:2], -1), rows, columns)[0]
    return np.broadcast_to(thumb, (side, side, 3))


def luma(colours: NDArray[np.float32]) -> NDArray[np.uint8]:
    """(N, h, w, 3) -> (N, h, w)."""
    return np.rint(colours @ LUMA).astype(np.uint8)


def chroma(colours: NDArray[np.float32]) -> NDArray[np.int8]:
    """(N, SIDE, SIDE, 3) -> (N, SIDE/4, SIDE/4, 2): blue and red minus brightness, -127 to 127."""
    coarse = colours.reshape(len(colours), SIDE // 4, 4, SIDE // 4, 4, 3).mean((2, 4))
    bright = coarse @ LUMA
    return np.rint(np.stack([(coarse[..., 2] - bright) / 1.772, (coarse[..., 0] - bright) / 1.402], -1)).astype(np.int8)
