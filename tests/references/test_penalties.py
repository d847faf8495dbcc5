"""Penalties against closed forms and finite differences: values, accumulation, laziness, precision, processes."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from pydantic import ValidationError
from torch import Tensor, nn
from torch.autograd import gradcheck, gradgradcheck

from cardigan.networks.base import Judgement
from cardigan.objectives.constraints import Clipping, clip_weights
from cardigan.objectives.penalties import (
    Contest,
    Dragan,
    Leaves,
    Penalties,
    Penalty,
    SlopePenalty,
    dragan,
    due,
    gradient_penalty,
    leaves,
    r1,
    r2,
)
from cardigan.randomness import Random
from cardigan.settings import explain

Judge = Callable[[Tensor], Judgement]
Function = Callable[[Contest, Any], Tensor]

ALL: dict[str, tuple[Function, Penalty]] = {
    "gradient": (gradient_penalty, SlopePenalty()),
    "gradient-one-sided": (gradient_penalty, SlopePenalty(one_sided=True, target=0.5)),
    "dragan": (dragan, Dragan()),
    "r1": (r1, Penalty()),
    "r2": (r2, Penalty()),
}
each_penalty = pytest.mark.parametrize(("function", "settings"), ALL.values(), ids=ALL)


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def contest(judge: Judge, real: Tensor, fake: Tensor, random: Random | None = None, reuse: bool = False) -> Contest:
    real, fake = (each.detach().requires_grad_(reuse) for each in (real, fake))
    return Contest(real, fake, judge(real), judge(fake), judge, random or Random("test", 0))


def linear(weight: Tensor) -> Judge:
    return lambda sample: Judgement((sample.flatten(1) @ weight,))


def quadratic(sample: Tensor) -> Judgement:
    return Judgement((sample.flatten(1).square().sum(1) / 2,))


def small(first: Tensor, second: Tensor) -> Judge:
    """A smooth network with curvature: tanh(x W) v."""
    return lambda sample: Judgement(((sample.flatten(1) @ first).tanh() @ second,))


@pytest.mark.parametrize("reuse", [False, True])
def test_linear(reuse: bool) -> None:
    weight = draw(6)
    played = contest(linear(weight), draw(4, 2, 3, seed=1), draw(4, 2, 3, seed=2), reuse=reuse)
    norm = weight.norm().item()
    cases: list[tuple[Function, Penalty, float]] = [
        (gradient_penalty, SlopePenalty(), (norm - 1) ** 2),
        (gradient_penalty, SlopePenalty(target=0), norm**2),
        (gradient_penalty, SlopePenalty(target=norm + 0.25), 0.25**2),
        (gradient_penalty, SlopePenalty(target=norm + 0.25, one_sided=True), 0),
        (gradient_penalty, SlopePenalty(target=norm - 0.25, one_sided=True), 0.25**2),
        (dragan, Dragan(), (norm - 1) ** 2),
        (r1, Penalty(), norm**2 / 2),
        (r2, Penalty(), norm**2 / 2),
    ]
    for function, settings, expected in cases:
        values = function(played, settings)
        torch.testing.assert_close(values, values.new_full((4,), expected), rtol=0, atol=1e-12)


@pytest.mark.parametrize("reuse", [False, True])
def test_quadratic_shows_where_each_penalty_looks(reuse: bool) -> None:
    # D(x) = |x|^2 / 2 has gradient x, so every value names the point at which it was taken.
    real, fake = draw(5, 1, 2, 2, seed=1), draw(5, 1, 2, 2, seed=2)

    def played() -> Contest:
        return contest(quadratic, real, fake, reuse=reuse)

    def check(values: Tensor, expected: list[float]) -> None:
        torch.testing.assert_close(values, real.new_tensor(expected), rtol=0, atol=1e-12)

    check(r1(played(), Penalty()), [sum(x * x for x in each.flatten().tolist()) / 2 for each in real])
    check(r2(played(), Penalty()), [sum(x * x for x in each.flatten().tolist()) / 2 for each in fake])
    share = Random("test", 0).uniform(5, 1, 1, 1).double()
    between = share * real + (1 - share) * fake
    check(gradient_penalty(played(), SlopePenalty()), [(each.norm().item() - 1) ** 2 for each in between])
    noise = Random("test", 0).uniform(5, 1, 2, 2).double()
    numbers = real.flatten().tolist()
    mean = sum(numbers) / len(numbers)
    deviation = (sum((number - mean) ** 2 for number in numbers) / len(numbers)) ** 0.5
    around = real + 0.7 * deviation * noise
    check(dragan(played(), Dragan(strength=0.7)), [(each.norm().item() - 1) ** 2 for each in around])


def test_float32_agrees_to_1e6() -> None:
    real, fake = draw(8, 3, 4, 4, seed=1), draw(8, 3, 4, 4, seed=2)
    for function, settings in ALL.values():
        exact = function(contest(quadratic, real, fake), settings)
        values = function(contest(quadratic, real.float(), fake.float()), settings)
        assert values.dtype == torch.float32
        torch.testing.assert_close(values.double(), exact, rtol=2e-6, atol=1e-6)


@each_penalty
def test_gradients_by_parameters(function: Function, settings: Penalty) -> None:
    parameters = [draw(3, 4, seed=3).requires_grad_(), draw(4, seed=4).requires_grad_()]
    real, fake = draw(2, 3, seed=1), draw(2, 3, seed=2)
    for reuse in (False, True):

        def value(first: Tensor, second: Tensor, reuse: bool = reuse) -> Tensor:
            return function(contest(small(first, second), real, fake, reuse=reuse), settings)

        assert gradcheck(value, parameters)
        assert gradgradcheck(value, parameters)


@each_penalty
def test_reuse_equals_a_fresh_judgement(function: Function, settings: Penalty) -> None:
    calls = 0
    first, second = draw(3, 4, seed=3), draw(4, seed=4)

    def judge(sample: Tensor) -> Judgement:
        nonlocal calls
        calls += 1
        return small(first, second)(sample)

    values = {}
    for reuse in (False, True):
        played = contest(judge, draw(2, 3, seed=1), draw(2, 3, seed=2), reuse=reuse)
        calls = 0
        values[reuse] = function(played, settings)
        assert calls == (0 if reuse and function in (r1, r2) else 1)
    torch.testing.assert_close(values[True], values[False], rtol=0, atol=0)


def test_a_stale_judgement_is_an_error_not_a_zero() -> None:
    played = contest(quadratic, draw(2, 3), draw(2, 3), reuse=True)
    other = draw(2, 3).requires_grad_()
    with pytest.raises(RuntimeError, match="not have been used in the graph"):
        r1(
            Contest(other, played.fake, played.real_judgement, played.fake_judgement, quadratic, played.random),
            Penalty(),
        )


@each_penalty
def test_batches_of_one(function: Function, settings: Penalty) -> None:
    judge = small(draw(6, 4, seed=3), draw(4, seed=4))
    real, fake = draw(4, 2, 3, seed=1), draw(4, 2, 3, seed=2)
    # DRAGAN's deviation is the batch's: samples that are each other's permutation, up to sign, make it every sample's.
    pattern = torch.tensor([1.0, -1.0, 2.0, -2.0, 3.0, -3.0], dtype=torch.float64)
    real = torch.stack([pattern.roll(shift) for shift in range(4)]).reshape(4, 2, 3) if function is dragan else real
    whole = function(contest(judge, real, fake), settings)
    for index in range(4):
        part = slice(index, index + 1)
        one = contest(judge, real[part], fake[part], Random("test", 0, shard=index, shards=4))
        torch.testing.assert_close(function(one, settings), whole[part], rtol=0, atol=1e-12)


@each_penalty
def test_accumulation(function: Function, settings: Penalty) -> None:
    parameters = [draw(3, 4, seed=3).requires_grad_(), draw(4, seed=4).requires_grad_()]
    judge = small(*parameters)
    real, fake = draw(4, 3, seed=1), draw(4, 3, seed=2)
    real = torch.cat([real[:2], real[:2].flip(1)]) if function is dragan else real  # halves of equal deviation
    whole = torch.autograd.grad(function(contest(judge, real, fake), settings).mean(), parameters)
    halves = []
    for index, (some_real, some_fake) in enumerate(zip(real.chunk(2), fake.chunk(2), strict=True)):
        half = contest(judge, some_real, some_fake, Random("test", 0, shard=index, shards=2))
        halves.append(torch.autograd.grad(function(half, settings).mean() / 2, parameters))
    for total, *parts in zip(whole, *halves, strict=True):
        torch.testing.assert_close(sum(parts), total, rtol=0, atol=1e-12)


@each_penalty
def test_several_scales_and_patches_are_summed(function: Function, settings: Penalty) -> None:
    def patches(sample: Tensor) -> Judgement:
        return Judgement((sample.square() / 2, sample.mean(dim=(1, 2), keepdim=True)))

    def summed(sample: Tensor) -> Judgement:
        return Judgement((sample.square().sum((1, 2)) / 2 + sample.mean(dim=(1, 2)),))

    real, fake = draw(4, 2, 3, seed=1), draw(4, 2, 3, seed=2)
    values = [function(contest(judge, real, fake), settings) for judge in (patches, summed)]
    torch.testing.assert_close(*values, rtol=0, atol=1e-12)


@each_penalty
def test_zero_gradient_is_no_nan(function: Function, settings: Penalty) -> None:
    weight = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    values = function(contest(linear(weight), draw(4, 3, seed=1), draw(4, 3, seed=2)), settings)
    expected = {"gradient_penalty": (0 if getattr(settings, "one_sided", False) else 1), "dragan": 1}
    assert values.tolist() == [expected.get(function.__name__, 0)] * 4
    (gradient,) = torch.autograd.grad(values.mean(), weight)
    assert gradient.tolist() == [0, 0, 0]


def test_small_gradients_are_exact() -> None:
    # An epsilon under the root would show here.
    for size in (1e-3, 1e-6, 1e-12):
        weight = torch.tensor([3 * size, 4 * size], dtype=torch.float32, requires_grad=True)
        played = contest(linear(weight), torch.zeros(1, 2), torch.ones(1, 2))
        values = gradient_penalty(played, SlopePenalty(target=0))
        assert values.item() == pytest.approx(25 * size**2, rel=1e-6)
        (gradient,) = torch.autograd.grad(gradient_penalty(played, SlopePenalty()).sum(), weight)
        assert gradient.tolist() == pytest.approx([-2 * 0.6, -2 * 0.8], rel=2 * size * 5 + 1e-6)


def test_identical_samples() -> None:
    same = torch.ones(4, 3, dtype=torch.float64)
    values = dragan(contest(quadratic, same, same), Dragan())
    torch.testing.assert_close(values, values.new_full((4,), (3**0.5 - 1) ** 2))


@each_penalty
def test_bfloat16_autocast(function: Function, settings: Penalty) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(16, 16, 3),
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(576, 1),
    )
    real, fake = draw(16, 1, 8, 8, seed=1).float(), draw(16, 1, 8, 8, seed=2).float()
    results = []
    for enabled in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            played = contest(lambda sample: Judgement((10 * network(sample).float(),)), real, fake, reuse=True)
            values = function(played, settings)
        gradients = torch.autograd.grad(values.mean(), list(network.parameters()), allow_unused=True)
        results.append((values, torch.cat([each.flatten() for each in gradients if each is not None])))
    (exact, exact_slope), (rough, rough_slope) = results
    assert rough.dtype == torch.float32
    torch.testing.assert_close(rough, exact, rtol=0.05, atol=0.01)
    assert torch.cosine_similarity(rough_slope, exact_slope, dim=0) > 0.999


def test_lazy_weights() -> None:
    penalties = Penalties(r1=Penalty(weight=0.3, interval=4), r2=Penalty(weight=0), gradient=SlopePenalty(interval=2))
    schedule = [[(term.name, term.weight) for term in due(penalties, count)] for count in range(8)]
    both = [("gradient", 20.0), ("r1", pytest.approx(1.2))]
    assert schedule == [both, [], both[:1], [], both, [], both[:1], []]
    total = sum(weight for terms in schedule for name, weight in terms if name == "r1")
    assert total / 8 == pytest.approx(0.3)
    assert due(Penalties(), 0) == []


def test_due_functions() -> None:
    penalties = Penalties(r1=Penalty(), r2=Penalty(), gradient=SlopePenalty(target=0.5), dragan=Dragan(strength=2))
    real, fake = draw(3, 2, seed=1), draw(3, 2, seed=2)
    terms = {term.name: term.function(contest(quadratic, real, fake)) for term in due(penalties, 0)}
    assert list(terms) == ["gradient", "dragan", "r1", "r2"]
    expected = gradient_penalty(contest(quadratic, real, fake), SlopePenalty(target=0.5))
    torch.testing.assert_close(terms["gradient"], expected)
    torch.testing.assert_close(terms["dragan"], dragan(contest(quadratic, real, fake), Dragan(strength=2)))
    torch.testing.assert_close(terms["r1"], real.square().sum(1) / 2)
    torch.testing.assert_close(terms["r2"], fake.square().sum(1) / 2)


def test_leaves() -> None:
    assert leaves(Penalties(), 0) == Leaves(False, False)
    assert leaves(Penalties(gradient=SlopePenalty(), dragan=Dragan()), 0) == Leaves(False, False)
    lazy = Penalties(r1=Penalty(interval=2), r2=Penalty(interval=3))
    expected = [(True, True), (False, False), (True, False), (False, True), (True, False), (False, False)]
    assert [tuple(leaves(lazy, count)) for count in range(6)] == expected


def test_settings() -> None:
    assert Penalties.model_validate({"r1": {"weight": 0.3, "interval": 4}}).r1 == Penalty(weight=0.3, interval=4)
    assert Penalties.model_validate({"gradient": {}}).gradient == SlopePenalty(weight=10, target=1)
    for raw, key in (
        ({"r1": {"weight": -1}}, "r1.weight"),
        ({"r2": {"interval": 0}}, "r2.interval"),
        ({"dragan": {"strength": float("inf")}}, "dragan.strength"),
        ({"r1": {"strength": 1}}, "r1.strength: unknown key"),
        ({"r3": {}}, "r3: unknown key"),
    ):
        with pytest.raises(ValidationError) as caught:
            Penalties.model_validate(raw)
        assert str(explain(caught.value, Penalties, raw)).startswith(key)


def test_clip_weights() -> None:
    network = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 1))
    before = [parameter.detach().clone() for parameter in network.parameters()]
    clip_weights(network, Clipping(limit=0.1).limit)
    for parameter, old in zip(network.parameters(), before, strict=True):
        assert parameter.requires_grad
        assert torch.equal(parameter.detach(), old.clamp(-0.1, 0.1))
    with pytest.raises(ValidationError):
        Clipping(limit=0)


def dragan_results(real: Tensor, random: Random) -> tuple[Tensor, Tensor]:
    """DRAGAN's values per sample, and the gradient of their mean by a network's weight."""
    weight = draw(3, 4, seed=3).requires_grad_()
    values = dragan(contest(small(weight, draw(4, seed=4)), real, real, random), Dragan())
    return values.detach(), torch.autograd.grad(values.mean(), weight)[0]


def _process(rank: int, folder: str) -> None:
    if sys.platform == "linux":
        os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
    results = dragan_results(draw(6, 3, seed=1).chunk(2)[rank], Random("test", 0, shard=rank, shards=2))
    torch.save(results, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def test_dragan_of_two_processes(tmp_path: Path) -> None:
    torch.multiprocessing.spawn(_process, args=(str(tmp_path),), nprocs=2)
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    values, gradient = dragan_results(draw(6, 3, seed=1), Random("test", 0))
    torch.testing.assert_close(torch.cat([first[0], second[0]]), values, rtol=0, atol=1e-13)
    torch.testing.assert_close((first[1] + second[1]) / 2, gradient, rtol=0, atol=1e-13)
