"""What mathematics needs to know of other processes: how many there are, and means over all of their samples."""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


def world_size() -> int:
    """Number of processes that share the global batch; 1 where nothing is distributed."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def is_first() -> bool:
    """Whether this is process 0, which speaks and writes for all; so is the only one."""
    return world_size() == 1 or dist.get_rank() == 0


def global_mean(values: Tensor, dim: int | None = None) -> Tensor:
    """The mean () of all elements of `values` (any shape, the same in every process), over all processes; or, along
    `dim` and over all processes, the mean of what lies there.

    Differentiable, twice too: the gradient reaches every process's values, so that the average of all processes'
    parameter gradients is the one that a single process with the whole batch computes. A collective call: every
    process makes it, and every process or none needs its gradient.
    """
    mean, processes = values.mean() if dim is None else values.mean(dim), world_size()
    return mean if processes == 1 else _Sum.apply(mean) / processes


@torch.no_grad()
def gathered(values: Tensor) -> Tensor:
    """(N, ...) values of each process -> (processes * N, ...) of all, in the order of the processes, without gradient.

    A collective call, with the same N in every process.
    """
    if world_size() == 1:
        return values.detach()
    parts = [torch.empty_like(values, memory_format=torch.contiguous_format) for _ in range(world_size())]
    dist.all_gather(parts, values.detach().contiguous())
    return torch.cat(parts)


@torch.no_grad()
def averaged(values: Tensor) -> Tensor:
    """`values` (any shape, the same in every process), replaced by their mean over processes, without gradient.

    A collective call.
    """
    if world_size() > 1:
        dist.all_reduce(values)
        values /= world_size()
    return values


@torch.no_grad()
def largest(values: Tensor) -> Tensor:
    """`values` (any shape, the same in every process), replaced by their maximum over processes.

    A collective call.
    """
    if world_size() > 1:
        dist.all_reduce(values, dist.ReduceOp.MAX)
    return values


class _Sum(torch.autograd.Function):
    """Sum over all processes, whose gradient is the sum of all processes' gradients.

    torch.distributed.nn.functional.all_reduce does the same, but torch 2.13 deprecates it for a private module.
    """

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        summed = values.clone()
        dist.all_reduce(summed)
        return summed

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return _Sum.apply(gradient)
