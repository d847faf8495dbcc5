"""Tensors of which each process holds a part (torch's DTensor): putting them together, and taking one's part.

What is not spread over processes passes through unchanged, so that callers need not ask.
"""

import copy

import torch
from torch import Tensor, nn

from cardigan.distributed import world_size


def spread(values: Tensor) -> bool:
    """Whether each process holds a part of `values` only."""
    if world_size() == 1:  # spares the import, which takes half a second
        return False
    from torch.distributed.tensor import DTensor

    return isinstance(values, DTensor)


@torch.no_grad()
def whole(values: Tensor) -> Tensor:
    """All of `values` (any shape), put together from every process's part.

    A collective call where they are spread.
    """
    full: Tensor = values.full_tensor() if spread(values) else values  # type: ignore[attr-defined]
    return full


@torch.no_grad()
def part_like(like: Tensor, values: Tensor) -> Tensor:
    """This process's part of whole `values` (any shape), spread as `like` is; nothing is sent.

    Every process must give the same values.
    """
    if not spread(like):
        return values
    from torch.distributed.tensor import distribute_tensor

    mesh, placements = like.device_mesh, like.placements  # type: ignore[attr-defined]
    return distribute_tensor(values, mesh, placements, src_data_rank=None)


def assembled(module: nn.Module) -> nn.Module:
    """A copy of `module` with whole weights, which this process can use by itself; `module` itself if it is whole.

    A collective call where weights are spread.
    """
    if not any(spread(each) for each in module.parameters()):
        return module
    copied = copy.deepcopy(module)
    for name, weight in module.named_parameters():
        put(copied, name, whole(weight))
    return copied


def put(module: nn.Module, name: str, values: Tensor) -> None:
    """Let the weight of `module` with the dotted `name` be `values`, without gradient."""
    owner, _, last = name.rpartition(".")
    setattr(module.get_submodule(owner), last, nn.Parameter(values, requires_grad=False))
