"""Judging one subject: gather views, measure, set floor and ceiling beside, write evaluation.json and report.html."""

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from functools import partial
from importlib.metadata import version
from pathlib import Path

import torch
from torch import Tensor

import cardigan
from cardigan.data.base import Dataset, Watch, silent
from cardigan.data.sources.source import Split
from cardigan.evaluation.classes import shares_of_classes
from cardigan.evaluation.exhibits import exhibits
from cardigan.evaluation.measures import Found, Measure, Scene, chosen
from cardigan.evaluation.names import score_name
from cardigan.evaluation.paths import measured_paths
from cardigan.evaluation.protocol import Protocol, Score
from cardigan.evaluation.real import TRAIN, Real, look_at_real
from cardigan.evaluation.report.page import write_report
from cardigan.evaluation.report.words import summarise
from cardigan.evaluation.result import Evaluation
from cardigan.evaluation.subject import Candidate, candidate
from cardigan.evaluation.usefulness import Study, Usefulness, augmentation_study, classification_accuracy_score
from cardigan.evaluation.view import GROUPS, View, look
from cardigan.extractors import open_extractor
from cardigan.extractors.base import Extractor
from cardigan.extractors.local import class_names
from cardigan.files import check_folder, writable, write_text
from cardigan.generate import Weights
from cardigan.randomness import derive_seed
from cardigan.sample import Batch

THREADS = 8
"""More would wait for one another on networks this small."""
FOLDER = Path("evaluations")
"""Where the report on a folder of pictures goes, and what reports on runs are called."""
JSON, PAGE = "evaluation.json", "report.html"


def evaluate(
    subject: str,
    *,
    against: str | None = None,
    overrides: Iterable[str] = (),
    metrics: Sequence[str] = (),
    samples: int | None = None,
    extractor: str | None = None,
    checkpoint: str = "best",
    weights: Weights = "average",
    truncation: float = 1.0,
    seed: int = 0,
    out: str | Path | None = None,
    watch: Watch = silent,
) -> tuple[Evaluation, Path]:
    """Judge a run, or a folder of pictures, and write evaluation.json and report.html.

    Args:
        subject: a run (folder, name, "last"); with a source in `against`, a folder of pictures from any program.
        against: "test" (default) or "train" for a run: the real split it is compared with. For a folder, the source of
            the real pictures, with ":train" behind it for its train split.
        overrides: of the real data, such as "data.size=64".
        metrics: keys such as "fd", "prdc"; none: all that need no training.
        samples: generated samples; by default as many as real ones, within 1,000 and 10,000.
        extractor: "local", "inception", "dinov2", "clip", "raw", or an ONNX file.
        checkpoint: "best", "last" or a clock.
        seed: of the generated samples.
        out: folder of the two files; by default the run's folder, or evaluations/NAME for a folder.

    Returns:
        What was found, and the folder of the two files.

    Raises:
        CardiganError: in one line, what cannot be judged and why.
    """
    torch.set_num_threads(min(torch.get_num_threads(), THREADS))
    wanted = chosen(metrics)
    if out is not None:
        check_folder(Path(out))
    source, split = _against(against)
    who = candidate(
        subject, source, overrides, checkpoint=checkpoint, weights=weights, truncation=truncation, watch=watch
    )
    eye = open_extractor(extractor or ("local" if len(who.form.shape) == 3 else "raw"), who.data, who.form, watch)
    real = look_at_real(who.data, split, samples, who.most, eye, watch)
    scene = Scene(
        generated=_generated(who, real, eye, seed, watch),
        reference=real.reference,
        train=real.train,
        held_out=real.held_out,
        classes=class_names(real.data) if eye.classes else (),
        asked=who.labelled,
        intervals=min(real.generated, real.reference.count) >= 2 * GROUPS,
        seed=seed,
        paths=None if who.model is None else partial(measured_paths, who.model, eye, truncation, seed),
        usefulness=partial(_usefulness, who, real, seed, watch) if who.labelled else None,
        augmentation=partial(_augmentation, who, real, seed, watch) if who.labelled else None,
    )
    evaluation = _judged(who, scene, real, eye, wanted, watch)
    folder = folder_for(who, out)
    with writable(folder):
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / JSON, json.dumps(evaluation.plain(), indent=1))
        write_report(evaluation, folder / PAGE)
    return evaluation, folder


def folder_for(who: Candidate, out: str | Path | None) -> Path:
    """Where reports on `who` go: `out` if it is given, else the run's folder, else one named after the pictures."""
    return Path(out) if out is not None else who.place if who.model else FOLDER / who.subject.name


