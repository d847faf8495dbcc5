"""The Fréchet distance: closed forms, scipy's matrix root, torchmetrics, singular covariances."""

import math

import numpy as np
import pytest
import torch
from peers import Peers
from torch import Tensor, nn

from cardigan.errors import CardiganError
from cardigan.metrics.frechet import frechet_distance, frechet_from_features
from cardigan.metrics.moments import Moments

D = 24


def random(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=random(seed))


def rotation(seed: int = 0) -> Tensor:
    return torch.linalg.qr(normal(D, D, seed=seed)).Q


def covariance(seed: int = 0) -> Tensor:
    root = normal(D, D, seed=seed)
    return root @ root.T / D + 0.01 * torch.eye(D)


def by_sqrtm(mean_1: Tensor, covariance_1: Tensor, mean_2: Tensor, covariance_2: Tensor) -> float:
    from scipy.linalg import sqrtm

    root = sqrtm((covariance_1 @ covariance_2).numpy())
    return float((mean_1 - mean_2).square().sum() + (covariance_1 + covariance_2).trace()) - 2 * np.trace(root).real


def test_diagonal_covariances() -> None:
    one, other, means = normal(D, seed=1).square(), normal(D, seed=2).square(), normal(2, D, seed=3)
    expected = float((means[0] - means[1]).square().sum() + (one.sqrt() - other.sqrt()).square().sum())
    assert frechet_distance(means[0], one.diag(), means[1], other.diag()) == pytest.approx(expected, rel=1e-10)


def test_equal_covariances_leave_the_means() -> None:
    shift = normal(D)
    found = frechet_distance(torch.zeros(D), covariance(), shift, covariance())
    assert found == pytest.approx(float(shift.square().sum()), rel=1e-10)


def test_commuting_covariances() -> None:
    axes, one, other = rotation(), normal(D, seed=1).square(), normal(D, seed=2).square()
    pair = [axes @ spread.diag() @ axes.T for spread in (one, other)]
    expected = float((one.sqrt() - other.sqrt()).square().sum())
    assert frechet_distance(torch.zeros(D), pair[0], torch.zeros(D), pair[1]) == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize(("rank_1", "rank_2"), [(5, D), (D, 5), (5, 9), (1, 1), (0, 3), (0, 0)])
def test_singular_commuting_covariances(rank_1: int, rank_2: int) -> None:
    axes = rotation()
    spreads = [normal(D, seed=seed).square() + 0.1 for seed in (1, 2)]
    spreads = [spread * (torch.arange(D) < rank) for spread, rank in zip(spreads, (rank_1, rank_2), strict=True)]
    pair = [axes @ spread.diag() @ axes.T for spread in spreads]
    expected = float((spreads[0].sqrt() - spreads[1].sqrt()).square().sum())
    found = frechet_distance(torch.zeros(D), pair[0], torch.zeros(D), pair[1])
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_singular_covariances_that_do_not_commute() -> None:
    # With C = a a^T and K = b b^T, the root of C K has the trace |a.b|.
    one, other = normal(D, seed=1), normal(D, seed=2)
    expected = float(one @ one + other @ other - 2 * (one @ other).abs())
    found = frechet_distance(torch.zeros(D), one.outer(one), torch.zeros(D), other.outer(other))
    assert found == pytest.approx(expected, rel=1e-6)


def test_any_covariances_as_scipys_matrix_root() -> None:
    gaussians = (normal(D, seed=3), covariance(1), normal(D, seed=4), covariance(2))
    assert frechet_distance(*gaussians) == pytest.approx(by_sqrtm(*gaussians), rel=1e-8)


def test_it_is_symmetric_and_scales() -> None:
    means, pair = normal(2, D), (covariance(1), covariance(2))
    found = frechet_distance(means[0], pair[0], means[1], pair[1])
    assert frechet_distance(means[1], pair[1], means[0], pair[0]) == pytest.approx(found, rel=1e-9)
    assert frechet_distance(means[0] * 1e3, pair[0] * 1e6, means[1] * 1e3, pair[1] * 1e6) == pytest.approx(
        found * 1e6, rel=1e-9
    )


