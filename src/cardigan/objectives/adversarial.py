"""Adversarial objectives: for each, the discriminator's and the generator's loss, side by side.

All losses take logits of real and of fake samples, (N, ...) each, and give one value per sample, (N,): the mean over
trailing axes (patches, tokens); the mean over samples is taken by the game. They are minimised. Whatever the logits'
precision, they are computed in float32 (float64 stays), with cross-entropies written as softplus(x) = log(1 + e^x), so
that logits of +-1e4 give finite values and gradients. Notation: r = D(real) and f = D(fake) before any sigmoid.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Literal, Protocol

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import relu, softplus

from cardigan.distributed import global_mean
from cardigan.errors import CardiganError
from cardigan.settings import Settings

ObjectiveName = Literal[
    "minimax", "nonsaturating", "least-squares", "wasserstein", "hinge", "relativistic", "relativistic-average"
]
"""Names of the objectives in recipes: the keys of `OBJECTIVES`."""

Loss = Callable[[Tensor | None, Tensor], Tensor]
"""(real_logits, fake_logits), (N, ...) each -> (N,); `real_logits` may be None where the loss does not use them."""


class TargetedLoss(Protocol):
    """A discriminator's loss that pulls its outputs to targets: 1 for real and 0 for fake, unless smoothed."""

    def __call__(
        self, real_logits: Tensor | None, fake_logits: Tensor, real_target: float = 1.0, fake_target: float = 0.0
    ) -> Tensor:
        """(N, ...) logits and the two targets -> (N,)."""


@dataclass(frozen=True)
class Objective:
    """A pair of losses that play against each other.

    Attributes:
        name: as in recipes.
        discriminator: (real_logits, fake_logits) -> (N,).
        generator: (real_logits, fake_logits) -> (N,).
        generator_needs_real: whether the generator's loss uses real logits (no_grad suffices for them); where it does
            not, None may be given for them and their forward pass be spared.
        targeted: the discriminator's loss as a function of its targets too; None where there are no labels to smooth.
        whole_batch: whether a sample's value depends on the rest of the global batch: processes then communicate,
            and accumulating gradients over parts of a batch is only an approximation.
        undecided: the logit of a sample that the discriminator takes for real and for fake alike; None where the losses
            do not change when a constant is added to all logits, so that there is no such logit.
    """

    name: ObjectiveName
    discriminator: Loss
    generator: Loss
    generator_needs_real: bool = False
    targeted: TargetedLoss | None = None
    whole_batch: bool = False
    undecided: float | None = 0.0


class Smoothing(Settings):
    """Label smoothing of the discriminator's targets: 0.1 on real alone is the usual, one-sided kind."""

    real: Annotated[float, Field(ge=0, lt=0.5)] = 0.0
    """The target of real samples is 1 minus this probability."""
    fake: Annotated[float, Field(ge=0, lt=0.5)] = 0.0
    """The target of fake samples is this probability. Above 0 it weakens what drives fakes towards the data."""


def widen(values: Tensor) -> Tensor:
    """`values` in at least float32: half precisions are widened, float64 stays."""
    return values if values.dtype == torch.float64 else values.float()


def over_scales(loss: Loss, real_logits: Sequence[Tensor] | None, fake_logits: Sequence[Tensor]) -> Tensor:
    """The sum (N,) of `loss` over a discriminator's scales: `over_scales(objective.generator, None, fake.logits)`."""
    reals: Sequence[Tensor | None] = [None] * len(fake_logits) if real_logits is None else real_logits
    return torch.stack([loss(real, fake) for real, fake in zip(reals, fake_logits, strict=True)]).sum(0)


