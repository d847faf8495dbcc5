"""Staged failures and healthy runs: does each get the right diagnosis, in time, and no other run any?

    CARDIGAN_DATA=... python benchmarks/catalogue.py [NAME ...] [--seeds 1 2 3] [--folder runs/catalogue] [--healthy]

Resumable: runs that are there are only read. Each failure is staged at the size of toys and digits; it must be named
before half of its budget, by one of the diagnoses that fit it. Healthy runs are shipped recipes, shortened: any warning
or worse is a false alarm. Results go to docs/results/stability/catalogue.json.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from cardigan.health.history import read
from cardigan.health.interventions import read_interventions
from cardigan.run import Run
from cardigan.training.checkpoint import name_of

RESULTS = Path(__file__).parents[1] / "docs" / "results" / "stability" / "catalogue.json"
SMALL = (
    "data.size=8",
    "game.networks.width=16",
    "game.networks.generator.width=32",
    "game.networks.generator.depth=1",
    "game.networks.discriminator.width=16",
    "game.networks.discriminator.depth=2",
    "training.samples=24k",
)
"""The recipe digits, at 8x8 pixels: seconds."""
ENGINE = tuple(
    f"engine.{choice}"
    for choice in ("threads=1", "device=cpu", "precision=fp32", "memory_format=contiguous", "matmul=highest")
)
"""Nothing by probe, so that runs with and without the guard have equal bits until it acts."""
PLAIN = "game.penalties={r1: null, r2: null}"


@dataclass(frozen=True)
class Failure:
    """One way to make training fail.

    Attributes:
        recipe: that is spoiled.
        overrides: that spoil it.
        named: diagnoses of which one is the right name for it.
        known: whether bounds were set while looking at this kind.
        data: makes what is trained on, where that is what is wrong; given a folder.
    """

    recipe: str
    overrides: tuple[str, ...]
    named: tuple[str, ...]
    known: bool = False
    data: Callable[[Path], Path] | None = None


def pictures(name: str, values: Callable[[np.random.Generator], np.ndarray]) -> Callable[[Path], Path]:
    """Writes (N, 8, 8) uint8 pictures as a NumPy file."""

    def write(folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / f"{name}.npy", values(np.random.default_rng(0)))
        return folder / f"{name}.npy"

    return write


def digits() -> np.ndarray:
    """(1797, 8, 8) uint8."""
    from sklearn.datasets import load_digits

    return np.rint(load_digits().images * (255 / 16)).astype(np.uint8)


def of_one_class(folder: Path) -> Path:
    """Ten folders, of which one has all pictures but nine."""
    from PIL import Image
    from sklearn.datasets import load_digits

    images, target = digits(), load_digits().target
    for label in range(10):
        place = folder / "one-class" / str(label)
        place.mkdir(parents=True, exist_ok=True)
        for index in np.flatnonzero(target == label)[: 170 if label == 3 else 1]:
            Image.fromarray(images[index]).save(place / f"{index}.png")
    return folder / "one-class"


FAILURES: dict[str, Failure] = {
    "learning rate x30": Failure("digits", (*SMALL, "training.optimizer.rate=6e-2"), ("large-steps",), True),
    "frozen generator": Failure("digits", (*SMALL, "training.rates.generator=1e-12"), ("frozen-generator",), True),
    "clipping too tight": Failure(
        "digits",
        (*SMALL, PLAIN, "game.objective=wasserstein", "game.clipping.limit=0.0001"),
        ("flat-discriminator", "vanishing-gradient"),
        True,
    ),
    "exploding penalty": Failure(
        "digits", (*SMALL, "game.penalties={r1: {weight: 1e5}, r2: null}"), ("penalty-dominates",), True
    ),
    "tiny data": Failure(
        "digits",
        (*SMALL, PLAIN, "game.objective=nonsaturating", "data.validation=0.2", "training.samples=48k"),
        ("overfitting",),
        True,
        pictures("tiny", lambda random: digits()[random.permutation(1797)[:120]]),
    ),
    "all-black data": Failure(  # but for a grey level: pictures of which none differs are refused before training
        "digits",
        SMALL,
        ("constant-data",),
        True,
        pictures("black", lambda random: random.integers(0, 2, (500, 8, 8), np.uint8)),
    ),
    "no normalisation": Failure(  # at a rate that suits batch normalisation
        "mnist-dcgan",
        (
            "data.size=14",
            "game.networks={family: dcgan, width: 16, depth: 1, generator: {normalisation: none}, "
            "discriminator: {normalisation: none}}",
            "training.optimizer={rate: 1e-2, betas: [0.9, 0.999]}",
            "training.samples=24k",
        ),
        ("discriminator-wins", "mode-collapse", "vanishing-gradient", "oscillation"),
    ),
    "saturating objective": Failure(
        "digits",
        (
            *SMALL,
            PLAIN,
            "game.objective=minimax",
            "game.networks.discriminator.width=64",
            "training.rates.generator=1e-4",
            "game.n_critic=3",
            "training.samples=48k",
        ),
        ("vanishing-gradient", "discriminator-wins"),
    ),
    "one-class data": Failure("digits", SMALL, ("one-class",), True, of_one_class),
    "duplicates only": Failure(
        "digits", SMALL, ("repeated-data",), data=pictures("twins", lambda random: np.repeat(digits()[:40], 20, 0))
    ),
    "labels without a stake": Failure(
        "digits", (*SMALL, "game.labels=auxiliary", "game.auxiliary_weight=0"), ("ignored-labels",)
    ),
    "collapse on a ring": Failure(
        "toy-ring",
        (PLAIN, "game.objective=minimax", "training.optimizer.betas=[0.9, 0.999]", "training.samples=300k"),
        ("mode-collapse", "vanishing-gradient", "oscillation"),
    ),
    "going in circles": Failure(
        "toy-ring",
        (
            PLAIN,
            "game.objective=wasserstein",
            "game.clipping.limit=0.1",
            "training.optimizer={kind: adam, rate: 0.002, betas: [0.9, 0.999]}",
            "training.samples=300k",
        ),
        ("oscillation", "mode-collapse"),
    ),
    "numbers overflow": Failure(
        "digits", (*SMALL, PLAIN, "game.objective=wasserstein", "training.optimizer={kind: sgd, rate: 50}"),
        ("not-finite", "large-steps"),
    ),
}  # fmt: skip

HEALTHY: dict[str, tuple[str, ...]] = {
    "toy-ring": ("training.samples=400k",),
    "toy-grid": ("training.samples=600k",),
    "digits": ("training.samples=60k",),
    "shakespeare": ("training.samples=24k", "game.start=16k", "game.warmup=4k"),
    "mnist-dcgan": ("training.samples=80k", "game.networks.width=16"),
    "mnist-relativistic": ("training.samples=32k",),
    "mnist-lsgan": ("training.samples=80k", "game.networks.width=16"),
    "mnist-wgan-gp": ("training.samples=160k", "game.networks.width=16"),
    "mnist-hinge": ("training.samples=80k", "game.networks.width=16"),
    "sketch-to-colour": ("training.samples=2k",),
    "mnist-conditional": ("training.samples=32k",),
    "mnist-acgan": ("training.samples=32k",),
    "emoji": ("training.samples=16k", "game.networks.width=16"),
    "cifar10-resnet": ("training.samples=12k", "game.networks.width=16"),
    "colourisation": ("training.samples=12k",),
    "denoising": ("training.samples=12k", "game.adversarial_weight=0.1"),
    "captions": ("training.samples=24k", "game.start=16k", "game.warmup=4k"),
    "poems": ("training.samples=24k", "game.start=16k", "game.warmup=4k"),
    "molecules": ("training.samples=40k", "game.start=30k", "game.warmup=4k"),
    "oracle": ("training.samples=24k", "data.words=500", "game.start=16k", "game.warmup=4k"),
}
"""Twenty recipes -> what makes them short, but long enough to learn what there is."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="failures or recipes [all]")
    parser.add_argument("--seeds", type=int, nargs="*", default=[1])
    parser.add_argument("--folder", type=Path, default=Path("runs/catalogue"))
    parser.add_argument("--healthy", action="store_true", help="the healthy runs rather than the failures")
    parser.add_argument("--guard", action="store_true", help="healthy runs with the guard too")
    arguments = parser.parse_args()
    rows = []
    for name in arguments.names or (HEALTHY if arguments.healthy else FAILURES):
        for seed in arguments.seeds:
            rows.append(healthy(name, seed, arguments) if name in HEALTHY else staged(name, seed, arguments))
            print(json.dumps(rows[-1]), flush=True)
    keep(rows)