@pytest.mark.parametrize("rank", [D, 6, 0])
def test_of_itself_it_is_zero_and_never_negative(rank: int) -> None:
    root = normal(D, rank) if rank else torch.zeros(D, 1, dtype=torch.float64)
    found = frechet_distance(torch.ones(D), root @ root.T, torch.ones(D), root @ root.T)
    assert 0 <= found < 1e-6
    assert not math.isnan(found)


@pytest.mark.parametrize(("mine", "theirs"), [(600, 500), (20, 500), (20, 15), (24, 24), (2, 2), (25, 24)])
def test_from_features_as_by_scipy(mine: int, theirs: int) -> None:
    generated, reference = normal(mine, D) @ covariance(1) + 0.3, normal(theirs, D, seed=1) @ covariance(2)
    expected = by_sqrtm(generated.mean(0), generated.T.cov(), reference.mean(0), reference.T.cov())
    assert frechet_from_features(generated, reference) == pytest.approx(expected, rel=1e-5)


def test_from_features_it_does_not_matter_whether_a_matrix_is_made() -> None:
    generated, reference = normal(20, D), normal(15, D, seed=1) + 0.2
    pair = []
    for features in (generated, reference):
        moments = Moments(D, 1)
        moments.add(features)
        pair += [moments.mean, moments.covariance]
    assert frechet_from_features(generated, reference) == pytest.approx(frechet_distance(*pair), rel=1e-7)


def test_as_torchmetrics(peers: Peers) -> None:
    class Looked(nn.Identity):
        num_features = 64

    generated, reference = (
        torch.randn(700, 64, generator=random()),
        torch.randn(800, 64, generator=random(1)) * 1.2 + 0.1,
    )
    theirs = peers.torchmetrics.fid.FrechetInceptionDistance(feature=Looked())
    theirs.set_dtype(torch.float64)
    theirs.update(reference.double(), real=True)
    theirs.update(generated.double(), real=False)
    assert frechet_from_features(generated, reference) == pytest.approx(float(theirs.compute()), rel=1e-6)


def test_constant_features_have_a_distance() -> None:
    flat, varied = torch.ones(50, D), normal(50, D)
    expected = float((varied.mean(0) - 1).square().sum() + varied.var(0).sum())
    assert frechet_from_features(flat, varied) == pytest.approx(expected, rel=1e-6)
    assert frechet_from_features(flat, flat + 2) == pytest.approx(4 * D, rel=1e-6)
    some = torch.cat([normal(50, D), torch.ones(50, 3)], 1)
    assert frechet_from_features(some, some + 1) == pytest.approx(D + 3, rel=1e-5)


@pytest.mark.parametrize(
    ("generated", "reference", "message"),
    [
        (torch.ones(1, 3), torch.ones(5, 3), "generated samples: 1 sample; this metric needs at least 2"),
        (torch.ones(5, 3), torch.ones(0, 3), "reference samples: 0 samples"),
        (torch.full((5, 3), torch.nan), torch.ones(5, 3), "5 of 5 samples hold NaN"),
        (torch.ones(5, 3), torch.ones(5, 4), "generated samples have 3 features, reference samples 4"),
        (torch.ones(5, 0), torch.ones(5, 0), "without a single number"),
    ],
)
def test_unfit_features_are_refused(generated: Tensor, reference: Tensor, message: str) -> None:
    with pytest.raises(CardiganError, match=message):
        frechet_from_features(generated, reference)


def test_unfit_gaussians_are_refused() -> None:
    with pytest.raises(CardiganError, match="3 and 4 dimensions"):
        frechet_distance(torch.zeros(3), torch.eye(3), torch.zeros(4), torch.eye(4))
    with pytest.raises(CardiganError, match="NaN"):
        frechet_distance(torch.zeros(3), torch.eye(3) * torch.nan, torch.zeros(3), torch.eye(3))
    with pytest.raises(CardiganError, match="a shape of"):
        frechet_distance(torch.zeros(3), torch.ones(3), torch.zeros(3), torch.eye(3))
