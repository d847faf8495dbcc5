"""Do generated samples help a classifier that has few real ones? MNIST and CIFAR-10 with 20 labelled samples a class.

    CARDIGAN_DATA=... python benchmarks/augmentation.py [NAME ...] [--folder runs/augmentation] [--quick]

For every data set and seed: 20 training samples of each class are drawn; a conditional GAN is trained on these 200
alone, by the command a user would type; classifiers of one and the same network, number of steps and seed are trained
on them with nothing added, with classical augmentation, with generated samples, and with both; their accuracy is
measured on the real test split.

Chosen beforehand, on 2,000 samples of the validation split, with training samples of a seed that is not used again: the
number of steps that is best for the arms without a generator, for all arms alike; then, on generated samples without
classical augmentation, their share in a batch, and the checkpoint (half of the generator's minutes, or all). Recipes
and minutes were chosen without looking at any score. Test samples are looked at once, at the end.

Resumable: what is finished is not done again. All of it takes about 25 minutes on two idle cores. Figures go to
docs/results/augmentation.json.
"""

import argparse
import json
import platform
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import date
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch

import cardigan
from cardigan.data.base import Dataset
from cardigan.data.pictures import Pictures
from cardigan.data.sources.source import Split
from cardigan.evaluation.classifier import few, first
from cardigan.evaluation.usefulness import ARMS, Interval, arm_accuracy
from cardigan.files import write_text
from cardigan.resizing import to_bytes
from cardigan.sample import Batch

DOCS = Path(__file__).parents[1] / "docs"
PER_CLASS = 20
SEEDS = (0, 1, 2)
TUNING_SEED = 100
TUNED_ON = 2000
"""Validation samples, at most."""
GENERATED = 2000
"""Samples of each generator."""


@dataclass(frozen=True)
class Subject:
    """A data set, and what a user would type for 200 pictures of it.

    Attributes:
        recipe: its name.
        overrides: of the recipe.
        flips: whether a mirrored picture is still one of its class.
    """

    recipe: str
    overrides: tuple[str, ...]
    flips: bool


FEW = ("data.test=0", "data.validation=0", "game.labels=projection")
SUBJECTS = {
    "mnist": Subject(
        "mnist-conditional",
        (*FEW, "game.augmentation={translation: 0.125}", "game.penalties={r1: {weight: 1}, r2: {weight: 1}}"),
        flips=False,
    ),
    "cifar10": Subject(
        "pictures",
        (*FEW, "data.size=32", "data.flip=true", "game.augmentation={colour: 1, translation: 0.125, cutout: 0.5}"),
        flips=True,
    ),
}


@dataclass(frozen=True)
class Effort:
    """How much is done.

    Attributes:
        seeds: draw the real samples, train generators and classifiers.
        minutes: of each generator.
        steps: of classifiers; to choose from.
        shares: of generated samples in a batch; to choose from.
        tested: real test samples, at most.
    """

    seeds: tuple[int, ...]
    minutes: float
    steps: tuple[int, ...]
    shares: tuple[float, ...]
    tested: int


FULL = Effort(SEEDS, 1.25, (100, 200), (0.25, 0.5), 10_000)
QUICK = Effort((0,), 0.1, (2, 4), (0.5,), 200)


@dataclass(frozen=True)
class Choice:
    """What was chosen on the validation split.

    Attributes:
        steps: of the classifier.
        share: of generated samples.
        checkpoint: 0: the generator at half of its minutes, 1: at the end.
    """

    steps: int
    share: float = 0.5
    checkpoint: int = 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=list(SUBJECTS))
    parser.add_argument("--folder", type=Path, default=Path("runs/augmentation"))
    parser.add_argument("--quick", action="store_true", help="try the machinery: one seed, 6 seconds of GAN")
    arguments = parser.parse_args()
    effort = QUICK if arguments.quick else FULL
    found = {name: study(name, effort, arguments.folder / name) for name in arguments.names}
    target = arguments.folder / "quick.json" if arguments.quick else DOCS / "results" / "augmentation.json"
    before = json.loads(target.read_text()) if target.exists() else {}
    together = {**before, **found}
    write_text(target, json.dumps(together, indent=1) + "\n")
    tables = ["\n".join(table(name, each)) for name, each in together.items()]
    print("\n\n".join(tables))
    if not arguments.quick:
        write_tables("\n\n".join(tables))


def write_tables(text: str) -> None:
    """Put the tables between the markers of docs/results.md."""
    page, begin, end = DOCS / "results.md", "<!-- augmentation: begin -->", "<!-- augmentation: end -->"
    before, after = page.read_text().split(begin)[0], page.read_text().split(end)[1]
    write_text(page, f"{before}{begin}\n{text}\n{end}{after}")


def study(name: str, effort: Effort, folder: Path) -> dict[str, Any]:
    """Everything about one data set, as JSON values."""
    folder.mkdir(parents=True, exist_ok=True)
    choice = Choice(**kept(folder / "chosen.json", partial(tuned, name, effort, folder)))
    values: dict[str, list[float]] = {arm: [] for arm in ARMS}
    for seed, arm in product(effort.seeds, ARMS):
        path = folder / f"{arm.replace(' ', '-')}-{seed}.json"
        found = kept(path, partial(tested, name, arm, seed, choice, effort, folder))
        values[arm].append(found["accuracy"])
    intervals = {arm: Interval(tuple(each)) for arm, each in values.items()}
    return {
        "per_class": PER_CLASS,
        "test_count": effort.tested,
        "accuracy": {arm: each.plain() for arm, each in intervals.items()},
        "against": {other: differences(intervals, other) for other in ("none", "classical")},
        "chosen": asdict(choice),
        "generator": {
            "minutes": effort.minutes,
            "recipe": SUBJECTS[name].recipe,
            "overrides": SUBJECTS[name].overrides,
        },
        "date": date.today().isoformat(),
        "machine": machine(),
    }


