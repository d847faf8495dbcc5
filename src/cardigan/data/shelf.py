"""Pictures kept at sizes of their own, one after another in one row of bytes: in memory, or in a file of the cache."""

import json
from dataclasses import dataclass
from functools import cached_property, partial
from math import prod
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cardigan.data import store
from cardigan.data.base import Watch, silent
from cardigan.data.sources.fitting import Wanted, brought
from cardigan.data.sources.pixels import name_of, original, size_of
from cardigan.data.sources.source import Part, Pixels, Source, Split, Stack, UnreadableError
from cardigan.data.sources.split import digest, pack
from cardigan.data.storage import Storage, unstreamed
from cardigan.data.workers import Workers

_BLOCK = 16
"""Pictures that a worker reads at once."""
_PIXELS = "whole.u8"


@dataclass(frozen=True)
class Shelf:
    """Pictures of one number of channels and of many sizes.

    Attributes:
        pixels: uint8, all of them one after another.
        sizes: (n, 2) int64, height and width of each.
        channels: C of all.
        indices: (n,) int64, which pictures of the part they are: those that could be read.
        digests: (n, 16) uint8, of the originals.
        failures: what could not be read.
        mapped: whether `pixels` is a file of the cache, mapped into memory.
    """

    pixels: Pixels
    sizes: NDArray[np.int64]
    channels: int
    indices: NDArray[np.int64]
    digests: NDArray[np.uint8]
    failures: tuple[UnreadableError, ...] = ()
    mapped: bool = False

    def __len__(self) -> int:
        return len(self.sizes)

    def picture(self, index: int) -> Tensor:
        """(C, H, W) uint8, a view."""
        start = self._starts[index]
        height, width = self.sizes[index]
        count = self.channels * height * width
        return torch.from_numpy(self.pixels[start : start + count]).view(self.channels, int(height), int(width))

    @cached_property
    def _starts(self) -> NDArray[np.int64]:
        return np.concatenate([[0], np.cumsum(self.sizes.prod(1) * self.channels)])


@dataclass(frozen=True)
class _Read:
    """What a worker read: as in `Shelf`."""

    pixels: Pixels
    sizes: list[tuple[int, int]]
    indices: list[int]
    digests: list[bytes]
    failures: list[UnreadableError]


def shelf(
    source: Source,
    split: Split,
    part: Part,
    channels: int,
    background: str,
    storage: Storage = "auto",
    watch: Watch = silent,
) -> Shelf:
    """Every picture of `part` at its own size, read once: into memory, or into the cache; what is no file has no place
    there.

    Args:
        storage: "auto": memory for a few that take no more than `cardigan.data.storage.SMALL` bytes, else the cache.

    Raises:
        StoreError: the cache cannot be written.
    """
    read = partial(_read, part, channels, background)
    if not source.files or unstreamed(storage, part, partial(_bytes, part, channels)) == "memory":
        found = [read(block) for block in _blocks(len(part), watch)]
        return _shelved(np.concatenate([each.pixels for each in found]), found, channels)
    content = store.content_key(source.files, watch)
    key = store.hashed("whole", 1, content, split, channels, background, source.selection)
    about = {"source": source.name, "pictures": len(part)}
    folder = store.keep("pictures", key, partial(_make, read, len(part), channels, watch), about)
    with np.load(folder / "found.npz", allow_pickle=False) as saved:
        sizes, indices, digests = saved["sizes"], saved["indices"], saved["digests"]
    failures = tuple(UnreadableError(*each) for each in json.loads((folder / "failures.json").read_text("utf-8")))
    pixels = np.memmap(folder / _PIXELS, np.uint8, "c")  # private: nothing done to it reaches the file
    return Shelf(pixels, sizes, channels, indices, digests, failures, mapped=True)


def _bytes(part: Part, channels: int) -> int:
    """Of all its pictures at their own sizes."""
    if isinstance(part, Stack):
        return prod(part.pixels.shape[:3]) * channels
    return sum(prod(size_of(part, index) or (0, 0)) for index in range(len(part))) * channels


def _blocks(count: int, watch: Watch) -> list[range]:
    watch("reading pictures", 0, count)
    return [range(start, min(start + _BLOCK, count)) for start in range(0, count, _BLOCK)]


def _read(part: Part, channels: int, background: str, block: range) -> _Read:
    pixels, sizes, indices, marks = list[Pixels](), list[tuple[int, int]](), list[int](), list[bytes]()
    failures = list[UnreadableError]()
    for index in block:
        try:
            image, _ = original(part, index)
        except UnreadableError as failure:
            failures.append(failure)
            continue
        wanted = Wanted(channels, (image.height, image.width), "crop", background)
        pixels.append(np.ascontiguousarray(brought(image, wanted, name_of(part, index))).reshape(-1))
        sizes.append(wanted.size)
        indices.append(index)
        marks.append(digest(np.asarray(image)))
    joined = np.concatenate(pixels) if pixels else np.empty(0, np.uint8)
    return _Read(joined, sizes, indices, marks, failures)


def _make(read: partial[_Read], count: int, channels: int, watch: Watch, folder: Path) -> None:
    found = list[_Read]()
    with (folder / _PIXELS).open("wb") as file, Workers(read) as workers:
        for block in workers.map(_blocks(count, watch)):
            file.write(block.pixels.data)
            found.append(_Read(block.pixels[:0], block.sizes, block.indices, block.digests, block.failures))
            watch("reading pictures", len(found) * _BLOCK, count)
    whole = _shelved(np.empty(0, np.uint8), found, channels)
    np.savez(folder / "found.npz", sizes=whole.sizes, indices=whole.indices, digests=whole.digests)
    (folder / "failures.json").write_text(json.dumps([(each.name, each.reason) for each in whole.failures]))


def _shelved(pixels: Pixels, found: list[_Read], channels: int) -> Shelf:
    sizes = np.array([size for each in found for size in each.sizes], np.int64).reshape(-1, 2)
    indices = np.array([index for each in found for index in each.indices], np.int64)
    failures = tuple(failure for each in found for failure in each.failures)
    return Shelf(pixels, sizes, channels, indices, pack([mark for each in found for mark in each.digests]), failures)
