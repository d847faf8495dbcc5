"""What a game is: players, turns, losses, state. It knows nothing of devices, files or optimizers."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from cardigan.extractors.base import Extractor
from cardigan.networks.base import Judgement
from cardigan.objectives.penalties import Penalties
from cardigan.randomness import Random
from cardigan.sample import Batch, Form
from cardigan.settings import Settings


@dataclass
class Step:
    """What the turns of one round share.

    Attributes:
        batch: real samples, this process's share of the global batch.
        random: the stream of this turn.
        clock: real samples drawn over all processes before this batch.
        count: how often this turn has been taken before (lazy penalties).
        made: what earlier turns of the round produced, by name.
        signals: scalars to be logged that are not part of the loss, by name.
        decode: turns samples into what people see (sentences), for rewards that look at that; None where nobody can.
        shared: whether another turn plays with its batch; what is made for nobody else needs no graph of its making.
    """

    batch: Batch
    random: Random
    clock: int = 0
    count: int = 0
    made: dict[str, Any] = field(default_factory=dict)
    signals: dict[str, Tensor] = field(default_factory=dict)
    decode: Callable[[Tensor], list[Any]] | None = None
    shared: bool = True


@dataclass(frozen=True)
class Match:
    """What one discriminator is asked about one batch: what those see who watch over a game (`cardigan.health`).

    Attributes:
        real: (N, ...) real samples.
        fake: (N, ...) what its opponent makes of the same step.
        judge: the discriminator, with conditions and augmentation bound in as in its turn.
        labels: (N,) classes that the fakes were asked to be of; None where nobody asked.
    """

    real: Tensor
    fake: Tensor
    judge: Callable[[Tensor], Judgement]
    labels: Tensor | None = None


Examples = Callable[[int], Batch]
"""Number -> so many real samples, always the same."""
Guide = Callable[[], Extractor]
"""Opens the extractor that may steer training on these data (never the one that judges)."""
Loss = Callable[[Step], Mapping[str, Tensor]]
"""A turn's loss: named, weighted scalar terms; their sum is minimised."""


@dataclass(frozen=True)
class Turn:
    """One move of a round.

    Attributes:
        players: names of those whose weights move.
        loss: what they minimise.
        repeats: how often in a row (n-critic); each repeat draws a new batch.
        interval: taken every so many rounds.
        start: first taken when the clock, in samples, has reached this.
        end: no longer taken from this clock on; None: never ends.
        after: called when the weights have moved (weight clipping).
        pace: factor of its players' learning rates in this turn (fine-tuning after a pretraining turn).
    """

    players: tuple[str, ...]
    loss: Loss
    repeats: int = 1
    interval: int = 1
    start: int = 0
    end: int | None = None
    after: Callable[[], None] | None = None
    pace: float = 1.0

    @property
    def name(self) -> str:
        """Stable name for logs and checkpoints."""
        return getattr(self.loss, "__name__", "loss").removesuffix("_loss")

    def due(self, clock: int, rounds: int) -> bool:
        """Whether the turn is taken in the round that begins at `clock`."""
        return self.start <= clock and (self.end is None or clock < self.end) and rounds % self.interval == 0


class Game(ABC):
    """A game under way: modules by player, turns in their order.

    Attributes:
        players: modules owned by each player; one optimizer each.
        turns: in the order of a round.
        averaged: names of the players whose weights are averaged and used for generation.
    """

    players: dict[str, nn.Module]
    turns: tuple[Turn, ...]
    averaged: tuple[str, ...] = ("generator",)

    def state_dict(self) -> dict[str, Any]:
        """State beyond weights: JSON values and tensors by name, checkpointed with the run."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        if state:
            raise ValueError(f"this game keeps no state, so it cannot take back {sorted(state)}")

    def matches(self, step: Step) -> dict[str, Match]:
        """Each discriminator's match on the batch of `step`, by the discriminator's player; none where nobody plays."""
        return {}

    def symptoms(self, step: Step, match: Match) -> dict[str, Tensor]:
        """Scalars by name that only this kind of game can tell of its health; see `cardigan.health.signals`."""
        return {}

    @abstractmethod
    def showcase(self, count: int, random: Random, examples: Examples) -> dict[str, Tensor]:
        """Fixed inputs of the sample grid (latents, labels, sources), by argument name of `show`.

        Args:
            examples: gives real samples of the validation split, for games that make samples of something real.
        """

    @abstractmethod
    def show(self, players: Mapping[str, nn.Module], **inputs: Tensor) -> Tensor:
        """Samples (N, *form.shape) that `players` (raw or averaged) make of the showcase's inputs."""

    def translators(self) -> Mapping[str, str]:
        """Direction ("forward", "backward") -> the player that translates so; none where samples are made of noise."""
        return {}

    def exhibit(self, players: Mapping[str, nn.Module], **inputs: Tensor) -> dict[str, Tensor]:
        """What the sample grid shows, side by side for each sample: by default the samples alone."""
        return {"sample": self.show(players, **inputs)}


class GameSettings(Settings, ABC):
    """A game as a recipe describes it."""

    kind: str
    writes: ClassVar[bool] = False
    """Whether samples are sentences, written token after token."""

    @property
    def guided(self) -> bool:
        """Whether training looks through the data's guide."""
        return False

    @property
    def differentiates_twice(self) -> tuple[str, ...]:
        """Keys of the settings by which a loss differentiates a gradient; by default those of its penalties."""
        penalties: Penalties | None = getattr(self, "penalties", None)
        return () if penalties is None else penalties.used

    @abstractmethod
    def build(self, form: Form, guide: Guide | None = None) -> Game:
        """Players with freshly initialised weights (from torch's global generator), for samples of `form`.

        Args:
            guide: opens the data's guide; needed for training where `guided`, never for using what was trained.
        """


def total(terms: Mapping[str, Tensor]) -> Tensor:
    """The sum of a turn's terms."""
    return torch.stack([term.float() for term in terms.values()]).sum()
