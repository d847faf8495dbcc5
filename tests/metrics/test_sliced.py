"""The sliced Wasserstein distance: scipy's on a line, different counts, the pyramid, what it sees in pictures."""

import numpy as np
import pytest
import torch
from scipy.stats import wasserstein_distance
from torch import Tensor

from cardigan.errors import CardiganError
from cardigan.metrics.sliced import pyramid, sliced_by_level, sliced_wasserstein, wasserstein


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("n", "m"), [(50, 50), (50, 70), (64, 16), (7, 11), (1, 5), (200, 3)])
def test_on_a_line_it_is_scipys(n: int, m: int) -> None:
    one, other = (np.sort(draw(3, count, seed=count).numpy() + shift, axis=1) for count, shift in ((n, 0), (m, 0.4)))
    expected = [wasserstein_distance(one[row], other[row]) for row in range(3)]
    np.testing.assert_allclose(wasserstein(one, other), expected, rtol=1e-5)


def test_in_one_dimension_it_is_scipys() -> None:
    one, other = draw(300, 1), draw(200, 1, seed=1) * 2
    expected = wasserstein_distance(one[:, 0], other[:, 0])
    assert sliced_wasserstein(one, other, projections=3) == pytest.approx(expected, rel=1e-5)


def test_a_shift_in_closed_form() -> None:
    one = draw(500, 3)
    shift = torch.tensor([2.0, 0, 0])
    # The mean of |cos| over directions in space is 1/2.
    assert sliced_wasserstein(one, one + shift, projections=4000) == pytest.approx(1.0, rel=0.03)
    assert sliced_wasserstein(one, one) == 0


@pytest.mark.parametrize("size", [(32, 32), (64, 48), (33, 47), (128, 128)])
def test_the_levels_of_the_pyramid_add_up_to_the_picture(size: tuple[int, int]) -> None:
    pictures = draw(2, 3, *size)
    levels = pyramid(pictures)
    assert min(levels[-1].shape[2:]) >= 16
    assert min(levels[-1].shape[2:]) < 32
    from cardigan.metrics.sliced import _doubled

    whole = levels[-1]
    for finer in reversed(levels[:-1]):
        whole = finer + _doubled(whole, finer.shape[2:])
    torch.testing.assert_close(whole, pictures)


def test_a_flat_picture_has_no_details() -> None:
    fine, _ = pyramid(torch.full((1, 3, 32, 32), 0.7))
    assert fine.abs().max() < 1e-5


def smooth(count: int, seed: int, size: int = 32) -> Tensor:
    return torch.nn.functional.interpolate(draw(count, 3, 8, 8, seed=seed), (size, size), mode="bicubic")


def test_it_sees_lost_details_on_their_level_and_agrees_with_itself() -> None:
    real, more = smooth(60, 0), smooth(50, 1)
    noisy = smooth(60, 2) + 0.5 * draw(60, 3, 32, 32, seed=3)
    floor, found = sliced_by_level(more, real), sliced_by_level(noisy, real)
    assert set(floor) == {32, 16}
    assert found[32] > 3 * floor[32]
    assert found[32] - floor[32] > 3 * (found[16] - floor[16])
    assert sliced_wasserstein(noisy, real) == pytest.approx(sum(found.values()) / 2)
    assert sliced_wasserstein(noisy, real) == sliced_wasserstein(noisy, real)


@pytest.mark.parametrize("shape", [(1, 28, 28), (4, 33, 20), (1, 7, 7), (3, 16, 50)])
def test_pictures_of_any_shape(shape: tuple[int, ...]) -> None:
    found = sliced_wasserstein(draw(20, *shape), draw(30, *shape, seed=1))
    assert 0 <= found < 1


def test_flat_pictures_are_no_trouble() -> None:
    flat = torch.zeros(5, 1, 16, 16)
    assert sliced_wasserstein(flat, flat) == 0
    assert np.isfinite(sliced_wasserstein(flat, draw(5, 1, 16, 16)))


@pytest.mark.parametrize(
    ("one", "other", "message"),
    [
        (torch.zeros(0, 3), torch.zeros(2, 3), "generated samples: 0 samples"),
        (torch.zeros(2, 3), torch.zeros(2, 4), "3 features, reference samples 4"),
        (torch.zeros(2, 1, 6, 9), torch.zeros(2, 1, 6, 9), "pictures of 6x9"),
        (torch.zeros(2, 1, 16, 16), torch.zeros(2, 3, 16, 16), "allowed: the same channels"),
        (torch.full((2, 1, 16, 16), torch.nan), torch.zeros(2, 1, 16, 16), "2 of 2 samples hold NaN"),
    ],
)
def test_unfit_samples_are_refused(one: Tensor, other: Tensor, message: str) -> None:
    with pytest.raises(CardiganError, match=message):
        sliced_wasserstein(one, other)
