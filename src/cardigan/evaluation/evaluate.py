"""Judging one subject: gather views, measure, set floor and ceiling beside, write evaluation.json and report.html."""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import date
from functools import partial
from importlib.metadata import version
from pathlib import Path

import torch
from torch import Tensor

import cardigan
from cardigan.data.base import Dataset, Watch, silent
from cardigan.data.pair_codec import Direction
from cardigan.data.sources import NAMES, absolute
from cardigan.data.sources.source import Split
from cardigan.errors import CardiganError
from cardigan.evaluation.classes import shares_of_classes
from cardigan.evaluation.exhibits import exhibits
from cardigan.evaluation.language import language_of, ways
from cardigan.evaluation.likeness import Likeness, judge
from cardigan.evaluation.makers import Translate, translated_stream
from cardigan.evaluation.measures import chosen
from cardigan.evaluation.names import score_name
from cardigan.evaluation.protocol import Protocol, Score
from cardigan.evaluation.real import SEED, TRAIN, Real, look_at_real
from cardigan.evaluation.report.page import write_report
from cardigan.evaluation.report.words import summarise
from cardigan.evaluation.result import Evaluation, Rival
from cardigan.evaluation.scene import NO_PICTURES, Found, Measure, Scene
from cardigan.evaluation.subject import Candidate, candidate
from cardigan.evaluation.usefulness import Study, Usefulness, augmentation_study, classification_accuracy_score
from cardigan.evaluation.view import GROUPS, View, look
from cardigan.extractors import open_extractor, usual
from cardigan.extractors.base import BLIND, Extractor
from cardigan.extractors.local import class_names
from cardigan.extractors.lpips import available
from cardigan.files import check_folder, writable, write_text
from cardigan.networks.sequences.sampling import Sampling
from cardigan.players import Weights
from cardigan.randomness import derive_seed
from cardigan.sample import Batch

THREADS = 8
"""More would wait for one another on networks this small."""
FOLDER = Path("evaluations")
"""Where the report on a folder of pictures goes, and what reports on runs are called."""
JSON, PAGE = "evaluation.json", "report.html"
"""Of a run's own judgement, or in a folder that was named; others say in their names what they are of: `suffix_of`."""


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
    direction: Direction = "forward",
    sampling: Sampling | None = None,
    baselines: bool = False,
    on: str | None = None,
    seed: int = 0,
    out: str | Path | None = None,
    watch: Watch = silent,
) -> tuple[Evaluation, Path]:
    """Judge a run, or a folder of pictures, and write evaluation.json and report.html.

    What a run does backward or with other pictures stands beside its own, by default: evaluation-backward.json,
    report-set5.html.

    Args:
        subject: a run (folder, name, "last"); with a source in `against`, a folder of pictures from any program.
        against: "test" (default) or "train" for a run: the real split it is compared with. For a folder, the source of
            the real pictures, with ":train" behind it for its train split.
        overrides: of the real data, such as "data.size=64".
        metrics: keys such as "fd", "prdc"; none: all that need no training.
        samples: generated samples; by default as many as real ones, within 1,000 and 10,000.
        extractor: "local", "inception", "dinov2", "clip", "minilm", "raw", or an ONNX file.
        checkpoint: "best", "last" or a clock.
        direction: of a translator.
        sampling: how tokens are chosen, of a run that writes; None: temperature 1, of translations beam search.
        baselines: whether simpler ways are judged beside a translator or a writer of sentences.
        on: a source of other pictures for what is judged picture by picture; of one with splits, those of train.
        seed: of the generated samples.
        out: folder of the two files, which are evaluation.json and report.html there; by default the run's folder, or
            evaluations/NAME for a folder.

    Returns:
        What was found, and the path of the report.

    Raises:
        CardiganError: in one line, what cannot be judged and why.
    """
    torch.set_num_threads(min(torch.get_num_threads(), THREADS))
    wanted = chosen(metrics)
    if out is not None:
        check_folder(Path(out))
    source, split = _against(against)
    who = candidate(
        subject,
        source,
        overrides,
        checkpoint=checkpoint,
        weights=weights,
        truncation=truncation,
        direction=direction,
        sampling=sampling,
        watch=watch,
    )
    if who.translate is None and on is not None:
        raise CardiganError("--on: only for runs that make pictures of pictures")
    if baselines and who.translate is None and who.surprise is None:
        raise CardiganError("--baselines: only for runs that make samples of sources, or sentences; this one does not")
    eye = open_extractor(extractor or usual(who.form), who.data, who.form, watch)
    real = look_at_real(who.data, split, samples, who.most, eye, watch)
    asked = "lpips" in metrics or ("lpips" in wanted and available())
    exam = None if who.translate is None else Exam(who, real, eye, on, asked, watch)
    domains = real.data.domains if eye.classes == real.data.domains else ()
    scene = Scene(
        generated=_generated(who, real, eye, seed, watch),
        reference=real.reference,
        train=real.train,
        held_out=real.held_out,
        classes=() if domains else eye.classes,
        domains=domains,
        asked=who.labelled and eye.classes == class_names(real.train_data),
        intervals=min(real.generated, real.reference.count) >= 2 * GROUPS,
        seed=seed,
        paths=None if who.paths is None else partial(who.paths, eye, seed),
        likeness=None if exam is None or who.translate is None else exam.judged(who.translate),
        language=language_of(who, real, metrics),
        usefulness=partial(_usefulness, who, real, seed, watch) if who.labelled else None,
        augmentation=partial(_augmentation, who, real, seed, watch) if who.labelled else None,
    )
    evaluation = _judged(who, scene, real, eye, wanted, metrics, watch)
    if baselines:
        beside = _writers(who, scene, real, eye, watch) if exam is None else exam.rivals(scene)
        evaluation = replace(evaluation, rivals=tuple(_rival(*each, wanted, who, real, eye) for each in beside))
    if exam is not None and on is not None:
        remarks = (f"{on}: {each}." for each in exam.dataset.remarks)
        evaluation = replace(evaluation, remarks=(*evaluation.remarks, *remarks))
    folder, suffix = folder_for(who, out), suffix_of(direction, on) if out is None else ""
    page, figures = (folder / Path(name).with_stem(Path(name).stem + suffix) for name in (PAGE, JSON))
    with writable(folder):
        folder.mkdir(parents=True, exist_ok=True)
        write_text(figures, json.dumps(evaluation.plain(), indent=1))
        write_report(evaluation, page)
    return evaluation, page


