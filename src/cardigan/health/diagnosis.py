"""What a reading can mean: diagnoses in plain words, each with its evidence and what usually helps."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from cardigan.errors import CardiganError

Level = Literal["info", "warning", "critical"]
LEVELS: tuple[Level, ...] = ("info", "warning", "critical")
"""From harmless to hopeless."""


YOUTH, YOUTH_SAMPLES = 0.15, 50_000
"""Share of a budget in samples, and number of samples, whichever is less, in which samples need not be good yet."""


QUARTER = 0.75
"""Share of training until now behind which its last quarter lies."""


@dataclass(frozen=True)
class Reading:
    """Signals at one time.

    Attributes:
        clock: samples drawn until then.
        signals: by name; what was not finite is missing and counted in "not_finite".
    """

    clock: int
    signals: Mapping[str, float]

    def get(self, name: str, otherwise: float = 0.0) -> float:
        """The signal `name`."""
        return self.signals.get(name, otherwise)

    def players(self, signal: str) -> list[str]:
        """Players that have this signal."""
        ending = f"/{signal}"
        return [name.removesuffix(ending) for name in self.signals if name.endswith(ending)]


@dataclass(frozen=True)
class Diagnosis:
    """Something that goes wrong in a run.

    Attributes:
        name: of the rule that found it.
        title: in a few words.
        level: info: worth knowing; warning: results suffer; critical: training is lost unless something changes.
        clock: samples drawn when it was seen.
        since: samples drawn when it began.
        evidence: what was measured.
        advice: what usually helps.
    """

    name: str
    title: str
    level: Level
    clock: int
    since: int
    evidence: str
    advice: str

    def sentence(self) -> str:
        """One line for people."""
        return f"{self.title} since {samples(self.since)} samples: {self.evidence}. {self.advice}"

    def plain(self) -> dict[str, Any]:
        """As JSON values."""
        return dict(vars(self))

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> "Diagnosis":
        """What `plain` gave.

        Raises:
            CardiganError: it is something else.
        """
        try:
            found = cls(**content)
            LEVELS.index(found.level)
        except (TypeError, ValueError):
            raise CardiganError(f"no diagnosis: {str(content)[:80]}") from None
        return found


@dataclass(frozen=True)
class Finding:
    """What a rule sees in the newest of some readings.

    Attributes:
        level: how bad it is.
        evidence: what was measured.
    """

    level: Level
    evidence: str


Sight = Callable[[Sequence[Reading]], Finding | None]
"""Readings, oldest first -> what is wrong at the last of them; None: nothing."""


@dataclass(frozen=True)
class Rule:
    """One thing that can go wrong.

    Attributes:
        name: short and stable.
        title: in a few words.
        sees: finds it.
        advice: what usually helps.
        patience: readings in a row that must show it before it is said.
        grace: readings in the beginning that do not count: players must first have met.
        learns: whether nothing is said in the first `YOUTH` of training: what looks like this is being learnt still.
        compares: whether nothing is said without readings from before the last `QUARTER` of training until now, with
            which it compares.
    """

    name: str
    title: str
    sees: Sight
    advice: str
    patience: int = 1
    grace: int = 0
    learns: bool = False
    compares: bool = False

    def diagnose(self, history: Sequence[Reading]) -> Diagnosis | None:
        """What this rule says after the last reading of `history`."""
        finding = self._found(history)
        if finding is None:
            return None
        first = len(history) - 1
        while first > self.grace and self._found(history[:first]) is not None:
            first -= 1
        return self._said(finding, history, first)

    def could_have_spoken(self, history: Sequence[Reading]) -> bool:
        """Whether it would be said after the last reading of `history` if it had lasted since the first one."""
        if len(history) < self.grace + self.patience:
            return False
        first = history[-self.patience]
        early = self.learns and young(first)
        return not early and not (self.compares and history[0].clock > QUARTER * first.clock)

    def course(self, history: Sequence[Reading]) -> list[Diagnosis | None]:
        """What `diagnose` says after each reading of `history` in turn, every one of them looked at once."""
        said, first = list[Diagnosis | None](), 0
        for count in range(1, len(history) + 1):
            finding = self._found(history[:count])
            first = count if finding is None else first
            said.append(None if finding is None else self._said(finding, history[:count], first))
        return said

    def _said(self, finding: Finding, history: Sequence[Reading], first: int) -> Diagnosis | None:
        """`finding`, which has been made since reading number `first`, once there has been patience."""
        if len(history) - first < self.patience:
            return None
        return Diagnosis(
            self.name, self.title, finding.level, history[-1].clock, history[first].clock, finding.evidence, self.advice
        )

    def _found(self, history: Sequence[Reading]) -> Finding | None:
        early = len(history) <= self.grace or (self.learns and young(history[-1]))
        return None if early else self.sees(history)


def young(reading: Reading) -> bool:
    """Whether players are still getting to know one another: a share of the budget, or a number of samples.

    A budget of minutes has no share that could be decided alike when a run is resumed.
    """
    return reading.clock < YOUTH_SAMPLES and reading.get("progress") < YOUTH


def samples(count: int) -> str:
    """A number of samples as people say it: 38k."""
    return f"{count:,}" if count < 10_000 else f"{count / 1000:,.0f}k"
