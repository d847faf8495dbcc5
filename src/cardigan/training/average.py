"""The average of the generator: an exponential moving average with its half-life in samples (Karras et al., 2018)."""

import copy
from collections.abc import Mapping

import torch
from pydantic import NonNegativeFloat
from torch import nn

from cardigan.parts import assembled, put
from cardigan.settings import Count, Settings


class AverageSettings(Settings):
    """How the generator is averaged over training."""

    half_life: Count | None = 20_000
    """Samples after which a weight counts half; null: no average, the raw generator is used."""
    ramp: NonNegativeFloat = 0.1
    """The half-life is at most this share of the samples drawn so far, so that early weights are forgotten; 0: off."""


class Average:
    """Averaged copies of some players, moved on once a round; without a half-life they share the players' memory."""

    def __init__(self, players: Mapping[str, nn.Module], settings: AverageSettings) -> None:
        self.settings = settings
        self.players = {name: copy.deepcopy(player).eval().requires_grad_(False) for name, player in players.items()}
        self.sources = dict(players)
        if settings.half_life is None:
            for name, average in self.players.items():
                _share(average, self.sources[name])

    @torch.no_grad()
    def spread(self) -> None:
        """Hold such parts of the averages as the players hold of their weights, which were spread over processes."""
        for name, average in self.players.items():
            for key, weight in self.sources[name].named_parameters():
                put(average, key, weight.detach() if self.settings.half_life is None else weight.detach().clone())

    def shown(self) -> dict[str, nn.Module]:
        """The averages as networks that this process can use by itself; a collective call where they are spread."""
        return {name: assembled(average) for name, average in self.players.items()}

    def decay(self, clock: int, drawn: int) -> float:
        """Weight that the average keeps in a round that drew `drawn` samples and ended at `clock`."""
        half_life = float(self.settings.half_life or 0)
        if self.settings.ramp:
            half_life = min(half_life, clock * self.settings.ramp)
        return 0.5 ** (drawn / half_life) if half_life else 0.0

    @torch.no_grad()
    def update(self, clock: int, drawn: int) -> None:
        """Move the averages towards the players' weights; buffers (running statistics) are copied."""
        if self.settings.half_life is None:
            return
        weight = 1 - self.decay(clock, drawn)
        for name, average in self.players.items():
            torch._foreach_lerp_(list(average.parameters()), list(self.sources[name].parameters()), weight)
            for mine, theirs in zip(average.buffers(), self.sources[name].buffers(), strict=True):
                mine.copy_(theirs)


def _share(copied: nn.Module, source: nn.Module) -> None:
    """Let `copied` hold the very numbers of `source`."""
    mine, theirs = ([*each.parameters(), *each.buffers()] for each in (copied, source))
    for one, other in zip(mine, theirs, strict=True):
        one.data = other.data
