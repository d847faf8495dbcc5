"""What a person sees while a run trains: a live bar on a terminal, plain lines elsewhere."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.markup import escape

from cardigan.data.base import Watch, silent
from cardigan.health.diagnosis import Diagnosis
from cardigan.machine import peak_memory
from cardigan.recipe import Recipe
from cardigan.run import Run
from cardigan.training.engine import EngineChoice

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

    from cardigan.data.base import Dataset
    from cardigan.health.interventions import Intervention
    from cardigan.proposal import Proposal

PLAIN_SECONDS = 10.0
"""Between two plain lines."""
MOMENT = 1.0
"""Seconds of reading data that pass without a word."""


class Progress:
    """Is told what happens in a run. This one keeps silent; `Terminal` speaks."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the live display, if any."""

    @contextmanager
    def reading(self) -> Iterator[Watch]:
        """The data is read; what is given is told how far it has come."""
        yield silent

    def proposed(self, proposal: "Proposal") -> None:
        """A recipe was chosen by looking at the data."""

    def started(self, run: Run, recipe: Recipe, dataset: "Dataset", choice: EngineChoice) -> None:
        """A new run begins."""

    def resumed(
        self,
        run: Run,
        recipe: Recipe,
        dataset: "Dataset",
        choice: EngineChoice,
        clock: int,
        thrown: int,
        changes: list[str],
    ) -> None:
        """A run goes on from `clock`, having thrown away so many samples; `changes`: of machine and versions."""

    def already_finished(self, run: Run) -> None:
        """There is nothing left to do."""

    def advance(self, clock: int, minutes: float) -> None:
        """A round has been played."""

    def scalars(self, clock: int, minutes: float, means: dict[str, float]) -> None:
        """A line of scalars has been written."""

    def scored(self, clock: int, name: str, value: float) -> None:
        """The averaged generator was scored on the validation split."""

    def diagnosed(self, diagnosis: Diagnosis) -> None:
        """Something has begun to go wrong, or has become worse."""

    def intervened(self, intervention: "Intervention") -> None:
        """The guard has done something."""

    def finished(self, run: Run, dataset: "Dataset", clock: int, minutes: float) -> None:
        """The budget is spent, or scores do not improve any more."""


Silent = Progress


class Reading:
    """Shows how far the reading of data has come, if it takes longer than a moment; then takes it away again."""

    def __init__(self, console: "Console") -> None:
        self.console = console
        self.began = self.spoken = time.monotonic()
        self.bar: RichProgress | None = None
        self.place: TaskID | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bar is not None:
            self.bar.stop()

    def watch(self, what: str, done: int, total: int) -> None:
        """See `cardigan.data.base.Watch`."""
        now = time.monotonic()
        if now - self.began < MOMENT and total:
            return
        if self.console.is_terminal:
            self._show(what, done, total)
        elif now - self.spoken > PLAIN_SECONDS or not total:
            self.spoken = now
            self.console.print(f"{what}: {done:,} of {total:,}" if total else what, highlight=False, soft_wrap=True)

    def _show(self, what: str, done: int, total: int) -> None:
        if self.bar is None or self.place is None:
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as RichProgress

            columns = (TextColumn("{task.description}"), BarColumn(24), MofNCompleteColumn(), TimeRemainingColumn())
            self.bar = RichProgress(*columns, console=self.console, transient=True)
            self.place = self.bar.add_task(what)
            self.bar.start()
        self.bar.update(self.place, description=what, completed=done, total=total or None)


