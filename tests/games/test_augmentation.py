"""Differentiable augmentation: what it changes, what it leaves alone, and that gradients pass through it twice."""

import pytest
import torch

from cardigan import CardiganError, load_recipe
from cardigan.games.augmentation import Augmentation, augment
from cardigan.games.diffaugment import cut_out, recoloured, translated
from cardigan.randomness import Random
from cardigan.sample import Form

PUBLISHED = Augmentation(colour=1, translation=0.125, cutout=0.5)


def pictures(count: int = 64, channels: int = 3, height: int = 16, width: int = 24) -> torch.Tensor:
    return torch.rand(count, channels, height, width, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_a_translation_moves_every_pixel_alike_and_brings_in_grey() -> None:
    samples = pictures() + 3
    moved = translated(samples, 0.125, Random("x"))
    seen = set()
    for before, after in zip(samples, moved, strict=True):
        found = [
            (down, right)
            for down in range(-2, 3)
            for right in range(-3, 4)
            if torch.equal(after, _by_hand(before, down, right))
        ]
        assert len(found) == 1
        seen |= set(found)
    assert len(seen) > 20 and {down for down, _ in seen} == {-2, -1, 0, 1, 2}


def _by_hand(picture: torch.Tensor, down: int, right: int) -> torch.Tensor:
    moved = torch.zeros_like(picture)
    height, width = picture.shape[1:]
    moved[:, max(down, 0) : height + min(down, 0), max(right, 0) : width + min(right, 0)] = picture[
        :, max(-down, 0) : height - max(down, 0), max(-right, 0) : width - max(right, 0)
    ]
    return moved


def test_a_cutout_is_one_rectangle_that_may_reach_over_the_edge() -> None:
    holes = cut_out(pictures() + 3, 0.5, Random("x")) == 0
    assert torch.equal(holes.all(1), holes.any(1))
    sizes = set()
    for hole in holes[:, 0]:
        rows, columns = hole.any(1).nonzero().flatten(), hole.any(0).nonzero().flatten()
        assert hole.sum() == len(rows) * len(columns)
        assert rows.diff().eq(1).all() and columns.diff().eq(1).all()
        sizes.add((len(rows), len(columns)))
    assert (8, 12) in sizes and all(4 <= rows <= 8 and 6 <= columns <= 12 for rows, columns in sizes)


def test_colours_move_as_published() -> None:
    """As in the authors' code: brightness, then about the mean over channels, then about the mean of the picture."""
    samples, coins = pictures(), Random("x").uniform(64, 3, 1, 1, 1)
    expected = samples + (coins[:, 0] - 0.5)
    expected = (expected - expected.mean(1, keepdim=True)) * (coins[:, 1] * 2) + expected.mean(1, keepdim=True)
    mean = expected.mean((1, 2, 3), keepdim=True)
    expected = (expected - mean) * (coins[:, 2] + 0.5) + mean
    torch.testing.assert_close(recoloured(samples, 1.0, Random("x")), expected)


@pytest.mark.parametrize("channels", [2, 4])
def test_alpha_keeps_its_values(channels: int) -> None:
    samples = pictures(channels=channels)
    changed = recoloured(samples, 1.0, Random("x"))
    assert torch.equal(changed[:, -1], samples[:, -1]) and not torch.equal(changed[:, 0], samples[:, 0])


def test_no_augmentation_changes_nothing_and_draws_nothing() -> None:
    random = Random("x")
    assert torch.equal(augment(pictures(), Augmentation(), random), pictures())
    assert torch.equal(random.normal(3), Random("x").normal(3))
    assert not Augmentation().active and PUBLISHED.active


def test_gradients_pass_twice() -> None:
    samples = pictures(2, 3, 4, 6).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: augment(x, PUBLISHED, Random("x")), samples)
    assert torch.autograd.gradgradcheck(lambda x: augment(x, PUBLISHED, Random("x")).pow(3), samples)


def test_shares_of_a_batch_are_changed_as_the_whole() -> None:
    samples = pictures()
    whole = augment(samples, PUBLISHED, Random("x"))
    shares = [augment(part, PUBLISHED, Random("x", shard=i, shards=2)) for i, part in enumerate(samples.chunk(2))]
    torch.testing.assert_close(torch.cat(shares), whole)


def test_points_cannot_be_augmented() -> None:
    game = load_recipe("toy-ring", ["game.augmentation.translation=0.1"]).game
    with pytest.raises(CardiganError, match=r"game\.augmentation: changes pictures"):
        game.build(Form((2,)))
