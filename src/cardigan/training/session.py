"""A run from its first step to its last: starting, watching the budget and the signals, recording, resuming."""

import json
import signal
from collections.abc import Iterable
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lightning_fabric import Fabric
from pydantic import TypeAdapter, ValidationError

from cardigan.data.base import Dataset
from cardigan.data.codec import save_codec
from cardigan.errors import CardiganError
from cardigan.extractors.local import local
from cardigan.files import writable, write_text
from cardigan.machine import peak_memory
from cardigan.proposal import propose
from cardigan.recipe import AUTO, Recipe, load_recipe
from cardigan.run import Run, check_out, create_run, open_run
from cardigan.training import checkpoint
from cardigan.training.batch import settle
from cardigan.training.engine import EngineChoice, environment, start_fabric
from cardigan.training.estimate import Estimate, timed
from cardigan.training.guard import Guard
from cardigan.training.loop import Loop
from cardigan.training.play import Play, held
from cardigan.training.processes import Peers, together
from cardigan.training.progress import Progress, Silent
from cardigan.training.records import cut
from cardigan.training.scoring import Scorer
from cardigan.training.sharding import refuse_unshardable

MAY_CHANGE = (
    "training.samples",
    "training.minutes",
    "records.",
    "scoring.interval",
    "scoring.patience",
    "data.storage",
    "engine.devices",
    "engine.nodes",
    "engine.strategy",
    "engine.timeout",
    "engine.recompute",
    "guard.enabled",
)
"""Keys that may differ on resume: they do not touch the trajectory (a stream's order is another data set's, another
number of processes means other rounding), or, as the guard, only from there on."""


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
    refuse_unshardable(loaded)
    check_out(out)
    fabric = start_fabric(loaded.engine)
    progress = (progress or Silent()) if fabric.is_global_zero else Silent()
    if proposal:
        progress.proposed(proposal)
    with together(fabric, loaded.engine.timeout) as peers:
        return _begin(loaded, out, fabric, peers, progress)


def _begin(recipe: Recipe, out: str | Path | None, fabric: Fabric, peers: Peers, progress: Progress) -> Run:
    """A new run of `recipe`, trained until it is over."""
    dataset = _load_data(recipe, fabric, progress)
    if dataset.settled:
        recipe = recipe.but(data=dict(dataset.settled))
    recipe, choice = settle(recipe, dataset, fabric)
    choice.apply()
    loop = Loop(recipe, dataset, choice, fabric)
    scorer = _scorer(loop, recipe, progress)
    run: Run = fabric.broadcast(create_run(recipe, out) if fabric.is_global_zero else None)  # type: ignore[assignment]
    peers.run = run.folder
    if fabric.is_global_zero:
        with writable(run.folder):
            _describe(run, choice, dataset)
    progress.started(run, recipe, dataset, choice)
    with closing(dataset):
        return _play(run, loop, scorer, Guard(run, recipe, dataset.form.size), 0.0, progress)


def rehearse(
    recipe: str | Path | Recipe,
    overrides: Iterable[str] = (),
    *,
    data: str | None = None,
    progress: Progress | None = None,
) -> tuple[Recipe, Estimate]:
    """What `train` with the same arguments would take on this machine: a few rounds are played, nothing is written.

    Raises:
        CardiganError: what `train` would raise before it begins.
    """
    proposal = propose(data, overrides) if recipe == AUTO else None
    loaded = proposal.recipe if proposal else load_recipe(recipe, overrides, data)
    refuse_unshardable(loaded)
    fabric = start_fabric(loaded.engine)
    progress = (progress or Silent()) if fabric.is_global_zero else Silent()
    if proposal:
        progress.proposed(proposal)
    with together(fabric, loaded.engine.timeout), closing(_load_data(loaded, fabric, progress)) as dataset:
        if dataset.settled:
            loaded = loaded.but(data=dict(dataset.settled))
        return loaded, timed(loaded, dataset, fabric)


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
    refuse_unshardable(recipe)
    fabric = start_fabric(recipe.engine)
    progress = progress if fabric.is_global_zero else Silent()
    with together(fabric, recipe.engine.timeout) as peers:
        peers.run = run.folder
        return _continue(run, recipe, path, fabric, progress)


