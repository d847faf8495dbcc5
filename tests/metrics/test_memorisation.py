"""Replayed train samples are found, even few of them; held-out real samples are not taken for replays."""

import pytest
import torch
from torch import Tensor

from cardigan.errors import CardiganError
from cardigan.metrics.memorisation import Memorisation, memorisation


def draw(count: int, seed: int, dimension: int = 32) -> Tensor:
    """Samples that lie near a bent surface of eight dimensions, as features do."""
    surface = torch.randn(8, dimension, generator=torch.Generator().manual_seed(99))
    random = torch.Generator().manual_seed(seed)
    bent = torch.tanh(torch.randn(count, 8, generator=random) @ surface)
    return bent + 0.1 * torch.randn(count, dimension, generator=random)


TRAIN, HELD_OUT, FRESH = draw(2000, 0), draw(1000, 1), draw(1000, 2)


def judged(generated: Tensor) -> Memorisation:
    return memorisation(generated, TRAIN, HELD_OUT)


def replayed(share: float, noise: float = 0.0) -> Tensor:
    count = round(share * len(FRESH))
    copies = TRAIN[:count] + noise * draw(count, 3)
    return torch.cat([copies, FRESH[count:]])


@pytest.mark.parametrize("share", [0.05, 0.2, 1.0])
@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_replays_are_found(share: float, noise: float) -> None:
    found = judged(replayed(share, noise))
    assert found.flagged
    assert found.p_value < 1e-6
    assert found.copies == pytest.approx(share, abs=0.02)
    assert found.expected == pytest.approx(0.01)


def test_the_pairs_are_the_replays() -> None:
    found = judged(replayed(0.05))
    pairs = found.pairs(50)
    assert sorted(pairs) == [(each, each) for each in range(50)]
    assert found.ratios[:50].max() == 0 and found.distances[:50].max() == 0
    assert found.ranks[:50].max() < found.ranks[50:].min()


def test_held_out_real_samples_are_not_flagged() -> None:
    flagged, p_values = 0, []
    for seed in range(10, 30):
        found = memorisation(draw(300, seed), TRAIN, draw(300, seed + 100))
        flagged += found.flagged
        p_values.append(found.p_value)
    assert flagged == 0
    assert 0.2 < sum(p_values) / 20 < 0.9


def test_they_are_not_flagged_either_where_one_kind_has_fewer_dimensions() -> None:
    def kinds(count: int, seed: int, only: int | None = None) -> Tensor:
        random = torch.Generator().manual_seed(seed)
        kind = torch.randint(3, (count,), generator=random) if only is None else torch.full((count,), only)
        size = torch.tensor([2, 6, 20])[kind]
        spread = torch.randn(count, 20, generator=random) * (torch.arange(20) < size[:, None])
        return spread + 100 * torch.nn.functional.one_hot(kind, 20)

    train, held_out = kinds(3000, 0), kinds(1500, 1)
    for only in range(3):
        assert not memorisation(kinds(1000, 2, only), train, held_out).flagged


def test_blurred_averages_are_no_replays() -> None:
    assert not judged((FRESH + draw(1000, 5)) / 2).flagged
    assert not judged(FRESH * 0.8).flagged


def test_noise_is_no_replay() -> None:
    assert judged(torch.randn(500, 32, generator=torch.Generator().manual_seed(0))).p_value > 0.5


def test_one_train_sample_for_ever_is_a_replay() -> None:
    assert judged(TRAIN[:1].repeat(200, 1)).flagged


def test_train_samples_that_are_there_twice_are_found_too() -> None:
    found = memorisation(replayed(0.05), TRAIN.repeat(2, 1), HELD_OUT)
    assert found.flagged
    assert found.expected == pytest.approx(0.01)


def test_copies_within_the_data_are_expected() -> None:
    held_out = torch.cat([TRAIN[-50:], HELD_OUT[:950]])
    found = memorisation(replayed(0.05), TRAIN, held_out)
    assert found.expected == pytest.approx(0.05)
    assert not found.flagged


def test_pixels_and_any_chunk() -> None:
    generated, train, held_out = (each.reshape(-1, 2, 4, 4) for each in (replayed(0.05)[:400], TRAIN, HELD_OUT))
    whole, pieces = (memorisation(generated, train, held_out, chunk=chunk) for chunk in (5000, 37))
    assert whole.p_value == pieces.p_value
    assert whole.indices.equal(pieces.indices)


def test_constant_features_say_nothing() -> None:
    same = torch.ones(100, 3)
    found = memorisation(same, same, same)
    assert not found.flagged
    assert found.share == found.expected == 1


def test_one_generated_sample_and_few_real_ones() -> None:
    assert 0 < memorisation(FRESH[:1], TRAIN[:3], HELD_OUT[:1]).p_value <= 1


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((0, 5, 5), "generated samples: 0 samples"),
        ((5, 2, 5), "train samples: 2 samples; this metric needs at least 3"),
        ((5, 5, 0), "held-out samples: 0 samples"),
    ],
)
def test_too_few_samples_are_refused(sizes: tuple[int, int, int], message: str) -> None:
    with pytest.raises(CardiganError, match=message):
        memorisation(*(torch.randn(size, 4) for size in sizes))


def test_unfit_samples_are_refused() -> None:
    with pytest.raises(CardiganError, match="9 of 9 samples hold NaN"):
        memorisation(torch.full((9, 2), torch.nan), torch.randn(9, 2), torch.randn(9, 2))
    with pytest.raises(CardiganError, match="2 features"):
        memorisation(torch.randn(9, 2), torch.randn(9, 3), torch.randn(9, 3))
    with pytest.raises(CardiganError, match="2 neighbours; allowed: at least 3"):
        memorisation(torch.randn(9, 2), torch.randn(9, 2), torch.randn(9, 2), neighbours=2)