def differences(intervals: dict[str, Interval], other: str) -> dict[str, Any]:
    return {arm: each.minus(intervals[other]).plain() for arm, each in intervals.items() if arm != other}


def tuned(name: str, effort: Effort, folder: Path) -> dict[str, Any]:
    """What is best on validation samples, one question after another."""
    validation = first(split(name, "validation"), min(TUNED_ON, effort.tested))

    @cache
    def score(arm: str, choice: Choice) -> float:
        accuracy = trial(name, arm, TUNING_SEED, choice, validation, effort, folder)
        print(f"{name}, {arm}, validation: {choice} {accuracy:.3f}", flush=True)
        return accuracy

    steps = max(effort.steps, key=lambda each: sum(score(arm, Choice(each)) for arm in ("none", "classical")))
    shared = max((Choice(steps, share) for share in effort.shares), key=partial(score, "generated"))
    earlier = replace(shared, checkpoint=0)
    return asdict(max(earlier, shared, key=partial(score, "generated")))


def tested(name: str, arm: str, seed: int, choice: Choice, effort: Effort, folder: Path) -> dict[str, Any]:
    test = first(split(name, "test"), effort.tested)
    accuracy = trial(name, arm, seed, choice, test, effort, folder)
    print(f"{name}, {arm}, seed {seed}: {accuracy:.3f}", flush=True)
    return {"accuracy": accuracy, "seed": seed, "arm": arm, **asdict(choice)}


def trial(name: str, arm: str, seed: int, choice: Choice, judged: Batch, effort: Effort, folder: Path) -> float:
    """Accuracy on `judged` of a classifier that learns from the 200 samples of `seed` and what the arm adds."""
    form, real = split(name, "train").form, real_few(name, seed)
    generated = None
    if "generated" in arm:
        generated = made(trained(name, real, seed, effort, folder), choice.checkpoint, seed)
    torch.set_num_threads(2)
    flips = SUBJECTS[name].flips
    return arm_accuracy(arm, real, generated, form, judged, choice.steps, seed, flips=flips, share=choice.share)


@cache
def split(name: str, which: Split) -> Dataset:
    return Pictures(source=name).load(which)


@cache
def real_few(name: str, seed: int) -> Batch:
    return few(split(name, "train"), PER_CLASS, seed)


def trained(name: str, real: Batch, seed: int, effort: Effort, folder: Path) -> cardigan.Run:
    """The finished run on these samples alone, by the very commands a user would type."""
    source, out = folder / f"few-{seed}.npz", folder / f"run-{seed}"
    if not source.exists():
        assert real.label is not None
        np.savez(source, images=to_bytes(real.sample).byte().permute(0, 2, 3, 1).numpy(), labels=real.label.numpy())
    command = [sys.executable, "-m", "cardigan"]
    subject = SUBJECTS[name]
    for part, minutes in enumerate((effort.minutes / 2, effort.minutes)):  # resumed, so that there is a checkpoint
        budget = f"training.minutes={minutes}"
        if part == 0:
            own = (*subject.overrides, f"training.seed={seed}", "training.samples=null", budget)
            words = ["train", subject.recipe, *own, "--data", str(source), "--out", str(out)]
        else:
            words = ["resume", str(out), budget]
        marker = folder / f"run-{seed}-{part}.done"
        if not marker.exists():
            words = words if part or not (out / "recipe.yaml").exists() else ["resume", str(out), budget]
            print("$ cardigan", " ".join(words), flush=True)
            subprocess.run([*command, *words], check=True)
            write_text(marker, str(cardigan.open_run(out).clocks()[-1]))
    return cardigan.open_run(out)


def made(run: cardigan.Run, checkpoint: int, seed: int) -> Batch:
    """Samples of all classes in turn, as their files would hold them."""
    clock = int((run.folder.parent / f"{run.folder.name}-{checkpoint}.done").read_text())
    model = cardigan.load(run, clock)
    samples = model.codec.rounded(model.generate(GENERATED, seed=seed))
    return Batch(samples, torch.arange(GENERATED) % model.form.classes)


def kept(path: Path, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What `make` found when it was first asked."""
    if not path.exists():
        write_text(path, json.dumps(make(), indent=1))
    return json.loads(path.read_text())


def table(name: str, found: dict[str, Any]) -> list[str]:
    rows = [f"**{name}**, {found['per_class']} real samples a class, {found['test_count']:,} test samples:", ""]
    rows += ["| added | accuracy (95%) | against none | against classical |", "|---|---|---|---|"]
    for arm, each in found["accuracy"].items():
        gains = [found["against"][other].get(arm) for other in ("none", "classical")]
        cells = [Interval(tuple(each["values"]))] + [gain and Interval(tuple(gain["values"])) for gain in gains]
        shown = [f"{cells[0]:.3f}"] + [f"{cell:+.3f}" if cell else "-" for cell in cells[1:]]
        rows.append(f"| {arm} | {' | '.join(shown)} |")
    return rows


def machine() -> str:
    model = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    name = model[0].partition(":")[2].strip() if model else platform.machine()
    return f"{torch.get_num_threads()} threads of {name}, torch {torch.__version__}"


if __name__ == "__main__":
    main()
