"""What this machine does well, told by trying."""

import resource
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch


def bf16_pays() -> bool:
    """Whether a bf16 matrix product is no slower than an fp32 one: elsewhere it is emulated, and a round takes ages.

    The fewest seconds count: what it takes when no other program is in the way.
    """
    left = torch.randn(256, 256, generator=torch.Generator().manual_seed(0))
    half = left.bfloat16()
    wide = min(seconds(lambda: left @ left) for _ in range(15))
    return min(seconds(lambda: half @ half) for _ in range(15)) < 1.5 * wide


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
