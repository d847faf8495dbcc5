"""Reconstruction and perceptual terms against numbers by hand and explicit loops."""

from collections.abc import Callable
from math import sqrt

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor
from torch.autograd import gradcheck

from cardigan.errors import CardiganError
from cardigan.networks.base import Judgement
from cardigan.objectives.perceptual import perceptual
from cardigan.objectives.reconstruction import (
    EPSILON,
    Terms,
    charbonnier,
    feature_matching,
    gradient_difference,
    l1,
    l2,
    reconstruction,
    total_variation,
)
from cardigan.settings import explain

Term = Callable[..., Tensor]
PAIRED: dict[str, Term] = {"l1": l1, "charbonnier": charbonnier, "l2": l2, "gradient_difference": gradient_difference}
each_paired = pytest.mark.parametrize("term", PAIRED.values(), ids=PAIRED)


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def mask(*shape: int, seed: int = 0) -> Tensor:
    return (draw(*shape, seed=seed) > 0).double()


def off(values: Tensor, expected: list[float]) -> float:
    return max(abs(value - each) for value, each in zip(values.tolist(), expected, strict=True))


def test_distances_of_pixels_by_hand() -> None:
    sample, wanted = torch.tensor([[[[0.0, 1.0], [3.0, -1.0]]]]), torch.tensor([[[[0.0, -1.0], [0.0, 0.0]]]])
    assert l1(sample, wanted).tolist() == [6 / 4]
    assert l2(sample, wanted).tolist() == [14 / 4]
    roots = [sqrt(each + 0.25) for each in (0, 4, 9, 1)]
    assert off(charbonnier(sample, wanted, epsilon=0.5), [sum(roots) / 4]) < 1e-6
    assert off(charbonnier(wanted, wanted), [EPSILON]) < 1e-9
    hole = torch.tensor([[[[0.0, 1.0], [1.0, 0.0]]]])
    assert l1(sample, wanted, hole).tolist() == [5 / 2]
    assert l2(sample, wanted, 7 * hole).tolist() == [13 / 2]
    assert l2(sample, wanted, torch.tensor([[[[0.0, 1.0], [3.0, 0.0]]]])).tolist() == [(4 + 3 * 9) / 4]


def test_steps_by_hand() -> None:
    sample, wanted = torch.tensor([[[[0.0, 2.0], [3.0, 1.0]]]]), torch.tensor([[[[0.0, -1.0], [0.0, 0.0]]]])
    # Steps down 3, -1 and right 2, -2; of the wanted down 0, 1 and right -1, 0.
    assert total_variation(sample).tolist() == [(3 + 1) / 2 + (2 + 2) / 2]
    assert gradient_difference(sample, wanted).tolist() == [(3 + 0) / 2 + (1 + 2) / 2]
    left = torch.tensor([[[[1.0, 0.0], [1.0, 0.0]]]])
    assert total_variation(sample, left).tolist() == [3.0]
    assert gradient_difference(sample, wanted, left).tolist() == [3.0]


@pytest.mark.parametrize("weighted", [False, True])
def test_steps_by_loops(weighted: bool) -> None:
    sample, wanted = draw(2, 3, 5, 4, seed=1), draw(2, 3, 5, 4, seed=2)
    weight = draw(2, 1, 5, 4, seed=3).abs() if weighted else None
    for index in range(2):
        varied = differed = 0.0
        for down, right in ((1, 0), (0, 1)):
            values, differences, weights = [], [], []
            for row in range(5 - down):
                for column in range(4 - right):
                    here, there = (row, column), (row + down, column + right)
                    factor = 1.0 if weight is None else min(weight[(index, 0, *here)], weight[(index, 0, *there)])
                    for channel in range(3):
                        mine = abs(sample[(index, channel, *there)] - sample[(index, channel, *here)])
                        theirs = abs(wanted[(index, channel, *there)] - wanted[(index, channel, *here)])
                        values.append(factor * mine)
                        differences.append(factor * abs(mine - theirs))
                        weights.append(factor)
            varied += float(sum(values) / sum(weights))
            differed += float(sum(differences) / sum(weights))
        assert float(total_variation(sample, weight)[index]) == pytest.approx(varied, abs=1e-12)
        assert float(gradient_difference(sample, wanted, weight)[index]) == pytest.approx(differed, abs=1e-12)


