"""Trains every recipe of the foundation for its minutes and fills the tables of docs/results.md.

    CARDIGAN_DATA=... python benchmarks/results.py [NAME ...] [--folder runs/results]

Resumable: what is finished is not trained again, what was interrupted goes on. All of it takes about two hours on two
cores. Figures go to docs/results/*.json, sample grids to docs/results/*.png; scores come from `cardigan evaluate`.
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
from cardigan.evaluation.evaluate import evaluate
from cardigan.evaluation.result import Evaluation

DOCS = Path(__file__).parents[1] / "docs"
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
SEEDS = (0, 1, 2)
EQUAL_MINUTES = 10.0
METRICS = ("fd", "prdc", "classes")
EQUAL = {f"{name}-10min-{seed}": (name, seed) for seed in SEEDS for name in ("mnist-mlp", "mnist-relativistic")}
"""The tutorials' networks beside our default, for equal minutes."""
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
    parser.add_argument("names", nargs="*", default=[*MINUTES, *EQUAL, *TOYS])
    parser.add_argument("--folder", type=Path, default=Path("runs/results"))
    arguments = parser.parse_args()
    for name in arguments.names:
        run = trained(name, arguments.folder / name)
        figures = toy_figures(run) if name in TOYS else picture_figures(run)
        record(name, {**figures, **cost(run)})
    write_tables()


def trained(name: str, folder: Path) -> cardigan.Run:
    """The finished run called `name`: by the very commands a user would type."""
    recipe, overrides = TOYS.get(name, (name, []))
    minutes = MINUTES.get(name, TOY_MINUTES)
    if name in EQUAL:
        recipe, seed = EQUAL[name]
        minutes, overrides = EQUAL_MINUTES, [f"training.seed={seed}"]
    command = [sys.executable, "-m", "cardigan"]
    if (folder / "recipe.yaml").exists():
        command += ["resume", str(folder)]
    else:
        threads = ["engine.threads=1"] if name in TOYS else []  # so that they can share the machine
        command += ["train", recipe, "--out", str(folder), *overrides, *threads, f"training.minutes={minutes}"]
    print("$", " ".join(command[1:]), flush=True)
    subprocess.run(command, check=True)
    return cardigan.open_run(folder)


def picture_figures(run: cardigan.Run) -> dict[str, Any]:
    """What `cardigan evaluate` finds, and a small grid."""
    if run.name not in EQUAL:
        grid(run, cardigan.load(run).generate(49, seed=1))
    found, _ = evaluate(str(run.folder), metrics=METRICS)
    return {"evaluation": compact(found)}


def compact(found: Evaluation) -> dict[str, Any]:
    """The scores with their protocol said once, and the classes."""
    plain = found.plain()
    protocols = [score.pop("protocol") for score in plain["scores"]]
    shared = {key: value for key, value in protocols[0].items() if all(each[key] == value for each in protocols)}
    for score, protocol in zip(plain["scores"], protocols, strict=True):
        score["protocol"] = {key: value for key, value in protocol.items() if key not in shared and key != "subject"}
    shared.pop("subject", None)
    return {"protocol": shared, **plain}


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


def judged(name: str) -> dict[str, Any] | None:
    """The record of a picture recipe, if it was judged by `cardigan evaluate`."""
    figures = recorded(name)
    return figures if figures and "evaluation" in figures else None


def write_tables() -> None:
    """Put the tables between the markers of docs/results.md; what is seen stands in docs/results/seen.yaml."""
    page = DOCS / "results.md"
    seen = yaml.safe_load((DOCS / "results" / "seen.yaml").read_text())
    text = page.read_text()
    tables = {"pictures": picture_table(seen), "equal": equal_table(), "toys": toy_table(seen)}
    for marker, table in tables.items():
        begin, end = f"<!-- {marker}: begin -->", f"<!-- {marker}: end -->"
        text = text[: text.index(begin) + len(begin)] + "\n" + table + text[text.index(end) :]
    page.write_text(text)


