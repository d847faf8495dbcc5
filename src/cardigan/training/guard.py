"""The guard: what is done when training goes wrong. Interventions are an overlay on the recipe, which stays as it is.

    guard.jsonl     one JSON object a line; see `cardigan.health.interventions`

An intervention is decided by readings alone (never by a clock on the wall), so a resumed run decides again what it had
decided after its last checkpoint; each checkpoint holds how many interventions came before it. Samples that were drawn
and thrown away with their stretch count for the budget.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from cardigan.files import write_text
from cardigan.health.diagnosis import Diagnosis, Reading
from cardigan.health.interventions import Intervention, read_interventions
from cardigan.health.rules import diagnose, discriminators, known_by_now
from cardigan.health.treatment import Treatment, treat, worst
from cardigan.recipe import Recipe
from cardigan.run import Run
from cardigan.training import checkpoint

LASTING = 6
"""Readings in a row after which something is done about a warning too; so long an effect is waited for."""
WORTHWHILE = 0.25
"""Share of the budget in samples that must be left for a new beginning."""


class Guard:
    """Decides what is done in one run.

    Attributes:
        base: the recipe of the run, without what was changed.
        entries: what was done so far, in order.
    """

    def __init__(self, run: Run, base: Recipe, size: int, entries: Sequence[Intervention] = ()) -> None:
        self.run, self.base, self.size = run, base, size
        self.settings = base.guard
        self.entries = list(entries)

    @classmethod
    def of(cls, run: Run, base: Recipe, size: int, count: int = 0) -> "Guard":
        """The guard of a run as it was after its first `count` interventions; `size`: numbers in a sample."""
        return cls(run, base, size, read_interventions(run.guard_file)[:count])

    @classmethod
    def at(cls, run: Run, base: Recipe, size: int, path: Path | None) -> "Guard":
        """The guard of a run as the checkpoint at `path` left it; None: as it was in the beginning.

        Raises:
            DamagedCheckpointError: what the checkpoint says of it cannot be trusted.
        """
        return cls.of(run, base, size, 0 if path is None else int(checkpoint.verify(path).get("interventions", 0)))

    @property
    def recipe(self) -> Recipe:
        """The recipe with all changes."""
        recipe = self.base
        for entry in self.entries:
            recipe = recipe.but(*entry.changes) if entry.changes else recipe
        return recipe

    @property
    def thrown(self) -> int:
        """Samples that were drawn and thrown away."""
        return sum(entry.clock - entry.back_to for entry in self.entries if entry.back_to is not None)

    def decide(self, readings: Sequence[Reading], checkpoints: Sequence[int]) -> Intervention | None:
        """What is to be done after the last of `readings`; None: nothing.

        Args:
            checkpoints: clocks to which training can go back.
        """
        after = self._after(readings)
        found = worst(diagnose(after))
        if found is None:
            return None
        lasted = sum(reading.clock >= found.since for reading in after)
        if len(self.entries) >= self.settings.most:
            hopeless = found.level == "critical" and lasted >= LASTING
            return self._verdict(found) if hopeless else None
        if found.level != "critical" and lasted < LASTING:
            return None
        return self._against(found, checkpoints, discriminators(after[-1]))

    def after_failure(self, clock: int, message: str, checkpoints: Sequence[int]) -> Intervention | None:
        """What is to be done when training cannot go on: `message` says why; None: nothing can be."""
        found = Diagnosis("not-finite", "NaN or Inf", "critical", clock, clock, message, "")
        return None if len(self.entries) >= self.settings.most else self._against(found, checkpoints)

    def add(self, intervention: Intervention) -> None:
        """Remember that it was done."""
        self.entries.append(intervention)
        self._write()

    def forget_the_rest(self, clock: int) -> None:
        """Leave in guard.jsonl what was done and known until `clock` alone: the rest will be decided again."""
        self.entries = [
            replace(each, effect="", effect_at=0) if each.effect_at > clock else each for each in self.entries
        ]
        if self.run.guard_file.exists():
            self._write()

    def judge(self, readings: Sequence[Reading]) -> None:
        """Say what came of the last intervention, once that is known."""
        if not self.entries or self.entries[-1].effect or self.entries[-1].ends:
            return
        last, after = self.entries[-1], self._after(readings)
        again = next((each for each in diagnose(after) if each.name == last.diagnosis), None)
        if again is not None:
            self._conclude(f"came again: {again.evidence}", after[-1].clock)
        elif len(after) >= LASTING and known_by_now(last.diagnosis, after):
            self._conclude("gone", after[-1].clock)

    def _against(self, found: Diagnosis, checkpoints: Sequence[int], judges: Sequence[str] = ()) -> Intervention | None:
        recipe = self.recipe
        treatment = treat(found, recipe.plain(), self.size, len(self.entries), judges)
        if treatment is None or (treatment.back == "start" and not self._worthwhile(found.clock)):
            return None
        changed = recipe.but(*treatment.changes).differences(recipe)
        if not [key for key in changed if key != "training.seed"] and treatment.back == "nowhere":
            return None
        back_to = _target(treatment, found, checkpoints)
        action = "changed" if back_to is None else f"back to {back_to:,}" if back_to else "begun afresh"
        return Intervention(found.clock, action, found.sentence(), treatment.changes, back_to, diagnosis=found.name)

    def _verdict(self, found: Diagnosis) -> Intervention:
        return Intervention(found.clock, "ended", found.sentence(), diagnosis=found.name, ends=True)

    def _worthwhile(self, clock: int) -> bool:
        budget = self.base.training.samples  # how far minutes will reach no reading tells
        return budget is not None and 1 - (clock + self.thrown) / budget >= WORTHWHILE

    def _after(self, readings: Sequence[Reading]) -> list[Reading]:
        since = self.entries[-1].since if self.entries else -1
        return [reading for reading in readings if reading.clock > since]

    def _conclude(self, effect: str, clock: int) -> None:
        self.entries[-1] = replace(self.entries[-1], effect=effect, effect_at=clock)
        self._write()

    def _write(self) -> None:
        lines = [json.dumps(entry.plain()) + "\n" for entry in self.entries]
        write_text(self.run.guard_file, "".join(lines))


def _target(treatment: Treatment, found: Diagnosis, checkpoints: Sequence[int]) -> int | None:
    """The clock to go back to: None where training goes on as it is."""
    if treatment.back == "nowhere":
        return None
    if treatment.back == "start":
        return 0
    return max((clock for clock in checkpoints if clock < found.since), default=0)
