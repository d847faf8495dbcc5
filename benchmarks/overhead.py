"""What health costs: the same training with and without readings, in turn, in one run.

    CARDIGAN_DATA=... python benchmarks/overhead.py [RECIPE ...] [--pairs 6] [--threads 2]

Two loops of one recipe take turns, as many samples each as lie between two readings, so that a machine that is busy for
a while is busy for both. One of them takes its readings as `cardigan train` does, diagnoses and health.jsonl included.
The first readings, which come closer to each other, are left out. Figures go to docs/results/stability/overhead.json.
"""

import argparse
import json
import tempfile
import time
from datetime import date
from pathlib import Path
from statistics import median
from typing import Any

import cardigan
from cardigan.health.diagnosis import Reading
from cardigan.health.history import History
from cardigan.health.rules import diagnose
from cardigan.training.engine import choose, environment, start_fabric
from cardigan.training.loop import Loop
from cardigan.training.monitor import Monitor
from figures import keep

RESULTS = Path(__file__).parents[1] / "docs" / "results" / "stability" / "overhead.json"
RECIPES = ("mnist-relativistic", "mnist-dcgan", "cifar10-resnet")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipes", nargs="*", default=RECIPES)
    parser.add_argument("--pairs", type=int, default=6)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    for name in arguments.recipes:
        row = measured(name, arguments.pairs, arguments.threads)
        print(name, json.dumps(row), flush=True)
        keep(RESULTS, {name: {**row, "date": date.today().isoformat()}})


def measured(name: str, pairs: int, threads: int) -> dict[str, Any]:
    """Seconds of each stretch, without readings and with them."""
    recipe = cardigan.load_recipe(name, (f"engine.threads={threads}", "engine.device=cpu"))
    dataset = recipe.data.load("train", 0)
    fabric = start_fabric(recipe.engine)
    choice = choose(recipe.engine, lambda each: Loop(recipe, dataset, each, fabric).round, fabric)
    choice.apply()
    plain, watched = (Loop(recipe, dataset, choice, fabric) for _ in range(2))
    spacing = recipe.health.spacing(recipe.training.batch)
    monitor, taken = Monitor(watched), {"plain": list[float](), "watched": list[float]()}
    with tempfile.TemporaryDirectory() as folder:
        history = History(Path(folder) / "health.jsonl")
        while len(taken["plain"]) < pairs:
            seconds = stretch(plain, spacing), stretch(watched, spacing, monitor, history)
            if watched.clock > 5 * spacing:
                taken["plain"].append(seconds[0])
                taken["watched"].append(seconds[1])
    ratios = [each / other for each, other in zip(taken["watched"], taken["plain"], strict=True)]
    overhead = sum(taken["watched"]) / sum(taken["plain"]) - 1
    about = {"interval": spacing, "engine": choice.plain(), **environment()}
    return {"overhead": overhead, "median of pairs": median(ratios) - 1, "seconds": taken, **about}


def stretch(loop: Loop, samples: int, monitor: Monitor | None = None, history: History | None = None) -> float:
    """Seconds in which `loop` draws `samples`, with the readings that are due."""
    start, until = time.perf_counter(), loop.clock + samples
    while loop.clock < until:
        due = monitor is not None and monitor.due()
        loop.round()
        if due and monitor is not None and history is not None:
            reading = Reading(loop.clock, monitor.read(time.perf_counter() / 60))
            history.add(reading, diagnose([*history.readings, reading]))
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
