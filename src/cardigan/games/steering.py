"""What steers the probability of adaptive augmentation: how surely the discriminator knows real samples for real."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from cardigan.distributed import global_mean
from cardigan.games.adaptive import Adaptive


def sureness(real: Tensor, fake: Tensor, undecided: float | None) -> Tensor:
    """The mean sign of real logits, (): 0 where the discriminator is undecided, 1 where it knows them all.

    r_t of Karras et al. 2020, "Training generative adversarial networks with limited data", equation 1, over all
    processes. Where an objective fixes logits but for a constant (relativistic, Wasserstein), signs are taken from the
    middle between the mean of real and the mean of fake logits: where that of a fixed objective settles too, as long as
    both are treated alike, so that a target means the same for all.

    Args:
        real: (N, ...) logits.
        fake: (N, ...) logits, read only where there is no `undecided`.
        undecided: the logit of a sample that is taken for real and for fake alike; None: there is none.
    """
    middle = (global_mean(real) + global_mean(fake)) / 2 if undecided is None else undecided
    return global_mean((real - middle).sign())


class Steering:
    """p of adaptive augmentation, and what was seen since it last moved; see `cardigan.games.memory`.

    Everything stays on the device: nobody waits for it.

    Attributes:
        probability: p, ().
    """

    def __init__(self, settings: Adaptive, undecided: float | None) -> None:
        self.settings, self.undecided = settings, undecided
        self.forget()

    def forget(self) -> None:
        """Begin as the settings say."""
        self.probability, self.seen, self.turns = torch.tensor(self.settings.probability), torch.zeros(()), 0

    def update(self, real: Tensor, fake: Tensor, drawn: int) -> None:
        """See one more turn's logits (N, ...); every `interval` turns p moves by the share of `speed` they drew."""
        assert self.settings.target is not None
        self.seen = self.seen.to(real.device) + sureness(real, fake, self.undecided)
        self.turns += 1
        if self.turns >= self.settings.interval:
            way = (self.seen / self.turns - self.settings.target).sign()
            moved = self.probability.to(way) + way * (self.turns * drawn / self.settings.speed)
            self.probability = moved.clamp(0, self.settings.most)
            self.seen, self.turns = torch.zeros_like(self.seen), 0

    def state_dict(self) -> dict[str, Any]:
        """All that is remembered."""
        return {"probability": self.probability, "seen": self.seen, "turns": self.turns}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        self.probability, self.seen = state["probability"].reshape(()), state["seen"].reshape(())
        self.turns = int(state["turns"])
