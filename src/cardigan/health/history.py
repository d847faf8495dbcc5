"""health.jsonl: a run's readings and diagnoses, one JSON object a line."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cardigan.errors import CardiganError
from cardigan.files import write_text
from cardigan.health.diagnosis import LEVELS, Diagnosis, Reading


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
    if not path.exists():
        return []
    found = (_entry(line) for line in path.read_text("utf-8", errors="replace").splitlines())
    return [entry for entry in found if entry is not None]


def _line(entry: Entry) -> str:
    signals = {name: float(f"{value:.7g}") for name, value in entry.reading.signals.items()}
    diagnoses = [each.plain() for each in entry.diagnoses]
    return json.dumps({"samples": entry.reading.clock, "signals": signals, "diagnoses": diagnoses}) + "\n"


def _entry(line: str) -> Entry | None:
    try:
        content: Any = json.loads(line)
        reading = Reading(int(content["samples"]), {str(k): float(v) for k, v in content["signals"].items()})
        return Entry(reading, tuple(Diagnosis.of(each) for each in content["diagnoses"]))
    except (ValueError, KeyError, TypeError, AttributeError, CardiganError):
        return None
