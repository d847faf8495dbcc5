"""Three studies of docs/stability.md: a thousand modes, a thousand pictures, and what turning pictures teaches.

    CARDIGAN_DATA=... python benchmarks/stability.py [STUDY ...] [--minutes 15] [--device cpu] [--threads 2]
        [--folder runs/stability] [--train-only] [--judge-only]

Resumable: what was trained and judged is not done again. Within a study all runs train for equally many minutes.

- modes: stacked MNIST (three digits in three channels). 25,600 samples are read by a classifier of digits that no
  training saw; modes found of 1,000, and KL(generated || real) in nats (Lin et al. 2018, PacGAN).
- small: 1,000 pictures of CIFAR-10, with and without adaptive augmentation: local-FD and recall against the test split
  over time, and how surely the discriminator tells pictures it has seen from others (health.jsonl).
- turning: CIFAR-10 with nothing, with the rotations of SS-GAN, and with an auxiliary classifier of true labels.

Figures go to docs/results/stability/*.json and *.png.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

import cardigan
from cardigan.data.base import Data, Dataset
from cardigan.data.pictures import Pictures
from cardigan.evaluation.baseline import independent_pixels
from cardigan.extractors.base import Extractor
from cardigan.extractors.local import local
from cardigan.health.history import read
from cardigan.metrics.manifold import manifold
from cardigan.run import Run
from figures import keep
from judging import Judge

RESULTS = Path(__file__).parents[1] / "docs" / "results" / "stability"
STACKED, SAMPLES = 25_600, 5_000
FEW = 1_000


@dataclass(frozen=True)
class Study:
    """What is trained and how it is judged.

    Attributes:
        minutes: of each run, unless another number is asked for.
        variants: name -> recipe and overrides.
        judge: the clocks of a run that are judged, one after another.
        data: makes a folder of data to train on; null: the recipe's own.
    """

    minutes: float
    variants: dict[str, tuple[str, ...]]
    judge: Callable[[Run], dict[str, Any]]
    data: Callable[[Path], Path] | None = None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("studies", nargs="*", default=list(STUDIES))
    parser.add_argument("--variants", nargs="*", help="only these")
    parser.add_argument("--minutes", type=float, help="of each run")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=Path("runs/stability"))
    parser.add_argument("--train-only", action="store_true")
    parser.add_argument("--judge-only", action="store_true")
    arguments = parser.parse_args()
    for name in arguments.studies:
        study = STUDIES[name]
        rows = {}
        for variant, options in study.variants.items():
            if arguments.variants and variant not in arguments.variants:
                continue
            folder = arguments.folder / f"{name}-{variant.replace(' ', '-')}-{arguments.seed}"
            if not arguments.judge_only:
                trained(study, options, folder, arguments)
            if not arguments.train_only:
                rows[variant] = judged(study, folder)
                print(name, variant, json.dumps(rows[variant]), flush=True)
        if rows:
            today = date.today().isoformat()
            keep(RESULTS / f"{name}.json", {variant: {**row, "date": today} for variant, row in rows.items()})


def trained(study: Study, options: Sequence[str], folder: Path, arguments: argparse.Namespace) -> None:
    """Train, or go on, by the command a user would type."""
    begun = (folder / "recipe.yaml").exists()
    command = ["resume", str(folder)]
    if not begun:
        data = () if study.data is None else ("--data", str(study.data(arguments.folder)))
        budget = f"training={{samples: null, minutes: {arguments.minutes or study.minutes}}}"
        engine = (f"engine.device={arguments.device}", f"engine.threads={arguments.threads}")
        command = ["train", options[0], *data, "--out", str(folder), *options[1:], budget, *engine]
        command += [
            f"training.seed={arguments.seed}",
            "--no-guard",
        ]  # as they are named
    environment = {**os.environ, "OMP_NUM_THREADS": str(arguments.threads)}
    subprocess.run([sys.executable, "-m", "cardigan", *command], check=True, env=environment)


def judged(study: Study, folder: Path) -> dict[str, Any]:
    """What was found of a run, kept beside it."""
    place = folder / "judged.json"
    if not place.exists():
        run = Run(folder)
        about = {"clock": run.clocks()[-1], **run.environment["environment"], "engine": run.environment["engine"]}
        place.write_text(json.dumps(about | study.judge(run)))
    return dict(json.loads(place.read_text()))


# --- a thousand modes


def modes(run: Run) -> dict[str, Any]:
    """Modes and KL of the newest checkpoint, and of as many real samples."""
    real = run.recipe.data.still().load("test")
    made = torch.cat(list(cardigan.load(run).stream(STACKED, seed=1)))
    looked = real.draw(0, STACKED).sample
    return {**counted("", made), **counted("real ", looked)}


def counted(prefix: str, samples: torch.Tensor) -> dict[str, Any]:
    """Modes that occur among (N, 3, H, W) samples, and the Kullback-Leibler divergence to their equal shares."""
    eye = local(Pictures(source="mnist"), "judge")
    digits = _read(eye, samples)
    numbers = (digits.view(-1, 3) * torch.tensor([100, 10, 1])).sum(1)
    shares = torch.bincount(numbers, minlength=1_000).double() / len(numbers)
    wanted = class_shares()
    expected = torch.einsum("a,b,c->abc", wanted, wanted, wanted).flatten()
    found = shares[shares > 0]
    divergence = float((found * (found / expected[shares > 0]).log()).sum())
    return {f"{prefix}modes": int((shares > 0).sum()), f"{prefix}kl": divergence}


def _read(eye: Extractor, samples: torch.Tensor) -> torch.Tensor:
    single = samples.flatten(0, 1)[:, None]
    found = []
    for chunk in single.split(2_000):
        logits = eye(chunk).logits
        assert logits is not None
        found.append(logits.argmax(1))
    return torch.cat(found)


@cache
def class_shares() -> torch.Tensor:
    """(10,) share of each digit among the real test samples."""
    real = Pictures(source="mnist").load("test")
    labels = real.take(torch.arange(len(real))).label
    assert labels is not None
    return torch.bincount(labels, minlength=10).double() / len(labels)


# --- CIFAR-10


CIFAR: Data = Pictures(source="cifar10")


@cache
def judge() -> Judge:
    """Of CIFAR-10, against all of its test split; trained or read once."""
    test = CIFAR.load("test")
    return Judge(CIFAR, take(test, len(test)))


def scores(samples: torch.Tensor) -> dict[str, float]:
    """Local-FD of (N, 3, 32, 32) samples, and recall among as many of the test split."""
    seen = judge().look(samples)
    recall = manifold(seen.features, judge().real[: len(samples)], 3).recall
    return {"fd": judge().distance(seen), "recall": recall}


def floor() -> dict[str, dict[str, float]]:
    """Scores of real samples of the train split, and of pixels that are drawn one by one."""
    real = take(CIFAR.load("train", 1), SAMPLES)
    return {"real": scores(real), "pixels": scores(torch.cat(list(independent_pixels(real, SAMPLES, 0))))}


def take(dataset: Dataset, count: int) -> torch.Tensor:
    """The first `count` samples."""
    return dataset.take(torch.arange(count)).sample


def over_time(run: Run) -> dict[str, Any]:
    """Scores of every checkpoint that was kept, and what the discriminator knew of pictures it had not seen."""
    points = [{"clock": clock, **scored(run, clock)} for clock in run.clocks()]
    wanted = ("sign", "accuracy", "accuracy_held_out", "overfit", "gap", "gap_held_out")
    readings = [
        {"clock": entry.reading.clock} | {name: round(entry.reading.get(f"discriminator/{name}"), 4) for name in wanted}
        for entry in read(run.health_file)
    ]
    return {"points": points, "readings": readings, **floor()}


def at_the_end(run: Run) -> dict[str, Any]:
    """Scores of the newest checkpoint."""
    return {**scored(run, run.clocks()[-1]), **floor()}


def scored(run: Run, clock: int) -> dict[str, float]:
    """Scores of one checkpoint."""
    return scores(torch.cat(list(cardigan.load(run, at=clock).stream(SAMPLES, seed=1))))


def few_pictures(folder: Path) -> Path:
    """CIFAR-10's first pictures as folders: 1,000 to train on, as many that the discriminator never sees."""
    from PIL import Image

    place = folder / f"cifar-{FEW}"
    if not place.exists():
        train = Pictures(source="cifar10").load("train")
        pixels = ((train.take(torch.arange(2 * FEW)).sample + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()
        for number, picture in enumerate(np.asarray(pixels)):
            split = "train" if number < FEW else "validation"
            (place / split).mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(place / split / f"{number:04d}.png")
    return place


STACKED_DATA = "data={kind: stacked, source: mnist}"
STUDIES = {
    "modes": Study(
        15,
        {
            "ours": ("stacked-mnist",),
            "wgan-gp": ("mnist-wgan-gp", STACKED_DATA),
            "non-saturating dcgan": ("mnist-dcgan", STACKED_DATA),
        },
        modes,
    ),
    "small": Study(
        15,
        {
            "plain": ("cifar10-resnet", "data.test=0", "records.checkpoint=20k"),
            "adaptive": (
                "cifar10-resnet",
                "data.test=0",
                "records.checkpoint=20k",
                "game.augmentation={adaptive: {}}",
            ),
        },
        over_time,
        few_pictures,
    ),
    "turning": Study(
        10,
        {
            "nothing": ("cifar10-resnet",),
            "rotations": ("cifar10-resnet", "game.self_supervision={}"),
            "labels": ("cifar10-resnet", "game.labels=auxiliary"),
        },
        at_the_end,
    ),
}


if __name__ == "__main__":
    main()