def test_the_gradient_difference_sees_blur_and_neither_brightness_nor_sign() -> None:
    wanted = draw(3, 1, 16, 16)
    blurred = torch.nn.functional.avg_pool2d(wanted, 3, 1, 1)
    assert gradient_difference(wanted + 5, wanted).max() < 1e-12
    assert gradient_difference(-wanted, wanted).max() < 1e-12
    assert gradient_difference(blurred, wanted).min() > 0.5
    assert (total_variation(blurred) < 0.5 * total_variation(wanted)).all()


@each_paired
def test_a_weight_of_ones_is_none_and_one_of_zeros_gives_zero(term: Term) -> None:
    sample, wanted = draw(3, 2, 6, 5, seed=1), draw(3, 2, 6, 5, seed=2)
    torch.testing.assert_close(term(sample, wanted, torch.ones(3, 1, 6, 5)), term(sample, wanted))
    assert term(sample, wanted, torch.zeros(3, 1, 6, 5)).tolist() == [0, 0, 0]
    hole = mask(3, 1, 6, 5, seed=4)
    beyond = sample + 100 * (1 - hole)
    if term is not gradient_difference:
        torch.testing.assert_close(term(beyond, wanted, hole), term(sample, wanted, hole))


@each_paired
def test_parts_of_a_batch_average_to_the_whole(term: Term) -> None:
    sample, wanted, hole = draw(4, 3, 8, 6, seed=1), draw(4, 3, 8, 6, seed=2), mask(4, 1, 8, 6)
    parts = [term(*each).mean() for each in zip(sample.split(2), wanted.split(2), hole.split(2), strict=True)]
    torch.testing.assert_close(torch.stack(parts).mean(), term(sample, wanted, hole).mean())


@each_paired
def test_gradients_are_right(term: Term) -> None:
    wanted, hole = draw(2, 2, 3, 4, seed=2), mask(2, 1, 3, 4)
    sample = draw(2, 2, 3, 4, seed=1).requires_grad_()
    assert gradcheck(lambda each: term(each, wanted), (sample,))
    assert gradcheck(lambda each: term(each, wanted, hole), (sample,))
    assert gradcheck(lambda each: total_variation(each, hole), (sample,))


@each_paired
def test_half_precision_is_widened(term: Term) -> None:
    sample, wanted = draw(2, 3, 8, 8, seed=1).bfloat16(), draw(2, 3, 8, 8, seed=2).bfloat16()
    values = term(sample, wanted, mask(2, 1, 8, 8))
    assert values.dtype == torch.float32
    torch.testing.assert_close(values.double(), term(sample.double(), wanted.double(), mask(2, 1, 8, 8)))


def test_vectors_and_single_rows() -> None:
    assert l1(torch.ones(3, 5), torch.zeros(3, 5)).tolist() == [1, 1, 1]
    row = torch.tensor([[[[0.0, 2.0, 1.0]]]])
    assert total_variation(row).tolist() == [1.5] and total_variation(row, torch.ones(1, 1, 1, 3)).tolist() == [1.5]
    assert gradient_difference(row.mT, torch.zeros(1, 1, 3, 1)).tolist() == [1.5]
    assert total_variation(torch.ones(2, 1, 1, 1)).tolist() == [0, 0]


def test_shapes_that_would_broadcast_are_refused() -> None:
    pictures = torch.zeros(4, 3, 8, 8)
    for term in PAIRED.values():
        with pytest.raises(ValueError, match="equal shape"):
            term(pictures, pictures[:, :1])
        with pytest.raises(ValueError, match="needs \\(N, 1, H, W\\)"):
            term(pictures, pictures, torch.ones(4, 3, 8, 8))
        with pytest.raises(ValueError, match="needs \\(N, 1, H, W\\)"):
            term(pictures, pictures, torch.ones(1, 1, 8, 8))
    with pytest.raises(ValueError, match="needs pictures"):
        total_variation(torch.zeros(4, 8))


def test_feature_matching_is_a_mean_over_layers_of_means() -> None:
    real = (torch.tensor([[1.0, 2.0], [0.0, 0.0]]), torch.zeros(2, 1, 2, 2))
    fake = (torch.tensor([[0.0, 5.0], [0.0, 1.0]]), torch.ones(2, 1, 2, 2))
    values = feature_matching(Judgement((), features=real), Judgement((), features=fake))
    assert values.tolist() == [(2 + 1) / 2, (0.5 + 1) / 2]


