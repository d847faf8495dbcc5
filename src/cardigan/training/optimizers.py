"""Optimizers as a recipe names them, and their rates over the clock."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Annotated, ClassVar, Literal, Self

import torch
from pydantic import Field, NonNegativeFloat, PositiveFloat, model_validator
from torch import nn

from cardigan.parts import spread
from cardigan.settings import Clock, Count, Settings
from cardigan.training import optimistic

Beta = Annotated[float, Field(ge=0, lt=1)]


class Optimizer(Settings, ABC):
    """How a player's weights follow its gradient."""

    kind: str
    optimistic: ClassVar[bool] = False
    """Whether it counts on the next gradient to change as this one did."""
    rate: PositiveFloat = 2e-4
    """Learning rate."""
    weight_decay: NonNegativeFloat = 0.0

    @abstractmethod
    def build(self, parameters: Iterable[nn.Parameter], rate: float, fused: bool) -> torch.optim.Optimizer:
        """The optimizer of one player; `fused` where the kernel exists."""


class Adam(Optimizer):
    """Kingma & Ba, 2015."""

    kind: Literal["adam"] = "adam"
    betas: tuple[Beta, Beta] = (0.5, 0.999)
    """Decay rates of the two moments; DCGAN's 0.5 by default."""
    eps: PositiveFloat = 1e-8

    def build(self, parameters: Iterable[nn.Parameter], rate: float, fused: bool) -> torch.optim.Optimizer:
        """See `Optimizer.build`."""
        return torch.optim.Adam(
            parameters, lr=rate, betas=self.betas, eps=self.eps, weight_decay=self.weight_decay, fused=fused
        )


class AdamW(Adam):
    """Loshchilov & Hutter, 2019: weight decay apart from the gradient."""

    kind: Literal["adamw"] = "adamw"  # type: ignore[assignment]

    def build(self, parameters: Iterable[nn.Parameter], rate: float, fused: bool) -> torch.optim.Optimizer:
        """See `Optimizer.build`."""
        return torch.optim.AdamW(
            parameters, lr=rate, betas=self.betas, eps=self.eps, weight_decay=self.weight_decay, fused=fused
        )


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum if asked."""

    kind: Literal["sgd"] = "sgd"
    momentum: Beta = 0.0

    def build(self, parameters: Iterable[nn.Parameter], rate: float, fused: bool) -> torch.optim.Optimizer:
        """See `Optimizer.build`; the kernel does not exist for weights that are spread over processes."""
        parameters = list(parameters)
        fused = fused and not any(map(spread, parameters))
        return torch.optim.SGD(parameters, lr=rate, momentum=self.momentum, weight_decay=self.weight_decay, fused=fused)


class RMSprop(Optimizer):
    """Tieleman & Hinton, 2012; the optimizer of the WGAN paper. Has no fused kernel."""

    kind: Literal["rmsprop"] = "rmsprop"
    rate: PositiveFloat = 5e-5
    alpha: Beta = 0.99
    """Decay rate of the squared gradient's mean."""
    eps: PositiveFloat = 1e-8

    def build(self, parameters: Iterable[nn.Parameter], rate: float, fused: bool) -> torch.optim.Optimizer:
        """See `Optimizer.build`."""
        return torch.optim.RMSprop(
            parameters, lr=rate, alpha=self.alpha, eps=self.eps, weight_decay=self.weight_decay, foreach=True
        )


class OptimisticSGD(Optimizer):
    """Optimistic mirror descent (Daskalakis et al., 2018): twice this gradient, less the one before."""

    kind: Literal["optimistic-sgd"] = "optimistic-sgd"
    optimistic: ClassVar[bool] = True

    def build(self, parameters: Iterable[nn.Parameter], rate: float, fused: bool) -> torch.optim.Optimizer:
        """See `Optimizer.build`; there is no fused kernel."""
        return optimistic.OptimisticSGD(parameters, rate, self.weight_decay)


class OptimisticAdam(Adam):
    """Daskalakis et al., 2018: twice Adam's direction, less the one before."""

    kind: Literal["optimistic-adam"] = "optimistic-adam"  # type: ignore[assignment]
    optimistic: ClassVar[bool] = True

    def build(self, parameters: Iterable[nn.Parameter], rate: float, fused: bool) -> torch.optim.Optimizer:
        """See `Optimizer.build`; there is no fused kernel."""
        return optimistic.OptimisticAdam(parameters, rate, self.betas, self.eps, self.weight_decay)


OPTIMIZERS = {
    "adam": "cardigan.training.optimizers:Adam",
    "adamw": "cardigan.training.optimizers:AdamW",
    "sgd": "cardigan.training.optimizers:SGD",
    "rmsprop": "cardigan.training.optimizers:RMSprop",
    "optimistic-sgd": "cardigan.training.optimizers:OptimisticSGD",
    "optimistic-adam": "cardigan.training.optimizers:OptimisticAdam",
}
"""Optimizers a recipe may name: tag -> settings class."""


class Schedule(Settings):
    """Rates over the clock: a linear warm-up, then constant, then a decay.

    Linear and cosine end at a time that is known beforehand. The inverse square root, rate * sqrt(decay_start / clock),
    has no end (Karras et al., 2024, "Analyzing and improving the training dynamics of diffusion models"):
    for budgets of minutes, which do not say how many samples there will be, and for runs that are to be prolonged.
    """

    warmup: Clock = 0
    """Samples over which the rates rise from 0."""
    decay_start: Clock = 0
    """Samples drawn when the decay begins."""
    decay_end: Count | None = None
    """Samples drawn when the decay is complete; null: no decay, or one without an end."""
    shape: Literal["linear", "cosine", "inverse-sqrt"] = "linear"
    final: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of the rate that is left when the decay is complete; of one without an end, the least that is ever left."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.shape == "inverse-sqrt" and not self.decay_start:
            raise ValueError("decay_start: inverse-sqrt counts from it; allowed: 1 sample or more")
        if self.shape == "inverse-sqrt" and self.decay_end is not None:
            raise ValueError("decay_end: inverse-sqrt has no end; allowed: null")
        return self

    def factor(self, clock: int) -> float:
        """What the rates are multiplied by when `clock` samples have been drawn."""
        warm = min(1.0, (clock + 1) / self.warmup) if self.warmup else 1.0
        return warm * self._decayed(clock)

    def _decayed(self, clock: int) -> float:
        if self.shape == "inverse-sqrt":
            return max(self.final, math.sqrt(self.decay_start / max(clock, self.decay_start)))
        if self.decay_end is None:
            return 1.0
        span = max(1, self.decay_end - self.decay_start)
        done = min(1.0, max(0.0, (clock - self.decay_start) / span))
        left = (1 + math.cos(math.pi * done)) / 2 if self.shape == "cosine" else 1 - done
        return self.final + (1 - self.final) * left
