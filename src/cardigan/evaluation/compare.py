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
        subjects: runs (folder, name, "last"), folders of reports (evaluations/NAME), or files such as
            RUN/evaluation-set5.json.
        force: print scores whose protocols differ apart, instead of refusing.

    Returns:
        The comparison, and the folder of the two files.

    Raises:
        CardiganError: one was not evaluated, or protocols differ: which field, in which two.
    """
    files = [_file(name) for name in subjects]
    names = _names(files)
    found = [(name, _content(file)) for name, file in zip(names, files, strict=True)]
    comparison = ranked(found, force)
    lines: dict[str, Sequence[Curve]] = {}
    grids: dict[str, bytes] = {}
    for name, file in zip(names, files, strict=True):
        run = Run(file.parent)
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


def _file(name: str) -> Path:
    path = Path(name).expanduser()
    if path.suffix == ".json" and path.is_file():
        return path
    return (path if (path / JSON).is_file() else open_run(name).folder) / JSON


def _names(files: Sequence[Path]) -> list[str]:
    """Names of their folders; where two are equal, whole paths."""
    short = [file.resolve().parent.name for file in files]
    whole = [str(file.parent if file.name == JSON else file) for file in files]
    return [name if short.count(name) == 1 else path for name, path in zip(short, whole, strict=True)]


def _content(file: Path) -> Mapping[str, Any]:
    if not file.is_file():
        raise CardiganError(f"{file.parent} has no {file.name} yet; cardigan evaluate {file.parent}")
    return read_json(file)
