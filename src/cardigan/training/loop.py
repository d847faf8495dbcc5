"""The loop: one round of a game after another. For every turn: loss -> backward -> step; then the average.

Nothing here knows what kind of sample is trained on, writes a file or waits for the device.
"""

import time
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from cardigan.data.base import Dataset
from cardigan.errors import CardiganError
from cardigan.extractors.local import local
from cardigan.games.base import Game, Step, Turn, total
from cardigan.randomness import Random, use
from cardigan.recipe import Recipe
from cardigan.sample import Batch
from cardigan.settings import allowed
from cardigan.training.average import Average
from cardigan.training.engine import EngineChoice, precision_plugin

RECENT = 256
"""Values of each scalar that are remembered one by one."""


class Meter:
    """Running means of named scalars, kept on the device until they are asked for.

    Attributes:
        recent: the last values of each, one by one.
    """

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.counts: Counter[str] = Counter()
        self.recent: dict[str, deque[Tensor]] = defaultdict(lambda: deque(maxlen=RECENT))

    def add(self, name: str, value: Tensor) -> None:
        """Count one more `value`, without waiting for it."""
        value = value.detach()
        self.sums[name] = self.sums[name] + value if name in self.sums else value
        self.counts[name] += 1
        self.recent[name].append(value)

    def read(self) -> dict[str, float]:
        """The means since the last reading; this waits for the device."""
        means = {name: float(value) / self.counts[name] for name, value in self.sums.items()}
        self.sums.clear()
        self.counts.clear()
        return means


@dataclass(frozen=True)
class Motion:
    """How one player's weights were moved by one step; norms over all of its weights, on the device.

    Attributes:
        gradient: norm of the gradient that its optimizer was handed.
        weight: norm of the weights before the step.
        step: norm of what the step changed.
    """

    gradient: Tensor
    weight: Tensor
    step: Tensor