def suffix_of(direction: Direction, on: str | None) -> str:
    """What the names of files say of a judgement that is not the run's own: "-backward", "-set5"; else nothing."""
    parts = [
        "backward" if direction == "backward" else "",
        re.sub(r"[^\w.-]", "-", Path(absolute(on)).name) if on else "",
    ]
    return "".join(f"-{part}" for part in parts if part)


def folder_for(who: Candidate, out: str | Path | None) -> Path:
    """Where reports on `who` go: `out` if it is given, else the run's folder, else one named after the pictures."""
    return Path(out) if out is not None else who.place if who.subject.kind == "run" else FOLDER / who.subject.name


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
        for batch in who.stream(count, derive_seed("evaluate", seed), labels, real.data):
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
    made = [who.codec.rounded(batch) for batch in who.stream(count, derive_seed("evaluate", seed), labels, real.data)]
    return Batch(torch.cat(made), labels)


def _test_data(who: Candidate, real: Real) -> Dataset:
    return real.data if real.reference.name == "test" else who.data.load("test")


def _usefulness(who: Candidate, real: Real, seed: int, watch: Watch) -> Usefulness:
    return classification_accuracy_score(_made(who, real, seed), real.train_data, _test_data(who, real), watch=watch)


def _augmentation(who: Candidate, real: Real, seed: int, watch: Watch) -> list[Study]:
    made = _made(who, real, seed)
    return augmentation_study(real.train_data, _test_data(who, real), lambda real_ones, number: made, watch=watch)