def test_feature_matching_moves_the_fakes_alone() -> None:
    real, fake = draw(2, 3, 4).requires_grad_(), draw(2, 3, 4, seed=1).requires_grad_()
    feature_matching(Judgement((), features=(real,)), Judgement((), features=(fake,))).sum().backward()
    assert real.grad is None and fake.grad is not None and fake.grad.abs().min() > 0
    with pytest.raises(CardiganError, match=r"game\.terms\.feature_matching: .*allowed here: 0"):
        feature_matching(Judgement(()), Judgement((), features=(fake,)))


def test_the_distance_decides() -> None:
    sample, wanted, hole = draw(2, 1, 4, 4), draw(2, 1, 4, 4, seed=1), mask(2, 1, 4, 4)
    for kind, term in (("l1", l1), ("l2", l2), ("charbonnier", charbonnier)):
        chosen = Terms.model_validate({"distance": kind})
        assert torch.equal(reconstruction(sample, wanted, chosen, hole), term(sample, wanted, hole))
    smooth = Terms(distance="charbonnier", epsilon=0.5)
    assert torch.equal(reconstruction(sample, wanted, smooth), charbonnier(sample, wanted, epsilon=0.5))


def test_terms_are_off_until_asked_for() -> None:
    assert not any(value for value in Terms().model_dump().values() if isinstance(value, float) and value != EPSILON)
    assert not Terms(total_variation=1, feature_matching=1).compares and Terms(perceptual=1).compares
    for field, message in (
        ("feature_match", "did you mean 'feature_matching'"),
        ("perceptual", "greater than or equal"),
    ):
        with pytest.raises(ValidationError) as caught:
            Terms.model_validate({field: -1})
        assert message in str(explain(caught.value, Terms, {field: -1}))


def test_perceptual_by_loops() -> None:
    maps, others = (draw(2, 3, 2, 2), draw(2, 4, 1, 3, seed=1)), (draw(2, 3, 2, 2, seed=2), draw(2, 4, 1, 3, seed=3))
    for index in range(2):
        layers, plain = [], []
        for one, other in zip(maps, others, strict=True):
            total = []
            for row in range(one.shape[2]):
                for column in range(one.shape[3]):
                    a, b = one[index, :, row, column].tolist(), other[index, :, row, column].tolist()
                    long, wide = (sqrt(sum(each * each for each in side)) for side in (a, b))
                    total.append(sum((x / long - y / wide) ** 2 for x, y in zip(a, b, strict=True)))
            layers.append(sum(total) / len(total))
            plain.append(float((one[index] - other[index]).abs().mean()))
        assert float(perceptual(maps, others)[index]) == pytest.approx(sum(layers) / 2, abs=1e-8)
        assert float(perceptual(maps, others, "l1")[index]) == pytest.approx(sum(plain) / 2, abs=1e-12)


def test_perceptual_sees_directions_or_everything() -> None:
    maps = (draw(3, 8, 4, 4).relu(), draw(3, 5))
    louder = [3 * each for each in maps]
    assert perceptual(maps, maps).tolist() == [0, 0, 0]
    assert perceptual(maps, louder).max() < 1e-9 and perceptual(maps, louder, "l1").min() > 0.1
    half = [each.bfloat16() for each in maps]
    assert perceptual(half, half).dtype == torch.float32


def test_perceptual_gradients_stay_finite_where_nothing_is_active() -> None:
    before = torch.cat([torch.zeros(1, 4, 3, 3), torch.full((1, 4, 3, 3), -1.0)]).requires_grad_()
    perceptual([before.relu()], [torch.ones(2, 4, 3, 3)]).sum().backward()
    assert before.grad is not None and torch.isfinite(before.grad).all()


def test_perceptual_refuses_what_differs() -> None:
    with pytest.raises(ValueError, match="equal shapes"):
        perceptual([torch.zeros(2, 3, 4, 4)], [torch.zeros(2, 3, 4, 5)])
    with pytest.raises(ValueError, match="equal shapes"):
        perceptual([], [])
