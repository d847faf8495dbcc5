"""Objectives against independent formulas in plain Python, closed forms, finite differences and asymptotes."""

import os
import sys
from math import exp, log
from pathlib import Path
from typing import get_args

import pytest
import torch
import torch.distributed as dist
from pydantic import ValidationError
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from cardigan.distributed import global_mean
from cardigan.errors import CardiganError
from cardigan.objectives.adversarial import OBJECTIVES, Objective, ObjectiveName, Smoothing, over_scales, smooth
from cardigan.settings import explain

REAL = [2.0, -0.5, 0.3, 1.25]
FAKE = [-1.5, 0.75, 0.1, -3.0]
MEAN_REAL, MEAN_FAKE = sum(REAL) / 4, sum(FAKE) / 4


def sigmoid(x: float) -> float:
    return 1 / (1 + exp(-x))


# Written from the papers with probabilities, not with softplus: (discriminator, generator) of one pair (r, f).
BY_HAND = {
    "minimax": (lambda r, f: -log(sigmoid(r)) - log(1 - sigmoid(f)), lambda r, f: log(1 - sigmoid(f))),
    "nonsaturating": (lambda r, f: -log(sigmoid(r)) - log(1 - sigmoid(f)), lambda r, f: -log(sigmoid(f))),
    "least-squares": (lambda r, f: 0.5 * (r - 1) ** 2 + 0.5 * f**2, lambda r, f: 0.5 * (f - 1) ** 2),
    "wasserstein": (lambda r, f: -(r - f), lambda r, f: -f),
    "hinge": (lambda r, f: max(0.0, 1 - r) + max(0.0, 1 + f), lambda r, f: -f),
    "relativistic": (lambda r, f: -log(sigmoid(r - f)), lambda r, f: -log(sigmoid(f - r))),
    "relativistic-average": (
        lambda r, f: -log(sigmoid(r - MEAN_FAKE)) - log(1 - sigmoid(f - MEAN_REAL)),
        lambda r, f: -log(sigmoid(f - MEAN_REAL)) - log(1 - sigmoid(r - MEAN_FAKE)),
    ),
}

each_objective = pytest.mark.parametrize("objective", OBJECTIVES.values(), ids=lambda objective: objective.name)


