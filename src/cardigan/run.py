"""The run folder: plain files, no pickles; found by path, by name, or as `last`.

recipe.yaml  environment.json  scalars.jsonl  events/  codec/  checkpoints/  samples/  curves.png
"""

import contextlib
import fcntl
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cardigan.errors import CardiganError
from cardigan.files import is_held, read_json, writable, write_text
from cardigan.settings import allowed

if TYPE_CHECKING:
    from cardigan.recipe import Recipe

RUNS = Path("runs")
"""Where runs are made and looked for by name."""
SCORE = "score/"
"""How names of scores begin in scalars.jsonl; lower is better."""


@dataclass(frozen=True)
class Summary:
    """One line about a run.

    Attributes:
        recipe: its name.
        clock: real samples drawn so far.
        state: training, finished, interrupted, or not begun.
        scores: the last losses by name.
    """

    recipe: str
    clock: int
    state: str
    scores: dict[str, float]


@dataclass(frozen=True)
class Run:
    """One run on disk."""

    folder: Path

    @property
    def name(self) -> str:
        """Folder name."""
        return self.folder.name

    @property
    def recipe_file(self) -> Path:
        """The recipe, every field filled in."""
        return self.folder / "recipe.yaml"

    @property
    def environment_file(self) -> Path:
        """What the engine chose, versions, machine."""
        return self.folder / "environment.json"

    @property
    def scalars_file(self) -> Path:
        """One JSON object a line: samples, minutes, losses and signals by name."""
        return self.folder / "scalars.jsonl"

    @property
    def health_file(self) -> Path:
        """One JSON object a line: samples, signals by name, diagnoses."""
        return self.folder / "health.jsonl"

    @property
    def guard_file(self) -> Path:
        """One JSON object a line: what the guard did, and why."""
        return self.folder / "guard.jsonl"

    @property
    def codec_folder(self) -> Path:
        """What turns this run's samples into files."""
        return self.folder / "codec"

    @property
    def checkpoint_folder(self) -> Path:
        """One folder a checkpoint, named by the clock."""
        return self.folder / "checkpoints"

    @property
    def sample_folder(self) -> Path:
        """One rendered grid from fixed latents at a time, named by the clock."""
        return self.folder / "samples"

    @cached_property
    def recipe(self) -> "Recipe":
        """The run's recipe.

        Raises:
            CardiganError: it is damaged, or names something outside the package.
        """
        from cardigan.recipe import build
        from cardigan.recipes.yaml import read_yaml

        return build(read_yaml(self.recipe_file))

    @property
    def environment(self) -> dict[str, Any]:
        """What was recorded of engine and machine.

        Raises:
            CardiganError: it is missing or damaged.
        """
        return read_json(self.environment_file)

    def scalars(self) -> list[dict[str, Any]]:
        """The recorded scalars, oldest first; a line cut off by a crash is left out."""
        if not self.scalars_file.exists():
            return []
        lines = self.scalars_file.read_text("utf-8", errors="replace").splitlines()
        return [row for row in map(_row, lines) if row is not None]

    def clocks(self) -> list[int]:
        """Clocks of the checkpoints, oldest first."""
        folder = self.checkpoint_folder
        names = [path.name for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []
        return sorted(int(name) for name in names if name.isdecimal())

    def best(self) -> int | None:
        """Clock of the kept checkpoint with the lowest score that was recorded while training; None without scores."""
        kept = set(self.clocks())
        scored = [
            (value, row["samples"])
            for row in self.scalars()
            for name, value in row.items()
            if name.startswith(SCORE) and row["samples"] in kept and isinstance(value, (int, float))
        ]
        return min(scored)[1] if scored else None

    def offer(self, clock: int, command: str) -> str:
        """What to do where the checkpoint at `clock` is damaged: `command` ("resume") with the one before it."""
        earlier = [each for each in self.clocks() if each < clock]
        if not earlier:
            return "there is none before"
        return f"the one before it: cardigan {command} {self.folder} --at {earlier[-1]}"

    def summary(self) -> "Summary":
        """What `cardigan runs` says of this run.

        Raises:
            CardiganError: its recipe is damaged.
        """
        from cardigan.recipes.yaml import read_yaml

        recipe = read_yaml(self.recipe_file)
        clocks, rows = self.clocks(), self.scalars()
        clock = max([clocks[-1] if clocks else 0, rows[-1]["samples"] if rows else 0])
        losses: dict[str, Any] = next((row for row in reversed(rows) if any(map(_is_loss, row))), {})
        scores = {name: value for name, value in losses.items() if _is_loss(name)}
        return Summary(str(recipe.get("name", "?")), clock, self._state(recipe, clocks), scores)

    def _state(self, recipe: dict[str, Any], clocks: list[int]) -> str:
        if self.is_held():
            return "training"
        if not clocks:
            return "interrupted" if self.scalars() else "not begun"
        state = read_json(self.checkpoint_folder / f"{clocks[-1]:09d}" / "state.json")
        budgets = recipe.get("training") or {}
        spent = (
            (state.get("clock", 0) + state.get("thrown", 0), budgets.get("samples")),
            (state.get("minutes", 0), budgets.get("minutes")),
        )
        return (
            "finished"
            if state.get("ended") or any(budget and used >= budget for used, budget in spent)
            else "interrupted"
        )

    def latest_grid(self) -> Path | None:
        """The newest sample grid."""
        grids = sorted(self.sample_folder.glob("[0-9]*")) if self.sample_folder.is_dir() else []
        return grids[-1] if grids else None

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the run for this process; the lock goes with the process, however it ends.

        Raises:
            CardiganError: another process is training this run, or the folder cannot be written.
        """
        with writable(self.folder):
            file = (self.folder / ".lock").open("a+")
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                file.seek(0)
                holder = file.read().strip() or "another process"
                raise CardiganError(f"{self.folder} is being trained by {holder}; wait for it or stop it") from None
            file.truncate(0)
            file.write(f"process {os.getpid()} on {os.uname().nodename}")
            file.flush()
            try:
                yield
            finally:
                fcntl.flock(file, fcntl.LOCK_UN)  # forked readers may still hold the file open

    def is_held(self) -> bool:
        """Whether a process is training this run now."""
        return is_held(self.folder / ".lock")


def create_run(recipe: "Recipe", out: str | Path | None = None) -> Run:
    """A new run folder holding `recipe`: `out`, or runs/NAME-0001 and so on; nothing is ever overwritten.

    Raises:
        CardiganError: `out` is there already and not empty, or cannot be written.
    """
    check_out(out)
    stem = re.sub(r"[^\w.-]", "-", recipe.name) or "run"
    folder = _next_folder(RUNS, stem) if out is None else Path(out).expanduser()
    with writable(folder):
        folder.mkdir(parents=True, exist_ok=True)
        run = Run(folder)
        write_text(run.recipe_file, recipe.yaml())
    return run


def check_out(out: str | Path | None) -> None:
    """Refuse a run folder that is there already, before any work is done.

    Raises:
        CardiganError: `out` is there already and not empty.
    """
    folder = None if out is None else Path(out).expanduser()
    if folder and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise CardiganError(f"{folder} is there already and is never overwritten; name another --out")


def _next_folder(parent: Path, stem: str) -> Path:
    """parent/stem-0001 or the first number free; claimed by making it, so that two processes never share one."""
    with writable(parent):
        parent.mkdir(parents=True, exist_ok=True)
        number = 1
        while True:
            with contextlib.suppress(FileExistsError):
                (parent / f"{stem}-{number:04d}").mkdir()
                return parent / f"{stem}-{number:04d}"
            number += 1


def open_run(name: str | Path) -> Run:
    """The run at the folder `name`, called `name` under runs/, or the `last` one touched.

    Raises:
        CardiganError: there is no such run; names the nearest.
    """
    if str(name) == "last":
        runs = all_runs()
        if not runs:
            raise CardiganError(f"there is no run under {RUNS}/ yet; try: cardigan train digits")
        return max(runs, key=lambda run: _touched(run.folder))
    for folder in (Path(name).expanduser(), RUNS / str(name)):
        if (folder / "recipe.yaml").is_file():
            return Run(folder)
    names = [run.name for run in all_runs()]
    known = allowed(str(name), [*names[-10:], "last"]) if names else f"there is none under {RUNS}/"
    raise CardiganError(f"{name} is no run (a folder with a recipe.yaml); {known}")


def all_runs(parent: Path = RUNS) -> list[Run]:
    """The runs under `parent`, by name."""
    return [Run(path.parent) for path in sorted(parent.glob("*/recipe.yaml"))]


def _is_loss(name: str) -> bool:
    return name.endswith("/adversarial")


def _touched(folder: Path) -> float:
    watched = [folder / "recipe.yaml", folder / "scalars.jsonl", folder / "environment.json"]
    return max(path.stat().st_mtime for path in watched if path.exists())


def _row(line: str) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) and isinstance(row.get("samples"), int) else None
