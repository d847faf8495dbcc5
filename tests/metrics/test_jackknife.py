"""Intervals cover what they should: the jackknife's 95% on known statistics, Wilson's on shares."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from cardigan.errors import CardiganError
from cardigan.metrics.frechet import frechet_distance
from cardigan.metrics.jackknife import groups_of, jackknife, wilson
from cardigan.metrics.moments import Moments

STATISTICS: dict[str, tuple[Callable[[Tensor], Tensor], float]] = {
    "mean": (lambda values: values.mean(), 0.0),
    "variance": (lambda values: values.var(), 1.0),
    "ratio": (lambda values: values.exp().mean() / values.var(), math.exp(0.5)),
}


@pytest.mark.parametrize(("statistic", "truth"), STATISTICS.values(), ids=STATISTICS)
def test_it_covers_the_truth_in_about_95_of_100(statistic: Callable[[Tensor], Tensor], truth: float) -> None:
    random, group, covered = torch.Generator().manual_seed(0), groups_of(400), 0
    for _ in range(400):
        values = torch.randn(400, generator=random, dtype=torch.float64)
        low, high = jackknife([float(statistic(values[group != g])) for g in range(10)], float(statistic(values)))
        covered += low < truth < high
    assert 0.91 < covered / 400 < 0.985


def test_it_covers_the_frechet_distance_at_this_count() -> None:
    """Truth is the mean over trials: that the distance is biased by the count is not what the interval is about."""
    random, found = torch.Generator().manual_seed(0), []
    for _ in range(100):
        pair = [Moments(6), Moments(6)]
        for moments, scale in zip(pair, (1.0, 1.3), strict=True):
            moments.add(scale * torch.randn(500, 6, generator=random))
        value = frechet_distance(pair[0].mean, pair[0].covariance, pair[1].mean, pair[1].covariance)
        without = [frechet_distance(*pair[0].without(g)[1:], *pair[1].without(g)[1:]) for g in range(10)]
        found.append((value, *jackknife(without, value)))
    truth = sum(each[0] for each in found) / len(found)
    assert 0.88 < sum(low < truth < high for _, low, high in found) / len(found) <= 1


def test_of_the_mean_it_is_students() -> None:
    from scipy.stats import t

    means = torch.randn(10, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    without = (means.sum() - means) / 9
    low, high = jackknife(without.tolist(), float(means.mean()))
    half = t.ppf(0.975, 9) * float(means.std()) / math.sqrt(10)
    assert (low, high) == pytest.approx((float(means.mean()) - half, float(means.mean()) + half))


def test_what_does_not_vary_has_no_width() -> None:
    assert jackknife([2.0] * 10, 2.0) == (2.0, 2.0)


def test_groups_are_interleaved_and_of_equal_size() -> None:
    assert groups_of(25, 10)[:12].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]
    assert set(groups_of(25, 10).bincount().tolist()) == {2, 3}


def test_wilson_is_scipys() -> None:
    from scipy.stats import binomtest

    for successes, count in ((0, 10), (3, 10), (10, 10), (1, 1), (512, 4000)):
        expected = binomtest(successes, count).proportion_ci(method="wilson")
        assert wilson(successes, count) == pytest.approx((expected.low, expected.high), abs=1e-6)


def test_too_little_is_refused() -> None:
    with pytest.raises(CardiganError, match="1 groups"):
        jackknife([1.0], 1.0)
    with pytest.raises(CardiganError, match="3 samples in 10 groups"):
        groups_of(3)
    for successes, count in ((0, 0), (3, 2), (-1, 2)):
        with pytest.raises(CardiganError, match="a share"):
            wilson(successes, count)