class Terminal(Progress):
    """Speaks to a person: a live bar on a terminal, a plain line every ten seconds elsewhere."""

    def __init__(self, console: "Console") -> None:
        self.console = console
        self.losses = ""
        self.spoken = time.monotonic()
        self.shown = 0.0
        self.best: float | None = None
        self.remarks: tuple[str, ...] = ()

    @contextmanager
    def reading(self) -> Iterator[Watch]:
        """See `Progress`."""
        with Reading(self.console) as reading:
            yield reading.watch

    def proposed(self, proposal: "Proposal") -> None:
        """See `Progress`."""
        for line in proposal.lines():
            self._say(escape(line))

    def started(self, run: Run, recipe: Recipe, dataset: "Dataset", choice: EngineChoice) -> None:
        """See `Progress`."""
        shape = " x ".join(str(side) for side in dataset.form.shape)
        classes = f", {dataset.form.classes} classes" if dataset.form.classes else ""
        self._say(f"[bold]{recipe.name}[/] on {len(dataset):,} samples ({shape}{classes}) -> {run.folder}")
        self._remark(dataset)
        self._say(f"engine: {choice.describe()}")
        self._begin(recipe, 0)

    def resumed(
        self,
        run: Run,
        recipe: Recipe,
        dataset: "Dataset",
        choice: EngineChoice,
        clock: int,
        thrown: int,
        changes: list[str],
    ) -> None:
        """See `Progress`."""
        self.remarks = dataset.remarks  # said when the run began
        self._say(f"[bold]{recipe.name}[/] goes on from {clock:,} samples in {run.folder}")
        self._say(f"engine, as before: {choice.describe()}")
        for change in changes:
            self._say(f"note: {change}")
        self._begin(recipe, clock, thrown)

    def already_finished(self, run: Run) -> None:
        """See `Progress`."""
        self._say(
            f"{run.folder} is finished: its budget is spent. To train on: cardigan resume {run.folder} "
            "training.samples=N or training.minutes=M"
        )

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self._open_bar()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """See `Progress`."""
        if self.console.is_terminal:
            self.bar.stop()

    def advance(self, clock: int, minutes: float) -> None:
        """See `Progress`."""
        now = time.monotonic()
        if self.console.is_terminal and now - self.shown > 0.1:
            self.shown = now
            self._show(clock, minutes)

    def scalars(self, clock: int, minutes: float, means: dict[str, float]) -> None:
        """See `Progress`."""
        self.losses = _losses(means)
        if not self.console.is_terminal and time.monotonic() - self.spoken > PLAIN_SECONDS:
            self.spoken = time.monotonic()
            text = f"{clock:>12,} samples  {self._rate(clock):>9,.0f}/s  {self._left(clock, minutes)}  {self.losses}"
            self._say(text)

    def scored(self, clock: int, name: str, value: float) -> None:
        """See `Progress`."""
        self.best = value if self.best is None else min(value, self.best)
        mark = "the best so far" if value == self.best else f"best {self.best:.4g}"
        self._say(f"{clock:>12,} samples  {name} {value:.4g} on validation ({mark})")

    def diagnosed(self, diagnosis: Diagnosis) -> None:
        """See `Progress`."""
        colour = {"info": "cyan", "warning": "yellow", "critical": "red"}[diagnosis.level]
        self._say(f"[{colour}]{diagnosis.level}[/] at {diagnosis.clock:,}: {escape(diagnosis.sentence())}")

    def intervened(self, intervention: "Intervention") -> None:
        """See `Progress`."""
        if intervention.back_to is not None:
            self.thrown += intervention.clock - intervention.back_to
        said = " ".join(intervention.changes)
        self._say(escape(f"guard at {intervention.clock:,}: {intervention.action} because of {intervention.reason}"))
        self._say(escape(f"  {said}"))

    def finished(self, run: Run, dataset: "Dataset", clock: int, minutes: float) -> None:
        """See `Progress`."""
        self._remark(dataset)
        self._say(f"done: {clock:,} samples in {minutes:.1f} minutes")
        self._say(f"  sample grid   {run.latest_grid()}")
        self._say(f"  curves        {run.folder / 'curves.png'}")
        self._say(f"  run folder    {run.folder}")
        self._say(f"  peak memory   {peak_memory() / 2**20:,.0f} MiB")
        self._say(f"next: {dataset.codec.usage(str(run.folder))}")

    def _remark(self, dataset: "Dataset") -> None:
        """Say what there is to say of the data and was not said yet."""
        for remark in dataset.remarks:
            if remark not in self.remarks:
                self._say(f"note: {escape(remark)}")
        self.remarks = dataset.remarks

    def _begin(self, recipe: Recipe, clock: int, thrown: int = 0) -> None:
        self.training, self.thrown = recipe.training, thrown
        self.first, self.since = clock + thrown, time.monotonic()

    def _open_bar(self) -> None:
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as Bar

        columns = (BarColumn(bar_width=24), TextColumn("{task.description}"))
        self.bar = Bar(*columns, console=self.console, transient=True, refresh_per_second=5)
        self.task = self.bar.add_task("starting", total=1.0)
        self.bar.start()

    def _show(self, clock: int, minutes: float) -> None:
        text = f"{clock:,} samples  {self._rate(clock):,.0f}/s  {self._left(clock, minutes)}  {self.losses}"
        self.bar.update(self.task, completed=self._share(clock, minutes), description=text)

    def _share(self, clock: int, minutes: float) -> float:
        budgets = ((clock + self.thrown, self.training.samples), (minutes, self.training.minutes))
        return min(1.0, max(used / budget for used, budget in budgets if budget))

    def _left(self, clock: int, minutes: float) -> str:
        left = []
        if self.training.samples:
            left.append((self.training.samples - clock - self.thrown) / max(1e-9, self._rate(clock)))
        if self.training.minutes:
            left.append(60 * (self.training.minutes - minutes))
        seconds = max(0, int(min(left)))
        return f"{seconds // 60}:{seconds % 60:02d} left"

    def _rate(self, clock: int) -> float:
        return (clock + self.thrown - self.first) / max(1e-9, time.monotonic() - self.since)

    def _say(self, text: str) -> None:
        try:
            self.console.print(text, highlight=False, soft_wrap=True)
        except OSError:  # whoever read our output has left; training goes on
            self.console.quiet = True


def _losses(means: dict[str, float]) -> str:
    """Each turn's losses and penalties by name: "discriminator 0.61 r1 0.02  generator 0.74"."""
    turns: dict[str, list[str]] = {}
    for name, value in means.items():
        turn, _, term = name.partition("/")
        if not term.endswith("_logit"):  # logged, but too much for one line
            turns.setdefault(turn, []).append(f"{term} {value:.3g}".removeprefix("adversarial "))
    return "  ".join(f"{turn} {' '.join(terms)}" for turn, terms in turns.items())
