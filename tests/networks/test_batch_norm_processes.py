"""Batch normalisation in two processes: what one process with the whole batch computes."""

import os
import sys
from pathlib import Path

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

from cardigan.networks.layers.normalisation import BatchNorm

SHAPES = [(8, 3), (8, 3, 4, 4)]


def batch(shape: tuple[int, ...]) -> Tensor:
    """Values whose means lie far from where running statistics begin, and differ between the halves."""
    values = torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return values * 3 + 100 + torch.arange(len(values)).view(-1, *[1] * (len(shape) - 1))


def computed(values: Tensor, share: float) -> list[Tensor]:
    """Output, gradients of a loss and of a gradient's norm by input and weights, and running statistics."""
    layer = BatchNorm(values.shape[1]).double()
    with torch.no_grad():
        assert layer.weight is not None
        layer.weight.copy_(torch.tensor([1.0, -2.0, 0.5]))
    values.requires_grad_()
    made = layer(values)
    loss = (made**3).mean() * share
    (slope,) = torch.autograd.grad(loss, values, create_graph=True)
    first = torch.autograd.grad(loss, [values, *layer.parameters()], retain_graph=True)
    second = torch.autograd.grad(slope.square().sum(), [values, layer.weight])
    return [made, *first, *second, layer.running_mean, layer.running_var]


def _process(rank: int, folder: str) -> None:
    if sys.platform == "linux":
        os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
    found = [[each.detach() for each in computed(batch(shape).chunk(2)[rank], 0.5)] for shape in SHAPES]
    torch.save(found, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def test_two_processes_normalise_like_one(tmp_path: Path) -> None:
    torch.multiprocessing.spawn(_process, args=(str(tmp_path),), nprocs=2)
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    for shape, left, right in zip(SHAPES, first, second, strict=True):
        whole = [each.detach() for each in computed(batch(shape), 1.0)]
        made, by_values, by_weight, by_bias, again, again_weight, mean, variance = zip(left, right, whole, strict=True)
        for one, other, all_ in (made, by_values, again):  # by samples: side by side
            torch.testing.assert_close(torch.cat([one, other]), all_, rtol=1e-8, atol=1e-10)
        for one, other, all_ in (by_weight, by_bias, again_weight):  # by weights: summed
            torch.testing.assert_close(one + other, all_, rtol=1e-8, atol=1e-10)
        for one, other, all_ in (mean, variance):  # known everywhere
            torch.testing.assert_close(one, all_, rtol=1e-12, atol=1e-12)
            assert one.equal(other)


def test_one_process_normalises_like_torch() -> None:
    values = batch((8, 3, 4, 4))
    layer = BatchNorm(3).double()
    torch.testing.assert_close(layer(values), F.batch_norm(values, None, None, training=True))
