"""guard.jsonl: what was done in a run because of its health, one JSON object a line."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cardigan.health.history import LATEST, objects


@dataclass(frozen=True)
class Intervention:
    """One thing that was done.

    Attributes:
        clock: samples drawn when it was done.
        action: what, in a few words.
        reason: why; empty where nothing is known.
        changes: of the recipe, as KEY=VALUE.
        back_to: clock of the checkpoint from which training went on; None: it went on from where it was.
        effect: what came of it; empty while that is not known.
        diagnosis: name of the diagnosis that it is against.
        ends: whether training was ended.
        effect_at: samples drawn when the effect was known.
    """

    clock: int
    action: str
    reason: str = ""
    changes: tuple[str, ...] = ()
    back_to: int | None = None
    effect: str = ""
    diagnosis: str = ""
    ends: bool = False
    effect_at: int = 0

    @property
    def since(self) -> int:
        """The clock from which readings come after it."""
        return self.clock if self.back_to is None else self.back_to

    def plain(self) -> dict[str, Any]:
        """As JSON values, by the names that they have in the file."""
        content = dict(vars(self)) | {"changes": list(self.changes)}
        return {"samples": content.pop("clock"), **content}


def read_interventions(path: Path) -> list[Intervention]:
    """What stands in `path`, oldest first; lines that say neither when nor what are left out. Nothing without a file.

    Raises:
        CardiganError: the file cannot be read.
    """
    found = map(_intervention, objects(path))
    return [each for each in found if each is not None]


def _intervention(content: Mapping[str, Any]) -> Intervention | None:
    clock, action = _clock(content.get("samples")), _text(content.get("action"))
    if clock is None or not action:
        return None
    changes = content.get("changes")
    return Intervention(
        clock,
        action,
        _text(content.get("reason")),
        tuple(map(_text, changes)) if isinstance(changes, list) else (),
        _clock(content.get("back_to")),
        _text(content.get("effect")),
        _text(content.get("diagnosis")),
        content.get("ends") is True,
        _clock(content.get("effect_at")) or 0,
    )


def _clock(value: Any) -> int | None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return value if whole and 0 <= value <= LATEST else None


def _text(value: Any) -> str:
    return "" if value is None else value if isinstance(value, str) else str(value)
