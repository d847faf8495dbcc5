"""When a side of a comparison may work, and what its work is measured by: seconds, operations, the arithmetic limit.

Every side asks its `Gate` for leave before each batch. In `throughput.py` whoever holds the other end decides whose
turn it is; in `quality.py` the gate watches the time.
"""

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from multiprocessing.connection import Connection
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import data
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

SIDE = 2048
"""Of the matrices whose product tells the arithmetic limit."""


class Gate:
    """What a side asks before each batch.

    Attributes:
        about: what this side tells of itself.
        half: whether this side computes in bf16.
        names: what it trains, by name: of a script, all that it has named so far.
    """

    def __init__(self) -> None:
        self.about: Callable[[], dict[str, Any]] = dict
        self.half = False
        self.names: Callable[[], Mapping[str, Any]] = lambda: vars(sys.modules["__main__"])

    def batch(self, samples: int = 0) -> None:
        """Wait for leave to work on one more batch of so many samples.

        Raises:
            SystemExit: there is nothing more to do.
        """
        raise NotImplementedError


class Turns(Gate):
    """One end of a connection: batches are granted in stretches, and what a stretch took is sent back."""

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self.connection, self.left = connection, 0
        self._finish: Callable[[], Any] | None = None

    def batch(self, samples: int = 0) -> None:
        """See `Gate.batch`."""
        while self.left == 0:
            if self._finish is not None:
                self.connection.send(self._finish())
                self._finish = None
            self._obey(*self.connection.recv())
        self.left -= 1

    def _obey(self, order: str, batches: int) -> None:
        if order == "end":
            raise SystemExit
        if order == "about":
            self.connection.send(self.about())
        elif order == "limit":
            self.connection.send(limit(self.half))
        else:
            self.left, self._finish = batches, timed() if order == "time" else counted()


def timed() -> Callable[[], tuple[float, float]]:
    """Start a clock; what is returned tells seconds on the wall and of the processor since."""
    wall, cpu = time.perf_counter(), time.process_time()
    return lambda: (time.perf_counter() - wall, time.process_time() - cpu)


class Operations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts operations of products and convolutions (a multiplication and an addition are two), backward included.

    As `FlopCounterMode` counts them, by torch's own formulas, but without its hooks on modules, which do not bear
    gradients of gradients.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Do it, and count it."""
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        if func.overloadpacket in flop_registry:
            self.total += flop_registry[func.overloadpacket](*args, **kwargs, out_val=out)
        return out


def counted() -> Callable[[], int]:
    """Start counting operations; what is returned tells how many."""
    operations = Operations()
    operations.__enter__()  # type: ignore[no-untyped-call]

    def finish() -> int:
        operations.__exit__(None, None, None)  # type: ignore[no-untyped-call]
        return operations.total

    return finish


def limit(half: bool) -> float:
    """Operations per second of the processor of a large matrix product, in the precision and backend of this side."""
    left = torch.randn(SIDE, SIDE, dtype=torch.bfloat16 if half else torch.float32)
    for _ in range(2):  # the first one warms up
        finish = timed()
        for _ in range(4):
            left @ left
        seconds = finish()[1]
    return float(4 * 2 * SIDE**3 / seconds)


def parameters(player: nn.Module) -> int:
    return sum(each.numel() for each in player.parameters())


# --- data that ask


class Labelled(data.Dataset[tuple[Tensor, int]]):
    """Pictures (N, C, H, W) and a label for each, one at a time, as torchvision's data sets give them."""

    def __init__(self, samples: Tensor) -> None:
        self.samples = samples

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.samples[index], 0


def gated(gate: Gate) -> type[data.DataLoader[Any]]:
    """A data loader without an end that asks `gate` before it gives a batch; fetching counts for the batch before."""

    class Gated(data.DataLoader[Any]):
        def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
            while True:
                for batch in super().__iter__():
                    gate.batch(len(batch[0]))
                    yield batch

    return Gated
