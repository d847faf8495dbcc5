"""All pictures of one split, read once: into memory, or into a file of the cache that is mapped into memory."""

import json
import os
import shutil
from dataclasses import dataclass, replace
from functools import partial
from hashlib import blake2b
from math import prod
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from cardigan.data import store
from cardigan.data.base import Watch, silent
from cardigan.data.sources.fitting import Wanted
from cardigan.data.sources.pixels import Block, read_block
from cardigan.data.sources.source import Part, Pixels, Source, Split, Stack, UnreadableError
from cardigan.data.sources.split import DIGEST, digests
from cardigan.data.workers import Workers
from cardigan.files import write_text

VERSION = 2
"""Of the cached form; counts up when reading changes what comes out."""
_BLOCK_BYTES = 2**24
_BLOCK_PICTURES = 1024
_PIXELS = "pixels.u8"


@dataclass(frozen=True)
class Decoded:
    """The pictures of a part.

    Attributes:
        pixels: (N, C, H, W) uint8, a row for each picture of the part; zero where it could not be read. May be a memory
            map.
        indices: (n,) int64, the rows that could be read.
        digests: (n, 16) uint8, of the originals of those.
        failures: what could not be read.
        animated: how many are the first frames of animations.
        mapped: whether `pixels` is a file of the cache, mapped into memory.
    """

    pixels: Pixels
    indices: NDArray[np.int64]
    digests: NDArray[np.uint8]
    failures: tuple[UnreadableError, ...] = ()
    animated: int = 0
    mapped: bool = False


def in_memory(part: Part, wanted: Wanted, watch: Watch = silent) -> Decoded:
    """Every picture of `part`, read now."""
    everything = np.arange(len(part))
    if isinstance(part, Stack):
        upright = part.pixels[:, None] if part.pixels.ndim == 3 else part.pixels.transpose(0, 3, 1, 2)
        if upright.shape[1:] == wanted.shape and wanted.channels < 4:  # nothing to change: one operation for all
            return Decoded(upright, everything, digests(part.pixels))
    pixels, found = np.zeros((len(part), *wanted.shape), dtype=np.uint8), []
    for indices in _blocks(len(part), wanted):
        block = read_block(part, indices, wanted)
        pixels[block.indices] = block.pixels
        found.append(block)
        watch("reading pictures", int(indices[-1]) + 1, len(part))
    return Decoded(pixels, *_joined(found))


def cache_key(source: Source, split: Split, wanted: Wanted, watch: Watch = silent) -> str:
    """Changes with the content of the source's files and with everything that decides what is made of them."""
    return store.hashed(VERSION, store.content_key(source.files, watch), split, wanted, source.selection)


def cached(part: Part, wanted: Wanted, key: str, source: str, watch: Watch = silent) -> Decoded:
    """Every picture of `part`, from the entry `key` of the cache, which is built if it is not there.

    Building takes all cores. Killed half-way, it goes on from there the next time; a second process that wants the
    same entry waits for the first.

    Args:
        source: what the pictures come from, as `cardigan cache` will name it.

    Raises:
        StoreError: the cache cannot be written.
        CardiganError: a picture of another size where `wanted` has no way to fit it.
    """
    about = {"source": source, "pictures": len(part), "shape": wanted.shape}
    waiting = partial(watch, "waiting for another process that reads the same pictures", 0, 0)
    for attempt in range(2):
        folder = store.keep("pictures", key, partial(_build, part, wanted, watch), about, waiting)
        try:
            return _open(folder, len(part), wanted)
        except (OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile) as error:
            if attempt:
                raise store.StoreError(f"the cache entry {folder} cannot be read: {error}") from None
            shutil.rmtree(folder, ignore_errors=True)  # damaged: made again
    raise AssertionError


