"""Precision, recall, density and coverage: as prdc, per sample, chunk by chunk; realism."""

import pytest
import torch
from torch import Tensor

from cardigan.errors import CardiganError
from cardigan.metrics.distances import distances, nearest
from cardigan.metrics.manifold import Manifold, manifold, realism


def draw(count: int, seed: int, dimension: int = 8, scale: float = 1.0, shift: float = 0.0) -> Tensor:
    return torch.randn(count, dimension, generator=torch.Generator().manual_seed(seed)) * scale + shift


def values(found: Manifold) -> dict[str, float]:
    return {key: getattr(found, key) for key in ("precision", "recall", "density", "coverage")}


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize(("dimension", "scale", "shift"), [(8, 0.7, 0.2), (2, 1.0, 0.0), (64, 1.1, 0.3), (8, 1.0, 1e3)])
def test_as_prdc(k: int, dimension: int, scale: float, shift: float) -> None:
    from prdc import compute_prdc

    real, generated = draw(300, 0, dimension, 1, shift), draw(400, 1, dimension, scale, shift + 0.1)
    found = manifold(generated, real, k, chunk=77)
    theirs = compute_prdc(real.double().numpy(), generated.double().numpy(), k)
    assert values(found) == pytest.approx(theirs, rel=1e-9)


def test_the_values_are_those_of_the_samples() -> None:
    found = manifold(draw(200, 0), draw(150, 1))
    assert (len(found.inside), len(found.recalled), len(found.covered)) == (200, 150, 150)
    assert float(found.inside.float().mean()) == pytest.approx(found.precision)
    assert float(found.recalled.float().mean()) == pytest.approx(found.recall)
    assert float(found.covered.float().mean()) == pytest.approx(found.coverage)


def test_quality_and_diversity_are_told_apart() -> None:
    real = draw(500, 0)
    narrow, wide = manifold(draw(500, 1, scale=0.3), real), manifold(draw(500, 1, scale=3), real)
    assert narrow.precision > 0.95 and narrow.recall < 0.2
    assert wide.precision < 0.2 and wide.recall > 0.8
    away = manifold(draw(500, 1, shift=100), real)
    assert values(away) == {"precision": 0, "recall": 0, "density": 0, "coverage": 0}


def test_a_collapsed_generator_recalls_nothing() -> None:
    found = manifold(torch.zeros(50, 8), draw(500, 0))
    assert found.recall == 0
    assert found.coverage < 0.5


def test_the_same_samples_have_them_all() -> None:
    real = draw(100, 0)
    assert values(manifold(real, real)) == {"precision": 1, "recall": 1, "density": pytest.approx(6 / 5, rel=0.2)} | {
        "coverage": 1
    }


def test_realism_falls_with_the_distance_from_the_manifold() -> None:
    real = draw(400, 0)
    typical, far = realism(draw(100, 1), real), realism(draw(100, 1, shift=5), real)
    assert typical.median() > far.max()
    assert bool(realism(real[:3], real).isinf().any())


def test_realism_by_hand() -> None:
    real = torch.tensor([[0.0], [1], [2], [10]])  # radii for k = 1: 1, 1, 1, 8
    assert realism(torch.tensor([[2.5], [10.0], [-4.0]]), real, k=1).tolist() == pytest.approx([2, 1 / 8, 1 / 4])


def test_distances_of_near_and_equal_samples() -> None:
    base = draw(50, 0, 256, shift=10)
    near = base + 1e-3 * draw(50, 1, 256)
    exact = (base[:, None].double() - near.double()).square().sum(2).sqrt()
    torch.testing.assert_close(distances(base, near), exact, rtol=1e-6, atol=1e-9)
    assert distances(base, base).diagonal().max() == 0


def test_nearest_leaves_a_sample_itself_out() -> None:
    samples = torch.tensor([[0.0], [1], [1], [5]])
    apart, which = nearest(samples, count=2, chunk=2)
    assert apart.tolist() == [[1, 1], [0, 1], [0, 1], [4, 4]]
    assert which[1, 0] == 2 and which[2, 0] == 1


@pytest.mark.parametrize(
    ("generated", "reference", "message"),
    [
        (torch.ones(5, 2), draw(9, 0, 2), "generated samples: 5 samples; this metric needs at least 6"),
        (draw(9, 0, 2), torch.ones(0, 2), "reference samples: 0 samples"),
        (draw(9, 0, 2), torch.ones(9, 2), "no manifold"),
        (draw(9, 0, 2), draw(9, 0, 3), "2 features, reference samples 3"),
        (torch.full((9, 2), torch.nan), draw(9, 0, 2), "9 of 9 samples hold NaN"),
    ],
)
def test_unfit_features_are_refused(generated: Tensor, reference: Tensor, message: str) -> None:
    with pytest.raises(CardiganError, match=message):
        manifold(generated, reference)
