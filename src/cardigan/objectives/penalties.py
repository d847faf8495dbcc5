"""Gradient penalties of the discriminator: how steeply its logits may change with the sample.

Each penalty is a pure function of a `Contest` and its settings and gives one unweighted value per sample, (N,), so that
means over parts of a batch average to the mean over the whole. D(x) of a discriminator with several logits (patches,
scales) is their sum. The discriminator must treat samples independently (no batch normalisation), else the values of
different samples mix.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import torch
from pydantic import NonNegativeFloat, PositiveInt
from torch import Tensor

from cardigan.distributed import global_mean
from cardigan.networks.base import Judgement
from cardigan.networks.compilation import differentiated_twice
from cardigan.objectives.adversarial import widen
from cardigan.randomness import Random
from cardigan.settings import Settings


class Penalty(Settings):
    """A penalty that is added to the discriminator's loss."""

    weight: NonNegativeFloat = 1.0
    """Factor of the penalty's mean over samples, on the scale of the objective's loss; 0 switches it off. Of R1 and R2
    it is their gamma: the term is gamma/2 |gradient|^2, the gradient in logits per unit of the sample ([-1, 1])."""
    interval: PositiveInt = 1
    """Turns of the discriminator from one application to the next. Above 1 the regularisation is lazy: cheaper, and
    weighted by weight * interval when it is applied, so that its mean strength stays."""


class SlopePenalty(Penalty):
    """A penalty that pulls the norm of the gradient to a target."""

    weight: NonNegativeFloat = 10.0
    """Factor of the penalty's mean over samples, on the scale of the objective's loss; 0 switches it off."""
    target: NonNegativeFloat = 1.0
    """Wanted norm of the gradient, in logits per unit of distance between samples."""
    one_sided: bool = False
    """Whether only norms above the target are punished."""


class Dragan(SlopePenalty):
    """DRAGAN's penalty, around real samples."""

    strength: NonNegativeFloat = 0.5
    """Largest perturbation of a real sample, in standard deviations of the batch."""


class Penalties(Settings):
    """The discriminator's penalties; null: not used."""

    gradient: SlopePenalty | None = None
    """WGAN-GP: slope 1 between real and fake samples."""
    dragan: Dragan | None = None
    """DRAGAN: slope 1 around real samples."""
    r1: Penalty | None = None
    """Slope 0 at real samples."""
    r2: Penalty | None = None
    """Slope 0 at fake samples."""

    @property
    def used(self) -> tuple[str, ...]:
        """Keys of those that are used; each of them differentiates a gradient."""
        given = {name: getattr(self, name) for name in type(self).model_fields}
        return tuple(f"game.penalties.{name}" for name, each in given.items() if each is not None and each.weight > 0)


@dataclass(frozen=True)
class Contest:
    """Real and fake samples and what the discriminator said of them in this turn.

    Attributes:
        real: (N, ...) real samples; a leaf that requires its gradient if R1 is to reuse `real_judgement`, which must
            then have been computed from this very tensor.
        fake: (N, ...) fake samples, likewise for R2 and `fake_judgement`.
        real_judgement: of `real`.
        fake_judgement: of `fake`.
        judge: the discriminator, with the N samples' condition (and any augmentation) bound in.
        random: the stream for interpolation and perturbation.
    """

    real: Tensor
    fake: Tensor
    real_judgement: Judgement
    fake_judgement: Judgement
    judge: Callable[[Tensor], Judgement]
    random: Random


def gradient_penalty(contest: Contest, settings: SlopePenalty) -> Tensor:
    """(|grad D(x)| - target)^2 at x = e real + (1 - e) fake, e ~ U[0, 1) per sample -> (N,).

    Gulrajani et al. 2017, "Improved training of Wasserstein GANs", equation 3; one-sided: max(0, |grad| - target)^2.
    """
    real, fake = contest.real.detach(), contest.fake.detach()
    share = contest.random.uniform(len(real), *[1] * (real.dim() - 1)).to(real)
    return _slope_penalty(contest, share * real + (1 - share) * fake, settings)


