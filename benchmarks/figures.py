"""Files of figures: what benchmarks have found, by name, as JSON; a new row takes the place of the old one."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def found(path: Path) -> dict[str, Any]:
    """What stands in `path`; nothing where there is no such file."""
    return dict(json.loads(path.read_text("utf-8"))) if path.exists() else {}


def keep(path: Path, rows: Mapping[str, Any]) -> None:
    """Add `rows` to what was found before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**found(path), **rows}, indent=1) + "\n", "utf-8")
