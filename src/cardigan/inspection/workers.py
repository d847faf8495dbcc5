"""Spread blocks of pictures over forked processes that end with their parent, whatever ends it."""

import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from cardigan.data.sources.source import Part, Split
from cardigan.errors import CardiganError

Job = tuple[Split, NDArray[np.int64]]
"""A split and the indices of some of its pictures."""
Result = TypeVar("Result")
Work = Callable[[Part, Split, NDArray[np.int64]], Result]
"""What is done with the pictures at some indices of a part."""

FEW = 500
"""Encoded pictures below which starting processes costs more than it saves."""
_AHEAD = 3
"""Blocks that each process is given before the first is asked back."""

_task: tuple[Work[Any], dict[Split, Part]] | None = None
"""In a worker: what it does, and what it reads."""


def cores() -> int:
    """Cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def spread(work: Work[Result], parts: dict[Split, Part], jobs: Iterable[Job], processes: int) -> Iterator[Result]:
    """The results of `work` for each of `jobs`, in their order.

    Args:
        parts: every split that a job names.
        processes: how many; with 1, or where forking is not safe, in this process.

    Raises:
        CardiganError: a worker was killed.
    """
    if processes < 2 or sys.platform != "linux":
        yield from (work(parts[split], split, indices) for split, indices in jobs)
        return
    # Forked, because sources hold open files and functions that cannot be sent. The children touch Python, NumPy and
    # Pillow only, none of the libraries whose threads do not survive a fork.
    context = multiprocessing.get_context("fork")
    pool = ProcessPoolExecutor(processes, context, initializer=_begin, initargs=(work, parts))
    try:
        yield from _in_order(pool, jobs, _AHEAD * processes)
    except BrokenProcessPool:
        raise CardiganError("a process that reads pictures was killed, perhaps for want of memory") from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _in_order(pool: ProcessPoolExecutor, jobs: Iterable[Job], ahead: int) -> Iterator[Any]:
    pending: deque[Future[Any]] = deque()
    for job in jobs:
        pending.append(pool.submit(_done, job))
        if len(pending) > ahead:
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()


def _begin(work: Work[Any], parts: dict[Split, Part]) -> None:
    """In a new worker: remember the task, leave Ctrl-C to the parent, and end with it."""
    global _task
    _task = (work, parts)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _done(job: Job) -> Any:
    assert _task is not None
    (work, parts), (split, indices) = _task, job
    return work(parts[split], split, indices)