def dragan(contest: Contest, settings: Dragan) -> Tensor:
    """(|grad D(x)| - target)^2 at x = real + strength * std * u, u ~ U[0, 1) per number -> (N,).

    Kodali et al. 2017, "On convergence and stability of GANs", algorithm 1, with the noise of its authors' code; std is
    one number, over all numbers of the global batch.
    """
    real = contest.real.detach()
    noise = contest.random.uniform(*real.shape).to(real)
    return _slope_penalty(contest, real + settings.strength * _deviation(real) * noise, settings)


def r1(contest: Contest, settings: Penalty) -> Tensor:
    """|grad D(x)|^2 / 2 at real x -> (N,).

    Mescheder et al. 2018, "Which training methods for GANs do actually converge?", equation 9.
    """
    return _squared_slope(contest, contest.real, contest.real_judgement)


def r2(contest: Contest, settings: Penalty) -> Tensor:
    """|grad D(x)|^2 / 2 at fake x -> (N,).

    Mescheder et al. 2018, "Which training methods for GANs do actually converge?", equation 10.
    """
    return _squared_slope(contest, contest.fake, contest.fake_judgement)


_FUNCTIONS: dict[str, Callable[..., Tensor]] = {
    "gradient": gradient_penalty,
    "dragan": dragan,
    "r1": r1,
    "r2": r2,
}


class DuePenalty(NamedTuple):
    """A penalty to be applied now: add `weight * function(contest).mean()` to the loss."""

    name: str
    """Its field in `Penalties`."""
    weight: float
    """Its weight times its interval."""
    function: Callable[[Contest], Tensor]
    """Contest -> (N,) values, unweighted."""


class Leaves(NamedTuple):
    """Which samples should be leaves that require their gradient before the discriminator judges them."""

    real: bool
    fake: bool


def due(penalties: Penalties, count: int) -> list[DuePenalty]:
    """The penalties to be applied in the discriminator's turn that has been taken `count` times before.

    Lazy regularisation: Karras et al. 2020, "Analyzing and improving the image quality of StyleGAN", section 3.1.
    """
    terms = []
    for name, function in _FUNCTIONS.items():
        settings: Penalty | None = getattr(penalties, name)
        if settings is not None and settings.weight > 0 and count % settings.interval == 0:
            weight = settings.weight * settings.interval
            terms.append(DuePenalty(name, weight, partial(function, settings=settings)))
    return terms


def leaves(penalties: Penalties, count: int) -> Leaves:
    """Which samples the penalties due at `count` differentiate by, so that no second judgement is needed."""
    names = {term.name for term in due(penalties, count)}
    return Leaves(real="r1" in names, fake="r2" in names)


def _slope_penalty(contest: Contest, sample: Tensor, settings: SlopePenalty) -> Tensor:
    # Unlike sqrt, vector_norm has a finite gradient at zero: 0, which is a subgradient there.
    excess = torch.linalg.vector_norm(_slope_at(sample, contest), dim=1) - settings.target
    return (excess.relu() if settings.one_sided else excess).square()


def _squared_slope(contest: Contest, sample: Tensor, judgement: Judgement) -> Tensor:
    judged = sample.is_leaf and sample.requires_grad
    return (_gradient(judgement, sample) if judged else _slope_at(sample, contest)).square().sum(1) / 2


def _slope_at(sample: Tensor, contest: Contest) -> Tensor:
    """Gradient (N, D) at (N, ...) samples, which are judged for it."""
    leaf = sample.detach().requires_grad_()
    with differentiated_twice():
        judgement = contest.judge(leaf)
    return _gradient(judgement, leaf)


def _gradient(judgement: Judgement, sample: Tensor) -> Tensor:
    """Gradient (N, D) of every sample's summed logits by that sample, itself differentiable."""
    slope = judgement.slope
    if slope is None:
        (gradient,) = torch.autograd.grad(judgement.total(), sample, create_graph=True)
    elif slope.seen is sample:
        gradient = slope.value
    else:  # through what was done to the sample before it was seen
        (gradient,) = torch.autograd.grad(slope.seen, sample, slope.value, create_graph=True)
    return widen(gradient).flatten(1)


@torch.no_grad()
def _deviation(values: Tensor) -> Tensor:
    values = widen(values)
    return global_mean((values - global_mean(values)).square()).sqrt()