def _continue(run: Run, recipe: Recipe, path: Path | None, fabric: Fabric, progress: Progress) -> Run:
    """`run` from the checkpoint at `path`, or from 0, until it is over."""
    recorded = None if path is None and not run.environment_file.exists() else _recorded(run)
    dataset = _load_data(recipe, fabric, progress)
    if recorded and dataset.fingerprint != recorded.data:
        raise CardiganError(
            f"{run.folder}: {recipe.data.source} is no longer the data that this run was trained on (or is streamed "
            "now and was not then, or the other way round: data.storage)"
        )
    choice = recorded.engine if recorded else settle(recipe, dataset, fabric)[1]
    if choice.compile and (key := recipe.engine.uncompilable):
        raise CardiganError(f"engine.{key}: this run began with compiled networks, which cannot do that")
    choice.apply()
    guard = Guard.at(run, recipe, dataset.form.size, path)
    loop = Loop(guard.recipe, dataset, choice, fabric)
    scorer = _scorer(loop, recipe, progress)
    with held(run, fabric):
        minutes = 0.0 if path is None else _restore(run, loop, path)
        if fabric.is_global_zero:
            with writable(run.folder):
                write_text(run.recipe_file, recipe.yaml())
                cut(run, loop.clock)
                checkpoint.prune(run.checkpoint_folder, run.best())  # as whoever was killed was about to
                guard.forget_the_rest(loop.clock)
                if recorded is None:  # killed before it was written
                    _describe(run, choice, dataset)
    changes = _environment_changes(recorded.environment) if recorded else []
    progress.resumed(run, recipe, dataset, choice, loop.clock, guard.thrown, changes)
    with closing(dataset):
        return _play(run, loop, scorer, guard, minutes, progress)


def _restore(run: Run, loop: Loop, path: Path) -> float:
    """Put the checkpoint at `path` into `loop`; the minutes trained until then."""
    try:
        return float(checkpoint.load_checkpoint(loop, path).get("minutes", 0.0))
    except checkpoint.DamagedCheckpointError as damage:
        raise CardiganError(f"{damage}; {run.offer(int(path.name), 'resume')}") from None


def _play(run: Run, loop: Loop, scorer: Scorer | None, guard: Guard, minutes: float, progress: Progress) -> Run:
    """Train until it is over."""

    def rebuild(recipe: Recipe) -> Loop:
        return Loop(recipe, loop.dataset, loop.choice, loop.fabric)

    play = Play(run, loop, scorer, guard, minutes, progress, rebuild)
    over = play.play()
    if loop.fabric.is_global_zero:
        _remember_peak(run)
    if over > 0 and not loop.fabric.is_global_zero:
        raise SystemExit(128 + over)  # process 0 says it
    if over > 0:
        raise Interrupted(run, over)
    progress.finished(run, loop.dataset, play.loop.clock, play.minutes)
    return run


def _scorer(loop: Loop, recipe: Recipe, progress: Progress) -> Scorer | None:
    """What scores while training, if that is asked for: one process does it for all; `recipe`: as the user knows it."""
    if not (loop.recipe.scoring.interval and loop.fabric.is_global_zero):
        return None
    with progress.reading() as watch:
        return Scorer(loop, recipe.training.seed, watch)


def _load_data(recipe: Recipe, fabric: Fabric, progress: Progress) -> Dataset:
    with progress.reading() as watch:
        dataset = recipe.data.load("train", recipe.training.seed, watch)
        if recipe.game.guided:  # made now, where its progress is seen; the game finds it in the cache
            local(recipe.data, "guide", watch)
    if len(dataset) == 0:
        raise CardiganError(f"data.source: {recipe.data.source} has no samples to train on")
    return dataset.to(fabric.device)


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


def _remember_peak(run: Run) -> None:
    """Write the largest memory that this process has held into environment.json, in bytes."""
    with writable(run.folder):
        write_text(run.environment_file, json.dumps(run.environment | {"peak_memory": peak_memory()}, indent=1))


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
        allowed = ", ".join(f"{key}*" if key.endswith(".") else key for key in MAY_CHANGE)
        raise CardiganError(
            f"{refused[0]} may not change on resume; allowed: {allowed} (for anything else start a new run)"
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
    drawn = state.get("clock", 0) + state.get("thrown", 0)
    by_samples = training.samples is not None and drawn >= training.samples
    return by_samples or (training.minutes is not None and state.get("minutes", 0.0) >= training.minutes)