def smooth(objective: Objective, real: float = 0.1, fake: float = 0.0) -> Objective:
    """`objective` with the discriminator's targets at 1 - `real` and `fake`; the generator's loss stays as it is.

    One-sided (`fake` = 0) as in Salimans et al. 2016, "Improved techniques for training GANs", section 3.4. With both,
    the optimal discriminator is ((1 - real) p_data + fake p_fake) / (p_data + p_fake): p_fake in the numerator leaves
    fakes where there are no data with little incentive to move.

    Raises:
        CardiganError: an objective without targets, or smoothing outside [0, 0.5).
    """
    if not (0 <= real < 0.5 and 0 <= fake < 0.5):
        raise CardiganError(f"game.smoothing: must lie in [0, 0.5), not real {real}, fake {fake}")
    if real == fake == 0:
        return objective
    if objective.targeted is None:
        able = ", ".join(name for name, each in OBJECTIVES.items() if each.targeted)
        raise CardiganError(
            f"game.smoothing: the objective {objective.name!r} has no labels to smooth; allowed with: {able}"
        )
    return replace(objective, discriminator=partial(objective.targeted, real_target=1 - real, fake_target=fake))


def _cross_entropy_discriminator(
    real_logits: Tensor | None, fake_logits: Tensor, real_target: float = 1.0, fake_target: float = 0.0
) -> Tensor:
    """Cross-entropy of sigmoid(r) to t_r plus that of sigmoid(f) to t_f; with targets 1 and 0, -log D - log(1 - D)."""
    real, fake = _pair(real_logits, fake_logits)
    return _per_sample(_cross_entropy(real, real_target) + _cross_entropy(fake, fake_target))


def _minimax_generator(real_logits: Tensor | None, fake_logits: Tensor) -> Tensor:
    return _per_sample(-softplus(widen(fake_logits)))


MINIMAX = Objective("minimax", _cross_entropy_discriminator, _minimax_generator, targeted=_cross_entropy_discriminator)
"""Goodfellow et al. 2014, "Generative adversarial nets", equation 1: the generator's loss log(1 - D(fake)) saturates.

discriminator: softplus(-r) + softplus(f), log 4 where the two distributions are equal; generator: -softplus(f).
"""


def _nonsaturating_generator(real_logits: Tensor | None, fake_logits: Tensor) -> Tensor:
    return _per_sample(softplus(-widen(fake_logits)))


NONSATURATING = Objective(
    "nonsaturating", _cross_entropy_discriminator, _nonsaturating_generator, targeted=_cross_entropy_discriminator
)
"""Goodfellow et al. 2014, section 3: the generator minimises -log D(fake), whose gradient stays when it loses.

discriminator: softplus(-r) + softplus(f); generator: softplus(-f).
"""


def _least_squares_discriminator(
    real_logits: Tensor | None, fake_logits: Tensor, real_target: float = 1.0, fake_target: float = 0.0
) -> Tensor:
    real, fake = _pair(real_logits, fake_logits)
    return _per_sample((real - real_target).square() + (fake - fake_target).square()) / 2


def _least_squares_generator(real_logits: Tensor | None, fake_logits: Tensor) -> Tensor:
    return _per_sample((widen(fake_logits) - 1).square()) / 2


LEAST_SQUARES = Objective(
    "least-squares",
    _least_squares_discriminator,
    _least_squares_generator,
    targeted=_least_squares_discriminator,
    undecided=0.5,
)
"""Mao et al. 2017, "Least squares generative adversarial networks", equation 9: the 0-1 coding a = 0, b = c = 1.

discriminator: ((r - 1)^2 + f^2) / 2; generator: (f - 1)^2 / 2. The logits are outputs without a sigmoid.
"""


def _wasserstein_discriminator(real_logits: Tensor | None, fake_logits: Tensor) -> Tensor:
    real, fake = _pair(real_logits, fake_logits)
    return _per_sample(fake - real)


def _wasserstein_generator(real_logits: Tensor | None, fake_logits: Tensor) -> Tensor:
    return _per_sample(-widen(fake_logits))


WASSERSTEIN = Objective("wasserstein", _wasserstein_discriminator, _wasserstein_generator, undecided=None)
"""Arjovsky et al. 2017, "Wasserstein GAN", algorithm 1; wants a Lipschitz bound (clipping, gradient penalty).

discriminator: f - r, minus the estimate of the distance; generator: -f.
"""


