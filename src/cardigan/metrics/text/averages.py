"""A mean over sentences with its interval."""

import numpy as np
from numpy.typing import NDArray

from cardigan.metrics.jackknife import groups_of, jackknife


def average(values: NDArray[np.float64] | NDArray[np.bool_], groups: int = 10) -> tuple[float, float, float]:
    """Mean of (N,) values of sentences, lower and upper end of its 95% interval, by the jackknife over groups.

    Raises:
        CardiganError: there are fewer values than groups, or fewer than two groups.
    """
    values = np.asarray(values, dtype=np.float64)
    group = groups_of(len(values), groups).numpy()
    sums, sizes = np.bincount(group, weights=values), np.bincount(group)
    mean = float(values.mean())
    return (mean, *jackknife(((sums.sum() - sums) / (len(values) - sizes)).tolist(), mean))
