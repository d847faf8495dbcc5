"""What this machine does well, told by trying."""

import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

EXACT = 1e-5
"""Largest relative error of a matrix product that still counts as fp32."""
Matmul = Literal["highest", "high", "medium"]
"""What torch.set_float32_matmul_precision takes."""
MATMULS: tuple[Matmul, ...] = ("highest", "medium")
"""The two that differ on a CPU."""


def bf16_pays() -> bool:
    """Whether a bf16 matrix product is no slower than an fp32 one: elsewhere it is emulated, and a round takes ages.

    The fewest seconds count: what it takes when no other program is in the way.
    """
    left = torch.randn(256, 256, generator=torch.Generator().manual_seed(0))
    half = left.bfloat16()
    wide = min(seconds(lambda: left @ left) for _ in range(15))
    return min(seconds(lambda: half @ half) for _ in range(15)) < 1.5 * wide


def fastest_exact_matmul() -> Matmul:
    """The backend of fp32 matrix products that is fastest here among those that are `exact`.

    "medium" sends fp32 products to oneDNN: about twice as fast on AMD at full accuracy, true bf16 on CPUs with AMX.
    """
    left, right = _factors()
    times = {}
    for name in MATMULS:
        if exact(name):
            with matmul(name):
                times[name] = min(seconds(lambda: left @ right) for _ in range(7))
    faster = times.get("medium", float("inf")) < 0.9 * times["highest"]
    return "medium" if faster else "highest"


@cache
def exact(backend: Matmul) -> bool:
    """Whether fp32 matrix products of `backend` have a relative error below `EXACT` on this CPU."""
    left, right = _factors()
    true = left.double() @ right.double()
    with matmul(backend):
        return float(((left @ right).double() - true).norm() / true.norm()) < EXACT


@contextmanager
def matmul(backend: Matmul) -> Iterator[None]:
    """Within this context fp32 matrix products are those of `backend`."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(backend)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def _factors() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(512, 512, generator=generator), torch.randn(512, 512, generator=generator)


def seconds(work: Callable[[], Any]) -> float:
    """How long `work` takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def forget_peak() -> None:
    """Let the peak of memory be that of what follows, where the system can."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory() -> int:
    """Bytes of memory that this process has held at most: on the GPU if it trains there."""
    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return torch.cuda.max_memory_allocated()
    with suppress(OSError):
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most


def available_memory(device: torch.device) -> int:
    """Bytes that are free on `device`; a huge number where the system does not say."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    with suppress(OSError):
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    return 2**60