class Exam:
    """What a translator is asked: every source of a split, or of other pictures."""

    def __init__(self, who: Candidate, real: Real, eye: Extractor, on: str | None, lpips: bool, watch: Watch) -> None:
        self.who, self.real, self.eye, self.lpips, self.watch = who, real, eye, lpips, watch
        self.dataset = (
            real.data
            if on is None
            else who.data.elsewhere(on if on in NAMES else absolute(on), who.form).load("train", SEED, watch)
        )
        self.reference = on or ""

    def judged(self, translate: Translate) -> Likeness:
        """Every picture translated and compared."""
        self.watch("translating and comparing pictures", 0, 0)
        return judge(self.dataset, translate, self.who.codec, self.eye, reference=self.reference, lpips=self.lpips)

    def rivals(self, scene: Scene) -> Iterator[tuple[str, Scene]]:
        """The scene with what ways that need no training make, by the name of the way."""
        count = scene.generated.count
        for name, restore in self.dataset.baselines.items():
            self.watch(f"judging the baseline {name}", 0, 0)
            batches = translated_stream(restore, count, 0, None, self.real.data)
            view = look(name, (self.who.codec.rounded(batch) for batch in batches), self.eye)
            yield name, scene.with_rival(view, self.judged(restore))


def _writers(who: Candidate, scene: Scene, real: Real, eye: Extractor, watch: Watch) -> Iterator[tuple[str, Scene]]:
    """The scene with what simpler ways write, by the name of the way."""
    assert scene.language is not None
    for name, batches, surprise in ways(scene.language, real, scene.generated.count, scene.seed):
        watch(f"judging the baseline {name}", 0, 0)
        view = look(name, (who.codec.rounded(batch) for batch in batches), eye)
        yield name, scene.with_writer(view, surprise)


def _rival(name: str, scene: Scene, wanted: dict[str, Measure], who: Candidate, real: Real, eye: Extractor) -> Rival:
    measures = (each for each in wanted.values() if not each.why_not(scene))
    return Rival(
        name,
        tuple(_score(found, each, {}, {}, who, scene, real, eye) for each in measures for found in each.run(scene)),
    )


def _judged(
    who: Candidate,
    scene: Scene,
    real: Real,
    eye: Extractor,
    wanted: dict[str, Measure],
    asked: Sequence[str],
    watch: Watch,
) -> Evaluation:
    stand_ins = [scene.with_generated(view) for view in (real.floor, real.trivial)]
    scores, missing, pairs = list[Score](), dict[str, list[str]](), list[tuple[int, int]]()
    for number, (name, measure) in enumerate(wanted.items()):
        watch(f"measuring {name}", number, len(wanted))
        if reason := measure.why_not(scene):
            told = not measure.quiet and (scene.language is None or reason != NO_PICTURES)
            if told or name in asked:
                missing.setdefault(reason, []).append(name)
            continue
        found = list(measure.run(scene))
        low, high = (
            {each.key: each.value for each in measure.run(other)} if asked and not measure.why_not(other) else {}
            for asked, other in zip((measure.floor, measure.ceiling), stand_ins, strict=True)
        )
        scores += [_score(each, measure, low, high, who, scene, real, eye) for each in found]
        pairs += [pair for each in found for pair in each.pairs]
    remarks = [*who.remarks, *real.remarks]
    for reason, names in missing.items():
        remarks.append(f"{', '.join(names)} {'was' if len(names) == 1 else 'were'} not measured: {reason}.")
    classes = shares_of_classes(scene)
    return Evaluation(
        subject=who.subject,
        scores=tuple(scores),
        classes=classes,
        summary=summarise(scores, classes),
        remarks=tuple(remarks),
        exhibits=tuple(exhibits(scene, pairs, real.train_data, who.codec)),
        curves=who.curves,
        health=who.health,
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
    among = real.train_data if found.among == "train" else real.data
    looked = found.eye or (eye if measure.network else BLIND)
    protocol = Protocol(
        metric=found.key,
        version=measure.version,
        extractor=looked.name,
        extractor_hash=looked.digest,
        resizing=looked.resizing,
        reference=found.real[0] if found.real else who.data.source,
        reference_hash=found.real[1] if found.real else among.fingerprint,
        split="all" if found.real else found.among or scene.reference.name,
        reference_count=found.reference,
        generated_count=found.generated,
        weights=who.weights,
        truncation=who.truncation,
        subject=str(who.place),
        checkpoint=who.subject.clock,
        seed=scene.seed,
        date=date.today().isoformat(),
        libraries={name: version(name) for name in ("torch", "numpy", "pillow")} | {"cardigan": cardigan.__version__},
        extractor_facts=dict(looked.facts),
        sampling=who.subject.sampling or None,
    )
    return Score(
        name=score_name(found.key, (eye if measure.network else BLIND).name),
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