def picture_table(seen: dict[str, str]) -> str:
    rows = [
        "| recipe | samples seen | minutes | local-FD (95%) | precision | recall | coverage | rarest class (95%) "
        "| label obeyed | grid |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    notes = []
    for name in MINUTES:
        if (figures := judged(name)) is None:
            continue
        found = figures["evaluation"]
        cells = [name, f"{figures['samples']:,}", f"{figures['minutes']:.1f}", *score_cells(found, "value")]
        rows.append(f"| {' | '.join([*cells, rarest(found), obeyed(found), f'![{name}](results/{name}.png)'])} |")
        notes.append(f"- **{name}**: {' '.join(seen.get(name, '').split())}")
    for source, example in (("MNIST", "mnist-dcgan"), ("CIFAR-10", "cifar10-resnet")):
        if figures := judged(example):
            found = figures["evaluation"]
            facts = {**found["protocol"], **score_of(found, "fd")["protocol"]}["extractor_facts"]
            accuracy = f"judge's accuracy on test {facts['accuracy']:.1%}"
            for what, which in (("real train pictures (floor)", "floor"), ("independent pixels (baseline)", "ceiling")):
                rows.append(f"| *{source}: {what}* | | | {' | '.join(score_cells(found, which))} | | | {accuracy} |")
    return "\n".join([*rows, "", *notes, ""])


SHOWN = ("fd", "precision", "recall", "coverage")


def score_cells(found: dict[str, Any], which: str) -> list[str]:
    """One cell for each of SHOWN: the value with its interval, the floor, or the ceiling."""
    cells = []
    for key in SHOWN:
        score = score_of(found, key)
        text = number(score[which])
        if which == "value" and score["low"] is not None:
            text += f" ({number(score['low'])} to {number(score['high'])})" if key == "fd" else ""
        cells.append(text)
    return cells


def score_of(found: dict[str, Any], key: str) -> dict[str, Any]:
    metrics = [score["protocol"].get("metric", found["protocol"].get("metric")) for score in found["scores"]]
    return dict(found["scores"][metrics.index(key)])


def number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def rarest(found: dict[str, Any]) -> str:
    least = min(found["classes"], key=lambda each: each["generated"])
    return f"{least['name']}: {least['generated']:.1%} ({least['low']:.1%} to {least['high']:.1%})"


def obeyed(found: dict[str, Any]) -> str:
    asked = [each["asked"] for each in found["classes"] if each["asked"] is not None]
    return f"{sum(asked) / len(asked):.1%}" if asked else "-"


def equal_table() -> str:
    """Both recipes, seed by seed and as mean and 95% interval over the seeds."""
    rows = [
        "| recipe | seed | samples seen | local-FD (95%) | precision | recall | coverage | rarest class (95%) |",
        "|---|---|---|---|---|---|---|---|",
    ]
    values: dict[str, list[float]] = {}
    for name, (recipe, seed) in sorted(EQUAL.items(), key=lambda each: each[1]):
        if figures := judged(name):
            found = figures["evaluation"]
            values.setdefault(recipe, []).append(score_of(found, "fd")["value"])
            cells = [recipe, str(seed), f"{figures['samples']:,}", *score_cells(found, "value"), rarest(found)]
            rows.append(f"| {' | '.join(cells)} |")
    for recipe, each in values.items():
        if len(each) == len(SEEDS):
            rows.append(f"| **{recipe}** | all | | {over_seeds(each)} | | | | |")
    return "\n".join([*rows, ""])


def over_seeds(values: list[float]) -> str:
    """Mean and 95% interval of three seeds (t quantile of two degrees of freedom)."""
    mean = sum(values) / len(values)
    spread = math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1) / len(values))
    return f"{number(mean)} ({number(max(0.0, mean - 4.303 * spread))} to {number(mean + 4.303 * spread)})"


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
