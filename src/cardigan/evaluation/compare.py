"""`cardigan compare`: what was found of several subjects, read from their evaluation.json and ranked."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cardigan.errors import CardiganError
from cardigan.evaluation.comparison import Comparison
from cardigan.evaluation.comparison import compare as ranked
from cardigan.evaluation.evaluate import JSON
from cardigan.evaluation.report.compared import write_comparison
from cardigan.evaluation.result import Curve
from cardigan.evaluation.subject import curves
from cardigan.files import read_json, writable, write_text
from cardigan.run import Run, open_run

FOLDER = Path("comparisons")


def compare(subjects: Sequence[str], *, force: bool = False, out: str | Path = FOLDER) -> tuple[Comparison, Path]:
    """Rank evaluated runs, or folders that hold an evaluation.json; writes comparison.json and comparison.html.

    Args:
        subjects: runs (folder, name, "last") or folders of reports (evaluations/NAME).
        force: print scores whose protocols differ apart, instead of refusing.

    Returns:
        The comparison, and the folder of the two files.

    Raises:
        CardiganError: one was not evaluated, or protocols differ: which field, in which two.
    """
    folders = [_folder(name) for name in subjects]
    names = _names(folders)
    found = [(name, _content(folder)) for name, folder in zip(names, folders, strict=True)]
    comparison = ranked(found, force)
    lines: dict[str, Sequence[Curve]] = {}
    grids: dict[str, bytes] = {}
    for name, folder in zip(names, folders, strict=True):
        run = Run(folder)
        lines[name] = curves(run.scalars())
        grid = run.latest_grid()
        if grid is not None and grid.suffix == ".png":
            grids[name] = grid.read_bytes()
    out = Path(out)
    with writable(out):
        out.mkdir(parents=True, exist_ok=True)
        write_text(out / "comparison.json", json.dumps(comparison.plain(), indent=1))
        write_comparison(comparison, lines, grids, out / "comparison.html")
    return comparison, out


def _folder(name: str) -> Path:
    path = Path(name).expanduser()
    return path if (path / JSON).is_file() else open_run(name).folder


def _names(folders: Sequence[Path]) -> list[str]:
    """Folder names; whole paths where two are equal."""
    short = [folder.resolve().name for folder in folders]
    return [name if short.count(name) == 1 else str(folder) for name, folder in zip(short, folders, strict=True)]


def _content(folder: Path) -> Mapping[str, Any]:
    if not (folder / JSON).is_file():
        raise CardiganError(f"{folder} has no {JSON} yet; cardigan evaluate {folder}")
    return read_json(folder / JSON)
