"""A run from its first step to its last: starting, watching the budget and the signals, recording, resuming."""

import json
import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from lightning_fabric import Fabric
from pydantic import TypeAdapter, ValidationError

from cardigan.data.base import Dataset
from cardigan.data.codec import save_codec
from cardigan.errors import CardiganError
from cardigan.extractors.local import local
from cardigan.files import writable, write_text
from cardigan.health.diagnosis import Reading
from cardigan.health.history import History
from cardigan.health.rules import diagnose
from cardigan.proposal import propose
from cardigan.recipe import AUTO, Recipe, load_recipe
from cardigan.run import Run, check_out, create_run, open_run
from cardigan.training import checkpoint
from cardigan.training.engine import EngineChoice, choose, environment, start_fabric
from cardigan.training.loop import Loop
from cardigan.training.monitor import Monitor
from cardigan.training.progress import Progress, Silent
from cardigan.training.records import Recorder, crossed, cut
from cardigan.training.scoring import Scorer

MAY_CHANGE = (
    "training.samples",
    "training.minutes",
    "records.",
    "scoring.interval",
    "scoring.patience",
    "data.storage",
)
"""Keys that may differ on resume: they do not touch the trajectory (a stream's order is another data set's)."""


class Interrupted(Exception):  # noqa: N818 - an event, not an error
    """Training was stopped by a signal after a checkpoint was written; `number` is the signal."""

    def __init__(self, run: Run, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.run, self.number = run, number


def train(
    recipe: str | Path | Recipe,
    overrides: Iterable[str] = (),
    *,
    data: str | None = None,
    out: str | Path | None = None,
    progress: Progress | None = None,
) -> Run:
    """Train `recipe` (a shipped name, "auto", a YAML file, a `Recipe`) into a new run folder.

    Args:
        overrides: such as "training.samples=200k".
        data: replaces the recipe's data source.
        out: the run folder; by default runs/RECIPE-0001 and so on.
        progress: told what happens; silent by default.

    Raises:
        CardiganError: in one line, what is wrong with recipe, data or folder.
        Interrupted: SIGINT or SIGTERM came; a checkpoint was written.
    """
    proposal = propose(data, overrides) if recipe == AUTO else None
    loaded = proposal.recipe if proposal else load_recipe(recipe, overrides, data)
    check_out(out)
    fabric = start_fabric(loaded.engine)
    progress = (progress or Silent()) if fabric.is_global_zero else Silent()
    if proposal:
        progress.proposed(proposal)
    dataset = _load_data(loaded, fabric, progress)
    if dataset.settled:
        loaded = loaded.but(data=dict(dataset.settled))
    choice = _choose(loaded, dataset, fabric)
    choice.apply()
    loop = Loop(loaded, dataset, choice, fabric)
    scorer = _scorer(loop, progress)
    run: Run = fabric.broadcast(create_run(loaded, out) if fabric.is_global_zero else None)  # type: ignore[assignment]
    if fabric.is_global_zero:
        with writable(run.folder):
            _describe(run, choice, dataset)
    progress.started(run, loaded, dataset, choice)
    with closing(dataset):
        return _play(run, loop, scorer, 0.0, progress)


def resume(
    run: str | Path | Run,
    overrides: Iterable[str] = (),
    *,
    at: int | None = None,
    progress: Progress | None = None,
) -> Run:
    """Continue `run` bit for bit from its newest checkpoint, or the one at clock `at`; from 0 if there is none.

    Args:
        overrides: of the budget and of the records; everything else is refused by name.

    Raises:
        CardiganError: a damaged checkpoint (the one before it is offered), data that changed, a key that may not.
        Interrupted: SIGINT or SIGTERM came; a checkpoint was written.
    """
    run = run if isinstance(run, Run) else open_run(run)
    recipe = _changed(run.recipe, list(overrides))
    path = _checkpoint_to_resume(run, at)
    progress = progress or Silent()
    if at is None and path is not None and _finished(recipe, checkpoint.verify(path)):
        progress.already_finished(run)
        return run
    recorded = None if path is None and not run.environment_file.exists() else _recorded(run)
    fabric = start_fabric(recipe.engine)
    progress = progress if fabric.is_global_zero else Silent()
    dataset = _load_data(recipe, fabric, progress)
    if recorded and dataset.fingerprint != recorded.data:
        raise CardiganError(
            f"{run.folder}: {recipe.data.source} is no longer the data that this run was trained on (or is streamed "
            "now and was not then, or the other way round: data.storage)"
        )
    choice = recorded.engine if recorded else _choose(recipe, dataset, fabric)
    choice.apply()
    loop = Loop(recipe, dataset, choice, fabric)
    scorer = _scorer(loop, progress)
    with _held(run, fabric):
        minutes = 0.0 if path is None else _restore(run, loop, path)
        if fabric.is_global_zero:
            with writable(run.folder):
                write_text(run.recipe_file, recipe.yaml())
                cut(run, loop.clock)
                if recorded is None:  # killed before it was written
                    _describe(run, choice, dataset)
    changes = _environment_changes(recorded.environment) if recorded else []
    progress.resumed(run, recipe, dataset, choice, loop.clock, changes)
    with closing(dataset):
        return _play(run, loop, scorer, minutes, progress)


def _restore(run: Run, loop: Loop, path: Path) -> float:
    """Put the checkpoint at `path` into `loop`; the minutes trained until then."""
    try:
        return float(checkpoint.load_checkpoint(loop, path).get("minutes", 0.0))
    except checkpoint.DamagedCheckpointError as damage:
        raise CardiganError(f"{damage}; {run.offer(int(path.name), 'resume')}") from None


def _play(run: Run, loop: Loop, scorer: Scorer | None, minutes: float, progress: Progress) -> Run:
    """Rounds until the budget is spent or a signal comes; then a checkpoint, whatever the reason."""
    records, writes = loop.recipe.records, loop.fabric.is_global_zero
    start = time.monotonic() - 60 * minutes
    with _held(run, loop.fabric), _peers(run, loop.fabric), _signals() as caught, progress, writable(run.folder):
        recorder = Recorder(run, loop, loop.dataset.codec) if writes else None
        monitor = Monitor(loop) if loop.recipe.health.interval else None
        history = History(run.health_file)
        if recorder and loop.clock == 0:
            recorder.grid()
        ended = scorer is not None and scorer.stalled(run)
        while not (over := _over(loop, elapsed := (time.monotonic() - start) / 60, caught, ended)):
            before, reads = loop.clock, monitor is not None and monitor.due()
            loop.round()
            progress.advance(loop.clock, elapsed)
            if monitor and reads:
                _examine(monitor, history, elapsed, writes, progress)
            if recorder is None:
                continue
            saves = crossed(before, loop.clock, records.checkpoint)
            if saves or crossed(before, loop.clock, records.scalars):
                progress.scalars(loop.clock, elapsed, recorder.scalars(elapsed))
            if loop.clock >= recorder.next_grid:
                recorder.grid()
            if scorer and scorer.due(before, loop.clock):
                start += _score(scorer, recorder, elapsed, progress)
                saves, ended = True, scorer.stalled(run)
            if saves:
                recorder.checkpoint(elapsed, ended)
        if recorder:
            _finish(recorder, elapsed, progress)
    if over > 0:
        raise Interrupted(run, over)
    progress.finished(run, loop.dataset, loop.clock, elapsed)
    return run


def _examine(monitor: Monitor, history: History, minutes: float, writes: bool, progress: Progress) -> None:
    """Take a reading, write it down with what it means, and say what is new."""
    reading = Reading(monitor.loop.clock, monitor.read(minutes))
    if not writes:
        return
    found = diagnose([*history.readings, reading])
    news = [each for each in found if history.is_new(each)]
    history.add(reading, found)
    for diagnosis in news:
        progress.diagnosed(diagnosis)


def _finish(recorder: Recorder, minutes: float, progress: Progress) -> None:
    progress.scalars(recorder.loop.clock, minutes, recorder.scalars(minutes))
    if recorder.loop.clock not in recorder.run.clocks():
        recorder.checkpoint(minutes)
    recorder.grid()
    recorder.close()


def _scorer(loop: Loop, progress: Progress) -> Scorer | None:
    """What scores while training, if that is asked for: one process does it for all."""
    if not (loop.recipe.scoring.interval and loop.fabric.is_global_zero):
        return None
    with progress.reading() as watch:
        return Scorer(loop, watch)


def _score(scorer: Scorer, recorder: Recorder, minutes: float, progress: Progress) -> float:
    """Score and write it down; the seconds it took, which are no time of training."""
    began = time.monotonic()
    value = scorer.score()
    recorder.score(scorer.name, value, minutes)
    progress.scored(scorer.loop.clock, scorer.name, value)
    return time.monotonic() - began


def _over(loop: Loop, minutes: float, caught: list[int], ended: bool) -> int:
    """0: go on; -1: it is over; otherwise the number of the signal that came. All processes agree.

    Args:
        ended: scores have not improved for as long as the recipe's patience.
    """
    training = loop.recipe.training
    spent = ended or (training.samples is not None and loop.clock >= training.samples)
    spent = spent or (training.minutes is not None and minutes >= training.minutes)
    verdict = caught[0] if caught else -1 if spent else 0
    return verdict if loop.fabric.world_size == 1 else _agree(loop.fabric, verdict)


def _agree(fabric: Fabric, verdict: int) -> int:
    """The largest signal number over all processes; failing that, what process 0 says of the budget."""
    import torch

    told = torch.tensor([max(verdict, 0), int(verdict < 0 and fabric.global_rank == 0)], device=fabric.device)
    reduced = fabric.all_reduce(told, reduce_op="max")
    assert isinstance(reduced, torch.Tensor)
    caught, spent = reduced.tolist()
    return int(caught) or -int(spent)


@contextmanager
def _signals() -> Iterator[list[int]]:
    """SIGINT and SIGTERM are noted in the list; a second one acts as usual."""
    caught: list[int] = []
    before: dict[signal.Signals, Any] = {}

    def note(number: int, frame: FrameType | None) -> None:
        caught.append(number)
        signal.signal(number, before[signal.Signals(number)])

    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.signal(number, note)
    except ValueError:  # not in the main thread: whoever runs us handles signals
        pass
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _peers(run: Run, fabric: Fabric) -> Iterator[None]:
    """One line where another process of this run has ended: that one says why."""
    from torch.distributed import DistError

    try:
        yield
    except RuntimeError as error:
        if fabric.world_size == 1 or not (isinstance(error, DistError) or "gloo" in str(error)):
            raise
        raise CardiganError(
            f"process {fabric.global_rank} of {fabric.world_size} has lost touch with the others, which may say why; "
            f"to go on from the last checkpoint: cardigan resume {run.folder}"
        ) from error


@contextmanager
def _held(run: Run, fabric: Fabric) -> Iterator[None]:
    if not fabric.is_global_zero:
        yield
        return
    with run.locked():
        yield


def _load_data(recipe: Recipe, fabric: Fabric, progress: Progress) -> Dataset:
    with progress.reading() as watch:
        dataset = recipe.data.load("train", recipe.training.seed, watch)
        if recipe.game.guided:  # made now, where its progress is seen; the game finds it in the cache
            local(recipe.data, "guide", watch)
    if len(dataset) == 0:
        raise CardiganError(f"data.source: {recipe.data.source} has no samples to train on")
    return dataset.to(fabric.device)


def _choose(recipe: Recipe, dataset: Dataset, fabric: Fabric) -> EngineChoice:
    pictures = len(dataset.form.shape) == 3
    return choose(recipe.engine, lambda choice: Loop(recipe, dataset, choice, fabric).round, fabric, pictures)


@dataclass
class _Recorded:
    """What environment.json tells a later process."""

    engine: EngineChoice
    environment: dict[str, Any]
    data: str


def _recorded(run: Run) -> _Recorded:
    try:
        return TypeAdapter(_Recorded).validate_python(run.environment)
    except ValidationError:
        raise CardiganError(f"{run.environment_file} is damaged: it does not hold what the engine chose") from None


def _describe(run: Run, choice: EngineChoice, dataset: Dataset) -> None:
    """Write codec and environment.json; where the latter is, the former is too."""
    from cardigan import __version__

    save_codec(dataset.codec, dataset.form, run.codec_folder)
    content = {
        "cardigan": __version__,
        "engine": choice.plain(),
        "environment": environment(),
        "data": dataset.fingerprint,
        "form": asdict(dataset.form),
    }
    write_text(run.environment_file, json.dumps(content, indent=1))


def _environment_changes(recorded: dict[str, Any]) -> list[str]:
    return [
        f"{name} was {recorded.get(name)} and is {value} now: the trajectory may differ in its last bits"
        for name, value in environment().items()
        if recorded.get(name) != value
    ]


def _changed(recipe: Recipe, overrides: list[str]) -> Recipe:
    changed = recipe.but(*overrides) if overrides else recipe
    refused = [key for key in changed.differences(recipe) if not key.startswith(MAY_CHANGE)]
    if refused:
        raise CardiganError(
            f"{refused[0]} may not change on resume; allowed: training.samples, training.minutes, records.*, "
            "scoring.interval, scoring.patience, data.storage (for anything else start a new run)"
        )
    return changed


def _checkpoint_to_resume(run: Run, at: int | None) -> Path | None:
    clocks = run.clocks()
    if at is not None and at not in clocks:
        raise CardiganError(
            f"{run.folder} has no checkpoint at {at}; there are: {', '.join(map(str, clocks)) or 'none'}"
        )
    if not clocks:
        return None
    clock = clocks[-1] if at is None else at
    path = run.checkpoint_folder / checkpoint.name_of(clock)
    try:
        checkpoint.verify(path)
    except checkpoint.DamagedCheckpointError as damage:
        raise CardiganError(f"{damage}; {run.offer(clock, 'resume')}") from None
    return path


def _finished(recipe: Recipe, state: dict[str, Any]) -> bool:
    training = recipe.training
    by_samples = training.samples is not None and state.get("clock", 0) >= training.samples
    return by_samples or (training.minutes is not None and state.get("minutes", 0.0) >= training.minutes)
