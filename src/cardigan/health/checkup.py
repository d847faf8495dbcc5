"""What the readings of a run mean in hindsight: which diagnosis held from when to when, and what holds now."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from cardigan.health.diagnosis import LEVELS, Diagnosis, Level, Reading, Rule
from cardigan.health.interventions import Intervention
from cardigan.health.rules import RULES

FEW = 4
"""Readings below which "healthy" means little: most rules wait for players to have met."""


@dataclass(frozen=True)
class Period:
    """A stretch of training through which one rule spoke without a pause.

    Attributes:
        diagnoses: what it said, one a reading, oldest first; never empty.
        holds: whether it was still said of the last reading of the run.
    """

    diagnoses: tuple[Diagnosis, ...]
    holds: bool

    @property
    def worst(self) -> Diagnosis:
        """The last of the severest ones."""
        return max(reversed(self.diagnoses), key=lambda each: LEVELS.index(each.level))

    @property
    def told(self) -> Diagnosis:
        """The one to speak of: the newest while it holds, afterwards the worst."""
        return self.diagnoses[-1] if self.holds else self.worst

    @property
    def name(self) -> str:
        """Of the rule."""
        return self.diagnoses[0].name

    @property
    def title(self) -> str:
        """Of the rule, in a few words."""
        return self.diagnoses[0].title

    @property
    def level(self) -> Level:
        """How bad it got."""
        return self.worst.level

    @property
    def start(self) -> int:
        """Samples drawn when it began."""
        return self.diagnoses[0].since

    @property
    def end(self) -> int:
        """Samples drawn when it was last seen."""
        return self.diagnoses[-1].clock

    def plain(self) -> dict[str, Any]:
        """As JSON values."""
        told = self.told
        return {
            "name": self.name,
            "title": self.title,
            "level": self.level,
            "level_now": told.level if self.holds else None,
            "from": self.start,
            "to": self.end,
            "holds": self.holds,
            "evidence": told.evidence,
            "advice": told.advice,
        }


@dataclass(frozen=True)
class Checkup:
    """A run's health so far.

    Attributes:
        readings: oldest first; at least one.
        periods: of all diagnoses, in the order in which they began.
        interventions: what was done about them.
    """

    readings: tuple[Reading, ...]
    periods: tuple[Period, ...]
    interventions: tuple[Intervention, ...] = ()

    @property
    def now(self) -> tuple[Period, ...]:
        """What holds at the last reading, the worst first."""
        holding = (each for each in self.periods if each.holds)
        return tuple(sorted(holding, key=lambda each: -LEVELS.index(each.told.level)))

    @property
    def level(self) -> Level | None:
        """How bad it is now: that of the worst that holds; None: nothing does."""
        return self.now[0].told.level if self.now else None

    def verdict(self) -> str:
        """One line: healthy, warnings or critical, and with what."""
        by_level = {level: [each.title for each in self.now if each.told.level == level] for level in LEVELS}
        critical, warnings, remarks = (by_level[level] for level in ("critical", "warning", "info"))
        if critical:
            return f"critical: {'; '.join(critical)}" + (f" (warnings: {'; '.join(warnings)})" if warnings else "")
        if warnings:
            return f"warnings: {'; '.join(warnings)}"
        known = f"; worth knowing: {'; '.join(remarks)}" if remarks else ""
        return f"healthy: {self._calm()}{known}"

    def _calm(self) -> str:
        """What stands behind "healthy"."""
        passed = list(dict.fromkeys(each.title for each in self.periods if not each.holds and each.level != "info"))
        if passed:
            return f"nothing is wrong now; earlier: {'; '.join(passed)}"
        few = len(self.readings) < FEW
        many = f"{len(self.readings)} reading{'' if len(self.readings) == 1 else 's'}"
        return f"nothing is wrong so far, after only {many}" if few else f"nothing was wrong in {many}"

    def advice(self) -> list[tuple[str, bool]]:
        """What usually helps, each once, and whether what it is against holds now; the worst of those that do first."""
        passed = (each for each in reversed(self.periods) if not each.holds)
        found = dict[str, bool]()
        for each in (*self.now, *passed):
            found.setdefault(f"{each.title}: {each.told.advice}", each.holds)
        return list(found.items())


def check_up(readings: Sequence[Reading], interventions: Sequence[Intervention] = ()) -> Checkup:
    """The health of a run with these readings, judged anew by the rules of today.

    Raises:
        ValueError: there is no reading.
    """
    if not readings:
        raise ValueError("there is no reading to judge")
    ordered = sorted(readings, key=lambda each: each.clock)
    found = [period for rule in RULES for period in periods(rule, ordered)]
    done = sorted(interventions, key=lambda each: each.clock)
    return Checkup(tuple(ordered), tuple(sorted(found, key=lambda each: (each.start, each.end))), tuple(done))


def periods(rule: Rule, readings: Sequence[Reading]) -> list[Period]:
    """The periods of one rule over `readings`, oldest first: what it says of consecutive readings is one of them."""
    found = []
    said = list(enumerate(rule.course(readings)))
    for speaks, stretch in groupby(said, key=lambda each: each[1] is not None):
        members = list(stretch)
        if speaks:
            diagnoses = tuple(each for _, each in members if each is not None)
            found.append(Period(diagnoses, members[-1][0] == len(readings) - 1))
    return found
