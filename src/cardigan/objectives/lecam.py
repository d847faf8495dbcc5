"""LeCam regularisation: real and fake logits are each held to where the other side's have been of late.

Tseng et al. 2021, "Regularizing generative adversarial networks under limited data".
"""

from collections.abc import Mapping
from typing import Any

import torch
from pydantic import NonNegativeFloat
from torch import Tensor

from cardigan.distributed import global_mean
from cardigan.objectives.adversarial import widen
from cardigan.settings import Count, Settings


class LeCam(Settings):
    """A term of the discriminator's loss that keeps its two sides together."""

    weight: NonNegativeFloat = 0.3
    """Factor of the term; published: 0.3 beside the hinge objective, 1e-6 and less beside StyleGAN2's penalties."""
    half_life: Count = 5_000
    """Real samples after which a logit counts half in the averages; published: a decay of 0.99 a batch, which in
    batches of 64 is 4,400 samples."""


def lecam(real_logits: Tensor, fake_logits: Tensor, real_anchor: Tensor, fake_anchor: Tensor) -> Tensor:
    """(D(real) - a_F)^2 + (D(fake) - a_R)^2 -> (N,), R_LC of the paper; its authors' code rectifies both differences.

    Args:
        real_logits: (N, ...).
        fake_logits: (N, ...).
        real_anchor: a_R, (): the moving average of real logits.
        fake_anchor: a_F, (): that of fake logits.
    """
    real, fake = widen(real_logits), widen(fake_logits)
    values = (real - fake_anchor.to(real)).square() + (fake - real_anchor.to(fake)).square()
    return values.reshape(len(values), -1).mean(1)


class Anchors:
    """Exponential moving averages of real and fake logits, over all processes; see `cardigan.games.memory`.

    Attributes:
        real: () average of real logits; None before the first turn.
        fake: () average of fake logits; likewise.
    """

    def __init__(self, half_life: int) -> None:
        self.half_life = half_life
        self.forget()

    def forget(self) -> None:
        """Begin anew: the next turn's means are taken as they are."""
        self.real: Tensor | None = None
        self.fake: Tensor | None = None

    def update(self, real: Tensor, fake: Tensor, drawn: int) -> None:
        """Move on by a turn's logits, (N, ...) each, that took `drawn` real samples."""
        weight = 1 - 0.5 ** (drawn / self.half_life)
        self.real = _moved(self.real, global_mean(real), weight)
        self.fake = _moved(self.fake, global_mean(fake), weight)

    def state_dict(self) -> dict[str, Any]:
        """The averages; {} before the first turn."""
        return {} if self.real is None or self.fake is None else {"real": self.real, "fake": self.fake}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        self.real, self.fake = state["real"].reshape(()), state["fake"].reshape(())


def _moved(average: Tensor | None, value: Tensor, weight: float) -> Tensor:
    return value if average is None else torch.lerp(average.to(value), value, weight)
