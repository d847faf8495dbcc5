"""Readings of a run's health: small checks of loop and game at intervals, which change nothing of what they look at.

A reading looks at `health.samples` real samples that training has seen, as many that it has not (validation), and what
the generator makes of the same latents each time; it plays no turn and draws from no stream that training draws from.
The round before it is measured: how far each player moved.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from math import ceil, isfinite
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from cardigan.data.base import Dataset
from cardigan.errors import CardiganError
from cardigan.games.base import Match, Step
from cardigan.health.eye import Eye
from cardigan.health.statistics import (
    cluster,
    coverage,
    duplicates,
    expected_classes,
    neighbours_class,
    oscillation,
    overfit,
    pair_accuracy,
    per_sample,
    signs,
    spread,
    standardised,
)
from cardigan.networks.compilation import uncompiled
from cardigan.randomness import Random, use
from cardigan.sample import Batch
from cardigan.training.loop import Loop, norm
from cardigan.training.records import GROWTH

FIRST = 1_000
"""Samples until the first reading."""
REFERENCE = 512
"""Real samples whose features are kept, in which parts and neighbours are looked for."""
ALIKE = 0.05
"""Samples are twins when they are nearer to each other than this share of the usual distance of real ones."""
KNOWN = 5
"""Real samples of each class, on average, from which classes can be told by looks."""
PARTS = 20
"""Parts of the real samples that generated ones may miss."""
FEWEST = 8
"""Real samples that are held out, below which nothing is said of them."""
DIMENSIONS = 64
"""Numbers in a sample from which on two that nearly agree are no accident."""
FULL = 0.999
"""Pictures' values beyond this are black or white."""

Signals = dict[str, float]
"""Signal by name. What is not finite is left out and counted in "not_finite"."""


