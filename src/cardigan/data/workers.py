"""Processes that read pictures: decoding is Python's work as much as C's, so that threads would wait for each other."""

import multiprocessing
import os
import signal
import sys
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from cardigan.errors import CardiganError

Job = TypeVar("Job")
Result = TypeVar("Result")

AHEAD = 2
"""Jobs that each process is given before the first result is asked for."""

_work: Callable[[Any], Any] | None = None
"""In a worker: what it does with a job."""


def usable_cores() -> int:
    """Cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


class Workers(Generic[Job, Result]):
    """Does `work` with jobs, ahead of whoever asks for the results.

    Args:
        work: what to do with a job, such as reading pictures at some indices; jobs and results are sent, `work` is not.
        count: processes; by default as many as there are cores. Where processes cannot be forked safely, one thread.
        nice: by how much they give way to others; for work beside training, whose threads wait for the slowest of them.
    """

    def __init__(self, work: Callable[[Job], Result], count: int | None = None, nice: int = 0) -> None:
        self.work, self.count = work, count or usable_cores()
        self._executor: Executor
        if sys.platform == "linux":
            # Forked, so that sources need not be picklable and the user's script need no main guard. The children touch
            # Python, NumPy and Pillow alone, none of the libraries whose threads do not survive a fork.
            context = multiprocessing.get_context("fork")
            self._executor = ProcessPoolExecutor(self.count, context, initializer=_begin, initargs=(work, nice))
        else:
            self.count = 1
            self._executor = ThreadPoolExecutor(1)
        weakref.finalize(self, self._executor.shutdown, wait=False, cancel_futures=True)

    def submit(self, job: Job) -> "Future[Result]":
        """Begin a job; `result` of what is returned gives what comes of it.

        Raises:
            CardiganError: a worker was killed.
        """
        forked = isinstance(self._executor, ProcessPoolExecutor)
        try:
            return self._executor.submit(_do if forked else self.work, job)
        except BrokenProcessPool:
            raise _killed() from None

    def map(self, jobs: Iterable[Job]) -> Iterator[Result]:
        """The result of each job, in their order; never more than a few ahead.

        Raises:
            CardiganError: a worker was killed. Whatever `work` raises is raised here.
        """
        pending: deque[Future[Result]] = deque()
        for job in jobs:
            pending.append(self.submit(job))
            if len(pending) > AHEAD * self.count:
                yield result(pending.popleft())
        while pending:
            yield result(pending.popleft())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """See `close`."""
        self.close()

    def close(self) -> None:
        """End the processes, whatever they have not begun yet."""
        self._executor.shutdown(wait=True, cancel_futures=True)


def result(future: "Future[Result]") -> Result:
    """What came of a job.

    Raises:
        CardiganError: the worker was killed. Whatever its work raised is raised here.
    """
    try:
        return future.result()
    except BrokenProcessPool:
        raise _killed() from None


def _killed() -> CardiganError:
    return CardiganError("a process that reads pictures was killed, perhaps for want of memory")


def _begin(work: Callable[[Any], Any], nice: int) -> None:
    """In a new worker: remember the work, leave Ctrl-C to the parent, and die with it."""
    global _work
    _work = work
    os.nice(nice)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _do(job: Any) -> Any:
    assert _work is not None
    return _work(job)
