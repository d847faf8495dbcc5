"""All pictures of one split, read: in memory."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cardigan.data.sources.fitting import Wanted
from cardigan.data.sources.pixels import read_block
from cardigan.data.sources.source import Part, Pixels, Stack, UnreadableError
from cardigan.data.sources.split import digests


@dataclass(frozen=True)
class Decoded:
    """The pictures of a part.

    Attributes:
        pixels: (N, C, H, W) uint8, a row for each picture of the part; zero where it could not be read. May be a memory
            map.
        indices: (n,) int64, the rows that could be read.
        digests: (n, 16) uint8, of those.
        failures: what could not be read.
        animated: how many are the first frames of animations.
    """

    pixels: Pixels
    indices: NDArray[np.int64]
    digests: NDArray[np.uint8]
    failures: tuple[UnreadableError, ...] = ()
    animated: int = 0


def in_memory(part: Part, wanted: Wanted) -> Decoded:
    """Every picture of `part`, read now."""
    everything = np.arange(len(part))
    if isinstance(part, Stack):
        upright = part.pixels[:, None] if part.pixels.ndim == 3 else part.pixels.transpose(0, 3, 1, 2)
        if upright.shape[1:] == wanted.shape:  # nothing to change: one operation for all of them
            return Decoded(upright, everything, digests(part.pixels))
    block = read_block(part, everything, wanted)
    pixels = np.zeros((len(part), *wanted.shape), dtype=np.uint8)
    pixels[block.indices] = block.pixels
    return Decoded(pixels, block.indices, block.digests, block.failures, block.animated)
