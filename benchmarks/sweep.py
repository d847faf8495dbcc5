"""Sixty random configurations on MNIST at 14x14 pixels: how many end well as drawn, and with the guard?

    CARDIGAN_DATA=... python benchmarks/sweep.py [--count 60] [--folder runs/sweep] [--only default plain guarded]

A run in which the guard would do nothing is not trained twice: it has the same weights with and without it (tests).
Resumable: what was trained and judged is not done again. Configurations (objective, penalties, rates, momenta, widths,
depth, normalisation, batch, turns) are drawn from a fixed seed and stand in the results. Every run has the same budget
in samples drawn, thrown-away ones among them. A run ends well when the classifier of these data sees all ten digits
(each at least a tenth as often as it should be) and its local Fréchet distance is within the bound: `MARGIN` times the
largest of ten seeds of the default, so that failing means instability rather than slowness. (A first draw with up to
five discriminator turns a round, batches of 128, widths of 8 and twice the default's distance as the bound mostly found
out what is slow.) Scores are against the validation split; test is not looked at. Results go to
docs/results/stability/sweep.json.
"""

import argparse
import json
import math
import os
import random
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import cardigan
from cardigan.health.history import read
from cardigan.run import Run
from cardigan.training.guard import Guard
from judging import Judge

RESULTS = Path(__file__).parents[1] / "docs" / "results" / "stability" / "sweep.json"
DEFAULTS = 10
MARGIN = 4
LEAST = 0.1
"""A digit is there when it occurs at least so often, as a share of how often it should."""
SAMPLES = 2_000
BASE = (
    "data.size=14",
    "game.networks={width: 24, depth: 1, generator: {width: 48}, discriminator: {width: 24, depth: 2}}",
    "game.penalties={r1: {weight: 0.3, interval: 1}, r2: {weight: 0.3, interval: 1}}",
    "training.optimizer.rate=2e-3",
    "training.schedule={warmup: 0, shape: linear, decay_start: 0}",
    "training.samples=100k",
    "records.checkpoint=50k",
    "engine.device=cpu",
    "engine.threads=1",
    "engine.precision=fp32",
    "engine.memory_format=channels_last",
)
"""mnist-relativistic at 14x14."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--folder", type=Path, default=Path("runs/sweep"))
    parser.add_argument("--only", nargs="*", default=["default", "plain", "guarded"])
    arguments = parser.parse_args()
    configurations = draw(arguments.count)
    jobs: list[tuple[str, int, tuple[str, ...]]] = []
    if "default" in arguments.only:
        jobs += [("default", seed, (f"training.seed={seed}", "guard.enabled=false")) for seed in range(DEFAULTS)]
    for number, configuration in enumerate(configurations):
        for kind, extra in (("plain", ("guard.enabled=false",)), ("guarded", ("guard.enabled=true",))):
            if kind in arguments.only:
                jobs.append((kind, number, (*configuration, *extra)))
    eye = judge()
    for kind, number, overrides in jobs:
        plain = arguments.folder / f"plain-{number:02d}"
        if kind == "guarded" and left_alone(plain):
            row = json.loads((plain / "result.json").read_text()) | {"left alone": True}
        else:
            row = job(arguments.folder / f"{kind}-{number:02d}", overrides, eye)
        keep(kind, number, {"overrides": list(overrides), **row})
        print(kind, number, json.dumps({key: row[key] for key in ("distance", "classes")}), flush=True)
    print(json.dumps(summary(json.loads(RESULTS.read_text())), indent=1))


def draw(count: int, seed: int = 2026) -> list[tuple[str, ...]]:
    """Random configurations as overrides of `BASE`; the first ones are the same whatever `count` is."""
    source = random.Random(seed)

    def log_uniform(low: float, high: float) -> float:
        return float(f"{math.exp(source.uniform(math.log(low), math.log(high))):.2g}")

    found = []
    for _ in range(count):
        objective = source.choice(
            [
                "minimax",
                "nonsaturating",
                "least-squares",
                "wasserstein",
                "hinge",
                "relativistic",
                "relativistic-average",
            ]
        )
        weights = {"r1": (0.01, 10), "r1 r2": (0.01, 10), "gradient": (1, 30), "dragan": (1, 30)}
        penalty = source.choice(["none", *weights])
        weight = log_uniform(*weights[penalty]) if penalty != "none" else 0.0
        penalties: dict[str, Any] = dict.fromkeys(("r1", "r2", "gradient", "dragan"))
        for name in penalty.split() if penalty != "none" else ():
            penalties[name] = {"weight": weight}
        norms = source.choice(["batch", "layer", "none"]), source.choice(["batch", "layer", "none"])
        widths = source.choice([16, 32, 48]), source.choice([16, 32, 48])
        networks = {
            "depth": 1,
            "generator": {"width": widths[0], "normalisation": norms[0]},
            "discriminator": {"width": widths[1], "depth": source.choice([1, 2]), "normalisation": norms[1]},
        }
        rates = log_uniform(1e-4, 1e-2), log_uniform(1e-4, 1e-2)
        betas = source.choice([[0.0, 0.9], [0.0, 0.99], [0.5, 0.999], [0.9, 0.999]])
        found.append(
            (
                f"game.objective={objective}",
                f"game.penalties={json.dumps(penalties)}",
                f"game.networks={json.dumps(networks)}",
                f"game.n_critic={source.choice([1, 1, 1, 2])}",
                f"training.optimizer={json.dumps({'rate': rates[0], 'betas': betas})}",
                f"training.rates={json.dumps({'discriminator': rates[1]})}",
                f"training.batch={source.choice([16, 32, 64])}",
                f"training.seed={source.randrange(1000)}",
            )
        )
    return found


def job(folder: Path, overrides: tuple[str, ...], judge: Judge) -> dict[str, Any]:
    """Train if that was not done, and judge; a run that ended early is judged by its last checkpoint."""
    result = folder / "result.json"
    if not result.exists():
        options = [*BASE, *overrides]
        begun = (folder / "recipe.yaml").exists()
        command = ["resume", str(folder)] if begun else ["train", "mnist-relativistic", "--out", str(folder), *options]
        done = subprocess.run(
            [sys.executable, "-m", "cardigan", *command],
            capture_output=True,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        if not (folder / "recipe.yaml").exists():
            raise SystemExit(done.stderr)
        result.write_text(json.dumps(judged(Run(folder), judge) | {"ended": done.stderr.strip()[-200:]}))
    return dict(json.loads(result.read_text()))


def left_alone(folder: Path) -> bool:
    """Whether the guard would have done nothing in the run without it: it then has the very weights of that run."""
    if not (folder / "result.json").exists() or json.loads((folder / "result.json").read_text())["ended"]:
        return False
    run = Run(folder)
    guard, readings = Guard(run, run.recipe, 14 * 14), [entry.reading for entry in read(run.health_file)]
    return all(guard.decide(readings[:count], []) is None for count in range(1, len(readings) + 1))


def judge() -> Judge:
    """Against the validation split."""
    data = cardigan.load_recipe("mnist-relativistic", BASE).data
    real = data.still().load("validation")
    return Judge(data, real.draw(0, min(len(real), 3_000)).sample)


def judged(run: Run, judge: Judge) -> dict[str, Any]:
    """Local Fréchet distance and how often each digit occurs, of the newest checkpoint of `run`."""
    if not run.clocks():
        return {"distance": None, "classes": 0, "clock": 0}
    seen = judge.look(cardigan.load(run).generate(SAMPLES, seed=1))
    present = int((seen.counts >= LEAST * SAMPLES / 10).sum())
    counts = {"classes": present, "counts": seen.counts.tolist()}
    return {"distance": judge.distance(seen), **counts, "clock": run.clocks()[-1]}


def keep(kind: str, number: int, row: dict[str, Any]) -> None:
    """Add one row to what was found before."""
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    found = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    found.setdefault(kind, {})[str(number)] = {**row, "date": date.today().isoformat()}
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")


def summary(found: dict[str, Any]) -> dict[str, Any]:
    """The bound, and the share of runs within it, of each kind."""
    bound = MARGIN * max(row["distance"] for row in found["default"].values())
    shares = {kind: sum(ended_well(row, bound) for row in rows.values()) / len(rows) for kind, rows in found.items()}
    return {"bound": bound, "ended well": shares, "runs": {kind: len(rows) for kind, rows in found.items()}}


def ended_well(row: dict[str, Any], bound: float) -> bool:
    """Whether all digits are there and the distance is within `bound`."""
    return row["distance"] is not None and row["distance"] <= bound and row["classes"] == 10


if __name__ == "__main__":
    main()
