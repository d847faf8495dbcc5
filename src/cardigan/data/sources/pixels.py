"""Pictures of a source as arrays of bytes, all of one shape; what cannot be read is named and left out."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cardigan.data.sources.decoding import decode, look, stored_as_grey
from cardigan.data.sources.fitting import MODES, Wanted, brought, channels_first
from cardigan.data.sources.source import Encoded, Part, Pixels, Source, Stack, UnreadableError, shown
from cardigan.data.sources.split import digest, pack
from cardigan.data.workers import Workers
from cardigan.errors import CardiganError

if TYPE_CHECKING:
    from PIL.Image import Image

LOOKS = 500
"""Headers that are read at once."""


@dataclass(frozen=True)
class Block:
    """Some pictures of a part, read.

    Attributes:
        indices: (n,) int64, where in the part they stand, in the order they were asked for.
        pixels: (n, C, H, W) uint8.
        digests: (n, 16) uint8, of the originals: equal for equal pictures, whatever file they came from.
        failures: what could not be read; its indices are not among `indices`.
        animated: how many are the first frames of animations.
    """

    indices: NDArray[np.int64]
    pixels: Pixels
    digests: NDArray[np.uint8]
    failures: tuple[UnreadableError, ...] = ()
    animated: int = 0


def read_block(part: Part, indices: Sequence[int] | NDArray[np.int64], wanted: Wanted) -> Block:
    """The pictures at `indices` of `part`.

    Raises:
        CardiganError: a picture of another size where `wanted` has no way to fit it.
    """
    pixels, marks, animated = np.empty((len(indices), *wanted.shape), np.uint8), list[bytes](), 0
    kept, failures = list[int](), list[UnreadableError]()
    for index in map(int, indices):
        try:
            image, moves = original(part, index)
        except UnreadableError as failure:
            failures.append(failure)
            continue
        values = np.asarray(image)
        as_it_is = image.mode == MODES[wanted.channels] != "RGBA" and values.shape[:2] == wanted.size
        pixels[len(kept)] = channels_first(values) if as_it_is else brought(image, wanted, name_of(part, index))
        marks.append(digest(values))
        kept.append(index)
        animated += moves
    chosen = np.asarray(kept, dtype=np.int64)
    return Block(chosen, pixels[: len(kept)], pack(marks), tuple(failures), animated)


def original(part: Part, index: int) -> tuple["Image", bool]:
    """Picture number `index`, of mode L, LA, RGB or RGBA, and whether it is the first frame of an animation.

    Raises:
        UnreadableError: it cannot be read.
    """
    from PIL import Image

    if isinstance(part, Stack):
        return Image.fromarray(np.ascontiguousarray(part.pixels[index])), False
    image, header = decode(part.read(index), part.names[index])
    return image, header.animated


def size_of(part: Encoded, index: int) -> tuple[int, int] | None:
    """(height, width) of picture number `index`, by its header; None where it cannot be read."""
    try:
        return look(part.read(index), part.names[index]).size
    except UnreadableError:  # counted when its pixels are read
        return None


def name_of(part: Part, index: int) -> str:
    """Picture number `index` as an error message names it."""
    return part.names[index] if isinstance(part, Encoded) else f"picture {index}"


def native_channels(source: Source, most: int | None = None) -> int:
    """1 if every picture of every split is stored as grey, else 3; the search ends at the first that is not.

    Args:
        most: look at the first so many of each split only.
    """
    return 1 if all(_all_grey(read(), most) for read in source.parts.values()) else 3


def _all_grey(part: Part, most: int | None) -> bool:
    if isinstance(part, Stack):
        return part.pixels.ndim == 3 or part.pixels.shape[3] == 2
    count = len(part) if most is None else min(most, len(part))
    blocks = [range(start, min(start + LOOKS, count)) for start in range(0, count, LOOKS)]
    if not all(map(partial(_grey_block, part), blocks[:1])):  # most colour pictures say so at once
        return False
    if len(blocks) < 2:
        return True
    with Workers(partial(_grey_block, part)) as workers:
        return all(workers.map(blocks[1:]))


def _grey_block(part: Encoded, indices: Sequence[int]) -> bool:
    for index in indices:
        try:
            if not stored_as_grey(part.read(index), part.names[index]):
                return False
        except UnreadableError:  # will be counted when its pixels are read
            continue
    return True


def native_size(source: Source) -> tuple[int, int]:
    """(height, width) of the first readable picture of the train split, to which all others are then held."""
    part = source.parts["train"]()
    if isinstance(part, Stack):
        if len(part):
            return part.pixels.shape[1], part.pixels.shape[2]
        raise CardiganError(f"{shown(source.name)}: no pictures in its train split")
    why = ""
    for index in range(len(part)):
        try:
            return look(part.read(index), part.names[index]).size
        except UnreadableError as failure:
            why = why or f"; {failure.name}: {failure.reason}"
    raise CardiganError(f"{shown(source.name)}: no readable picture in its train split{why}")
