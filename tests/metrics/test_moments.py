"""Streaming moments against numpy's, whatever the chunks; groups; features far from zero; memory."""

import numpy as np
import pytest
import torch
from torch import Tensor

from cardigan.errors import CardiganError
from cardigan.metrics import moments as module
from cardigan.metrics.moments import Moments


def draw(count: int, dimension: int = 12, seed: int = 0) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.randn(count, dimension, generator=random) @ torch.randn(dimension, dimension, generator=random) + 3


def gathered(features: Tensor, chunk: int, groups: int = 10) -> Moments:
    moments = Moments(features.shape[1], groups)
    for some in features.split(chunk):
        moments.add(some)
    return moments


@pytest.mark.parametrize("chunk", [1, 7, 250, 3000, 10_000])
@pytest.mark.parametrize("groups", [1, 10])
def test_they_are_numpys_whatever_the_chunks(chunk: int, groups: int) -> None:
    features = draw(5003)
    moments = gathered(features, chunk, groups)
    assert moments.count == 5003
    np.testing.assert_allclose(moments.mean, features.double().mean(0), rtol=1e-12)
    np.testing.assert_allclose(moments.covariance, np.cov(features.double().numpy().T), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("chunk", [3, 250, 10_000])
def test_without_a_group_they_are_those_of_the_others(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK", 16)
    features = draw(997)
    moments = gathered(features, chunk)
    for group in (0, 3, 9):
        rest = features[torch.arange(997) % 10 != group].double()
        count, mean, covariance = moments.without(group)
        assert count == len(rest)
        np.testing.assert_allclose(mean, rest.mean(0), rtol=1e-12)
        np.testing.assert_allclose(covariance, np.cov(rest.numpy().T), rtol=1e-10, atol=1e-12)


def test_looking_in_between_changes_nothing() -> None:
    features = draw(100)
    looked = Moments(12, 3)
    for some in features.split(9):
        looked.add(some)
        if looked.count > 9:
            looked.covariance  # noqa: B018
    np.testing.assert_allclose(looked.covariance, gathered(features, 100, 3).covariance, rtol=1e-12)


def test_features_far_from_zero_lose_nothing() -> None:
    features = draw(2000).double()
    near, far = gathered(features, 100).covariance, gathered(features + 1e6, 100).covariance
    np.testing.assert_allclose(far, near, rtol=1e-8, atol=1e-8)


def test_features_handed_over_may_be_overwritten() -> None:
    features = draw(50)
    moments, buffer = Moments(12, 2), features.clone()
    moments.add(buffer)
    buffer.zero_()
    np.testing.assert_allclose(moments.covariance, np.cov(features.double().numpy().T), rtol=1e-10)


def test_memory_does_not_grow_with_the_number_of_features() -> None:
    moments = Moments(4, 2)
    for _ in range(200):
        moments.add(torch.randn(100, 4))
    held = sum(each.numel() for each in vars(moments).values() if isinstance(each, Tensor))
    assert held < 3 * 2 * module.BLOCK * 4


def test_constant_features_have_no_covariance_and_their_mean() -> None:
    moments = gathered(torch.full((30, 4), 0.1), 7)
    assert moments.covariance.abs().max() < 1e-20
    torch.testing.assert_close(moments.mean, torch.full((4,), 0.1, dtype=torch.float32).double())


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (torch.tensor([[1.0, 2], [torch.nan, 1], [1, torch.inf]]), "2 of 3 samples hold NaN or infinite numbers"),
        (torch.zeros(3, 5), "5 numbers a sample; allowed: 2"),
        (torch.zeros(3), "a shape of"),
    ],
)
def test_unfit_features_are_refused_in_one_line(features: Tensor, message: str) -> None:
    with pytest.raises(CardiganError, match=message) as refusal:
        Moments(2).add(features)
    assert "\n" not in str(refusal.value)


def test_too_few_samples_are_refused() -> None:
    moments = Moments(2, 2)
    with pytest.raises(CardiganError, match="at least 1"):
        moments.mean  # noqa: B018
    moments.add(torch.zeros(0, 2))
    moments.add(torch.ones(1, 2))
    assert moments.mean.tolist() == [1, 1]
    with pytest.raises(CardiganError, match="1 samples; mean and covariance need at least 2"):
        moments.covariance  # noqa: B018
    with pytest.raises(CardiganError, match="at least 2"):
        moments.without(0)