def staged(name: str, seed: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """What was said of one staged failure."""
    failure, folder = FAILURES[name], arguments.folder / f"{name.replace(' ', '-')}-{seed}"
    data = () if failure.data is None else ("--data", str(failure.data(arguments.folder / "data")))
    budget = trained(failure.recipe, failure.overrides, data, folder, seed, False)
    first = said(folder)
    in_time = [name for name in failure.named if first.get(name, budget) <= budget / 2]
    return {"failure": name, "seed": seed, "known": failure.known, "named": in_time, "said": first, "budget": budget}


def healthy(name: str, seed: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """Alarms of one healthy run; with the guard, what it did, and whether it left the run's weights as they were."""
    plain = arguments.folder / f"healthy-{name}-{seed}"
    budget = trained(name, HEALTHY[name], (), plain, seed, False)
    row = {"recipe": name, "seed": seed, "alarms": said(plain), "budget": budget}
    if not arguments.guard:
        return row
    guarded = arguments.folder / f"guarded-{name}-{seed}"
    trained(name, HEALTHY[name], (), guarded, seed, True)
    acted = [entry.reason for entry in read_interventions(Run(guarded).guard_file)]
    return row | {"interventions": acted, "same weights": weights(guarded) == weights(plain)}


def weights(folder: Path) -> bytes:
    """All players of the last checkpoint."""
    run = Run(folder)
    return (run.checkpoint_folder / name_of(run.clocks()[-1]) / "players.safetensors").read_bytes()


def trained(
    recipe: str, overrides: tuple[str, ...], data: tuple[str, ...], folder: Path, seed: int, guard: bool
) -> int:
    """Train unless that was done; the budget in samples."""
    if not (folder / "done").exists():
        options = [*overrides, f"training.seed={seed}", *ENGINE, *data]
        command = [sys.executable, "-m", "cardigan", "train", recipe, "--out", str(folder), *options]
        found = subprocess.run(
            [*command, "--guard" if guard else "--no-guard"],
            capture_output=True,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        if found.returncode and "no longer a finite number" not in found.stderr:
            raise SystemExit(found.stderr)
        (folder / "done").touch()
    return int(Run(folder).recipe.training.samples or 0)


def said(folder: Path) -> dict[str, int]:
    """Diagnosis (warning or worse) -> the clock when it was first said; a run that broke off says not-finite."""
    first: dict[str, int] = {}
    entries = read(folder / "health.jsonl")
    for entry in entries:
        for diagnosis in entry.diagnoses:
            if diagnosis.level != "info":
                first.setdefault(diagnosis.name, entry.reading.clock)
    return first


def keep(rows: list[dict[str, Any]]) -> None:
    """Add to what was found before."""
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    found = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for row in rows:
        key = f"{row.get('failure') or row['recipe']} {row['seed']}"
        found[key] = {**row, "date": date.today().isoformat()}
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
