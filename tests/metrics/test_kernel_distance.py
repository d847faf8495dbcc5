"""The kernel distance: by its definition, as torchmetrics, unbiased; its standard error holds."""

import pytest
import torch
from peers import Peers
from torch import Tensor, nn

from cardigan.errors import CardiganError
from cardigan.metrics import kernel as module
from cardigan.metrics.kernel import kernel_distance


def draw(count: int, seed: int, dimension: int = 16, shift: float = 0.0) -> Tensor:
    return torch.randn(count, dimension, generator=torch.Generator().manual_seed(seed)) + shift


def by_definition(x: Tensor, y: Tensor) -> float:
    x, y = x.double(), y.double()

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        return (a @ b.T / a.shape[1] + 1) ** 3

    n, m = len(x), len(y)
    within = sum((kernel(z, z).sum() - kernel(z, z).trace()) / (c * (c - 1)) for z, c in ((x, n), (y, m)))
    return float(within - 2 * kernel(x, y).mean())


@pytest.mark.parametrize(("mine", "theirs"), [(300, 300), (50, 50), (4, 4), (23, 23)])
def test_of_all_samples_it_is_the_definition(mine: int, theirs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK", 70)
    x, y = draw(mine, 0, shift=0.3), draw(theirs, 1)
    found = kernel_distance(x, y, size=1000)
    assert found.value == pytest.approx(by_definition(x, y), rel=1e-9)
    assert (found.subsets, found.size) == (1, mine)


def test_without_a_group_it_is_the_definition_of_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y, kept = draw(60, 0, shift=0.3), draw(60, 1), torch.arange(60) % 10 != 4
    seen: list[list[float]] = []
    monkeypatch.setattr(module, "standard_error", lambda without: seen.append(list(without)) or 0.0)
    kernel_distance(x, y)
    assert seen[0][4] == pytest.approx(by_definition(x[kept], y[kept]), rel=1e-9)


def test_as_torchmetrics(peers: Peers) -> None:
    x, y = draw(400, 0, shift=0.2), draw(400, 1)
    theirs = peers.torchmetrics.kid.KernelInceptionDistance(feature=nn.Identity(), subsets=1, subset_size=400)
    theirs.update(y.double(), real=True)
    theirs.update(x.double(), real=False)
    assert kernel_distance(x, y, size=400).value == pytest.approx(float(theirs.compute()[0]), rel=1e-6)


def test_subsets_agree_with_the_whole_and_are_fixed_by_the_seed() -> None:
    x, y = draw(1000, 0, shift=0.3), draw(1200, 1)
    found = kernel_distance(x, y, subsets=50, size=200)
    assert found.value == pytest.approx(by_definition(x, y), rel=0.1)
    assert (found.subsets, found.size) == (50, 200)
    assert found == kernel_distance(x, y, subsets=50, size=200)
    assert found != kernel_distance(x, y, subsets=50, size=200, seed=1)


def test_the_size_of_subsets_is_what_there_is() -> None:
    assert kernel_distance(draw(30, 0), draw(90, 1), subsets=3).size == 30


def test_it_is_unbiased_and_its_error_is_that_of_other_samples() -> None:
    trials = [kernel_distance(draw(100, 2 * s), draw(100, 2 * s + 1), subsets=8, size=50) for s in range(100)]
    values = torch.tensor([each.value for each in trials])
    errors = torch.tensor([each.standard_error for each in trials])
    assert abs(values.mean()) < 3 * values.std() / 10
    assert 0.7 * values.std() < errors.mean() < 1.5 * values.std()


def test_the_error_covers_the_truth_where_distributions_differ() -> None:
    truth = by_definition(draw(3000, 1000, shift=0.3), draw(3000, 1001))
    trials = [
        kernel_distance(draw(200, 2 * s, shift=0.3), draw(200, 2 * s + 1), size=100, subsets=8) for s in range(60)
    ]
    covered = sum(abs(each.value - truth) < 2.26 * each.standard_error for each in trials)
    assert covered >= 51


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (torch.ones(3, 4), torch.ones(9, 4), "generated samples: 3 samples; this metric needs at least 4"),
        (torch.ones(9, 4), torch.ones(9, 5), "4 features, reference samples 5"),
        (torch.full((9, 4), torch.inf), torch.ones(9, 4), "9 of 9 samples hold NaN or infinite"),
    ],
)
def test_unfit_features_are_refused(x: Tensor, y: Tensor, message: str) -> None:
    with pytest.raises(CardiganError, match=message):
        kernel_distance(x, y)


def test_constant_features_are_at_distance_zero_of_themselves() -> None:
    assert kernel_distance(torch.ones(20, 4), torch.ones(20, 4)).value == pytest.approx(0, abs=1e-12)
