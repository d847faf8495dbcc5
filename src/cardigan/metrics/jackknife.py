"""How far a number can be believed: 95% intervals of a statistic by the jackknife, and of a share."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from cardigan.errors import CardiganError

LEVEL = 0.95


def jackknife(without: Sequence[float], full: float) -> tuple[float, float]:
    """The 95% interval of a statistic, from its values without each of G groups of samples.

    full ± t sqrt((G - 1) / G sum((theta_g - mean theta)^2)): Tukey 1958, "Bias and confidence in not-quite large
    samples"; Student's t with G - 1 degrees of freedom, since the variance is itself estimated from G values. It says
    how the statistic would scatter with other samples, nothing of its bias at this count.

    Args:
        without: the statistic without each group in turn, G >= 2 values; groups of (almost) equal size.
        full: the statistic of all samples.

    Raises:
        CardiganError: fewer than two groups.
    """
    from scipy.stats import t

    half = float(t.ppf((1 + LEVEL) / 2, len(without) - 1)) * standard_error(without)
    return full - half, full + half


def standard_error(without: Sequence[float]) -> float:
    """Standard error of a statistic, from its values without each of G groups of samples.

    Raises:
        CardiganError: fewer than two groups.
    """
    groups = len(without)
    if groups < 2:
        raise CardiganError(f"jackknife: {groups} groups of samples; allowed: at least 2")
    mean = sum(without) / groups
    return math.sqrt((groups - 1) / groups * sum((each - mean) ** 2 for each in without))


def groups_of(count: int, groups: int = 10) -> Tensor:
    """(count,) the group of each sample: interleaved, so that samples in any order spread over all groups.

    Raises:
        CardiganError: there are fewer samples than groups.
    """
    if count < groups:
        raise CardiganError(f"jackknife: {count} samples in {groups} groups; allowed: at least one sample a group")
    return torch.arange(count) % groups


def wilson(successes: int, count: int) -> tuple[float, float]:
    """The 95% interval of a share of which `successes` among `count` were seen (Wilson 1927); 0..1.

    Raises:
        CardiganError: there is nothing to count, or more successes than cases.
    """
    if not 0 <= successes <= count or count == 0:
        raise CardiganError(f"a share: {successes} of {count}; allowed: 0 to all of at least one")
    z, share = 1.959964, successes / count
    centre = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count)) / (1 + z * z / count)
    return max(0.0, centre - half), min(1.0, centre + half)
