"""Random numbers that do not depend on how many processes share the work.

Every draw is made for the global batch from one seeded generator and then sliced, so that two processes with half a
batch each see exactly the numbers that one process with the whole batch sees. Streams are derived from what they are
for (seed, clock, turn), never continued: a resumed run needs no memory of earlier draws.
"""

import copy
import hashlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor


def derive_seed(*parts: int | str) -> int:
    """A 63-bit seed that depends on all `parts`, stable over machines and versions."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


class Random:
    """One stream of random numbers, of which this process takes its share.

    Args:
        parts: what the stream is for; equal parts give equal numbers.
        shard: which share this process (or this slice of an accumulated batch) takes.
        shards: number of shares the global batch is cut into.
        device: where the numbers are made. CPU and CUDA streams differ from one another.
    """

    def __init__(self, *parts: int | str, shard: int = 0, shards: int = 1, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        self.shard, self.shards, self.batches = shard, shards, 1
        self.generator = torch.Generator(self.device).manual_seed(derive_seed(*parts))

    def normal(self, count: int, *shape: int) -> Tensor:
        """(count, *shape) float32 from N(0, 1)."""
        return self._share(torch.randn(count * self.shards, *shape, generator=self.generator, device=self.device))

    def uniform(self, count: int, *shape: int) -> Tensor:
        """(count, *shape) float32 from U[0, 1)."""
        return self._share(torch.rand(count * self.shards, *shape, generator=self.generator, device=self.device))

    def integers(self, high: int, count: int, *shape: int) -> Tensor:
        """(count, *shape) int64 from {0, ..., high - 1}."""
        whole = (count * self.shards, *shape)
        return self._share(torch.randint(high, whole, generator=self.generator, device=self.device))

    def bytes(self, count: int, *shape: int) -> Tensor:
        """(count, *shape) uint8, uniform: the cheapest randomness there is."""
        whole = torch.Size((count * self.shards, *shape))
        words = torch.empty(-(-whole.numel() // 8), dtype=torch.int64, device=self.device)
        words.random_(-(2**63), None, generator=self.generator)  # eight bytes in one draw, rather than one
        return self._share(words.view(torch.uint8)[: whole.numel()].view(whole))

    def fork(self) -> "Random":
        """A stream that gives the numbers that this one gives from here on; neither moves the other."""
        forked = copy.copy(self)
        forked.generator = self.generator.clone_state()
        return forked

    @contextmanager
    def in_batches(self, batches: int) -> Iterator[None]:
        """Within this context draws are for so many batches, one behind the other: a share has its slice of each.

        `count` must be a multiple of `batches` there.
        """
        before, self.batches = self.batches, batches
        try:
            yield
        finally:
            self.batches = before

    def _share(self, whole: Tensor) -> Tensor:
        if self.shards == 1:
            return whole
        size = len(whole) // (self.batches * self.shards)
        return whole.unflatten(0, (self.batches, self.shards, size))[:, self.shard].flatten(0, 1)


_CURRENT: ContextVar[Random | None] = ContextVar("current random stream", default=None)


@contextmanager
def use(random: Random | None) -> Iterator[None]:
    """Within this context, layers that need random numbers (dropout) draw them from `random`; None: as outside."""
    token = _CURRENT.set(random)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def current() -> Random:
    """The stream set by `use`; outside of one, a fresh unseeded stream, as an interactive user expects."""
    return _CURRENT.get() or Random(torch.initial_seed(), int(torch.randint(2**31, ()).item()))


def replay() -> Callable[[], AbstractContextManager[None]]:
    """What opens, as often as it is called, a context in which layers draw what they draw from here on."""
    random = _CURRENT.get()
    if random is None:
        return lambda: use(None)
    start = random.fork()
    return lambda: use(start.fork())
