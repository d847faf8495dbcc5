"""Shares of classes, how many are covered, how far they are from the real ones, distances class by class."""

import math

import pytest
import torch

from cardigan.errors import CardiganError
from cardigan.metrics.classes import class_coverage, class_divergence, class_shares, intra_frechet
from cardigan.metrics.frechet import frechet_from_features


def test_shares_of_predictions_and_of_probabilities() -> None:
    predictions = torch.tensor([0, 2, 2, 2])
    assert class_shares(predictions, 4).tolist() == [0.25, 0, 0.75, 0]
    assert class_shares(torch.nn.functional.one_hot(predictions, 4).float(), 4).tolist() == [0.25, 0, 0.75, 0]


def test_a_class_is_covered_from_a_third_of_its_real_share() -> None:
    real = torch.tensor([0.3, 0.3, 0.3, 0.1, 0.0]).double()
    assert class_coverage(torch.tensor([0.5, 0.1001, 0.0999, 0.3, 0.0001]), real) == 0.75
    assert class_coverage(real, real) == 1
    assert class_coverage(torch.tensor([0.0, 0, 0, 0, 1]), real) == 0


def test_divergence_is_the_smoothed_one() -> None:
    uniform = torch.full((10,), 0.1)
    one = torch.zeros(10)
    one[3] = 1
    assert class_divergence(uniform, uniform) == 0
    assert class_divergence(one, uniform) == pytest.approx(math.log(10), rel=0.05)
    assert 2 < class_divergence(uniform, one) < 10
    p, q = torch.tensor([0.7, 0.3]).double(), torch.tensor([0.4, 0.6]).double()
    p_smooth, q_smooth = (p + 1e-3) / 1.002, (q + 1e-3) / 1.002
    assert class_divergence(p, q) == pytest.approx(float((p_smooth * (p_smooth / q_smooth).log()).sum()))


def test_distances_class_by_class() -> None:
    random = torch.Generator().manual_seed(0)
    generated, reference = (torch.randn(210, 6, generator=random) for _ in range(2))
    labels = torch.arange(210) % 2
    labels[:10] = 2
    generated[labels == 1] += 3
    found = intra_frechet(generated, labels, reference, labels, ("cat", "dog", "newt"))
    assert set(found.distances) == {"cat", "dog"}
    assert found.left_out == ("newt",)
    expected = frechet_from_features(generated[labels == 1], reference[labels == 1])
    assert found.distances["dog"] == pytest.approx(expected)
    assert found.distances["dog"] > 10 * found.distances["cat"]
    assert found.mean == pytest.approx(sum(found.distances.values()) / 2)


def test_with_too_few_of_every_class_there_is_no_mean() -> None:
    features, labels = torch.randn(4, 3), torch.tensor([0, 0, 1, 1])
    found = intra_frechet(features, labels, features, labels, ("a", "b"))
    assert found.mean is None and not found.distances and found.left_out == ("a", "b")


def test_unfit_input_is_refused() -> None:
    with pytest.raises(CardiganError, match="no samples"):
        class_shares(torch.zeros(0, dtype=torch.long), 3)
    with pytest.raises(CardiganError, match="outside 0 to 2"):
        class_shares(torch.tensor([3]), 3)
    with pytest.raises(CardiganError, match="of 4 classes; allowed: 3"):
        class_shares(torch.zeros(2, 4), 3)
    with pytest.raises(CardiganError, match="1 samples hold NaN"):
        class_shares(torch.tensor([[torch.nan, 1]]), 2)
    with pytest.raises(CardiganError, match="do not fit"):
        class_coverage(torch.ones(2), torch.ones(3))
    with pytest.raises(CardiganError, match="one for each of 4 and 4"):
        intra_frechet(torch.ones(4, 2), torch.zeros(3), torch.ones(4, 2), torch.zeros(4), ("a",))
    with pytest.raises(CardiganError, match="4 of 4 samples hold NaN"):
        intra_frechet(torch.full((4, 2), torch.nan), torch.zeros(4), torch.ones(4, 2), torch.zeros(4), ("a",))
