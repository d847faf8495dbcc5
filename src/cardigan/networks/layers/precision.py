"""Where full precision is kept although the network runs under autocast."""

import torch
from torch import Tensor


def full(x: Tensor) -> Tensor:
    """`x` in float32 where it is of half precision; float32 and float64 pass unchanged."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x


def no_autocast(x: Tensor) -> torch.autocast:
    """A context in which operators on the device of `x` keep the precision of their inputs."""
    return torch.autocast(x.device.type, enabled=False)