def _hinge_discriminator(real_logits: Tensor | None, fake_logits: Tensor) -> Tensor:
    real, fake = _pair(real_logits, fake_logits)
    return _per_sample(relu(1 - real) + relu(1 + fake))


HINGE = Objective("hinge", _hinge_discriminator, _wasserstein_generator)
"""Lim and Ye 2017, "Geometric GAN"; Miyato et al. 2018, "Spectral normalization for GANs", equations 16 and 17.

discriminator: max(0, 1 - r) + max(0, 1 + f); generator: -f, as of Wasserstein.
"""


def _relativistic_discriminator(real_logits: Tensor | None, fake_logits: Tensor) -> Tensor:
    real, fake = _pair(real_logits, fake_logits)
    return _per_sample(softplus(fake - real))


def _relativistic_generator(real_logits: Tensor | None, fake_logits: Tensor) -> Tensor:
    real, fake = _pair(real_logits, fake_logits)
    return _per_sample(softplus(real - fake))


RELATIVISTIC = Objective(
    "relativistic", _relativistic_discriminator, _relativistic_generator, generator_needs_real=True, undecided=None
)
"""RpGAN: Jolicoeur-Martineau 2018, "The relativistic discriminator"; with R1 and R2, R3GAN of Huang et al. 2024,
"The GAN is dead; long live the GAN!", equation 2. Our default.

Every fake is paired with the real sample of its index. discriminator: softplus(f - r); generator: softplus(r - f).
"""


def _relativistic_average_discriminator(real_logits: Tensor | None, fake_logits: Tensor) -> Tensor:
    real, fake = _pair(real_logits, fake_logits)
    return _per_sample(softplus(global_mean(fake) - real) + softplus(fake - global_mean(real)))


def _relativistic_average_generator(real_logits: Tensor | None, fake_logits: Tensor) -> Tensor:
    real, fake = _pair(real_logits, fake_logits)
    return _per_sample(softplus(real - global_mean(fake)) + softplus(global_mean(real) - fake))


RELATIVISTIC_AVERAGE = Objective(
    "relativistic-average",
    _relativistic_average_discriminator,
    _relativistic_average_generator,
    generator_needs_real=True,
    whole_batch=True,
    undecided=None,
)
"""RaGAN: Jolicoeur-Martineau 2018, "The relativistic discriminator", there named RaSGAN.

With m_r, m_f the means over all logits of the global batch (samples, patches, processes): discriminator:
softplus(m_f - r) + softplus(f - m_r); generator: softplus(r - m_f) + softplus(m_r - f).
"""

OBJECTIVES: dict[str, Objective] = {
    each.name: each
    for each in (MINIMAX, NONSATURATING, LEAST_SQUARES, WASSERSTEIN, HINGE, RELATIVISTIC, RELATIVISTIC_AVERAGE)
}
"""Objectives by their name in recipes."""


def _cross_entropy(logits: Tensor, target: float) -> Tensor:
    # A weight of 0 is left out, which spares a softplus in the usual case.
    if target == 1:
        return softplus(-logits)
    if target == 0:
        return softplus(logits)
    return target * softplus(-logits) + (1 - target) * softplus(logits)


def _per_sample(values: Tensor) -> Tensor:
    return values.reshape(len(values), -1).mean(1)


def _pair(real_logits: Tensor | None, fake_logits: Tensor) -> tuple[Tensor, Tensor]:
    # Unequal shapes would broadcast silently: (N,) against (N, 1) gives N^2 pairs.
    if real_logits is None or real_logits.shape != fake_logits.shape:
        shape = None if real_logits is None else tuple(real_logits.shape)
        raise ValueError(f"needs real and fake logits of equal shape, not {shape} and {tuple(fake_logits.shape)}")
    return widen(real_logits), widen(fake_logits)
