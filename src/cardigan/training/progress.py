"""What a person sees while a run trains: a live bar on a terminal, plain lines elsewhere."""

import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

from cardigan.recipe import Recipe
from cardigan.run import Run
from cardigan.training.engine import EngineChoice

if TYPE_CHECKING:
    from rich.console import Console

    from cardigan.data.base import Dataset

PLAIN_SECONDS = 10.0
"""Between two plain lines."""


class Progress:
    """Is told what happens in a run. This one keeps silent; `Terminal` speaks."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the live display, if any."""

    def started(self, run: Run, recipe: Recipe, dataset: "Dataset", choice: EngineChoice) -> None:
        """A new run begins."""

    def resumed(self, run: Run, recipe: Recipe, choice: EngineChoice, clock: int, changes: list[str]) -> None:
        """A run goes on from `clock`; `changes` tell where machine or versions differ."""

    def already_finished(self, run: Run) -> None:
        """There is nothing left to do."""

    def advance(self, clock: int, minutes: float) -> None:
        """A round has been played."""

    def scalars(self, clock: int, minutes: float, means: dict[str, float]) -> None:
        """A line of scalars has been written."""

    def finished(self, run: Run, clock: int, minutes: float) -> None:
        """The budget is spent."""


Silent = Progress


class Terminal(Progress):
    """Speaks to a person: a live bar on a terminal, a plain line every ten seconds elsewhere."""

    def __init__(self, console: "Console") -> None:
        self.console = console
        self.losses = ""
        self.spoken = time.monotonic()
        self.shown = 0.0

    def started(self, run: Run, recipe: Recipe, dataset: "Dataset", choice: EngineChoice) -> None:
        """See `Progress`."""
        shape = " x ".join(str(side) for side in dataset.form.shape)
        classes = f", {dataset.form.classes} classes" if dataset.form.classes else ""
        self._say(f"[bold]{recipe.name}[/] on {len(dataset):,} samples ({shape}{classes}) -> {run.folder}")
        self._say(f"engine: {choice.describe()}")
        self._begin(recipe, 0)

    def resumed(self, run: Run, recipe: Recipe, choice: EngineChoice, clock: int, changes: list[str]) -> None:
        """See `Progress`."""
        self._say(f"[bold]{recipe.name}[/] goes on from {clock:,} samples in {run.folder}")
        self._say(f"engine, as before: {choice.describe()}")
        for change in changes:
            self._say(f"note: {change}")
        self._begin(recipe, clock)

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

    def finished(self, run: Run, clock: int, minutes: float) -> None:
        """See `Progress`."""
        self._say(f"done: {clock:,} samples in {minutes:.1f} minutes")
        self._say(f"  sample grid   {run.latest_grid()}")
        self._say(f"  curves        {run.folder / 'curves.png'}")
        self._say(f"  run folder    {run.folder}")
        self._say(f"next: cardigan generate {run.folder} -n 64 --out samples.png")

    def _begin(self, recipe: Recipe, clock: int) -> None:
        self.training, self.first, self.since = recipe.training, clock, time.monotonic()

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
        budgets = ((clock, self.training.samples), (minutes, self.training.minutes))
        return min(1.0, max(used / budget for used, budget in budgets if budget))

    def _left(self, clock: int, minutes: float) -> str:
        left = []
        if self.training.samples:
            left.append((self.training.samples - clock) / max(1e-9, self._rate(clock)))
        if self.training.minutes:
            left.append(60 * (self.training.minutes - minutes))
        seconds = max(0, int(min(left)))
        return f"{seconds // 60}:{seconds % 60:02d} left"

    def _rate(self, clock: int) -> float:
        return (clock - self.first) / max(1e-9, time.monotonic() - self.since)

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