class Monitor:
    """Takes readings of one loop.

    Attributes:
        marked: the clock from which the next reading is due.
    """

    def __init__(self, loop: Loop) -> None:
        self.loop, self.settings = loop, loop.recipe.health
        self.marked = self._mark(loop.clock)
        chunk = min(loop.recipe.training.batch, self.settings.samples)
        wanted = min(self.settings.samples, max(16, 2 * chunk))
        self.chunks, self.chunk = ceil(wanted / chunk), chunk
        self.train = [loop.prepared(loop.dataset.draw(at * chunk, chunk)) for at in range(self.chunks)]
        self.held_out = self._held_out()
        self.reference: _Reference | None = None
        self.before: tuple[float, float] | None = None

    def due(self) -> bool:
        """Whether a reading is to be taken after the next round; that round is then measured."""
        due = self.settings.interval is not None and self.loop.clock >= self.marked
        self.loop.motions = {} if due else None
        return due

    def read(self, minutes: float) -> Signals:
        """The reading now; `minutes` of training until then."""
        self.marked = self._mark(self.loop.clock)
        found: dict[str, Any] = {
            **self._progress(),
            **self._motions(),
            **self._losses(),
            **self._averages(),
            **self._waiting(minutes),
        }
        aside = uncompiled() if self.loop.choice.compile else nullcontext()
        with torch.no_grad(), aside, _undisturbed(self.loop.game.players), self.loop.precision.forward_context():
            found |= self._matches()
        self.loop.motions = None
        return _finite({name: float(value) for name, value in found.items()})

    def _mark(self, clock: int) -> int:
        """When the next reading after `clock` is due: soon in the beginning, then every interval."""
        interval = self.settings.spacing(self.loop.recipe.training.batch)
        mark = float(min(FIRST, interval))
        while round(mark) <= clock:
            mark += min(interval, mark * (GROWTH - 1))
        return round(mark)

    def _progress(self) -> Signals:
        """Share of the budget that is spent, where the budget is one of samples."""
        budget = self.loop.recipe.training.samples
        return {"progress": min(1.0, self.loop.clock / budget)} if budget else {}

    def _motions(self) -> Signals:
        """Of each player; a step that fp16 left out, since its gradient overflowed as it will now and then, is none."""
        found = {}
        for player, motion in (self.loop.motions or {}).items():
            if self.loop.scales_losses and not bool(motion.gradient.isfinite()):
                continue
            found[f"{player}/gradient_norm"] = float(motion.gradient)
            found[f"{player}/weight_norm"] = float(motion.weight)
            found[f"{player}/step"] = float(motion.step / motion.weight.clamp(min=1e-12))
        return found

    def _losses(self) -> Signals:
        """Mean of each loss over its recent values, and how much of it is a wave."""
        found = {}
        for name, values in self.loop.meter.recent.items():
            series = torch.stack(list(values)).float().cpu()
            found[f"{name}"] = float(series.mean())
            if name.endswith("/adversarial"):
                found[f"{name}.wave"], found[f"{name}.deviation"] = oscillation(series)
        scale = self.loop.precision.state_dict().get("scale")
        return found if scale is None else {**found, "loss_scale": float(scale)}

    def _averages(self) -> Signals:
        """Distance of each averaged player from its average, as a share of its size."""
        found = {}
        for name, average in self.loop.average.players.items():
            mine = [each.detach() for each in self.loop.game.players[name].parameters()]
            apart = torch._foreach_sub(mine, list(average.parameters()))
            found[f"{name}/from_average"] = float(norm(apart) / norm(mine).clamp(min=1e-12))
        return found

    def _waiting(self, minutes: float) -> Signals:
        """Share of the time since the last reading in which data were drawn."""
        (began, waited), self.before = self.before or (minutes, 0.0), (minutes, self.loop.waited)
        spent = 60 * (minutes - began)
        return {"data/waiting": (self.loop.waited - waited) / spent} if spent > 0 else {}

    def _matches(self) -> dict[str, Any]:
        """What the discriminators say, and what the samples look like."""
        dead = _DeadUnits()
        with dead:
            train = [self._asked(batch, at) for at, batch in enumerate(self.train)]
        held_out = [self._asked_real(batch, at, train[at].made) for at, batch in enumerate(self.held_out)]
        if not train[0].matches:
            return {}
        found: dict[str, Any] = {"rectifiers/dead": dead.share} if dead.units else {}
        for name in train[0].matches:
            real, fake = (_joined(train, name, side) for side in ("real", "fake"))
            found |= {
                f"{name}/accuracy": pair_accuracy(real, fake),
                f"{name}/gap": real.mean() - fake.mean(),
                f"{name}/sign": signs(real),
            }
            if held_out:
                unseen = torch.cat([each[name] for each in held_out])
                found[f"{name}/accuracy_held_out"] = pair_accuracy(unseen, fake)
                found[f"{name}/gap_held_out"] = unseen.mean() - fake.mean()
                found[f"{name}/overfit"] = overfit(real, unseen, fake)
                found[f"{name}/overfit_sure"] = standardised(real, unseen)
        for name in train[0].symptoms:
            found[f"game/{name}"] = torch.stack([each.symptoms[name].float() for each in train]).mean()
        return {**found, **self._samples(train)}

    def _samples(self, asked: "list[_Asked]") -> dict[str, Any]:
        """Variety of what the (first) generator makes, beside that of real samples."""
        name = next(iter(asked[0].matches))
        self.reference = self.reference or _Reference(self.loop.dataset, self.chunk, self.held_out)
        fake = torch.cat([each.matches[name].fake for each in asked])
        labels = [each.matches[name].labels for each in asked]
        wanted = None if labels[0] is None else torch.cat([each for each in labels if each is not None])
        return self.reference.compare(fake, torch.cat([each.matches[name].real for each in asked]), wanted)

    def _asked(self, batch: Batch, at: int) -> "_Asked":
        step = self._step(batch, at)
        with use(step.random):
            matches = self.loop.game.matches(step)
            logits = {
                name: [_judged(match, side) for side in (match.real, match.fake)] for name, match in matches.items()
            }
            made = dict(step.made)
            first = next(iter(matches.values()), None)
            symptoms = {} if first is None else self.loop.game.symptoms(step, first)
        return _Asked(matches, logits, symptoms, made)

    def _asked_real(self, batch: Batch, at: int, made: dict[str, Any]) -> dict[str, Tensor]:
        """Logits of a batch's real samples; `made` elsewhere from the same random numbers, and not needed again."""
        step = self._step(batch, at)
        step.made |= made
        with use(step.random):
            return {name: _judged(match, match.real) for name, match in self.loop.game.matches(step).items()}

    def _step(self, batch: Batch, at: int) -> Step:
        loop = self.loop
        random = Random(loop.recipe.training.seed, "health", at, device=loop.fabric.device)
        return Step(batch, random, loop.clock, decode=loop.decode)

    def _held_out(self) -> list[Batch]:
        """Real samples that training does not see; none where there are too few."""
        data = self.loop.recipe.data.still()
        try:
            found = data.load("validation", self.loop.recipe.training.seed)
        except CardiganError:  # data.validation is 0
            return []
        batches = [
            self.loop.prepared(found.draw(at * self.chunk, self.chunk).to(self.loop.fabric.device))
            for at in range(self.chunks)
            if len(found) >= FEWEST
        ]
        found.close()
        return batches


@dataclass(frozen=True)
class _Asked:
    """What was found on one batch: matches, logits of real and made samples, the game's own signals, what was made."""

    matches: Mapping[str, Match]
    logits: Mapping[str, list[Tensor]]
    symptoms: Mapping[str, Tensor]
    made: dict[str, Any]


