"""Work on blocks of pictures, spread over processes where that is worth their starting."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from cardigan.data.sources.source import Part, Split
from cardigan.data.workers import Workers

Job = tuple[Split, NDArray[np.int64]]
"""A split and the indices of some of its pictures."""
Result = TypeVar("Result")
Work = Callable[[Part, Split, NDArray[np.int64]], Result]
"""What is done with the pictures at some indices of a part."""


def spread(work: Work[Result], parts: dict[Split, Part], jobs: Iterable[Job], processes: int) -> Iterator[Result]:
    """The results of `work` for each of `jobs`, in their order; with one process, in this one.

    Args:
        parts: every split that a job names.

    Raises:
        CardiganError: a worker was killed.
    """

    def do(job: Job) -> Result:
        split, indices = job
        return work(parts[split], split, indices)

    if processes < 2:
        yield from map(do, jobs)
        return
    with Workers(do, processes) as workers:
        yield from workers.map(jobs)
