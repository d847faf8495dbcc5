"""Shares of groups among generated samples, corrected for the mistakes of the classifier that counted them.

A classifier that takes one in ten of group a for b finds b where there is none. How often it takes which group for
which is known from real samples of known group, its confusion matrix, and can be undone: adjusted classify and count
(Forman 2008, "Quantifying counts and costs via classification"; Rogan & Gladen 1978 for two groups). Undone by maximum
likelihood rather than by inverting the matrix, so that shares stay between 0 and 1. The one assumption: generated
samples of a group look to the classifier like real ones of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cardigan.errors import CardiganError

DRAWS = 1000
"""Repetitions of each bootstrap."""
LEVEL = 0.05
"""Below this p-value groups are said to be shifted; intervals cover one minus it."""
_CLOSE = 1e-7
"""Change of the shares at which expectation maximisation ends."""
_MOST = 3000
"""Its rounds, at most."""

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Prevalence:
    """Shares of K groups, 0..1, each a tuple of K.

    Attributes:
        shares: among the generated samples, corrected.
        low: lower end of the 95% interval of each, group by group.
        high: upper end.
        uncorrected: as the classifier counts them.
        real: among the real samples.
        excess_low: lower end of the 95% interval of generated minus real, which knows that both are samples.
        excess_high: upper end.
        p_value: how likely a difference this large is where generated and real shares are equal.
        accuracy: share of the real samples that the classifier gets right, averaged over groups.
    """

    shares: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    uncorrected: tuple[float, ...]
    real: tuple[float, ...]
    excess_low: tuple[float, ...]
    excess_high: tuple[float, ...]
    p_value: float
    accuracy: float

    @property
    def shifted(self) -> bool:
        """Whether generated and real shares differ by more than chance explains."""
        return self.p_value < LEVEL


def prevalence(
    predicted: ArrayLike,
    confusion: ArrayLike,
    real: ArrayLike,
    names: Sequence[str] | None = None,
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> Prevalence:
    """Corrected shares of K groups with 95% intervals, and whether they are those of the real samples.

    Intervals are percentiles of a parametric bootstrap that draws everything anew that was counted: predictions,
    confusion matrix, real shares. The p-value is of the likelihood ratio between free shares and the real ones, its
    distribution likewise drawn, under equal shares.

    Args:
        predicted: (K,) generated samples that the classifier puts into each group.
        confusion: (K, K) held-out real samples, row: true group, column: predicted. The classifier
            must not have been trained on them.
        real: (K,) real samples of each group, by their labels.
        names: of the groups, for messages.
        draws: repetitions of the bootstrap.
        seed: of the bootstrap.

    Raises:
        CardiganError: no samples, a group without held-out samples, a classifier that is no better than chance.
    """
    counts, matrix, reference = (np.asarray(each, np.float64) for each in (predicted, confusion, real))
    names = tuple(map(str, range(len(counts)))) if names is None else tuple(names)
    _check(counts, matrix, reference, names)
    random = np.random.default_rng(seed)
    shares = _solved(_rows(counts)[None], _rows(matrix)[None])[0]
    drawn, drawn_real = _redrawn(counts, matrix, reference, shares, draws, random)
    low, high = np.quantile(drawn, [LEVEL / 2, 1 - LEVEL / 2], axis=0)
    excess_low, excess_high = np.quantile(drawn - drawn_real, [LEVEL / 2, 1 - LEVEL / 2], axis=0)
    return Prevalence(
        shares=_plain(shares),
        low=_plain(np.minimum(low, shares)),
        high=_plain(np.maximum(high, shares)),
        uncorrected=_plain(_rows(counts)),
        real=_plain(_rows(reference)),
        excess_low=_plain(excess_low),
        excess_high=_plain(excess_high),
        p_value=_p_value(counts, matrix, reference, draws, random),
        accuracy=float(np.diagonal(_rows(matrix)).mean()),
    )


def corrected(predicted: ArrayLike, confusion: ArrayLike) -> Numbers:
    """The shares s on the simplex under which `predicted` (K,) is likeliest: counts ~ multinomial(s M) -> (K,).

    M are the rows of `confusion` (K, K), each divided by its sum.
    """
    return _solved(_rows(np.asarray(predicted, np.float64))[None], _rows(np.asarray(confusion, np.float64))[None])[0]


def _check(counts: Numbers, matrix: Numbers, real: Numbers, names: tuple[str, ...]) -> None:
    groups = len(names)
    if groups < 2 or counts.shape != (groups,) or matrix.shape != (groups, groups) or real.shape != (groups,):
        raise ValueError(
            f"shapes {counts.shape}, {matrix.shape}, {real.shape} are not those of {groups} groups, 2 or more"
        )
    if not counts.sum() or not real.sum():
        raise CardiganError(f"shares of groups: there are no {'generated' if not counts.sum() else 'real'} samples")
    missing = [name for name, row in zip(names, matrix, strict=True) if not row.sum()]
    if missing:
        raise CardiganError(
            f"shares of groups: no held-out real sample of {', '.join(missing)}: how the classifier sees that group is "
            f"unknown; allowed: one or more of every group, better 100"
        )
    if not _beats_chance(matrix):
        accuracy = np.diagonal(_rows(matrix)).mean()
        raise CardiganError(
            f"shares of groups: the classifier tells {', '.join(names)} apart no better than chance, as far as "
            f"{matrix.sum():.0f} held-out real samples can show (accuracy over groups {accuracy:.2f}, chance "
            f"{1 / groups:.2f}): its counts say nothing of the samples and cannot be corrected"
        )


def _beats_chance(matrix: Numbers) -> bool:
    """Whether what the classifier says depends on the true group: a likelihood-ratio test of independence."""
    from scipy.stats import chi2

    used = matrix[:, matrix.sum(0) > 0]
    if used.shape[1] < 2:
        return False
    expected = used.sum(1, keepdims=True) * used.sum(0) / used.sum()
    freedom = (used.shape[0] - 1) * (used.shape[1] - 1)
    return bool(chi2.sf(_deviance(used, expected).sum(), freedom) < LEVEL)


def _redrawn(
    counts: Numbers, matrix: Numbers, real: Numbers, shares: Numbers, draws: int, random: np.random.Generator
) -> tuple[Numbers, Numbers]:
    """(draws, K) shares estimated from counts drawn anew, if the estimates were the truth; the same of the real ones.

    What was never seen may still be possible: every distribution is first mixed with one uniform sample.
    """
    truth = _softened(shares * counts.sum())
    predicted, confusions = _experiments(truth, counts.sum(), matrix, draws, random)
    again = random.multinomial(int(real.sum()), _softened(real), size=draws)
    return _solved(_rows(predicted), _rows(confusions)), _rows(again)


def _p_value(counts: Numbers, matrix: Numbers, real: Numbers, draws: int, random: np.random.Generator) -> float:
    """Share of experiments with equal shares whose likelihood ratio is at least as large as the one observed."""
    observed = _ratio(counts[None], matrix[None], _rows(real)[None])[0]
    truth = _softened(_pooled(counts, matrix, real))
    predicted, confusions = _experiments(truth, counts.sum(), matrix, draws, random)
    again = random.multinomial(int(real.sum()), truth, size=draws)
    ratios = _ratio(predicted, confusions, _rows(again))
    return float((1 + (ratios >= observed).sum()) / (1 + draws))


def _pooled(counts: Numbers, matrix: Numbers, real: Numbers) -> Numbers:
    """Shares common to both, in counts: the corrected generated ones and the real ones together."""
    return corrected(counts, matrix) * counts.sum() + real


def _experiments(
    shares: Numbers, total: float, matrix: Numbers, draws: int, random: np.random.Generator
) -> tuple[Numbers, Numbers]:
    """(draws, K) predictions of `total` samples with true `shares`, (draws, K, K) confusion matrices, drawn anew."""
    likely = _softened(matrix)
    predicted = random.multinomial(int(total), shares @ likely, size=draws)
    rows = [random.multinomial(int(row.sum()), each, size=draws) for row, each in zip(matrix, likely, strict=True)]
    return predicted.astype(np.float64), np.stack(rows, axis=1).astype(np.float64)


def _ratio(counts: Numbers, matrices: Numbers, real: Numbers) -> Numbers:
    """(B,) twice the logarithm of the likelihood of (B, K) `counts` under free shares, over that under `real` ones."""
    rows, total = _softened(matrices), counts.sum(1, keepdims=True)  # a zero would make some counts impossible
    free = _mixed(_solved(_rows(counts), rows), rows)
    ratio = _deviance(counts, total * _mixed(real, rows)) - _deviance(counts, total * free)
    return np.asarray(ratio.sum(1))


def _solved(observed: Numbers, rows: Numbers) -> Numbers:
    """(B, K) likeliest shares for (B, K) `observed` shares of predictions and (B, K, K) `rows` of probabilities.

    Where plain inversion stays within the simplex it is the maximum; elsewhere expectation maximisation finds it.
    """
    shares = np.einsum("bi,bij->bj", observed, np.linalg.pinv(rows))
    fits = np.abs(_mixed(shares, rows) - observed).max(1) < 1e-9
    if shares.shape[1] == 2:  # the likelihood is concave on a line: outside of it, the nearer end is the maximum
        first = shares[:, :1].clip(0, 1)
        return np.concatenate([first, 1 - first], axis=1)
    outside = ~(fits & (shares >= 0).all(1))
    shares[outside] = _maximised(observed[outside], rows[outside])
    return shares


def _maximised(observed: Numbers, rows: Numbers) -> Numbers:
    """Expectation maximisation for a mixture of known distributions (Saerens et al. 2002, on counts)."""
    shares = np.full(observed.shape, 1 / max(1, observed.shape[1]))
    for _ in range(_MOST):
        mixed = _mixed(shares, rows)
        weights = np.divide(observed, mixed, out=np.zeros_like(observed), where=mixed > 0)
        new = shares * np.einsum("bji,bi->bj", rows, weights)
        new /= new.sum(1, keepdims=True)
        change, shares = np.abs(new - shares).max(initial=0), new
        if change < _CLOSE:
            break
    return shares


def _mixed(shares: Numbers, rows: Numbers) -> Numbers:
    return np.asarray(np.einsum("bj,bji->bi", shares, rows))


def _deviance(counts: Numbers, expected: Numbers) -> Numbers:
    """2 n log(n / e) of each count; 0 for a count of 0."""
    quotient = np.divide(counts, expected, out=np.ones_like(counts), where=(counts > 0) & (expected > 0))
    return np.asarray(2 * counts * np.log(quotient))


def _rows(counts: ArrayLike) -> Numbers:
    values = np.asarray(counts, np.float64)
    return np.asarray(values / np.maximum(values.sum(-1, keepdims=True), 1))


def _softened(counts: Numbers) -> Numbers:
    """Probabilities from counts, one sample added that is spread over all groups (Perks 1947)."""
    values = np.asarray(counts, np.float64) + 1 / counts.shape[-1]
    return np.asarray(values / values.sum(-1, keepdims=True))


def _plain(values: Numbers) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
