"""The loop: one round of a game after another. For every move: loss -> backward -> step; then the average.

Nothing here knows what kind of sample is trained on, writes a file or waits for the device.
"""

import time
from collections import Counter, defaultdict, deque
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from cardigan.data.base import Dataset
from cardigan.distributed import averaged
from cardigan.errors import CardiganError
from cardigan.extractors.local import local
from cardigan.games.base import Game, Step, Turn, total
from cardigan.networks.compilation import compile_network
from cardigan.networks.layers.recomputation import recompute
from cardigan.parts import whole
from cardigan.randomness import Random, use
from cardigan.recipe import Recipe
from cardigan.sample import Batch
from cardigan.settings import allowed
from cardigan.training.average import Average
from cardigan.training.engine import EngineChoice, precision_plugin
from cardigan.training.lookahead import Lookahead
from cardigan.training.moves import ORDERS
from cardigan.training.sharding import OnceOnly, leaves, share_out

RECENT = 256
"""Values of each scalar that are remembered one by one."""
Gradient = list[Tensor | None]
"""Of each parameter of a turn's players, in their order."""


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
        sharded: whether each process holds a part of the weights only.
        parameters: of each player, what its optimizer moves: weights, or this process's part of them.
        leaves: of each player, what losses are differentiated by; the same, unless weights are sharded.
        counts: how often each turn has been taken.
        lookahead: where all players go back to every few rounds; None: they do not.
        motions: the last motion of each player, by its optimizer; None: nobody wants to know, and nothing is measured.
        waited: seconds in which data were drawn.
        reads_ahead: whether data are told what will be drawn next; not by loops that take turns with others.
    """

    def __init__(self, recipe: Recipe, dataset: Dataset, choice: EngineChoice, fabric: Fabric) -> None:
        self.recipe, self.dataset, self.choice, self.fabric = recipe, dataset, choice, fabric
        self.precision = precision_plugin(choice, fabric.device)
        self.clock, self.rounds, self.counts = 0, 0, Counter[str]()
        self.meter = Meter()
        self.motions: dict[str, Motion] | None = None
        self.waited, self.reads_ahead = 0.0, False
        self.sharded = recipe.engine.strategy == "sharded" and fabric.world_size > 1
        self.game = self._build_game()
        averaged = {name: self.game.players[name] for name in self.game.averaged}
        self.average = Average(averaged, recipe.training.average)
        if self.sharded:
            share_out(self.game.players, fabric.device)
            self.average.spread()
        self.parameters = {
            name: [each for each in player.parameters() if each.requires_grad]
            for name, player in self.game.players.items()
        }
        self.leaves = (
            {name: leaves(player) for name, player in self.game.players.items()} if self.sharded else self.parameters
        )
        self.optimizers = self._build_optimizers()
        settings = recipe.training.lookahead
        self.lookahead = None if settings is None else Lookahead(self.parameters, settings)
        self.shards = fabric.world_size * recipe.training.accumulate
        if recipe.training.batch % self.shards:
            raise CardiganError(
                f"training.batch: {recipe.training.batch} cannot be cut into {self.shards} equal parts "
                f"({fabric.world_size} processes x accumulate {recipe.training.accumulate})"
            )
        # The averages, which are copies and not compiled, make samples in batches of all sizes.
        if choice.compile and not sum(map(compile_network, self.game.players.values())):
            raise CardiganError("engine.compile: no player of this game can be compiled; allowed: auto, false")

    def round(self) -> None:
        """Play one round: every turn that is due, then what looks at all players' weights."""
        before, steps = self.clock, list[Step]()
        due = [turn for turn in self.game.turns if turn.due(before, self.rounds)]
        for move in ORDERS[self.recipe.training.turns](due):
            steps = self.draw(move.shared) if move.draws else steps
            self.take(move.turns, steps)
        if self.clock == before:
            raise CardiganError(f"no turn of the game is due at {before:,} samples; training cannot go on")
        self.rounds += 1
        if self.lookahead is not None:
            self.lookahead.update(self.rounds)
        self.average.update(self.clock, self.clock - before)

    def draw(self, shared: bool = True) -> list[Step]:
        """Draw the next global batch and return this process's slices of it.

        Args:
            shared: whether several turns will play with it.
        """
        start, self.clock = self.clock, self.clock + self.recipe.training.batch
        count = self.recipe.training.batch // self.shards
        began = time.perf_counter()
        batches = [self.prepared(self.dataset.draw(start + shard * count, count)) for shard in self._my_shards()]
        if self.reads_ahead:
            for shard in self._my_shards():
                self.dataset.expect(self.clock + shard * count, count)
        self.waited += time.perf_counter() - began
        return [
            Step(batch, self._random("", shard), start, decode=self.decode, shared=shared)
            for shard, batch in zip(self._my_shards(), batches, strict=True)
        ]

    def take(self, turns: tuple[Turn, ...], steps: list[Step]) -> None:
        """Take `turns`: gradients of their losses at the same weights, then each turn's players follow its own."""
        if self.recipe.training.extragradient is None:
            self._follow(turns, [self._gradient(turn, steps) for turn in turns])
        else:
            self._follow(turns, self._gradients_ahead(turns, steps))

    def _gradients_ahead(self, turns: tuple[Turn, ...], steps: list[Step]) -> list[Gradient]:
        """The gradients where a step of all players would lead to; afterwards their weights are what they were.

        Korpelevich 1976, "The extragradient method for finding saddle points and other problems"; for optimizers with a
        memory, which takes in both gradients, Gidel et al. 2019, arXiv:1802.10551, algorithm 4. `Turn.after`, as a
        projection, is called at both places.
        """
        new = self.recipe.training.extragradient == "new"
        again = self.draw(steps[0].shared) if new else [replace(step, made={}) for step in steps]
        counts = self.counts.copy()
        players = dict.fromkeys(player for turn in turns for player in turn.players)
        weights = {player: [each.detach().clone() for each in self.parameters[player]] for player in players}
        self._follow(turns, [self._gradient(turn, steps) for turn in turns], measured=False)
        self.counts = counts  # both looks are one turn: penalties are due at both or at neither
        gradients = [self._gradient(turn, again, " ahead" if new else "", recorded=False) for turn in turns]
        with torch.no_grad():
            for player, values in weights.items():
                torch._foreach_copy_(list[Tensor](self.parameters[player]), values)
        return gradients

    def _gradient(self, turn: Turn, steps: list[Step], stream: str = "", recorded: bool = True) -> Gradient:
        """The gradient of the loss of `turn` by its players' weights, nobody else's, over all processes.

        Args:
            stream: tells its random numbers from those of the same turn on another batch.
            recorded: whether the losses are written down.
        """
        parameters, found = self._parameters(turn), list[dict[str, Tensor]]()
        inputs = [leaf for player in turn.players for leaf in self.leaves[player]]
        for shard, step in zip(self._my_shards(), steps, strict=True):
            step.count, step.random = self.counts[turn.name], self._random(turn.name, shard, stream)
            step.signals = {}
            with use(step.random), self.precision.forward_context(), OnceOnly() if self.sharded else nullcontext():
                terms = turn.loss(step)
            self.precision.backward(total(terms) / len(steps), None, inputs=inputs)
            found.append({name: value.detach() for name, value in {**terms, **step.signals}.items()})
        means = self._reduce(parameters, found)
        if recorded:
            for name, value in means.items():
                self.meter.add(f"{turn.name}/{name}", value)
        self.counts[turn.name] += 1
        gradient = [parameter.grad for parameter in parameters]
        for parameter in parameters:  # so that the next turn's does not come on top
            parameter.grad = None
        return gradient

    def _follow(self, turns: tuple[Turn, ...], gradients: list[Gradient], measured: bool = True) -> None:
        """Move the players of `turns` by the gradients of each, one turn after another."""
        scale = self._loss_scale() if sum(len(turn.players) for turn in turns) > 1 else None
        for turn, gradient in zip(turns, gradients, strict=True):
            for parameter, value in zip(self._parameters(turn), gradient, strict=True):
                parameter.grad = value
            for player in turn.players:
                self._step(player, turn.pace, scale, measured)
            if turn.after is not None:
                turn.after()

    def _step(self, player: str, pace: float, scale: float | None, measured: bool) -> None:
        """One step of a player's optimizer, by the gradients that lie at its weights.

        Args:
            pace: factor of its learning rate.
            scale: what the losses were multiplied by (fp16), if another player's step may have changed it since.
        """
        training, optimizer = self.recipe.training, self.optimizers[player]
        for group in optimizer.param_groups:
            rate = training.rates.get(player, training.optimizer.rate)
            group["lr"] = rate * (pace * training.schedule.factor(self.clock))
        if scale is not None:
            gradients = [each.grad for each in self.parameters[player] if each.grad is not None]
            torch._foreach_mul_(gradients, (self._loss_scale() or scale) / scale)
        measured = measured and self.motions is not None
        if training.clip is not None or measured:
            self.precision.unscale_gradients(optimizer)
        if training.clip is not None:
            nn.utils.clip_grad_norm_(self.parameters[player], training.clip)
        if measured:
            self._measure(player, optimizer)
        else:
            self.precision.optimizer_step(optimizer)
        optimizer.zero_grad(set_to_none=True)

    def _measure(self, player: str, optimizer: torch.optim.Optimizer) -> None:
        """The optimizer's step, and how it moved the player."""
        assert self.motions is not None
        weights = [each.detach() for each in self.parameters[player]]
        before = [each.clone() for each in weights]
        gradients = [each.grad for each in self.parameters[player] if each.grad is not None]
        gradient = norm(gradients) if gradients else torch.zeros((), device=self.fabric.device)
        self.precision.optimizer_step(optimizer)
        self.motions[player] = Motion(gradient, norm(before), norm(torch._foreach_sub(weights, before)))

    def _reduce(self, parameters: list[nn.Parameter], found: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        """Average the gradients over processes, and what was `found` on each slice of the batch over all slices.

        One flat all-reduce of raw modules carries both (see docs/architecture.md); the gradients of sharded ones are
        means already.
        """
        means = {name: self._mean([each[name] for each in found]) for name in found[0]}
        if self.fabric.world_size == 1:
            return means
        for parameter in parameters:
            if parameter.grad is None:  # every process must reduce the same tensors
                parameter.grad = torch.zeros_like(parameter)
        gradients = [] if self.sharded else [each.grad for each in parameters if each.grad is not None]
        mixed = [*gradients, *means.values()]
        flat = averaged(torch.cat([each.reshape(-1).to(self.choice.dtype) for each in mixed]))
        parts = flat.split([each.numel() for each in mixed])
        for gradient, part in zip(gradients, parts, strict=False):
            gradient.copy_(part.view_as(gradient))
        shared = zip(means.items(), parts[len(gradients) :], strict=True)
        return {name: part.view_as(value).to(value.dtype) for (name, value), part in shared}

    def _mean(self, values: list[Tensor]) -> Tensor:
        device = self.fabric.device
        return values[0].to(device) if len(values) == 1 else torch.stack([each.to(device) for each in values]).mean(0)

    def decode(self, samples: Tensor) -> list[Any]:
        """Samples as what people see."""
        return self.dataset.codec.decode(samples)

    def _my_shards(self) -> range:
        accumulate = self.recipe.training.accumulate
        return range(self.fabric.global_rank * accumulate, (self.fabric.global_rank + 1) * accumulate)

    def _parameters(self, turn: Turn) -> list[nn.Parameter]:
        return [parameter for player in turn.players for parameter in self.parameters[player]]

    @property
    def scales_losses(self) -> bool:
        """Whether losses are multiplied so that fp16 can hold gradients, and steps left out where that was too much."""
        return self._loss_scale() is not None

    def _loss_scale(self) -> float | None:
        """What losses are multiplied by at present, so that fp16 can hold their gradients; None: by nothing, ever."""
        scaler = getattr(self.precision, "scaler", None)
        return None if scaler is None else float(scaler.get_scale())

    def _random(self, purpose: str, shard: int, stream: str = "") -> Random:
        count = self.counts[purpose] if purpose else self.clock
        parts = (self.recipe.training.seed, purpose + stream, count)
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
            if not self.sharded:  # sharded weights are contiguous; samples decide the layout of what is computed
                player.to(memory_format=self.choice.layout)  # type: ignore[call-overload]
        if self.recipe.engine.recompute and not sum(map(recompute, game.players.values())):
            raise CardiganError(
                "engine.recompute: no player of this game has blocks that could be computed again; allowed: false"
            )
        return game

    def _build_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        training = self.recipe.training
        return {
            name: training.optimizer.build(
                parameters, training.rates.get(name, training.optimizer.rate), self.choice.fused
            )
            for name, parameters in self.parameters.items()
        }


def norm(tensors: Iterable[Tensor]) -> Tensor:
    """Norm of all numbers in `tensors` together, over all processes where they are spread."""
    return whole(torch.linalg.vector_norm(torch.stack(torch._foreach_norm(list(tensors))).float()))
