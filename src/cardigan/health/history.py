"""health.jsonl: a run's readings and diagnoses, one JSON object a line."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cardigan.errors import CardiganError
from cardigan.files import write_text
from cardigan.health.diagnosis import LEVELS, Diagnosis, Reading

LATEST = 10**15
"""The clock goes no further; what says so is damaged."""
BEYOND = 1e100
"""No signal is as large, or as small as one by this, in earnest; such a number would only spoil what is drawn of it."""


@dataclass(frozen=True)
class Entry:
    """One line.

    Attributes:
        reading: what was measured.
        diagnoses: what was said then, of this reading and those before it.
    """

    reading: Reading
    diagnoses: tuple[Diagnosis, ...]


class History:
    """The readings of one run, in memory and on disk.

    Attributes:
        entries: oldest first.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries = read(path)

    @property
    def readings(self) -> list[Reading]:
        """All readings, oldest first."""
        return [entry.reading for entry in self.entries]

    def add(self, reading: Reading, diagnoses: Sequence[Diagnosis]) -> None:
        """One more line."""
        self.entries.append(Entry(reading, tuple(diagnoses)))
        with self.path.open("a", encoding="utf-8") as file:
            file.write(_line(self.entries[-1]))

    def is_new(self, diagnosis: Diagnosis) -> bool:
        """Whether it was not said before, or less severely, since it began."""
        return not any(
            each.name == diagnosis.name and LEVELS.index(each.level) >= LEVELS.index(diagnosis.level)
            for entry in self.entries
            if entry.reading.clock >= diagnosis.since
            for each in entry.diagnoses
        )

    def cut(self, clock: int) -> None:
        """Forget what comes after `clock`: it will be trained again."""
        self.entries = [entry for entry in self.entries if entry.reading.clock <= clock]
        if self.path.exists():
            write_text(self.path, "".join(map(_line, self.entries)))


def read(path: Path) -> list[Entry]:
    """What stands in `path`, oldest first; a line cut off by a crash is left out. Nothing where there is no file."""
    found = map(_entry, objects(path))
    return [entry for entry in found if entry is not None]


def objects(path: Path) -> list[dict[str, Any]]:
    """The JSON objects in `path`, one a line; what is none is left out. Nothing where there is no file.

    Raises:
        CardiganError: the file cannot be read.
    """
    try:
        lines = path.read_text("utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise CardiganError(f"{path} cannot be read: {error.strerror or error}") from None
    found = map(_parsed, lines)
    return [each for each in found if isinstance(each, dict)]


def _parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _line(entry: Entry) -> str:
    signals = {name: float(f"{value:.7g}") for name, value in entry.reading.signals.items()}
    diagnoses = [each.plain() for each in entry.diagnoses]
    return json.dumps({"samples": entry.reading.clock, "signals": signals, "diagnoses": diagnoses}) + "\n"


def _entry(content: dict[str, Any]) -> Entry | None:
    """The reading in a line, and what was said of it as far as that can be understood (by another version, say)."""
    try:
        clock, signals = int(content["samples"]), {str(k): float(v) for k, v in content["signals"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
        return None
    if not 0 <= clock <= LATEST:
        return None
    found = (_diagnosis(each) for each in _listed(content.get("diagnoses")))
    sound = {name: value if abs(value) > 1 / BEYOND else 0.0 for name, value in signals.items() if abs(value) < BEYOND}
    return Entry(Reading(clock, sound), tuple(each for each in found if each is not None))


def _listed(content: Any) -> list[Any]:
    return content if isinstance(content, list) else []


def _diagnosis(content: Any) -> Diagnosis | None:
    try:
        return Diagnosis.of(content)
    except CardiganError:
        return None
