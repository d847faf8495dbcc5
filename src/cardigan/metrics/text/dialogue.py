"""How well replies are told from others: recall among candidates."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cardigan.errors import CardiganError


def recall_at(scores: ArrayLike, ks: Sequence[int] = (1, 2, 5)) -> dict[int, NDArray[np.float64]]:
    """Whether the true reply is among the k with the highest scores: for every k (N,) values in 0..1.

    Lowe et al. 2015, "The Ubuntu dialogue corpus", R_n@k. Candidates with equal scores are put in random order, and
    the value is the probability: who scores all alike has k / K, like one who guesses.

    Args:
        scores: (N, K) of K candidates each, the true one first.
        ks: how many of the best are looked at.

    Raises:
        CardiganError: another shape, NaN, or a k below 1.
    """
    scores = np.asarray(scores, dtype=np.float64)
    if scores.ndim != 2 or 0 in scores.shape or np.isnan(scores).any():
        raise CardiganError(f"recall: scores of shape {scores.shape}; allowed: (N, K) numbers without NaN")
    if min(ks) < 1:
        raise CardiganError(f"recall: among the best {min(ks)}; allowed: from 1")
    better = (scores[:, 1:] > scores[:, :1]).sum(1)
    alike = (scores[:, 1:] == scores[:, :1]).sum(1)
    return {k: ((k - better) / (alike + 1)).clip(0, 1) for k in ks}
