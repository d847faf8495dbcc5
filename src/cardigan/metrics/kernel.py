"""The kernel distance, the KID when features are Inception's: unbiased however few samples there are."""

from dataclasses import dataclass

import torch
from torch import Tensor

from cardigan.metrics.features import both
from cardigan.metrics.jackknife import standard_error

GROUPS = 10
FEWEST = 4
"""Samples on a side: a group is left out, and two must be left."""
CHUNK = 1000
"""Rows of a kernel matrix made at once."""


@dataclass(frozen=True)
class Kernel:
    """A kernel distance.

    Attributes:
        value: mean over subsets of the unbiased MMD^2; it may be slightly negative.
        standard_error: how that mean would scatter with other samples: jackknife over groups of samples. (The deviation
            over subsets, which others report, depends on their size and not on how many samples there are.)
        subsets: how many.
        size: samples of each side in a subset: as asked for, or all there are.
    """

    value: float
    standard_error: float
    subsets: int
    size: int


def kernel_distance(
    generated: Tensor, reference: Tensor, *, subsets: int = 100, size: int = 1000, seed: int = 0
) -> Kernel:
    """Squared maximum mean discrepancy with the kernel k(x, y) = (x.y / D + 1)^3, unbiased, averaged over subsets.

    Bińkowski et al. 2018, "Demystifying MMD GANs".

    Args:
        generated: (N, D).
        reference: (M, D).
        subsets: random subsets of both sides, each without repetition; 1 where a subset is all there is.
        size: samples in a subset; less where a side has fewer.
        seed: of the subsets.

    Raises:
        CardiganError: fewer than four samples on a side, numbers that are not finite, or different D.
    """
    generated, reference = both(generated, reference, least=FEWEST)
    size = min(size, len(generated), len(reference))
    if len(generated) == len(reference) == size:
        subsets = 1
    random = torch.Generator().manual_seed(seed)
    groups = min(GROUPS, size // 2)
    found = torch.stack([_of_subset(generated, reference, size, groups, random) for _ in range(subsets)]).mean(0)
    value, *without = found.tolist()
    return Kernel(value, standard_error(without), subsets, size)


def _of_subset(generated: Tensor, reference: Tensor, size: int, groups: int, random: torch.Generator) -> Tensor:
    """(1 + groups,) MMD^2 of a random subset: of all of it, then without each group."""
    chosen = [torch.randperm(len(side), generator=random)[:size] for side in (generated, reference)]
    x, y = (side[which.to(side.device)].double() for side, which in zip((generated, reference), chosen, strict=True))
    # Membership of a sample does not depend on the subset, so that the same samples are left out of all subsets.
    members = [torch.nn.functional.one_hot(which % groups, groups).to(x) for which in chosen]
    return _mmd(x, y, *members)


def _mmd(x: Tensor, y: Tensor, groups_x: Tensor, groups_y: Tensor) -> Tensor:
    """The unbiased MMD^2 of all, then without each group, from sums over pairs of groups."""
    within_x, within_y = _sums(x, x, groups_x, groups_x), _sums(y, y, groups_y, groups_y)
    own_x, own_y = (_kernel((side * side).sum(1), side.shape[1]) for side in (x, y))
    kept_x, kept_y = (_kept(groups) for groups in (groups_x, groups_y))
    n, m = kept_x @ groups_x.sum(0), kept_y @ groups_y.sum(0)
    pairs_x = _over(within_x, kept_x, kept_x) - kept_x @ (groups_x.T @ own_x)
    pairs_y = _over(within_y, kept_y, kept_y) - kept_y @ (groups_y.T @ own_y)
    across = _over(_sums(x, y, groups_x, groups_y), kept_x, kept_y)
    return (
        pairs_x / (n * (n - 1)).clamp_min(1) + pairs_y / (m * (m - 1)).clamp_min(1) - 2 * across / (n * m).clamp_min(1)
    )


def _sums(x: Tensor, y: Tensor, groups_x: Tensor, groups_y: Tensor) -> Tensor:
    """(G, G) sums of k(x, y) over pairs of groups."""
    return sum(
        (
            some.T @ (_kernel(rows @ y.T, y.shape[1]) @ groups_y)
            for rows, some in zip(x.split(CHUNK), groups_x.split(CHUNK), strict=True)
        ),
        start=torch.zeros(groups_x.shape[1], groups_y.shape[1]).to(x),
    )


def _kernel(products: Tensor, dimension: int) -> Tensor:
    values = products.div_(dimension).add_(1)
    return values.square().mul_(values)


def _kept(groups: Tensor) -> Tensor:
    """(1 + G, G): which groups are kept, first all, then all but each."""
    count = groups.shape[1]
    return torch.cat([torch.ones(1, count), 1 - torch.eye(count)]).to(groups)


def _over(sums: Tensor, kept_x: Tensor, kept_y: Tensor) -> Tensor:
    return ((kept_x @ sums) * kept_y).sum(1)