def _blocks(count: int, wanted: Wanted) -> list[NDArray[np.int64]]:
    """The indices 0 to `count` - 1 in blocks of a size that suits memory and processes."""
    size = max(1, min(_BLOCK_PICTURES, _BLOCK_BYTES // prod(wanted.shape)))
    return [np.arange(start, min(start + size, count)) for start in range(0, count, size)]


def _build(part: Part, wanted: Wanted, watch: Watch, folder: Path) -> None:
    """Write the pixels to one file, block by block.

    A block is done when its own small file lies beside it, with a hash of the pixels: what a killed process or a power
    cut has left is believed only so far as it is whole.
    """
    blocks, row = _blocks(len(part), wanted), prod(wanted.shape)
    (folder / _PIXELS).touch()
    with (folder / _PIXELS).open("r+b") as file:
        _reserve(file.fileno(), len(part) * row)
        finished = {number: block for number in range(len(blocks)) if (block := _finished(folder, number, file, row))}
        missing = [number for number in range(len(blocks)) if number not in finished]
        done = sum(len(blocks[number]) for number in finished)
        watch("reading pictures", done, len(part))
        with Workers(partial(read_block, part, wanted=wanted)) as workers:
            for number, block in zip(missing, workers.map(blocks[each] for each in missing), strict=True):
                _write_block(folder, number, block, file.fileno(), row)
                finished[number] = replace(block, pixels=block.pixels[:0])
                done += len(blocks[number])
                watch("reading pictures", done, len(part))
        os.fsync(file.fileno())
    indices, marks, failures, animated = _joined([finished[number] for number in range(len(blocks))])
    np.savez(folder / "found.npz", indices=indices, digests=marks, animated=animated)
    write_text(folder / "failures.json", json.dumps([(each.name, each.reason) for each in failures]))
    for path in folder.glob("block-*"):
        path.unlink()


def _reserve(descriptor: int, size: int) -> None:
    """Take the whole room now: a disk that is too small says so before the work, not after it."""
    if size and hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
    os.ftruncate(descriptor, size)


def _write_block(folder: Path, number: int, block: Block, descriptor: int, row: int) -> None:
    whole = blake2b(digest_size=16)
    for index, pixels in zip(block.indices, block.pixels, strict=True):
        data = pixels.tobytes()
        whole.update(data)
        os.pwrite(descriptor, data, int(index) * row)
    failures = json.dumps([(each.name, each.reason) for each in block.failures])
    temporary = folder / f"block-{number}.tmp.npz"
    np.savez(
        temporary,
        indices=block.indices,
        digests=block.digests,
        animated=block.animated,
        failures=np.frombuffer(failures.encode(), np.uint8),
        pixels=np.frombuffer(whole.digest(), np.uint8),
    )
    temporary.rename(folder / f"block-{number}.npz")


def _finished(folder: Path, number: int, file: Any, row: int) -> Block | None:
    """Block `number` without its pixels, if it was written whole."""
    try:
        with np.load(folder / f"block-{number}.npz", allow_pickle=False) as saved:
            indices, marks, animated = saved["indices"], saved["digests"], int(saved["animated"])
            failures = tuple(UnreadableError(*each) for each in json.loads(saved["failures"].tobytes()))
            expected = saved["pixels"].tobytes()
    except Exception:  # whatever it is, it is not whole
        return None
    whole = blake2b(digest_size=16)
    for index in indices:
        whole.update(os.pread(file.fileno(), row, int(index) * row))
    empty = np.empty((0,), np.uint8)
    return Block(indices, empty, marks, failures, animated) if whole.digest() == expected else None


def _joined(
    found: list[Block],
) -> tuple[NDArray[np.int64], NDArray[np.uint8], tuple[UnreadableError, ...], int]:
    indices = np.concatenate([np.empty(0, np.int64), *(block.indices for block in found)])
    marks = np.concatenate([np.empty((0, DIGEST), np.uint8), *(block.digests for block in found)])
    failures = tuple(each for block in found for each in block.failures)
    return indices, marks, failures, sum(block.animated for block in found)


def _open(folder: Path, count: int, wanted: Wanted) -> Decoded:
    with np.load(folder / "found.npz", allow_pickle=False) as saved:
        indices, marks, animated = saved["indices"], saved["digests"], int(saved["animated"])
    failures = tuple(UnreadableError(*each) for each in json.loads((folder / "failures.json").read_text("utf-8")))
    # Private to this process: nothing that is done to the array reaches the file.
    pixels = np.memmap(folder / _PIXELS, np.uint8, "c", shape=(count, *wanted.shape))
    return Decoded(pixels, indices, marks, failures, animated, mapped=True)
