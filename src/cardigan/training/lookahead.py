"""Lookahead for games: every few rounds all players go back, together, towards where they were.

Chavdarova, Pagliardini, Stich, Fleuret & Jaggi 2021, "Taming GANs with lookahead-minmax", arXiv:2006.14567, algorithm
1; Zhang et al. 2019, arXiv:1907.08610, for one player.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from cardigan.settings import Settings


class LookaheadSettings(Settings):
    """How often and how far all players go back; what the optimizers remember stays."""

    steps: PositiveInt = 5
    """Rounds between two returns, k of the paper."""
    share: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """Of the way since the last return that is kept, alpha of the paper."""


class Lookahead:
    """The weights that all players had at their last return.

    Running statistics of networks are left as they are.

    Attributes:
        slow: by player, beside its parameters.
    """

    def __init__(self, parameters: Mapping[str, Sequence[nn.Parameter]], settings: LookaheadSettings) -> None:
        self.parameters, self.settings = parameters, settings
        self.slow = {name: [each.detach().clone() for each in mine] for name, mine in parameters.items()}

    @torch.no_grad()
    def update(self, rounds: int) -> None:
        """After so many rounds: slow <- slow + share (fast - slow), fast <- slow, if they are due."""
        if rounds % self.settings.steps:
            return
        for name, parameters in self.parameters.items():
            torch._foreach_lerp_(self.slow[name], list(parameters), self.settings.share)
            torch._foreach_copy_(list(parameters), self.slow[name])

    def state_dict(self) -> dict[str, Tensor]:
        """The slow weights, by player and number."""
        return {f"{name}.{index}": each for name, mine in self.slow.items() for index, each in enumerate(mine)}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take back what `state_dict` gave.

        Raises:
            LookupError: some are missing.
            ValueError: their shapes are not those of the players' weights.
        """
        for name, mine in self.state_dict().items():
            if state[name].shape != mine.shape:  # copying would broadcast
                raise ValueError(f"the slow weights {name} have the shape {tuple(state[name].shape)}")
            mine.copy_(state[name])
