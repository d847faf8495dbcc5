"""What a run writes down while it trains: scalars, TensorBoard events, sample grids, checkpoints, curves."""

import copy
import json
import math
import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cardigan.data.base import Codec
from cardigan.errors import CardiganError
from cardigan.files import write_text
from cardigan.health.history import History
from cardigan.randomness import Random
from cardigan.run import Run
from cardigan.sample import Batch
from cardigan.training import checkpoint
from cardigan.training.loop import Loop

GROWTH = 1.5
"""Each sample grid comes this many times later than the one before."""


class TrainingFailedError(CardiganError):
    """Training cannot go on; the message says why, and which checkpoint is still good; `reason` in short."""

    def __init__(self, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason or message


class Recorder:
    """Writes the records of one run; what is not due costs nothing."""

    def __init__(self, run: Run, loop: Loop, codec: Codec) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.run, self.loop, self.codec = run, loop, codec
        self.settings = loop.recipe.records
        self.events = SummaryWriter(str(run.folder / "events"), purge_step=loop.clock)
        self.showcase = self._showcase()
        self.next_grid = next_mark(loop.clock, self.settings.first_grid)
        self._writer = ThreadPoolExecutor(1, "checkpoints")
        self._written: Future[Path] | None = None

    def scalars(self, minutes: float) -> dict[str, float]:
        """Write the means since the last line; returns them.

        Raises:
            TrainingFailedError: one of them is not finite.
        """
        means = self.loop.meter.read()
        if not means:  # nothing was played since the last line
            return means
        self._write(means, minutes)
        broken = [name for name, value in means.items() if not math.isfinite(value)]
        if broken:
            raise TrainingFailedError(self._obituary(broken[0]), f"{broken[0]} is no longer a finite number")
        return means

    def score(self, name: str, value: float, minutes: float) -> None:
        """Write a score of the averaged generator."""
        self._write({name: value}, minutes)

    def _write(self, values: Mapping[str, float], minutes: float) -> None:
        row = {"samples": self.loop.clock, "minutes": round(minutes, 4), **values}
        with self.run.scalars_file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        for name, value in values.items():
            self.events.add_scalar(name, value, self.loop.clock)

    def grid(self) -> Path:
        """Render the averaged generator's samples of the fixed latents."""
        self.run.sample_folder.mkdir(exist_ok=True)
        path = self.run.sample_folder / f"{checkpoint.name_of(self.loop.clock)}{self.codec.extension}"
        with torch.no_grad(), self.loop.precision.forward_context():
            panels = self.loop.game.exhibit(self.loop.average.shown(), **self.showcase)
        self.codec.exhibit({name: panel.float().cpu() for name, panel in panels.items()}, path)
        self.next_grid = next_mark(self.loop.clock, self.settings.first_grid)
        return path

    def checkpoint(self, minutes: float, ended: bool = False, **extra: int) -> None:
        """Save everything that decides the trajectory: copied now, written while training goes on.

        Args:
            ended: training ends here before its budget is spent, since scores do not improve.
            extra: further entries of state.json.

        Raises:
            TrainingFailedError: a weight is not finite (the last losses may have been, before the last step).
            CardiganError: the checkpoint before it could not be written.
        """
        self.settle()
        tensors, state = checkpoint.capture(self.loop)
        for name, value in tensors["players"].items():
            if not bool(value.isfinite().all()):
                what = f"a weight of the {name.partition('.')[0]}"
                raise TrainingFailedError(self._obituary(what), f"{what} is no longer a finite number")
        state = copy.deepcopy(state) | {"minutes": minutes, "ended": ended, **extra}
        aside = checkpoint.set_aside(tensors)
        self._written = self._writer.submit(checkpoint.save_captured, self.run.checkpoint_folder, aside, state)
        self.events.flush()

    def settle(self) -> None:
        """Wait until the last checkpoint is written; older ones are thinned out then.

        Raises:
            CardiganError: it could not be written.
        """
        if self._written is not None:
            written, self._written = self._written, None
            written.result()
            checkpoint.prune(self.run.checkpoint_folder, self.run.best())

    def leave(self) -> None:
        """Wait until nothing is being written any more, whatever comes of it."""
        self._writer.shutdown()

    def close(self) -> None:
        """Finish checkpoint and event file, and draw the curves."""
        self.settle()
        self.events.close()
        draw_curves(self.run.scalars(), self.run.folder / "curves.png")

    def _showcase(self) -> dict[str, Tensor]:
        random = Random(self.loop.recipe.training.seed, "showcase")
        inputs = self.loop.game.showcase(self.settings.grid, random, self._examples)
        return {
            name: value.to(self.loop.fabric.device, self.loop.choice.dtype if value.is_floating_point() else None)
            for name, value in inputs.items()
        }

    def _examples(self, count: int) -> Batch:
        """Real samples that training does not see, where there are any."""
        recipe = self.loop.recipe
        try:
            return recipe.data.still().load("validation").draw(0, count)
        except CardiganError:  # data.validation is 0
            return self.loop.dataset.draw(0, count)

    def _obituary(self, name: str) -> str:
        self.settle()
        good = self.run.clocks()
        kept = f"the checkpoint at {good[-1]:,} samples is kept" if good else "there is no checkpoint yet"
        return (
            f"{self.run.folder}: {name} is no longer a finite number at {self.loop.clock:,} samples ({kept}); "
            "lower training.optimizer.rate, or add a penalty"
        )


class Attendant:
    """What another process than the first does for the records of a sharded run: it hands over its parts, in step.

    It has the methods of `Recorder` that are called while training, and writes nothing.
    """

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.next_grid = next_mark(loop.clock, loop.recipe.records.first_grid)

    def scalars(self, minutes: float) -> dict[str, float]:
        """See `Recorder.scalars`: they are means over all processes already."""
        return {}

    def grid(self) -> None:
        """See `Recorder.grid`."""
        self.loop.average.shown()
        self.next_grid = next_mark(self.loop.clock, self.loop.recipe.records.first_grid)

    def scored(self) -> None:
        """Hand over what `Scorer.score` of the first process looks at."""
        self.loop.average.shown()

    def checkpoint(self, minutes: float, ended: bool = False, **extra: int) -> None:
        """See `Recorder.checkpoint`."""
        checkpoint.capture(self.loop)

    def settle(self) -> None:
        """See `Recorder.settle`."""

    def leave(self) -> None:
        """See `Recorder.leave`."""

    def close(self) -> None:
        """See `Recorder.close`."""


def next_mark(clock: int, first: int) -> int:
    """The first of `first`, first x GROWTH, first x GROWTH^2, ... that lies after `clock`."""
    mark = float(first)
    while round(mark) <= clock:
        mark *= GROWTH
    return round(mark)


def crossed(before: int, after: int, interval: int) -> bool:
    """Whether a multiple of `interval` lies in (before, after]."""
    return after // interval > before // interval


def cut(run: Run, clock: int) -> None:
    """Remove the records past `clock`: scalars, readings and grids of a stretch that will be trained again.

    Later checkpoints, if there are any, are put aside rather than removed; newest first and before anything else, so
    that whoever is killed here can do it again.
    """
    for later in reversed([each for each in run.clocks() if each > clock]):
        aside = run.checkpoint_folder / "put-aside"
        aside.mkdir(exist_ok=True)
        shutil.rmtree(aside / checkpoint.name_of(later), ignore_errors=True)
        (run.checkpoint_folder / checkpoint.name_of(later)).rename(aside / checkpoint.name_of(later))
    rows = [row for row in run.scalars() if row["samples"] <= clock]
    write_text(run.scalars_file, "".join(json.dumps(row) + "\n" for row in rows))
    History(run.health_file).cut(clock)
    for path in run.sample_folder.glob("[0-9]*") if run.sample_folder.is_dir() else ():
        if path.stem.isdecimal() and int(path.stem) > clock:
            path.unlink()


def draw_curves(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """All scalars over the clock, one panel each turn's losses and one each other group, as a PNG."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import EngFormatter

    names = sorted({name for row in rows for name in row if name not in ("samples", "minutes")})
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(name.partition("/")[0], []).append(name)
    if not groups:
        return
    figure = Figure(figsize=(9, 2.6 * len(groups)), layout="constrained")
    panels = figure.subplots(len(groups), squeeze=False, sharex=True)[:, 0]
    panels[-1].set_xlabel("samples drawn")
    panels[-1].xaxis.set_major_formatter(EngFormatter(sep=""))
    for axes, (group, members) in zip(panels, groups.items(), strict=True):
        for name in members:
            points = [(row["samples"], row[name]) for row in rows if name in row]
            axes.plot(*zip(*points, strict=True), label=name.partition("/")[2], linewidth=1)
        axes.set_title(group)
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small", ncols=2)
    figure.savefig(path, dpi=100)
