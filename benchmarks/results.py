"""Trains every recipe of the foundation for its minutes and fills the tables of docs/results.md.

    CARDIGAN_DATA=... python benchmarks/results.py [NAME ...] [--folder runs/results]

Resumable: what is finished is not trained again, what was interrupted goes on. All of it takes about 55 minutes on two
cores. Figures go to docs/results/*.json, small sample grids to docs/results/*.png.
"""

import argparse
import json
import math
import os
import platform
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import torch
import yaml
from PIL import Image
from torch import Tensor

import cardigan
from cardigan.data.toys import modes_reached
from classifier import Judge, judge_of

DOCS = Path(__file__).parents[1] / "docs"
SAMPLES = 2000
MINUTES = {
    "mnist-mlp": 3.0,
    "mnist-dcgan": 3.0,
    "mnist-wgan": 3.0,
    "mnist-wgan-gp": 3.0,
    "mnist-lsgan": 3.0,
    "mnist-dragan": 3.0,
    "mnist-hinge": 3.0,
    "mnist-relativistic": 3.0,
    "mnist-conditional": 3.0,
    "mnist-acgan": 3.0,
    "cifar10-resnet": 15.0,
}
PLAIN = ["game.objective=nonsaturating", "game.penalties={r1: null, r2: null}"]
TOYS = {
    "toy-ring": ("toy-ring", []),
    "toy-grid": ("toy-grid", []),
    "toy-ring-nonsaturating": ("toy-ring", PLAIN),
    "toy-grid-nonsaturating": ("toy-grid", PLAIN),
}
TOY_MINUTES = 1.0
TOY_SAMPLES = 10_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=[*MINUTES, *TOYS])
    parser.add_argument("--folder", type=Path, default=Path("runs/results"))
    arguments = parser.parse_args()
    for name in arguments.names:
        recipe, overrides = TOYS.get(name, (name, []))
        run = trained(recipe, overrides, MINUTES.get(name, TOY_MINUTES), arguments.folder / name)
        figures = toy_figures(run) if name in TOYS else picture_figures(run, arguments.folder)
        record(name, {**figures, **cost(run)})
    write_tables()


def trained(recipe: str, overrides: list[str], minutes: float, folder: Path) -> cardigan.Run:
    """The finished run in `folder`: by the very commands a user would type."""
    command = [sys.executable, "-m", "cardigan"]
    if (folder / "recipe.yaml").exists():
        command += ["resume", str(folder)]
    else:
        threads = ["engine.threads=1"] if folder.name in TOYS else []  # so that they can share the machine
        command += ["train", recipe, "--out", str(folder), *overrides, *threads, f"training.minutes={minutes}"]
    print("$", " ".join(command[1:]), flush=True)
    subprocess.run(command, check=True)
    return cardigan.open_run(folder)


def picture_figures(run: cardigan.Run, folder: Path) -> dict[str, Any]:
    """Share of every class among the samples, obedience to labels, beside real test pictures and noise."""
    torch.set_num_threads(2)
    model = cardigan.load(run)
    family = "cifar10-resnet" if run.recipe.data.source == "cifar10" else "mnist-dcgan"
    judge = judge_of(family, folder, epochs=4 if family == "cifar10-resnet" else 3)
    samples = model.generate(SAMPLES, seed=7)
    grid(run, model.generate(49, seed=1))
    figures: dict[str, Any] = {
        "judge_accuracy": judge.accuracy,
        "shares": shares(judge, samples, model.form.classes),
        "floor_shares": shares(judge, real_pictures(run), model.form.classes),
        "noise_shares": shares(judge, torch.rand_like(samples) * 2 - 1, model.form.classes),
    }
    if model.conditional:
        figures["obeyed"] = obedience(judge, model)
    return figures


def real_pictures(run: cardigan.Run) -> Tensor:
    return run.recipe.data.load("test").draw(0, SAMPLES).sample


def shares(judge: Judge, samples: Tensor, classes: int) -> list[float]:
    counts = torch.bincount(judge.classify(samples), minlength=classes)
    return [round(float(count) / len(samples), 4) for count in counts]


def obedience(judge: Judge, model: cardigan.Model) -> float:
    """Share of samples, label by label, in which the judge sees the label that was asked for."""
    right = [
        float((judge.classify(model.generate(200, seed=11, label=label)) == label).float().mean())
        for label in range(model.form.classes)
    ]
    return round(sum(right) / len(right), 4)


def toy_figures(run: cardigan.Run) -> dict[str, Any]:
    model = cardigan.load(run)
    codec: Any = model.codec
    fake = modes_reached(model.generate(TOY_SAMPLES, seed=7), codec.centres, codec.spread)
    real = modes_reached(run.recipe.data.load("test").draw(0, TOY_SAMPLES).sample, codec.centres, codec.spread)
    grid(run, None)
    return {
        "modes": fake.reached,
        "of": len(codec.centres),
        "near": round(fake.share, 4),
        "fewest": min(fake.counts),
        "floor_near": round(real.share, 4),
        "floor_fewest": min(real.counts),
    }