def both_losses(objective: Objective, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    return objective.discriminator(real, fake), objective.generator(real, fake)


def test_names() -> None:
    assert tuple(OBJECTIVES) == get_args(ObjectiveName)
    assert all(objective.name == name for name, objective in OBJECTIVES.items())


@each_objective
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_by_hand(objective: Objective, dtype: torch.dtype) -> None:
    real, fake = torch.tensor(REAL, dtype=dtype), torch.tensor(FAKE, dtype=dtype)
    for loss, formula in zip(both_losses(objective, real, fake), BY_HAND[objective.name], strict=True):
        expected = torch.tensor([formula(r, f) for r, f in zip(REAL, FAKE, strict=True)], dtype=dtype)
        torch.testing.assert_close(loss, expected, rtol=1e-6, atol=1e-6)


def test_equilibrium() -> None:
    # Where both distributions are equal, the optimal discriminator says 1/2 (a logit of 0; least squares: 1/2 itself).
    zero, half = torch.zeros(3, dtype=torch.float64), torch.full((3,), 0.5, dtype=torch.float64)
    expected = {
        "minimax": (log(4), -log(2)),
        "nonsaturating": (log(4), log(2)),
        "relativistic": (log(2), log(2)),
        "relativistic-average": (log(4), log(4)),
        "hinge": (2, 0),
        "wasserstein": (0, 0),
    }
    for name, values in expected.items():
        for loss, value in zip(both_losses(OBJECTIVES[name], zero, zero), values, strict=True):
            torch.testing.assert_close(loss, torch.full_like(loss, value), rtol=0, atol=1e-12)
    for loss, value in zip(both_losses(OBJECTIVES["least-squares"], half, half), (0.25, 0.125), strict=True):
        torch.testing.assert_close(loss, torch.full_like(loss, value), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["minimax", "nonsaturating", "least-squares"])
def test_optimal_discriminator(name: str) -> None:
    # p_data : p_fake = 3 : 1 at one point; the optimum is D = (t_r 3 + t_f 1) / 4 (Goodfellow et al., proposition 1).
    for smoothing in ((0.0, 0.0), (0.1, 0.0), (0.1, 0.2)):
        objective = smooth(OBJECTIVES[name], *smoothing)
        probability = (3 * (1 - smoothing[0]) + smoothing[1]) / 4
        best = probability if name == "least-squares" else log(probability / (1 - probability))
        logit = torch.tensor([best], dtype=torch.float64, requires_grad=True)
        real, fake = logit.expand(3), torch.cat([logit, logit.new_zeros(2)])
        objective.discriminator(real, fake).sum().backward()
        assert logit.grad is not None
        assert abs(logit.grad.item()) < 1e-12


@each_objective
def test_finite_differences(objective: Objective) -> None:
    logits = [torch.tensor(values, dtype=torch.float64, requires_grad=True) for values in (REAL, FAKE)]
    assert gradcheck(objective.discriminator, logits)
    assert gradcheck(objective.generator, logits)
    assert gradgradcheck(objective.discriminator, logits)


@each_objective
@pytest.mark.parametrize("real", [-1e4, 0.0, 1e4])
@pytest.mark.parametrize("fake", [-1e4, 0.0, 1e4])
def test_stable(objective: Objective, real: float, fake: float) -> None:
    for index in (0, 1):
        logits = [torch.full((4,), value, requires_grad=True) for value in (real, fake)]
        loss = both_losses(objective, *logits)[index]
        loss.mean().backward()
        assert loss.isfinite().all()
        assert all(each.grad is None or each.grad.isfinite().all() for each in logits)


def slopes(name: str, real: float, fake: float) -> dict[str, tuple[float, float, float]]:
    """(loss, slope by r, slope by f) of both losses at one pair."""
    results = {}
    for player in ("discriminator", "generator"):
        logits = [torch.full((1,), float(value), requires_grad=True) for value in (real, fake)]
        loss = getattr(OBJECTIVES[name], player)(*logits)
        gradients = torch.autograd.grad(loss.sum(), logits, allow_unused=True, materialize_grads=True)
        results[player] = (loss.item(), gradients[0].item(), gradients[1].item())
    return results


def test_asymptotes() -> None:
    # Discriminator utterly wrong, then utterly right.
    assert slopes("minimax", -1e4, 1e4) == {"discriminator": (2e4, -1, 1), "generator": (-1e4, 0, -1)}
    assert slopes("minimax", 1e4, -1e4) == {"discriminator": (0, 0, 0), "generator": (0, 0, 0)}
    assert slopes("nonsaturating", 1e4, -1e4) == {"discriminator": (0, 0, 0), "generator": (1e4, 0, -1)}
    assert slopes("least-squares", -9999, 0) == {"discriminator": (5e7, -1e4, 0), "generator": (0.5, 0, -1)}
    assert slopes("wasserstein", 1e4, -1e4) == {"discriminator": (-2e4, -1, 1), "generator": (1e4, 0, -1)}
    assert slopes("hinge", -1e4, 1e4) == {"discriminator": (20002, -1, 1), "generator": (-1e4, 0, -1)}
    assert slopes("hinge", 1e4, -1e4) == {"discriminator": (0, 0, 0), "generator": (1e4, 0, -1)}
    assert slopes("relativistic", -1e4, 1e4) == {"discriminator": (2e4, -1, 1), "generator": (0, 0, 0)}
    assert slopes("relativistic", 1e4, -1e4) == {"discriminator": (0, 0, 0), "generator": (2e4, 1, -1)}
    wrong = slopes("relativistic-average", -1e4, 1e4)
    assert wrong["discriminator"] == (4e4, -2, 2)  # both terms, each through the logit and through the mean
    assert wrong["generator"] == (0, 0, 0)


@pytest.mark.parametrize("name", ["relativistic", "relativistic-average", "wasserstein"])
def test_shift_invariant(name: str) -> None:
    real, fake = torch.tensor(REAL, dtype=torch.float64), torch.tensor(FAKE, dtype=torch.float64)
    objective = OBJECTIVES[name]
    torch.testing.assert_close(
        objective.discriminator(real + 7.5, fake + 7.5), objective.discriminator(real, fake), rtol=0, atol=1e-12
    )
    if name != "wasserstein":
        torch.testing.assert_close(
            objective.generator(real + 7.5, fake + 7.5), objective.generator(real, fake), rtol=0, atol=1e-12
        )


@each_objective
def test_trailing_axes(objective: Objective) -> None:
    generator = torch.Generator().manual_seed(0)
    real, fake = (torch.randn(3, 2, 4, 5, generator=generator, dtype=torch.float64) for _ in range(2))
    flat = both_losses(objective, real.reshape(-1), fake.reshape(-1))
    for loss, values in zip(both_losses(objective, real, fake), flat, strict=True):
        assert loss.shape == (3,)
        torch.testing.assert_close(loss, values.reshape(3, -1).mean(1), rtol=0, atol=1e-12)


@each_objective
def test_scales(objective: Objective) -> None:
    generator = torch.Generator().manual_seed(1)
    shapes = ((3, 1), (3, 1, 4, 4), (3,))
    real, fake = (tuple(torch.randn(shape, generator=generator) for shape in shapes) for _ in range(2))
    for loss in (objective.discriminator, objective.generator):
        expected = sum(loss(r, f) for r, f in zip(real, fake, strict=True))
        torch.testing.assert_close(over_scales(loss, real, fake), expected)
    with pytest.raises(ValueError):
        over_scales(objective.discriminator, real[:2], fake)


@each_objective
def test_which_logits_the_generator_needs(objective: Objective) -> None:
    real, fake = torch.tensor(REAL), torch.tensor(FAKE)
    if objective.generator_needs_real:
        with pytest.raises(ValueError, match="equal shape"):
            over_scales(objective.generator, None, (fake,))
    else:
        torch.testing.assert_close(over_scales(objective.generator, None, (fake,)), objective.generator(real, fake))


@each_objective
def test_unequal_shapes_are_refused_not_broadcast(objective: Objective) -> None:
    for real in (torch.zeros(4, 1), torch.zeros(3), torch.zeros(1)):
        with pytest.raises(ValueError, match="equal shape"):
            objective.discriminator(real, torch.zeros(4))


@each_objective
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_widened(objective: Objective, dtype: torch.dtype) -> None:
    real, fake = torch.tensor(REAL).to(dtype), torch.tensor(FAKE).to(dtype)
    for loss, expected in zip(
        both_losses(objective, real, fake), both_losses(objective, real.float(), fake.float()), strict=True
    ):
        assert loss.dtype == torch.float32
        assert torch.equal(loss, expected)


@pytest.mark.parametrize(("real_smoothing", "fake_smoothing"), [(0.1, 0.0), (0.0, 0.2), (0.1, 0.2)])
def test_smoothing(real_smoothing: float, fake_smoothing: float) -> None:
    def bce(x: float, t: float) -> float:
        return -t * log(sigmoid(x)) - (1 - t) * log(1 - sigmoid(x))

    def square(x: float, t: float) -> float:
        return 0.5 * (x - t) ** 2

    real, fake = torch.tensor(REAL, dtype=torch.float64), torch.tensor(FAKE, dtype=torch.float64)
    for name, term in {"minimax": bce, "nonsaturating": bce, "least-squares": square}.items():
        objective = smooth(OBJECTIVES[name], real_smoothing, fake_smoothing)
        expected = [term(r, 1 - real_smoothing) + term(f, fake_smoothing) for r, f in zip(REAL, FAKE, strict=True)]
        torch.testing.assert_close(objective.discriminator(real, fake), real.new_tensor(expected), rtol=0, atol=1e-12)
        assert objective.generator is OBJECTIVES[name].generator
        assert gradcheck(objective.discriminator, [real.clone().requires_grad_(), fake.clone().requires_grad_()])


@pytest.mark.parametrize("sign", [-1, 1])
def test_smoothed_asymptotes(sign: int) -> None:
    logits = [torch.full((1,), sign * 1e4, requires_grad=True) for _ in range(2)]
    loss = smooth(OBJECTIVES["nonsaturating"], 0.1, 0.2).discriminator(*logits)
    loss.sum().backward()
    assert loss.item() == pytest.approx((0.1 + 0.8) * 1e4 if sign > 0 else (0.9 + 0.2) * 1e4)
    slope = (0.1, 0.8) if sign > 0 else (-0.9, -0.2)
    assert [each.grad.item() for each in logits] == pytest.approx(slope)  # type: ignore[union-attr]


@each_objective
def test_smoothing_is_refused_without_labels(objective: Objective) -> None:
    assert smooth(objective, 0.0, 0.0) is objective
    if objective.targeted is None:
        with pytest.raises(CardiganError, match=rf"^game\.smoothing: .*{objective.name}.*minimax"):
            smooth(objective)
    for bad in (-0.1, 0.5, float("nan")):
        with pytest.raises(CardiganError, match=r"^game\.smoothing"):
            smooth(objective, bad)


def test_smoothing_settings() -> None:
    assert Smoothing() == Smoothing(real=0, fake=0)
    with pytest.raises(ValidationError) as caught:
        Smoothing.model_validate({"real": 0.7})
    assert "real" in str(explain(caught.value, Smoothing, {"real": 0.7}))


def test_global_mean_of_one_process() -> None:
    values = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(global_mean(values), values.mean())
    assert gradcheck(global_mean, [values])


def relativistic_average(real: Tensor, fake: Tensor) -> list[Tensor]:
    """Both losses per sample, each with the gradient of its mean by a shared parameter."""
    scale = torch.tensor(1.3, dtype=torch.float64, requires_grad=True)
    results = []
    for loss in both_losses(OBJECTIVES["relativistic-average"], (scale * real).tanh(), (scale * fake).tanh()):
        (slope,) = torch.autograd.grad(loss.mean(), scale, retain_graph=True)
        results += [loss.detach(), slope]
    return results


def _process(rank: int, folder: str) -> None:
    if sys.platform == "linux":
        os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
    real, fake = (torch.tensor(values, dtype=torch.float64).chunk(2)[rank] for values in (REAL, FAKE))
    torch.save(relativistic_average(real, fake), f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def test_relativistic_average_of_two_processes(tmp_path: Path) -> None:
    torch.multiprocessing.spawn(_process, args=(str(tmp_path),), nprocs=2)
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    whole = relativistic_average(torch.tensor(REAL, dtype=torch.float64), torch.tensor(FAKE, dtype=torch.float64))
    for index in (0, 2):
        torch.testing.assert_close(torch.cat([first[index], second[index]]), whole[index], rtol=0, atol=1e-14)
    for index in (1, 3):  # gradients are averaged over processes by whoever trains
        torch.testing.assert_close((first[index] + second[index]) / 2, whole[index], rtol=0, atol=1e-14)
