"""What is judged: a run's generator, or a folder of pictures from any program."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from cardigan.data.base import Codec, Data, Dataset, Watch, silent
from cardigan.data.pair_codec import Direction
from cardigan.data.pictures import Pictures
from cardigan.errors import CardiganError
from cardigan.evaluation.makers import Paths, Stream, Surprise, Translate, maker
from cardigan.evaluation.result import Curve, Subject
from cardigan.health.checkup import Checkup, check_up
from cardigan.health.history import read
from cardigan.health.interventions import read_interventions
from cardigan.networks.sequences.sampling import Sampling
from cardigan.players import Weights
from cardigan.recipe import AUTO, build, layers
from cardigan.run import Run, open_run
from cardigan.sample import Form

BROUGHT = ("size", "channels", "fit", "background", "storage")
"""Fields of data that tell how pictures are brought to one form."""


@dataclass(frozen=True)
class Candidate:
    """Somebody's samples, and the real data that they are to be like.

    Attributes:
        subject: for the report.
        place: the run's folder, or the folder of pictures.
        data: settings of the real data, without augmentation.
        form: of one sample.
        codec: turns samples into files.
        stream: gives the samples.
        most: samples there are; None: as many as are asked for.
        paths: measures the perceptual path length; None without a generator of noise.
        translate: makes samples of sources; None where samples are not made of anything.
        labelled: whether samples are made for labels.
        weights: "average" or "raw"; None for a folder.
        truncation: of the latents; None for a folder.
        surprise: how unlikely it finds sentences; None where it writes none.
        curves: recorded in training.
        health: of its training; None for a folder, and where nobody watched.
        remarks: what should be known of its samples.
    """

    subject: Subject
    place: Path
    data: Data
    form: Form
    codec: Codec
    stream: Stream
    most: int | None = None
    paths: Paths | None = None
    translate: Translate | None = None
    labelled: bool = False
    weights: str | None = None
    truncation: float | None = None
    surprise: Surprise | None = None
    curves: tuple[Curve, ...] = ()
    health: Checkup | None = None
    remarks: tuple[str, ...] = ()


def candidate(
    name: str,
    against: str | None = None,
    overrides: Iterable[str] = (),
    *,
    checkpoint: str = "best",
    weights: Weights = "average",
    truncation: float = 1.0,
    direction: Direction = "forward",
    sampling: Sampling | None = None,
    watch: Watch = silent,
) -> Candidate:
    """The candidate called `name`: a run (folder, name, "last"), or with `against` a folder of pictures.

    Args:
        against: the source of the real pictures that a folder is judged against.
        overrides: of the real data, such as "data.size=64".
        checkpoint: "best" (by its scores on validation; the last where none were recorded), "last", or a clock.
        direction: of a translator.
        sampling: how tokens are chosen, of a run that writes sentences.

    Raises:
        CardiganError: there is no such run, checkpoint or folder; in one line.
    """
    path, overrides = Path(name).expanduser(), list(overrides)
    for key in (key for layer in layers(overrides) for key in layer if key != "data"):
        raise CardiganError(f"{key}: where samples are judged, the real data alone can differ; allowed: data.*")
    if against is not None:
        if (path / "recipe.yaml").is_file() or (not path.exists() and _is_run(name)):
            raise CardiganError(f"--against: {name} is a run, judged against its own data; allowed: test, train")
        if (checkpoint, weights, truncation, direction) != ("best", "average", 1.0, "forward"):
            raise CardiganError(
                "--checkpoint, --raw, --truncation, --direction: they are of a run; pictures are judged as they are"
            )
        if sampling is not None:
            raise CardiganError("--temperature, --top-k, --top-p: only for runs that write sentences")
        return _folder(name, against, overrides, watch)
    if path.exists() and not (path / "recipe.yaml").is_file():
        raise CardiganError(f"{name} is no run; to judge its pictures: cardigan evaluate {name} --against SOURCE")
    return _run(open_run(name), overrides, checkpoint, weights, truncation, direction, sampling, watch)


def _is_run(name: str) -> bool:
    try:
        open_run(name)
    except CardiganError:
        return False
    return True


def _run(
    run: Run,
    overrides: Iterable[str],
    checkpoint: str,
    weights: Weights,
    truncation: float,
    direction: Direction,
    sampling: Sampling | None,
    watch: Watch,
) -> Candidate:
    if not 0 <= truncation <= 1:
        raise CardiganError(f"--truncation: must lie between 0 and 1, not {truncation}")
    clock, which = chosen_checkpoint(run, checkpoint)
    made = maker(run, clock, weights, truncation, direction, sampling)
    rows = run.scalars()
    minutes = [row["minutes"] for row in rows if row["samples"] <= made.clock]
    recipe = run.recipe.but(*overrides)
    _check_data(run, recipe.data, watch)
    data = recipe.data.still() if direction == "forward" else recipe.data.still().swapped()
    name = run.folder.resolve().name
    return Candidate(
        subject=Subject(name, "run", recipe.name, made.clock, minutes[-1] if minutes else None, which, made.sampling),
        place=run.folder,
        data=data,
        form=made.form,
        codec=made.codec,
        stream=made.stream,
        paths=made.paths,
        translate=made.translate,
        labelled=made.labelled,
        weights=weights,
        truncation=made.truncation,
        surprise=made.surprise,
        curves=curves(rows),
        health=checkup_of(run),
    )


def checkup_of(run: Run) -> Checkup | None:
    """The health of the training of `run`; None where none can be read, since samples are judged all the same."""
    try:
        readings = [entry.reading for entry in read(run.health_file)]
        return check_up(readings, read_interventions(run.guard_file)) if readings else None
    except CardiganError:
        return None


def _check_data(run: Run, data: Data, watch: Watch) -> None:
    """Refuse data whose train split is not what the run was trained on: its test split may hold what the run has seen.

    Raises:
        CardiganError: it is not.
    """
    if data.load("train", 0, watch).fingerprint != run.environment.get("data"):
        raise CardiganError(
            f"{run.folder}: {data.source} does not give the train split that this run was trained on (it changed, or "
            "data.* or its storage differ now); scores against its other splits would mean nothing"
        )


def chosen_checkpoint(run: Run, wanted: str) -> tuple[int | None, str]:
    """Clock of the checkpoint that `wanted` names (None: the newest), and what to call it.

    Raises:
        CardiganError: it is neither "best" nor "last" nor a number.
    """
    if wanted == "best":
        best = run.best()
        return (best, "best") if best is not None else (None, "last")
    if wanted == "last":
        return None, "last"
    if wanted.isdecimal():
        return int(wanted), "chosen"
    raise CardiganError(f"--checkpoint: {wanted!r} is none; allowed: best, last, or a clock such as 200000")


def curves(rows: list[dict[str, Any]]) -> tuple[Curve, ...]:
    """The recorded scalars by name."""
    names = sorted({name for row in rows for name in row} - {"samples", "minutes"})
    return tuple(_curve(name, [row for row in rows if name in row]) for name in names)


def _curve(name: str, rows: list[dict[str, Any]]) -> Curve:
    clocks, minutes = (tuple(row[key] for row in rows) for key in ("samples", "minutes"))
    return Curve(name, clocks, minutes, tuple(row[name] for row in rows))


def _folder(name: str, against: str, overrides: list[str], watch: Watch) -> Candidate:
    """A source of pictures as candidate; the real ones are brought to its size and channels."""
    every = {"kind": "pictures", "source": name, "test": 0.0, "validation": 0.0}
    settings = _pictures(every, *map(_brought, layers(overrides)))
    judged = settings.load("train", 0, watch)
    channels, height, width = judged.form.shape
    theirs = {"source": against, "size": f"{height}x{width}", "channels": channels}
    data = _pictures({"kind": "pictures", **theirs}, *layers(overrides), theirs)
    others = [split for split in settings.open().parts if split != "train"]
    remarks = [f"{name}: {each}." for each in judged.remarks]
    if others:
        remarks.append(f"{name} has splits; its train pictures were judged, not those of {', '.join(others)}.")

    def stream(count: int, seed: int, labels: Tensor | None, real: Dataset) -> Iterator[Tensor]:
        for start in range(0, count, 256):
            yield judged.draw(start, min(256, count - start)).sample

    place = Path(name).expanduser()
    return Candidate(
        subject=Subject(place.resolve().name or name, "folder"),
        place=place,
        data=data.still(),
        form=Form(judged.form.shape, 0),
        codec=judged.codec,
        stream=stream,
        most=len(judged),
        remarks=tuple(remarks),
    )


def _brought(layer: dict[str, Any]) -> dict[str, Any]:
    """Of overrides what tells how pictures are brought to one form; which of them are used is said of the real ones."""
    data = layer.get("data")
    return {"data": {key: each for key, each in data.items() if key in BROUGHT}} if isinstance(data, dict) else layer


def _pictures(*contents: dict[str, Any]) -> Pictures:
    """The data settings that plain `contents` describe, later ones over earlier ones."""
    game = {"name": AUTO, "game": {"kind": "gan", "networks": "mlp"}}
    data = build(game, *({"data": each.get("data", each)} for each in contents)).data
    assert isinstance(data, Pictures)
    return data