class Loop:
    """Players, optimizers, averages and the clock of one run; `round` moves them on.

    Attributes:
        clock: real samples drawn so far, over all processes and players.
        rounds: rounds played so far.
        counts: how often each turn has been taken.
        motions: the last motion of each player; None: nobody wants to know, and nothing is measured.
        waited: seconds in which data were drawn.
    """

    def __init__(self, recipe: Recipe, dataset: Dataset, choice: EngineChoice, fabric: Fabric) -> None:
        self.recipe, self.dataset, self.choice, self.fabric = recipe, dataset, choice, fabric
        self.precision = precision_plugin(choice, fabric.device)
        self.clock, self.rounds, self.counts = 0, 0, Counter[str]()
        self.meter = Meter()
        self.motions: dict[str, Motion] | None = None
        self.waited = 0.0
        self.game = self._build_game()
        self.parameters = {
            name: [each for each in player.parameters() if each.requires_grad]
            for name, player in self.game.players.items()
        }
        self.optimizers = self._build_optimizers()
        averaged = {name: self.game.players[name] for name in self.game.averaged}
        self.average = Average(averaged, recipe.training.average)
        self.shards = fabric.world_size * recipe.training.accumulate
        if recipe.training.batch % self.shards:
            raise CardiganError(
                f"training.batch: {recipe.training.batch} cannot be cut into {self.shards} equal parts "
                f"({fabric.world_size} processes x accumulate {recipe.training.accumulate})"
            )

    def round(self) -> None:
        """Play one round: every turn that is due, then the averages."""
        before, steps = self.clock, list[Step]()
        for turn in self.game.turns:
            if turn.due(before, self.rounds):
                for repeat in range(turn.repeats):
                    if repeat or not steps:
                        steps = self.draw()
                    self.take(turn, steps)
        if self.clock == before:
            raise CardiganError(f"no turn of the game is due at {before:,} samples; training cannot go on")
        self.average.update(self.clock, self.clock - before)
        self.rounds += 1

    def draw(self) -> list[Step]:
        """Draw the next global batch and return this process's slices of it."""
        start, self.clock = self.clock, self.clock + self.recipe.training.batch
        count = self.recipe.training.batch // self.shards
        began = time.perf_counter()
        batches = [self.prepared(self.dataset.draw(start + shard * count, count)) for shard in self._my_shards()]
        self.waited += time.perf_counter() - began
        return [
            Step(batch, self._random("", shard), start, decode=self.decode)
            for shard, batch in zip(self._my_shards(), batches, strict=True)
        ]

    def take(self, turn: Turn, steps: list[Step]) -> None:
        """Take one turn: its players' weights follow the gradient of its loss, nobody else's are touched."""
        parameters = [parameter for player in turn.players for parameter in self.parameters[player]]
        for shard, step in zip(self._my_shards(), steps, strict=True):
            step.count, step.random = self.counts[turn.name], self._random(turn.name, shard)
            step.signals = {}
            with use(step.random), self.precision.forward_context():
                terms = turn.loss(step)
            self.precision.backward(total(terms) / len(steps), None, inputs=parameters)
            self._record(turn, terms, step)
        self._reduce(parameters)
        self._step(turn)

    def _step(self, turn: Turn) -> None:
        training = self.recipe.training
        pace = turn.pace * training.schedule.factor(self.clock)
        for player in turn.players:
            optimizer = self.optimizers[player]
            for group in optimizer.param_groups:
                group["lr"] = training.rates.get(player, training.optimizer.rate) * pace
            if training.clip is not None or self.motions is not None:
                self.precision.unscale_gradients(optimizer)
            if training.clip is not None:
                nn.utils.clip_grad_norm_(self.parameters[player], training.clip)
            self._move(player, optimizer)
            optimizer.zero_grad(set_to_none=True)
        if turn.after is not None:
            turn.after()
        self.counts[turn.name] += 1

    def _move(self, player: str, optimizer: torch.optim.Optimizer) -> None:
        """The optimizer's step, measured if anybody wants to know."""
        if self.motions is None:
            self.precision.optimizer_step(optimizer)
            return
        weights = [each.detach() for each in self.parameters[player]]
        before = [each.clone() for each in weights]
        gradients = [each.grad for each in self.parameters[player] if each.grad is not None]
        gradient = _norm(gradients) if gradients else torch.zeros((), device=self.fabric.device)
        self.precision.optimizer_step(optimizer)
        self.motions[player] = Motion(gradient, _norm(before), _norm(torch._foreach_sub(weights, before)))

    def _record(self, turn: Turn, terms: Mapping[str, Tensor], step: Step) -> None:
        for name, value in {**terms, **step.signals}.items():
            self.meter.add(f"{turn.name}/{name}", value)

    def _reduce(self, parameters: list[nn.Parameter]) -> None:
        """Average the gradients over processes: one flat all-reduce of raw modules (see docs/architecture.md)."""
        if self.fabric.world_size == 1:
            return
        for parameter in parameters:
            if parameter.grad is None:  # every process must reduce the same tensors
                parameter.grad = torch.zeros_like(parameter)
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        reduced = self.fabric.all_reduce(flat, reduce_op="mean")
        assert isinstance(reduced, Tensor)
        for gradient, part in zip(gradients, reduced.split([each.numel() for each in gradients]), strict=True):
            gradient.copy_(part.view_as(gradient))

    def decode(self, samples: Tensor) -> list[Any]:
        """Samples as what people see."""
        return self.dataset.codec.decode(samples)

    def _my_shards(self) -> range:
        accumulate = self.recipe.training.accumulate
        return range(self.fabric.global_rank * accumulate, (self.fabric.global_rank + 1) * accumulate)

    def _random(self, purpose: str, shard: int) -> Random:
        parts = (self.recipe.training.seed, purpose, self.counts[purpose] if purpose else self.clock)
        return Random(*parts, shard=shard, shards=self.shards, device=self.fabric.device)

    def prepared(self, batch: Batch) -> Batch:
        """`batch` in the engine's precision and layout."""
        source = None if batch.source is None else self._cast(batch.source)
        return replace(batch, sample=self._cast(batch.sample), source=source)

    def _cast(self, values: Tensor) -> Tensor:
        """`values` in the engine's precision and layout; whole numbers (tokens) as they are."""
        values = values.to(self.choice.dtype) if values.is_floating_point() else values
        return values.contiguous(memory_format=self.choice.layout) if values.dim() == 4 else values

    def _build_game(self) -> Game:
        torch.manual_seed(self.recipe.training.seed)
        game = self.recipe.game.build(self.dataset.form, partial(local, self.recipe.data, "guide"))
        for name in self.recipe.training.rates:
            if name not in game.players:
                raise CardiganError(f"training.rates.{name}: no such player; {allowed(name, game.players)}")
        for player in game.players.values():
            player.to(self.fabric.device, dtype=self.choice.dtype)
            player.to(memory_format=self.choice.layout)  # type: ignore[call-overload]
        return game

    def _build_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        training = self.recipe.training
        return {
            name: training.optimizer.build(
                parameters, training.rates.get(name, training.optimizer.rate), self.choice.fused
            )
            for name, parameters in self.parameters.items()
        }


def _norm(tensors: Iterable[Tensor]) -> Tensor:
    """Norm of all numbers in `tensors` together."""
    return torch.linalg.vector_norm(torch.stack(torch._foreach_norm(list(tensors))).float())
