"""What this machine does well, told by trying."""

import time
from collections.abc import Callable
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
