"""The pictures of a source as one array of bytes, all of one shape."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cardigan.data.sources.decoding import Background, Fit, decode, fitted, look
from cardigan.data.sources.source import Encoded, Part, Pixels, Source, Stack, shown
from cardigan.data.sources.split import digest, digests, pack
from cardigan.errors import CardiganError

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class Wanted:
    """What every picture is brought to.

    Attributes:
        channels: 1 or 3.
        size: (height, width).
        fit: how another size is brought to this one; None refuses another size.
        background: the colour under transparent pixels and around padded pictures.
    """

    channels: int
    size: tuple[int, int]
    fit: Fit | None = "crop"
    background: Background = "white"

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        return (self.channels, *self.size)


def native_channels(source: Source) -> int:
    """1 if every picture of every split is stored as grey, else 3; the search ends at the first that is not."""
    return 1 if all(_all_grey(read()) for read in source.parts.values()) else 3


def _all_grey(part: Part) -> bool:
    if isinstance(part, Stack):
        return part.pixels.ndim == 3
    return all(look(part.read(index), part.names[index])[0] for index in range(len(part)))


def native_size(source: Source) -> tuple[int, int]:
    """(height, width) of the first picture of the train split, to which all others are then held."""
    part = source.parts["train"]()
    if len(part) == 0:
        raise CardiganError(f"{shown(source.name)}: no pictures in its train split")
    if isinstance(part, Stack):
        return part.pixels.shape[1], part.pixels.shape[2]
    return look(part.read(0), part.names[0])[1]


def read_pixels(part: Part, wanted: Wanted) -> tuple[Pixels, NDArray[np.uint8]]:
    """(N, C, H, W) bytes of all pictures of `part`, and the (N, 16) digests of the originals.

    Raises:
        UnreadableError: the first picture that cannot be read.
        CardiganError: a picture of another size where `wanted` has no way to fit it.
    """
    if isinstance(part, Stack):
        upright = part.pixels[:, None] if part.pixels.ndim == 3 else part.pixels.transpose(0, 3, 1, 2)
        if upright.shape[1:] == wanted.shape:  # nothing to change: one operation for all of them
            return upright, digests(part.pixels)
    pixels, marks = np.empty((len(part), *wanted.shape), dtype=np.uint8), []
    for index in range(len(part)):
        image, name = _image(part, index, wanted.background)
        marks.append(digest(np.asarray(image)))
        pixels[index] = _brought(image, wanted, name)
    return pixels, pack(marks)


def _image(part: Part, index: int, background: Background) -> tuple["Image", str]:
    from PIL import Image

    if isinstance(part, Encoded):
        return decode(part.read(index), part.names[index], background), part.names[index]
    return Image.fromarray(np.ascontiguousarray(part.pixels[index])), f"picture {index}"


def _brought(image: "Image", wanted: Wanted, name: str) -> Pixels:
    """`image` as (C, H, W) bytes."""
    if wanted.fit is None and image.size != wanted.size[::-1]:
        raise CardiganError(
            f"{name}: {image.height}x{image.width} pixels (height x width), but the first picture has "
            f"{wanted.size[0]}x{wanted.size[1]}; give one size for all, such as data.size=64"
        )
    mode = "L" if wanted.channels == 1 else "RGB"
    image = image if image.mode == mode else image.convert(mode)
    pixels = np.asarray(fitted(image, wanted.size, wanted.fit or "crop", wanted.background))
    return pixels[None] if wanted.channels == 1 else pixels.transpose(2, 0, 1)