class _Reference:
    """Real samples of the train split as features: what generated ones are compared with."""

    def __init__(self, dataset: Dataset, chunk: int, unseen: list[Batch]) -> None:
        chunk = min(chunk, len(dataset))  # no sample twice
        count = min(REFERENCE, len(dataset)) // chunk
        batches = [dataset.draw(at * chunk, chunk) for at in range(count)]
        samples = torch.cat([batch.sample for batch in batches])
        self.eye = Eye(dataset.form, samples)
        self.features = self.eye(samples)
        self.spread = spread(self.features)
        self.usual: Tensor | None = None
        self.alike = ALIKE if dataset.form.size >= DIMENSIONS else 0.0
        self.repeated = duplicates(self.features, self.alike * self.spread)
        labels = [batch.label for batch in batches if batch.label is not None]
        told = dataset.form.classes > 1 and KNOWN * dataset.form.classes <= len(samples)
        self.labels = torch.cat(labels) if labels and told else None
        self.classes = dataset.form.classes
        self.centres = cluster(self.features, PARTS)
        self.shares = self._counts(self.features) / len(self.features)
        self.pictures = len(dataset.form.shape) == 3
        self.deviation = samples.std(0).amax() if self.pictures else None
        self.unseen = self._about_unseen(unseen)

    def compare(self, fake: Tensor, real: Tensor, wanted: Tensor | None) -> dict[str, Any]:
        """Signals of `fake` samples beside as many `real` ones; `wanted`: classes that were asked for."""
        made = self.eye(fake)
        if self.usual is None:  # the same real samples each time
            self.usual = spread(self.eye(real)).clamp(min=1e-6)
        found: dict[str, Any] = {
            "samples/diversity": spread(made) / self.usual,
            "samples/duplicates": duplicates(made, self.alike * self.spread),
            "samples/coverage": coverage(self._counts(made), self.shares),
            "samples/distance": torch.cdist(made, self.features).amin(1).mean() / self.spread.clamp(min=1e-6),
            **self.unseen,
            "data/spread": self.spread,
            "data/duplicates": self.repeated,
        }
        if self.pictures:
            found |= {"samples/full": _full(fake), "data/full": _full(real), "data/deviation": self.deviation}
        if self.labels is not None:
            found |= self._by_class(made, wanted)
        return found

    def _about_unseen(self, batches: list[Batch]) -> dict[str, Any]:
        """How far unseen real samples lie from the reference, and how often their class is told by their looks."""
        if not batches:
            return {}
        features = self.eye(torch.cat([batch.sample for batch in batches]))
        found: dict[str, Any] = {
            "data/distance": torch.cdist(features, self.features).amin(1).mean() / self.spread.clamp(min=1e-6)
        }
        labels = [batch.label for batch in batches if batch.label is not None]
        if self.labels is not None and labels:
            looks = neighbours_class(features, self.features, self.labels)
            found["data/obeyed"] = (looks == torch.cat(labels)).float().mean()
        return found

    def _by_class(self, made: Tensor, wanted: Tensor | None) -> dict[str, Any]:
        assert self.labels is not None
        looks = neighbours_class(made, self.features, self.labels)
        shares = torch.bincount(self.labels, minlength=self.classes) / len(self.labels)
        counts = torch.bincount(looks, minlength=self.classes)
        reached = (counts >= (0.2 * shares * len(made)).clamp(min=1)) & (shares > 0)
        found = {
            "samples/classes": reached.sum(),
            "data/classes": expected_classes(shares, len(made)).round(),
            "data/largest_class": shares.max(),
            "data/labels": self.classes,
        }
        return found if wanted is None else {**found, "samples/obeyed": (looks == wanted).float().mean()}

    def _counts(self, features: Tensor) -> Tensor:
        return torch.bincount(torch.cdist(features, self.centres).argmin(1), minlength=len(self.centres)).float()


class _DeadUnits(TorchFunctionMode):
    """Within this context, counts units of rectifiers that are 0 for every sample and at every place."""

    def __init__(self) -> None:
        super().__init__()
        self.units, self.idle = 0, list[Tensor]()

    @property
    def share(self) -> float:
        """Share of all units seen."""
        return float(torch.stack(self.idle).sum()) / self.units

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """See torch.overrides.TorchFunctionMode."""
        result = func(*args, **(kwargs or {}))
        if func in (torch.relu, torch.nn.functional.relu) and result.dim() > 1:
            active = (result > 0).flatten(2).any(2).any(0) if result.dim() > 2 else (result > 0).any(0)
            self.units += active.numel()
            self.idle.append((~active).sum())
        return result


@contextmanager
def _undisturbed(players: Mapping[str, nn.Module]) -> Iterator[None]:
    """Running statistics that passing samples through `players` changes are put back."""
    kept = [(buffer, buffer.clone()) for player in players.values() for buffer in player.buffers()]
    try:
        yield
    finally:
        for buffer, before in kept:
            buffer.copy_(before)


def _joined(asked: list[_Asked], name: str, side: str) -> Tensor:
    return torch.cat([each.logits[name][side == "fake"] for each in asked])


def _judged(match: Match, samples: Tensor) -> Tensor:
    judgement = match.judge(samples)
    return per_sample(judgement.logits, judgement.mask)


def _full(pictures: Tensor) -> Tensor:
    return (pictures.abs() > FULL).float().mean()


def _finite(found: Mapping[str, float]) -> Signals:
    kept = {name: value for name, value in found.items() if isfinite(value)}
    return {**kept, "not_finite": float(len(found) - len(kept))}