def grid(run: cardigan.Run, samples: Tensor | None) -> None:
    """A small PNG for the documents: fresh samples of a picture recipe, the last scatter plot of a toy."""
    target = DOCS / "results" / f"{run.name}.png"
    target.parent.mkdir(parents=True, exist_ok=True)
    latest = run.latest_grid()
    if samples is not None:
        cardigan.load(run).codec.render(samples, target)
    elif latest is not None:
        target.write_bytes(latest.read_bytes())
    with Image.open(target) as picture:
        small = picture.copy()
    small.thumbnail((420, 420))
    small.save(target, optimize=True)


def cost(run: cardigan.Run) -> dict[str, Any]:
    last = run.scalars()[-1]
    return {
        "samples": last["samples"],
        "minutes": round(last["minutes"], 2),
        "engine": run.environment["engine"],
        "seed": run.recipe.training.seed,
        "date": date.today().isoformat(),
        "machine": machine(),
    }


def machine() -> str:
    model = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    name = model[0].partition(":")[2].strip() if model else platform.machine()
    cores, instructions = os.cpu_count(), torch.backends.cpu.get_cpu_capability()
    return f"{cores} cores of {name} ({instructions}), torch {torch.__version__}"


def record(name: str, figures: dict[str, Any]) -> None:
    target = DOCS / "results" / f"{name}.json"
    target.write_text(json.dumps(figures, indent=1) + "\n")


def recorded(name: str) -> dict[str, Any] | None:
    path = DOCS / "results" / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


def write_tables() -> None:
    """Put the tables between the markers of docs/results.md; what is seen stands in docs/results/seen.yaml."""
    page = DOCS / "results.md"
    seen = yaml.safe_load((DOCS / "results" / "seen.yaml").read_text())
    text = page.read_text()
    for marker, table in (("pictures", picture_table(seen)), ("toys", toy_table(seen))):
        begin, end = f"<!-- {marker}: begin -->", f"<!-- {marker}: end -->"
        text = text[: text.index(begin) + len(begin)] + "\n" + table + text[text.index(end) :]
    page.write_text(text)


def picture_table(seen: dict[str, str]) -> str:
    rows = [
        "| recipe | samples seen | minutes | classes at 3% or more | rarest class (95%) | label obeyed | grid |",
        "|---|---|---|---|---|---|---|",
    ]
    notes = []
    for name in MINUTES:
        if (figures := recorded(name)) is None:
            continue
        obeyed = f"{figures['obeyed']:.1%}" if "obeyed" in figures else "-"
        rows.append(
            f"| {name} | {figures['samples']:,} | {figures['minutes']:.1f} | {covered(figures['shares'])} of "
            f"{len(figures['shares'])} | {rarest(figures['shares'])} | {obeyed} | ![{name}](results/{name}.png) |"
        )
        notes.append(f"- **{name}**: {' '.join(seen.get(name, '').split())}")
    for source, example in (("MNIST", "mnist-dcgan"), ("CIFAR-10", "cifar10-resnet")):
        if figures := recorded(example):
            accuracy = f"judge's accuracy on the test split {figures['judge_accuracy']:.1%}"
            rows.append(
                f"| *real {source} test pictures (floor)* | | | {covered(figures['floor_shares'])} of 10 | "
                f"{rarest(figures['floor_shares'])} | {accuracy} | |"
            )
            rows.append(
                f"| *uniform noise (baseline), {source} judge* | | | {covered(figures['noise_shares'])} of 10 | "
                f"{rarest(figures['noise_shares'])} | | |"
            )
    return "\n".join([*rows, "", *notes, ""])


def covered(class_shares: list[float]) -> int:
    return sum(share >= 0.03 for share in class_shares)


def rarest(class_shares: list[float]) -> str:
    share = min(class_shares)
    low, high = wilson(share, SAMPLES)
    return f"{class_shares.index(share)}: {share:.1%} ({low:.1%} to {high:.1%})"


def wilson(share: float, count: int, z: float = 1.96) -> tuple[float, float]:
    """95% interval of a share among `count` (Wilson 1927)."""
    centre = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count)) / (1 + z * z / count)
    return max(0.0, centre - half), min(1.0, centre + half)


def toy_table(seen: dict[str, str]) -> str:
    rows = [
        "| run | samples seen | minutes | modes | within 3 sd of one | fewest in a mode | seen | plot |",
        "|---|---|---|---|---|---|---|---|",
    ]
    rows += [toy_row(name, figures, seen) for name in TOYS if (figures := recorded(name))]
    return "\n".join([*rows, ""])


def toy_row(name: str, figures: dict[str, Any], seen: dict[str, str]) -> str:
    cells = (
        name,
        f"{figures['samples']:,}",
        f"{figures['minutes']:.1f}",
        f"{figures['modes']} of {figures['of']}",
        f"{figures['near']:.1%} (real: {figures['floor_near']:.1%})",
        f"{figures['fewest']} (real: {figures['floor_fewest']})",
        " ".join(seen.get(name, "").split()),
        f"![{name}](results/{name}.png)",
    )
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
