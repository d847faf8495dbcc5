"""A data set too large for memory and disk cache: read from its source anew in every pass, a buffer at a time."""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cardigan.data.base import Codec, Dataset
from cardigan.data.faulty import MOST_BAD, skipped, too_many
from cardigan.data.memory import mirrored, to_unit
from cardigan.data.sources.fitting import Wanted
from cardigan.data.sources.pixels import Block, read_block
from cardigan.data.sources.source import Part, UnreadableError
from cardigan.data.workers import Workers, result, usable_cores
from cardigan.distributed import world_size
from cardigan.randomness import derive_seed
from cardigan.sample import Batch, Form

CHUNK = 512
"""Samples that lie side by side in the source and are read together; fewer where they would not fit into a buffer."""
POOLED = 32
"""Chunks that are shuffled together: more would let whoever starts or resumes wait for longer."""
BUFFER_BYTES = 2**27
"""A buffer may take so much; there are two, the one in use and the one being read."""
NICE = 10
"""By how much readers give way to training."""


@dataclass(frozen=True)
class _Buffer:
    """Some chunks, read and shuffled together: `pixels` (n, C, H, W), `indices` (n,) positions in the part."""

    pixels: Tensor
    indices: Tensor
    flips: Tensor | None


class Streamed(Dataset):
    """The samples of a part in an order that is a function of (seed, position) alone.

    A pass visits chunks of neighbouring samples in random order. As many chunks as a buffer holds are pooled, and their
    samples given out in random order: sequential reading inside a chunk, shuffling across far more than a batch, and a
    position from which any process can go on without having read what came before.

    Args:
        part: where the samples are read from, and their labels.
        members: (N,) int64, ascending, the positions in the part that belong to this split.
        wanted: what every picture is brought to.
        seed: orders chunks and samples, and decides which samples are mirrored.
        flip: mirror half of the samples drawn, left to right.
        workers: processes that read ahead; if None, this process's share of the cores.
    """

    def __init__(
        self,
        part: Part,
        members: NDArray[np.int64],
        wanted: Wanted,
        *,
        form: Form,
        codec: Codec,
        fingerprint: str,
        seed: int = 0,
        flip: bool = False,
        workers: int | None = None,
        settled: Mapping[str, Any] = MappingProxyType({}),
        remarks: tuple[str, ...] = (),
    ) -> None:
        if len(members) == 0:
            raise ValueError("no samples to stream")
        self.part, self.members, self.wanted = part, members, wanted
        self.form, self.codec, self.fingerprint, self.settled = form, codec, fingerprint, settled
        self.seed, self.flip = seed, flip
        self.chunk = max(16, min(CHUNK, BUFFER_BYTES // form.size))
        self.chunks = -(-len(members) // self.chunk)
        self.pool = max(1, min(POOLED, BUFFER_BYTES // (form.size * self.chunk)))
        self.failures: dict[str, UnreadableError] = {}
        self._seen = 0
        self._remarks = remarks
        self._workers = Workers[NDArray[np.int64], Block](
            partial(read_block, part, wanted=wanted), workers or max(1, usable_cores() // world_size()), NICE
        )
        self._passes: dict[int, tuple[NDArray[np.int64], NDArray[np.int64]]] = {}
        self._coming: dict[tuple[int, int], list[Future[Block]]] = {}
        self._buffers: dict[tuple[int, int], _Buffer] = {}

    def __len__(self) -> int:
        return len(self.members)

    @property
    def remarks(self) -> tuple[str, ...]:  # type: ignore[override]
        """See `Dataset.remarks`; grows as unreadable samples are met."""
        return self._remarks + skipped(list(self.failures.values()), self._seen or len(self))

    def close(self) -> None:
        """See `Dataset.close`."""
        self._workers.close()

    def draw(self, start: int, count: int) -> Batch:
        """See `Dataset.draw`. Goes back cheaply within a buffer, and forward from buffer to buffer."""
        if start < 0 or count < 0:
            raise ValueError(f"cannot draw {count} samples from position {start}")
        pieces, position = list[tuple[_Buffer, int, int]](), start
        while position < start + count or not pieces:
            number, place = divmod(position, len(self))
            ends = self._pass(number)[1]
            which = int(np.searchsorted(ends, place, side="right"))
            first = 0 if which == 0 else int(ends[which - 1])
            stop = min(int(ends[which]), place + start + count - position)
            pieces.append((self._buffer(number, which), place - first, stop - first))
            position += stop - place
            if not count:
                break
        return self._batch(pieces)

    def take(self, indices: Tensor) -> Batch:
        """See `Dataset.take`; in the place of what cannot be read stands another one, the same every time.

        Raises:
            CardiganError: too many cannot be read.
        """
        chosen = indices.cpu().numpy()
        places = self.members[chosen]
        block = read_block(self.part, places, self.wanted)
        ids, pixels = block.indices, block.pixels
        if block.failures:
            self._count(block.failures, 0)
            read = np.isin(places, block.indices)
            others = [self._instead(int(index)) for index in chosen[~read]]
            ids, pixels = np.empty(len(chosen), np.int64), np.empty((len(chosen), *self.wanted.shape), np.uint8)
            ids[read], pixels[read] = block.indices, block.pixels
            ids[~read] = np.concatenate([each.indices for each in others])
            pixels[~read] = np.concatenate([each.pixels for each in others])
        return Batch(to_unit(torch.from_numpy(pixels)), self._labels(ids), id=torch.from_numpy(ids))

    def _instead(self, index: int) -> Block:
        """The first that can be read in an order that belongs to `index`."""
        for place in _permutation(len(self), "instead", index):
            block = read_block(self.part, self.members[[place]], self.wanted)
            if not block.failures:
                return block
            self._count(block.failures, 0)
        raise too_many(list(self.failures.values()), len(self))

    def _batch(self, pieces: list[tuple[_Buffer, int, int]]) -> Batch:
        samples = torch.cat([buffer.pixels[first:stop] for buffer, first, stop in pieces])
        ids = torch.cat([buffer.indices[first:stop] for buffer, first, stop in pieces])
        flips = [buffer.flips[first:stop] for buffer, first, stop in pieces if buffer.flips is not None]
        if flips:
            samples = mirrored(samples, torch.cat(flips))
        return Batch(to_unit(samples), self._labels(ids.numpy()), id=ids)

    def _labels(self, indices: NDArray[np.int64]) -> Tensor | None:
        return None if self.part.labels is None else torch.from_numpy(np.asarray(self.part.labels[indices], np.int64))

    def _pass(self, number: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The order of the chunks in a pass, and where each of its buffers ends, in samples."""
        if number not in self._passes:
            order = _permutation(self.chunks, "chunks", self.seed, number)
            sizes = np.full(self.chunks, self.chunk, dtype=np.int64)
            sizes[order == self.chunks - 1] = len(self) - self.chunk * (self.chunks - 1)
            ends = np.cumsum(np.add.reduceat(sizes, np.arange(0, self.chunks, self.pool)))
            self._passes = {**dict(list(self._passes.items())[-1:]), number: (order, ends)}
        return self._passes[number]

    def _buffer(self, number: int, which: int) -> _Buffer:
        """Buffer `which` of pass `number`; the one after it is begun. The last two are kept."""
        key = (number, which)
        if key not in self._buffers:
            futures = self._begin(number, which)
            for other in (each for place, each in self._coming.items() if place != key):
                for future in other:  # read ahead, but not what is wanted
                    future.cancel()
            self._coming = {key: futures}
            following = (number, which + 1) if which + 1 < len(self._pass(number)[1]) else (number + 1, 0)
            self._coming[following] = self._begin(*following)
            made = self._shuffled([result(future) for future in futures], number, which)
            del self._coming[key]
            self._buffers = {**dict(list(self._buffers.items())[-1:]), key: made}
        return self._buffers[key]

    def _begin(self, number: int, which: int) -> list["Future[Block]"]:
        if (number, which) in self._coming:
            return self._coming[number, which]
        chunks = self._pass(number)[0][which * self.pool : (which + 1) * self.pool]
        return [self._workers.submit(self.members[each * self.chunk : (each + 1) * self.chunk]) for each in chunks]

    def _shuffled(self, blocks: list[Block], number: int, which: int) -> _Buffer:
        pixels = np.concatenate([block.pixels for block in blocks])
        indices = np.concatenate([block.indices for block in blocks])
        bad = [failure for block in blocks for failure in block.failures]
        self._count(bad, len(indices) + len(bad))
        if len(indices) == 0:
            raise too_many(bad, len(bad))
        order = _permutation(len(indices) + len(bad), "buffer", self.seed, number, which)
        chosen = torch.from_numpy(order % len(indices))  # in the place of what cannot be read stands another one
        flips = None
        if self.flip:
            coins = torch.Generator().manual_seed(derive_seed("flips", self.seed, number, which))
            flips = torch.randint(2, (len(order),), generator=coins, dtype=torch.uint8).bool()
        return _Buffer(torch.from_numpy(pixels)[chosen], torch.from_numpy(indices)[chosen], flips)

    def _count(self, bad: Sequence[UnreadableError], read: int) -> None:
        self._seen = min(len(self), self._seen + read)
        self.failures |= {each.name: each for each in bad}
        if len(self.failures) > MOST_BAD * len(self):
            raise too_many(list(self.failures.values()), self._seen or len(self))


def _permutation(count: int, *parts: int | str) -> NDArray[np.int64]:
    generator = torch.Generator().manual_seed(derive_seed(*parts))
    return torch.randperm(count, generator=generator).numpy()
