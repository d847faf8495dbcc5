"""One pass over every picture of a source: what there is, and what cannot be read."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cardigan.data.sources.pixels import name_of
from cardigan.data.sources.source import Encoded, Part, Source, Split, shown
from cardigan.data.storage import FEW
from cardigan.data.workers import usable_cores
from cardigan.errors import CardiganError
from cardigan.inspection.faults import Failure
from cardigan.inspection.measure import ROW, Rows, measured
from cardigan.inspection.workers import Job, spread

ORDER: tuple[Split, ...] = ("train", "validation", "test")
_BLOCK = 256
"""Pictures that are measured at once."""

Watch = Callable[[int, int], None]
"""Told how many pictures are done and how many there are."""


@dataclass(frozen=True)
class Survey:
    """What is known of each picture.

    Attributes:
        source: what was surveyed.
        splits: those of the source, in order; the "split" of a row counts them from 0.
        totals: split -> pictures in it, whether or not they were looked at.
        rows: (N,) of type `measure.ROW`, about 400 bytes each, in the order of splits and indices: every picture that
            was looked at and could be read.
        failures: the pictures that were looked at and cannot be read, in the same order.
        sampled: whether only some of the pictures were looked at.
    """

    source: Source
    splits: tuple[Split, ...]
    totals: Mapping[Split, int]
    rows: Rows
    failures: tuple[Failure, ...] = ()
    sampled: bool = False

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the labels, fit for one line."""
        return tuple(map(shown, self.source.classes))

    def split_of(self, row: int) -> Split:
        """The split that row number `row` belongs to."""
        return self.splits[self.rows["split"][row]]

    def part_of(self, row: int) -> tuple[Part, int]:
        """Where to read the picture of row number `row`: a part, and the index in it."""
        return self.source.parts[self.split_of(row)](), int(self.rows["index"][row])

    def name_of(self, row: int) -> str:
        """The picture of row number `row` as a message names it."""
        part, index = self.part_of(row)
        return name_of(part, index) if isinstance(part, Encoded) else f"{self.split_of(row)} picture {index}"


def survey(
    source: Source, most: int | None = None, watch: Watch | None = None, seed: int = 0, processes: int | None = None
) -> Survey:
    """Look at every picture of every split of `source`, on all cores.

    Args:
        most: look at so many of each split only, chosen by `seed`.
        watch: called with (done, total) as it goes.
        processes: how many; by default as many as cores, and one where that is quicker.

    Raises:
        CardiganError: a split that cannot be read at all, or a source without pictures. Single pictures that cannot be
            read are among `failures` instead.
    """
    splits = tuple(split for split in ORDER if split in source.parts)
    parts = {split: source.parts[split]() for split in splits}
    jobs = [job for split in splits for job in _jobs(split, len(parts[split]), most, seed)]
    total = sum(len(indices) for _, indices in jobs)
    if not total:
        raise CardiganError(f"{shown(source.name)}: no pictures")
    encoded = sum(len(indices) for split, indices in jobs if isinstance(parts[split], Encoded))
    count = processes or (usable_cores() if encoded >= FEW else 1)
    rows, failures, done = np.zeros(total, ROW), list[Failure](), 0
    filled = 0
    for (split, indices), block in zip(jobs, spread(measured, parts, jobs, count), strict=True):
        place = rows[filled : filled + len(block.rows)]
        place[:] = block.rows
        place["split"], place["label"] = splits.index(split), _labels(parts[split], block.rows["index"])
        filled, done = filled + len(block.rows), done + len(indices)
        failures += block.failures
        if watch:
            watch(done, total)
    totals = {split: len(part) for split, part in parts.items()}
    return Survey(source, splits, totals, rows[:filled], tuple(failures), total < sum(totals.values()))


def _jobs(split: Split, count: int, most: int | None, seed: int) -> Iterator[Job]:
    """The pictures to look at, neighbours together, since they lie near each other on disk."""
    chosen = np.arange(count)
    if most is not None and most < count:
        chosen = np.sort(np.random.default_rng((seed, ORDER.index(split))).choice(count, most, replace=False))
    return ((split, chosen[start : start + _BLOCK]) for start in range(0, len(chosen), _BLOCK))


def _labels(part: Part, indices: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.full(len(indices), -1) if part.labels is None else part.labels[indices]