def _against(against: str | None) -> tuple[str | None, Split]:
    """The source of the real pictures, if it is named, and its split."""
    if against is None or against in ("test", "train"):
        return None, against or "test"  # type: ignore[return-value]
    source, colon, split = against.rpartition(":")
    if colon and split in ("test", "train"):
        return source, split  # type: ignore[return-value]
    return against, "test"


def _generated(who: Candidate, real: Real, eye: Extractor, seed: int, watch: Watch) -> View:
    count = real.generated
    labels = _labels(real, count) if who.labelled else None

    def batches() -> Iterator[Tensor]:
        done = 0
        for batch in who.stream(count, derive_seed("evaluate", seed), labels):
            watch("generating and looking at samples", done, count)
            done += len(batch)
            yield who.codec.rounded(batch)

    return look("generated", batches(), eye, labels)


def _labels(real: Real, count: int) -> Tensor | None:
    """`count` labels to ask for, as often as they occur in the train split."""
    labels = real.train.labels
    return None if labels is None else labels[torch.arange(count) % len(labels)]


def _made(who: Candidate, real: Real, seed: int) -> Batch:
    """As many samples as were judged, with the labels that they were asked for."""
    count = min(real.generated, TRAIN)  # all are in memory at once
    labels = _labels(real, count)
    assert labels is not None
    made = [who.codec.rounded(batch) for batch in who.stream(count, derive_seed("evaluate", seed), labels)]
    return Batch(torch.cat(made), labels)


def _test_data(who: Candidate, real: Real) -> Dataset:
    return real.data if real.reference.name == "test" else who.data.load("test")


def _usefulness(who: Candidate, real: Real, seed: int, watch: Watch) -> Usefulness:
    return classification_accuracy_score(_made(who, real, seed), real.train_data, _test_data(who, real), watch=watch)


def _augmentation(who: Candidate, real: Real, seed: int, watch: Watch) -> list[Study]:
    made = _made(who, real, seed)
    return augmentation_study(real.train_data, _test_data(who, real), lambda real_ones, number: made, watch=watch)


def _judged(
    who: Candidate, scene: Scene, real: Real, eye: Extractor, wanted: dict[str, Measure], watch: Watch
) -> Evaluation:
    stand_ins = [scene.with_generated(view) for view in (real.floor, real.trivial)]
    scores, remarks, pairs = list[Score](), [*who.remarks, *real.remarks], list[tuple[int, int]]()
    for number, (name, measure) in enumerate(wanted.items()):
        watch(f"measuring {name}", number, len(wanted))
        if reason := measure.why_not(scene):
            remarks.append(f"{name} was not measured: {reason}.")
            continue
        found = list(measure.run(scene))
        low, high = (
            {each.key: each.value for each in measure.run(other)} if asked else {}
            for asked, other in zip((measure.floor, measure.ceiling), stand_ins, strict=True)
        )
        scores += [_score(each, measure, low, high, who, scene, real, eye) for each in found]
        pairs += [pair for each in found for pair in each.pairs]
    classes = shares_of_classes(scene)
    return Evaluation(
        subject=who.subject,
        scores=tuple(scores),
        classes=classes,
        summary=summarise(scores, classes),
        remarks=tuple(remarks),
        exhibits=tuple(exhibits(scene, pairs, real.train_data, who.codec)),
        curves=who.curves,
    )


def _score(
    found: Found,
    measure: Measure,
    floors: dict[str, float],
    ceilings: dict[str, float],
    who: Candidate,
    scene: Scene,
    real: Real,
    eye: Extractor,
) -> Score:
    protocol = Protocol(
        metric=found.key,
        version=measure.version,
        extractor=eye.name if measure.network else "none",
        extractor_hash=eye.digest if measure.network else "none",
        resizing=eye.resizing if measure.network else "none",
        reference=who.data.source,
        reference_hash=(real.train_data if found.among == "train" else real.data).fingerprint,
        split=found.among or scene.reference.name,
        reference_count=found.reference,
        generated_count=found.generated,
        weights=who.weights,
        truncation=who.truncation,
        subject=str(who.place),
        checkpoint=who.subject.clock,
        seed=scene.seed,
        date=date.today().isoformat(),
        libraries={name: version(name) for name in ("torch", "numpy", "pillow")} | {"cardigan": cardigan.__version__},
        extractor_facts=dict(eye.facts) if measure.network else {},
    )
    return Score(
        name=score_name(found.key, protocol.extractor),
        value=found.value,
        low=found.low,
        high=found.high,
        floor=found.floor if found.floor is not None else floors.get(found.key),
        ceiling=found.ceiling if found.ceiling is not None else ceilings.get(found.key),
        better=found.better,
        protocol=protocol,
        note=found.note,
        alarm=found.alarm,
    )
