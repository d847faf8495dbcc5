"""Adaptive augmentation: each operation does what it says, at p = 0 nothing does; and what moves p."""

from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from cardigan.games.adaptive import Adaptive, adapt, mirrored, resampling, turned
from cardigan.games.augmentation import Augmentation, augment
from cardigan.games.steering import Steering, sureness
from cardigan.randomness import Random

NOTHING: dict[str, Any] = {
    "flip": False, "quarter_turns": False, "translation": 0, "scale": 0, "stretch": 0, "brightness": 0, "contrast": 0,
    "luma_flip": False, "hue": 0, "saturation": 0,
}  # fmt: skip


def only(**settings: Any) -> Adaptive:
    return Adaptive(**{**NOTHING, **settings})


def pictures(count: int = 64, channels: int = 3, height: int = 12, width: int = 12) -> Tensor:
    return torch.rand(count, channels, height, width, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("autocast", [False, True])
def test_at_p_0_every_bit_stays(channels: int, autocast: bool) -> None:
    samples = pictures(channels=channels, width=9)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        for probability in (0.0, torch.tensor(0.0)):
            assert torch.equal(adapt(samples, Adaptive(cutout=0.5), probability, Random("x")), samples)


@pytest.mark.parametrize(
    "settings",
    [
        {"flip": True}, {"quarter_turns": True}, {"translation": 0.25}, {"scale": 0.2}, {"stretch": 0.2},
        {"brightness": 0.2}, {"contrast": 0.5}, {"luma_flip": True}, {"hue": 1}, {"saturation": 1}, {"cutout": 0.5},
    ],
    ids=lambda each: next(iter(each)),
)  # fmt: skip
def test_each_operation_falls_to_a_share_of_p(settings: dict[str, Any]) -> None:
    """A mirror or a turn changes one in two or three in four of those that it falls to."""
    samples = pictures(4000, 3, 8, 8)
    changed = adapt(samples, only(**settings), 0.4, Random("x"))
    share = (changed != samples).flatten(1).any(1).float().mean()
    wanted = 0.4 * {"flip": 0.5, "luma_flip": 0.5, "quarter_turns": 0.75, "translation": 24 / 25}.get(*settings, 1)
    assert share == pytest.approx(wanted, abs=0.03)


def test_mirrors_and_turns_are_permutations() -> None:
    samples = pictures(4)
    half = torch.tensor([True, False, True, False])
    assert torch.equal(mirrored(samples, half)[0], samples[0].flip(2))
    assert torch.equal(mirrored(samples, half)[1], samples[1])
    for quarter, picture in enumerate(turned(samples, torch.arange(4))):
        assert torch.equal(picture, samples[quarter].rot90(quarter, (1, 2)))
    flat = pictures(2, width=7)
    assert torch.equal(turned(flat, torch.tensor([0, 2])), torch.stack([flat[0], flat[1].rot90(2, (1, 2))]))
    seen = adapt(flat.repeat(50, 1, 1, 1), only(quarter_turns=True), 1.0, Random("x"))[::2]
    assert {torch.equal(each, flat[0]) + 2 * torch.equal(each, flat[0].rot90(2, (1, 2))) for each in seen} == {1, 2}


def test_a_translation_is_whole_and_mirrors_what_comes_in() -> None:
    samples = pictures(200, height=8, width=12)
    moved = adapt(samples, only(translation=0.25), 1.0, Random("x"))
    seen = set()
    for before, after in zip(samples, moved, strict=True):
        wide = torch.cat([before.flip(1), before, before.flip(1)], dim=1)
        wide = torch.cat([wide.flip(2), wide, wide.flip(2)], dim=2)
        found = [
            (down, right)
            for down in range(-2, 3)
            for right in range(-3, 4)
            if torch.equal(after, wide[:, 8 - down : 16 - down, 12 - right : 24 - right])
        ]
        assert len(found) == 1
        seen |= set(found)
    assert {down for down, _ in seen} == set(range(-2, 3)) and {right for _, right in seen} == set(range(-3, 4))


def test_resampling_by_hand() -> None:
    """Doubled about the middle, 4 pixels show the inner 2 and their neighbours, a quarter of a pixel apart."""
    line = torch.tensor([0.0, 4, 8, 12])
    double, half, moved = resampling(4, torch.tensor([2.0, 0.5, 1.0]), torch.tensor([0.0, 0, 6])) @ line
    torch.testing.assert_close(double, torch.tensor([3.0, 5, 7, 9]))
    # Halved, each pixel is a hat over two to each side: of places -1.5, 0.5, 2.5, 4.5 in the line and its mirror image.
    torch.testing.assert_close(half, torch.tensor([2.5, 2.5, 9.5, 9.5]))
    torch.testing.assert_close(moved, torch.tensor([8.0, 12, 12, 8]))


def test_a_constant_picture_stays_constant_however_it_is_moved() -> None:
    samples = torch.full((50, 1, 7, 10), 0.3)
    moved = adapt(samples, only(translation=0.4, scale=1, stretch=1), 1.0, Random("x"))
    torch.testing.assert_close(moved, samples)


def test_scaling_is_about_the_middle_and_stretching_keeps_the_area() -> None:
    """A bright square's share of the picture grows with the square of the zoom, and its middle stays."""
    samples = torch.zeros(300, 1, 40, 40)
    samples[:, :, 15:25, 15:25] = 1
    for settings, area in (({"scale": 0.2}, True), ({"stretch": 0.2}, False)):
        moved = adapt(samples, only(**settings), 1.0, Random("x"))[:, 0]
        place = torch.arange(40.0)
        for axis in (1, 2):
            middle = (moved.sum(axis) * place).sum(1) / moved.sum((1, 2))
            torch.testing.assert_close(middle, torch.full((300,), 19.5), atol=1e-3, rtol=0)
        zoom = moved.sum((1, 2)).log2() - samples.sum((1, 2, 3)).log2()
        assert zoom.std() == pytest.approx(0.4 if area else 0, abs=0.05)


def test_colours_are_the_papers_matrices() -> None:
    """The product of the paper's homogeneous matrices, from the same draws; grey pictures take its row means."""
    settings = only(brightness=0.2, contrast=0.5, luma_flip=True, hue=1, saturation=1)
    samples = pictures(40).double()
    random = Random("x")

    def normal() -> Tensor:
        drawn = random.normal(40).double()
        random.uniform(40)
        return drawn

    added, factor = 0.2 * normal(), (0.5 * normal()).exp2()
    flip = random.uniform(40).double() < 0.5
    random.uniform(40)
    angle = torch.pi * (2 * random.uniform(40).double() - 1)
    saturation = normal().exp2()
    one, axis = torch.eye(3, dtype=torch.float64), torch.full((3, 1), 3**-0.5, dtype=torch.float64)
    grey = axis @ axis.T
    cross = torch.tensor([[0, -1, 1], [1, 0, -1], [-1, 1, 0]], dtype=torch.float64) / 3**0.5
    for index, changed in enumerate(adapt(samples, settings, 1.0, Random("x"))):
        hue = angle[index].cos() * one + angle[index].sin() * cross + (1 - angle[index].cos()) * grey
        matrix = grey + saturation[index] * (one - grey)
        matrix = matrix @ hue @ (one - 2 * grey * flip[index]) * factor[index]
        expected = torch.einsum("ij,jhw->ihw", matrix, samples[index] + added[index])
        torch.testing.assert_close(changed, expected)
    grey_ones = adapt(samples[:, :1], only(luma_flip=True, brightness=0.2), 1.0, Random("x"))
    sign = 1 - 2 * (_after_normal("x") < 0.5).double()
    torch.testing.assert_close(grey_ones, sign.view(-1, 1, 1, 1) * (samples[:, :1] + added.view(-1, 1, 1, 1)))


def _after_normal(part: str) -> Tensor:
    random = Random(part)
    random.normal(40)
    random.uniform(40)
    return random.uniform(40)


@pytest.mark.parametrize("channels", [2, 4])
def test_alpha_keeps_its_values(channels: int) -> None:
    samples = pictures(channels=channels)
    colours = only(brightness=0.2, contrast=0.5, luma_flip=True, hue=1, saturation=1)
    changed = adapt(samples, colours, 1.0, Random("x"))
    assert torch.equal(changed[:, -1], samples[:, -1]) and not torch.equal(changed[:, 0], samples[:, 0])


def test_gradients_pass_twice() -> None:
    samples = pictures(3, 3, 4, 4).double().requires_grad_()
    everything = Adaptive(cutout=0.3, translation=0.3)
    assert torch.autograd.gradcheck(lambda x: adapt(x, everything, 0.7, Random("x")), samples)
    assert torch.autograd.gradgradcheck(lambda x: adapt(x, everything, 0.7, Random("x")).pow(3), samples)


def test_shares_of_a_batch_are_changed_as_the_whole() -> None:
    samples, settings = pictures(), Augmentation(adaptive=Adaptive(cutout=0.5), translation=0.1)
    assert settings.active
    whole = augment(samples, settings, Random("x"), 0.5)
    shares = [augment(part, settings, Random("x", shard=i, shards=2), 0.5) for i, part in enumerate(samples.chunk(2))]
    torch.testing.assert_close(torch.cat(shares), whole)
    assert not torch.equal(whole, samples)


def test_p_in_words_of_the_settings() -> None:
    with pytest.raises(ValidationError, match=r"probability is 0\.9; allowed: up to most, 0\.8"):
        Adaptive(probability=0.9)
    assert Adaptive(probability=0.9, target=None).probability == 0.9


def test_sureness_by_hand() -> None:
    real, fake = torch.tensor([2.0, 1.0, -1.0, 4.0]), torch.tensor([-1.0, -3.0, 0.0, 2.0])
    assert sureness(real, fake, 0.0) == 0.5
    assert sureness(real, fake, 1.5) == 0
    for offset in (0.0, 100.0):  # the middle between 1.5 and -0.5 is 0.5
        assert sureness(real + offset, fake + offset, None) == 0.5


def test_p_moves_at_the_stated_speed() -> None:
    """1,000 samples in turns of 10, moved every 4 turns: all are known, p grows from 0 to 1 in 1,000; then it falls."""
    steering = Steering(Adaptive(speed=1000, interval=4, most=0.9), 0.0)
    sure, unsure, nothing = torch.ones(10), torch.tensor([1.0, -1.0]), torch.zeros(10)
    found = []
    for _ in range(40):
        steering.update(sure, nothing, 10)
        found.append(float(steering.probability))
    assert found[2] == 0 and found[3] == pytest.approx(0.04) and found[-1] == pytest.approx(0.4)
    for _ in range(60):
        steering.update(sure, nothing, 10)
    assert float(steering.probability) == pytest.approx(0.9)
    for _ in range(40):
        steering.update(unsure, nothing, 10)
    assert float(steering.probability) == pytest.approx(0.5)
    for _ in range(60):
        steering.update(unsure, nothing, 10)
    assert float(steering.probability) == 0


def test_what_was_seen_is_averaged_between_two_moves() -> None:
    steering = Steering(Adaptive(speed=100, interval=2, target=0.6), 0.0)
    for signs in ([1.0, 1.0], [1.0, -1.0]):  # means 1 and 0: 0.5 is below the target
        steering.update(torch.tensor(signs), torch.zeros(2), 5)
    assert float(steering.probability) == 0
    for signs in ([1.0, 1.0], [1.0, 1.0, 1.0, 1.0, 1.0, -1.0]):
        steering.update(torch.tensor(signs), torch.zeros(2), 5)
    assert float(steering.probability) == pytest.approx(0.1)
