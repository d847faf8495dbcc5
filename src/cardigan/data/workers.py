"""Processes that read pictures: decoding is Python's work as much as C's, so that threads would wait for each other."""

import multiprocessing
import os
import signal
import sys
import threading
import weakref
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from cardigan.data.sources.fitting import Wanted
from cardigan.data.sources.pixels import Block, read_block
from cardigan.data.sources.source import Part
from cardigan.errors import CardiganError

AHEAD = 2
"""Blocks that each process is given before the first is asked back."""

_job: tuple[Part, Wanted] | None = None
"""In a worker: what it reads, and what the pictures are brought to."""


def usable_cores() -> int:
    """Cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


class Workers:
    """Reads blocks of pictures of `part`, ahead of whoever asks for them.

    Args:
        count: processes; by default as many as there are cores. Where processes cannot be forked safely, one thread.
    """

    def __init__(self, part: Part, wanted: Wanted, count: int | None = None) -> None:
        self.part, self.wanted = part, wanted
        self.count = count or usable_cores()
        self._executor: Executor
        if sys.platform == "linux":
            # Forked, so that sources need not be picklable and the user's script need no main guard. The children touch
            # Python, NumPy and Pillow alone, none of the libraries whose threads do not survive a fork.
            context = multiprocessing.get_context("fork")
            self._executor = ProcessPoolExecutor(self.count, context, initializer=_begin, initargs=(part, wanted))
        else:
            self.count = 1
            self._executor = ThreadPoolExecutor(1)
        weakref.finalize(self, self._executor.shutdown, wait=False, cancel_futures=True)

    def submit(self, indices: NDArray[np.int64]) -> "Future[Block]":
        """Begin to read the pictures at `indices`; `result` of what is returned gives them."""
        if isinstance(self._executor, ProcessPoolExecutor):
            return self._executor.submit(_read, indices)
        return self._executor.submit(read_block, self.part, indices, self.wanted)

    def blocks(self, chosen: Iterable[NDArray[np.int64]]) -> Iterator[Block]:
        """The pictures at each of `chosen`, in that order; never more than a few blocks ahead.

        Raises:
            CardiganError: what `read_block` raises, or a worker died.
        """
        pending: deque[Future[Block]] = deque()
        for indices in chosen:
            pending.append(self.submit(indices))
            if len(pending) > AHEAD * self.count:
                yield result(pending.popleft())
        while pending:
            yield result(pending.popleft())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the processes."""
        self._executor.shutdown(wait=True, cancel_futures=True)


def result(future: "Future[Block]") -> Block:
    """What a worker has read.

    Raises:
        CardiganError: what `read_block` raises, or the worker died.
    """
    try:
        return future.result()
    except BrokenProcessPool:
        raise CardiganError("a process that reads pictures was killed, perhaps for want of memory") from None


def _begin(part: Part, wanted: Wanted) -> None:
    """In a new worker: remember the job, leave Ctrl-C to the parent, and die with it."""
    global _job
    _job = (part, wanted)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _read(indices: NDArray[np.int64]) -> Block:
    assert _job is not None
    return read_block(_job[0], indices, _job[1])
