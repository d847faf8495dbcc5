import numpy as np
import pytest
from numpy.typing import NDArray

from cardigan.errors import CardiganError
from cardigan.metrics.prevalence import corrected, prevalence


def accurate(groups: int, accuracy: float) -> NDArray[np.float64]:
    """Rows of a classifier that is right this often and mistakes every other group alike."""
    wrong = (1 - accuracy) / (groups - 1)
    return np.full((groups, groups), wrong) + np.eye(groups) * (accuracy - wrong)


def counted(
    shares: list[float], rows: NDArray[np.float64], count: int, held_out: int, random: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Predictions of `count` samples with these shares, and a confusion matrix of `held_out` samples a group."""
    predicted = random.multinomial(count, np.asarray(shares) @ rows)
    return predicted, np.stack([random.multinomial(held_out, row) for row in rows])


def test_two_groups_are_corrected_as_rogan_and_gladen_say():
    confusion = [[90, 10], [20, 80]]
    found = corrected([450, 550], confusion)
    assert found == pytest.approx([(0.45 - 0.2) / (0.9 - 0.2), 1 - (0.45 - 0.2) / (0.9 - 0.2)])


def test_shares_stay_within_the_simplex_where_inversion_leaves_it():
    found = corrected([5, 95, 0], [[80, 10, 10], [10, 80, 10], [10, 10, 80]])
    assert found == pytest.approx([0, 1, 0], abs=1e-3)
    assert found.sum() == pytest.approx(1)


def test_maximum_has_the_greatest_likelihood_of_many_shares():
    random = np.random.default_rng(0)
    rows = random.dirichlet(np.ones(4), size=4)
    counts = np.array([40, 3, 50, 7])

    def likelihood(shares: NDArray[np.float64]) -> NDArray[np.float64]:
        return (counts * np.log(shares @ rows)).sum(-1)

    best = likelihood(corrected(counts, rows * 1e6))
    assert (likelihood(random.dirichlet(np.full(4, 0.5), size=20_000)) <= best + 1e-4).all()


@pytest.mark.parametrize(
    "shares, accuracy, count, held_out",
    [
        ([0.8, 0.2], 0.95, 1000, 300),
        ([0.8, 0.2], 0.7, 1000, 100),
        ([0.6, 0.4], 0.9, 40, 20),
        ([0.5, 0.3, 0.2], 0.8, 600, 80),
        ([0.97, 0.03], 0.95, 500, 200),
    ],
)
def test_intervals_cover_known_shares_at_the_nominal_rate(shares, accuracy, count, held_out):
    random = np.random.default_rng(3)
    rows, covered, differences = accurate(len(shares), accuracy), [], []
    for repetition in range(120):
        predicted, confusion = counted(shares, rows, count, held_out, random)
        real = random.multinomial(300, np.ones(len(shares)) / len(shares))
        found = prevalence(predicted, confusion, real, draws=200, seed=repetition)
        covered.append([low <= share <= high for low, share, high in zip(found.low, shares, found.high, strict=True)])
        excess = np.asarray(shares) - 1 / len(shares)
        differences.append((found.excess_low <= excess) & (excess <= found.excess_high))
    # 95%, give or take three standard errors of 120 repetitions and the coarseness of 200 draws.
    assert 0.88 <= np.mean(covered) <= 1.0
    assert 0.88 <= np.mean(differences) <= 1.0


def test_correction_matters_and_ignoring_it_misses():
    random = np.random.default_rng(5)
    predicted, confusion = counted([0.9, 0.1], accurate(2, 0.8), 2000, 500, random)
    found = prevalence(predicted, confusion, [500, 500])
    assert found.low[0] <= 0.9 <= found.high[0]
    assert found.uncorrected[0] == pytest.approx(0.74, abs=0.03)
    assert not found.low[0] <= found.uncorrected[0] <= found.high[0]
    assert found.accuracy == pytest.approx(0.8, abs=0.05)


def test_p_value_is_uniform_without_a_shift_and_small_with_one():
    random, rows = np.random.default_rng(7), accurate(3, 0.85)
    real_shares = [0.5, 0.3, 0.2]

    def p_value(shares: list[float], seed: int) -> float:
        predicted, confusion = counted(shares, rows, 500, 100, random)
        return prevalence(predicted, confusion, random.multinomial(400, real_shares), draws=150, seed=seed).p_value

    still = np.array([p_value(real_shares, seed) for seed in range(200)])
    assert 0.01 <= (still < 0.05).mean() <= 0.11
    assert 0.4 <= (still < 0.5).mean() <= 0.6
    assert all(p_value([0.3, 0.5, 0.2], seed) < 0.05 for seed in range(10))


def test_equal_seeds_give_equal_numbers():
    arguments = ([700, 300], [[90, 10], [15, 85]], [500, 500])
    assert prevalence(*arguments) == prevalence(*arguments)
    assert prevalence(*arguments) != prevalence(*arguments, seed=1)


def test_a_group_that_is_never_generated_has_an_upper_bound():
    found = prevalence([50, 0], [[60, 0], [0, 60]], [50, 50])
    assert found.shares[1] == 0
    assert 0.01 < found.high[1] < 0.15
    assert found.shifted


def test_few_samples_give_wide_intervals():
    few = prevalence([4, 2], [[4, 1], [0, 4]], [3, 3])
    assert few.high[0] - few.low[0] > 0.5
    assert not few.shifted


@pytest.mark.parametrize(
    "predicted, confusion, real, words",
    [
        ([50, 50], [[50, 50], [50, 50]], [50, 50], "cat, dog apart no better than chance, as far as 200"),
        ([50, 50], [[9, 1], [8, 2]], [50, 50], "no better than chance"),
        ([100, 0], [[60, 0], [40, 0]], [50, 50], "no better than chance"),
        ([50, 50], [[50, 50], [0, 0]], [50, 50], "no held-out real sample of dog"),
        ([0, 0], [[9, 1], [1, 9]], [50, 50], "no generated samples"),
        ([5, 5], [[9, 1], [1, 9]], [0, 0], "no real samples"),
    ],
)
def test_what_cannot_be_corrected_is_one_line(predicted, confusion, real, words):
    with pytest.raises(CardiganError, match=words) as error:
        prevalence(predicted, confusion, real, ["cat", "dog"])
    assert "\n" not in str(error.value)


def test_shapes_must_agree():
    with pytest.raises(ValueError, match="groups"):
        prevalence([1, 2, 3], [[1, 0], [0, 1]], [1, 1])
