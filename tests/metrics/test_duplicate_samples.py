"""Near duplicates among samples, and the birthday estimate of how many different ones there are."""

import math

import pytest
import torch
from torch import Tensor

from cardigan.errors import CardiganError
from cardigan.metrics.duplicates import birthday, duplicate_rate, duplicate_threshold, duplicates


def draw(count: int, seed: int = 0, dimension: int = 16) -> Tensor:
    return torch.randn(count, dimension, generator=torch.Generator().manual_seed(seed))


def drawn_of(support: int, count: int, seed: int = 0) -> Tensor:
    """Samples of a generator that knows `support` different ones."""
    random = torch.Generator().manual_seed(seed + 1)
    return draw(support)[torch.randint(support, (count,), generator=random)]


def test_about_one_in_a_hundred_real_samples_has_a_near_one() -> None:
    found = duplicates(draw(2000, 1), draw(2000, 2))
    assert 0.01 <= found.real_rate <= 0.012
    assert found.rate < 0.03
    assert found.count == 2000


def test_a_generator_that_repeats_itself_is_found() -> None:
    generated = draw(1000, 1)
    generated[500:600] = generated[:100] + 1e-3 * draw(100, 3)
    found = duplicates(generated, draw(3000, 2))
    assert found.rate == pytest.approx(0.2, abs=0.03)
    assert found.count == 1000
    assert (0, 500) in found.pairs
    assert len(set(found.pairs)) == len(found.pairs)
    assert all(one < other for one, other in found.pairs)


def test_pictures_may_be_given_as_they_are() -> None:
    pictures = draw(50, 0, 48).reshape(50, 3, 4, 4)
    assert duplicate_rate(torch.cat([pictures, pictures[:5]]), 1e-6) == pytest.approx(10 / 55)


def test_where_real_samples_hold_copies_only_copies_are_near() -> None:
    real = torch.cat([draw(100), draw(100)[:10]])
    assert duplicate_threshold(real) == 0
    assert duplicate_rate(real, 0.0) == pytest.approx(20 / 110)


@pytest.mark.parametrize("support", [100, 1000, 10_000])
def test_the_birthday_estimate_finds_the_support(support: int) -> None:
    found = birthday(drawn_of(support, 1000), 1e-6)
    assert not found.is_bound
    expected = (0.5 + (0.25 + 2 * math.log(2) * support) ** 0.5) ** 2  # of equally likely samples
    assert found.low < expected < found.high
    assert found.support == pytest.approx(expected, rel=0.4)


def test_a_batch_of_that_size_holds_two_alike_half_the_time() -> None:
    batch = round(birthday(drawn_of(400, 2000), 1e-6).batch)
    hits = sum(len(torch.unique(drawn_of(400, batch, seed)[:, 0])) < batch for seed in range(400))
    assert 0.42 < hits / 400 < 0.58


def test_without_a_collision_it_is_a_bound() -> None:
    found = birthday(draw(500), 1e-6)
    assert found.is_bound and found.collisions == 0
    assert found.high == float("inf")
    assert found.low == found.support > 500**2 / 8


def test_the_bound_holds() -> None:
    support, held = 20_000, 0
    for seed in range(100):
        found = birthday(drawn_of(support, 150, seed), 1e-6)
        held += found.low <= 1.39 * support
    assert held >= 93


def test_one_sample_only_has_a_support_of_one() -> None:
    found = birthday(torch.ones(40, 3), 0.0)
    assert found.support == 1
    assert found.collisions == found.pairs == 780


def test_unfit_samples_are_refused() -> None:
    with pytest.raises(CardiganError, match="samples: 1 sample; this metric needs at least 2"):
        birthday(torch.ones(1, 3), 0.1)
    with pytest.raises(CardiganError, match="0 samples"):
        duplicate_rate(torch.ones(0, 3), 0.1)
    with pytest.raises(CardiganError, match="3 of 3 samples hold NaN"):
        duplicate_threshold(torch.full((3, 2), torch.nan))
    with pytest.raises(CardiganError, match="a threshold of nan"):
        birthday(torch.ones(3, 3), float("nan"))
    with pytest.raises(CardiganError, match="2 features, reference samples 3"):
        duplicates(torch.ones(3, 2), torch.ones(3, 3))
