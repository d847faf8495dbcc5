"""What training a recipe will take on this machine, told before it starts: a few rounds on made-up samples."""

import time
from dataclasses import dataclass
from math import log2

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from cardigan.data.base import Codec, Dataset
from cardigan.machine import forget_peak, peak_memory
from cardigan.recipe import Recipe
from cardigan.sample import Batch, Form
from cardigan.tokens import SPECIAL
from cardigan.training.batch import settle
from cardigan.training.checkpoint import KEEP_LAST
from cardigan.training.engine import applied, start_fabric
from cardigan.training.loop import Loop

ROUNDS = 8
"""Rounds that are timed: lazy penalties come due in every fourth or so."""
LONGEST = 10.0
"""Seconds after which timing ends, however few rounds were played."""


@dataclass(frozen=True)
class Estimate:
    """What a run will take.

    Attributes:
        rate: real samples drawn per second.
        seconds: to the end of the budget.
        memory: bytes, of the training process at its largest, without the data.
        disk: bytes of the run folder's checkpoints at its end.
        engine: what the engine chose, in words.
        parameters: numbers learned, by player.
        batch: samples of one turn.
    """

    rate: float
    seconds: float
    memory: int
    disk: int
    engine: str
    parameters: dict[str, int]
    batch: int

    def lines(self, recipe: Recipe) -> list[str]:
        """For people: time to the budget, memory, disk, what is learned."""
        training = recipe.training
        budget = f"{training.samples:,} samples" if training.samples else f"{training.minutes:g} minutes"
        learned = ", ".join(f"{name} {count:,}" for name, count in self.parameters.items())
        return [
            f"{self.rate:,.0f} samples/s ({self.engine}, batch {self.batch}): {budget} take {duration(self.seconds)}",
            f"memory about {size(self.memory)}, checkpoints {size(self.disk)}",
            f"parameters: {learned}",
        ]


def duration(seconds: float) -> str:
    """42 s, 12 min, 3 h 05 min."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02d} min"


def size(count: float) -> str:
    """Bytes as MiB or GiB."""
    return f"{count / 2**20:,.0f} MiB" if count < 2**30 else f"{count / 2**30:,.1f} GiB"


class _MadeUp(Dataset):
    """Samples of noise, of the form of the real ones."""

    fingerprint = ""

    def __init__(self, form: Form) -> None:
        self.form = form

    @property
    def codec(self) -> Codec:  # type: ignore[override]
        raise NotImplementedError("made-up samples are not written to files")

    def __len__(self) -> int:
        return 2**20

    def draw(self, start: int, count: int) -> Batch:
        """Noise; see `Dataset.draw`."""
        generator = torch.Generator().manual_seed(start)
        label = torch.randint(self.form.classes, (count,), generator=generator) if self.form.classes else None
        sample = self._noise(count, self.form.shape, generator)
        source = None if self.form.source is None else self._noise(count, self.form.source, generator)
        return Batch(sample, label, source, id=torch.arange(start, start + count))

    def _noise(self, count: int, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        if self.form.vocabulary:  # without an end: as long as sentences get
            return torch.randint(len(SPECIAL), self.form.vocabulary, (count, *shape), generator=generator)
        return torch.rand(count, *shape, generator=generator) * 2 - 1

    def take(self, indices: torch.Tensor) -> Batch:
        """See `Dataset.take`."""
        return self.draw(0, len(indices))


def estimate(recipe: Recipe, form: Form) -> Estimate:
    """Let the engine choose, then time a few rounds of `recipe` on noise of `form`.

    Raises:
        CardiganError: recipe and samples do not go together.
    """
    fabric = start_fabric(recipe.engine)
    return timed(recipe, _MadeUp(form).to(fabric.device), fabric)


def timed(recipe: Recipe, dataset: Dataset, fabric: Fabric) -> Estimate:
    """The same on the samples of `dataset`, which lie on the device of `fabric`."""
    recipe, choice = settle(recipe, dataset, fabric)
    with applied(choice):
        forget_peak()
        loop = Loop(recipe, dataset, choice, fabric)
        rate = _rate(loop)
    parameters = {name: count_parameters(player) for name, player in loop.game.players.items()}
    averaged = sum(parameters[name] for name in loop.game.averaged)
    checkpoint = 4 * (3 * sum(parameters.values()) + averaged)  # weights, two moments, average, in four bytes each
    seconds = _seconds(recipe, rate)
    disk = checkpoint * _kept(rate * seconds, recipe)
    batch = recipe.training.batch
    return Estimate(rate, seconds, peak_memory(), disk, choice.describe(), parameters, batch)


def _rate(loop: Loop) -> float:
    for _ in range(2):
        loop.round()
    first, start = loop.clock, time.perf_counter()
    for _ in range(ROUNDS):
        loop.round()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        if time.perf_counter() - start > LONGEST:
            break
    return (loop.clock - first) / (time.perf_counter() - start)


def _seconds(recipe: Recipe, rate: float) -> float:
    training = recipe.training
    by_samples = training.samples / rate if training.samples else float("inf")
    return min(by_samples, 60 * training.minutes if training.minutes else float("inf"))


def _kept(samples: float, recipe: Recipe) -> int:
    """Checkpoints that are left at the end: the last few and the first of every doubling."""
    return KEEP_LAST + max(0, round(log2(max(1.0, samples / recipe.records.checkpoint))))


def count_parameters(module: nn.Module) -> int:
    """Numbers that a player learns."""
    return sum(each.numel() for each in module.parameters() if each.requires_grad)
