"""Pictures per second from a checkpoint, and the latency of one: `cardigan.load` against a plain loop of PyTorch.

    CARDIGAN_DATA=... python benchmarks/generation.py [RECIPE ...] [--threads 1] [--pairs 9] [--seconds 1]

A run of a few batches leaves the checkpoint: what its generator makes is of no matter here. The plain loop calls the
very same generator under `no_grad` with noise of torch.randn, 64 at a time; ours is `Model.generate`, whose samples are
the same whatever their number. They take turns, so that a machine that is busy is busy for both. Resumable: without
names, what the file of figures holds already is left out. Figures go to docs/results/benchmarks/generation.json.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from statistics import median
from typing import Any

import torch

import cardigan
from cardigan.generate import CHUNK, Model
from cardigan.machine import seconds
from cardigan.training.engine import environment
from figures import found, keep

RESULTS = Path(__file__).parents[1] / "docs" / "results" / "benchmarks" / "generation.json"
RECIPES = ("mnist-mlp", "mnist-relativistic", "mnist-dcgan", "cifar10-resnet")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipes", nargs="*", help=f"default: those of {', '.join(RECIPES)} not measured yet")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--pairs", type=int, default=9, help="turns of each side")
    parser.add_argument("--seconds", type=float, default=1.0, help="that a turn takes, at least one call")
    arguments = parser.parse_args()
    for name in arguments.recipes or [each for each in RECIPES if each not in found(RESULTS)]:
        with tempfile.TemporaryDirectory() as folder:
            row = measured(checkpoint(name, Path(folder) / "run", arguments.threads), arguments)
        print(name, json.dumps(row), flush=True)
        keep(RESULTS, {name: row})


def checkpoint(name: str, folder: Path, threads: int) -> Path:
    """The folder of a run that has just begun."""
    budget = ("training.samples=256", "records.checkpoint=256")
    engine = (f"engine.threads={threads}", "engine.device=cpu", "engine.precision=fp32")
    cardigan.train(name, (*budget, *engine), out=folder)
    return folder


def measured(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Pictures per second of whole chunks, milliseconds of a single picture, seconds until the first one."""
    torch.set_num_threads(arguments.threads)
    began = time.perf_counter()
    model = cardigan.load(folder)
    model.generate(1)
    first = time.perf_counter() - began
    rows = {}
    for what, count in (("pictures per second", CHUNK), ("one", 1)):
        taken = turns(lambda n=count: model.generate(n), lambda n=count: plain(model, n), arguments)  # type: ignore[misc]
        rows[what] = figures(taken, count)
    one = {f"milliseconds of one, {side}": 1000 / rows["one"][side] for side in ("ours", "plain")}
    about = {"threads": arguments.threads, "load": os.getloadavg()[0], "date": date.today().isoformat()}
    return {**rows, **one, "seconds until the first": first, **about, **environment()}


@torch.no_grad()
def plain(model: Model, count: int) -> torch.Tensor:
    """As a script does it."""
    samples: torch.Tensor = model.generator(torch.randn(count, model.generator.latent.dimension))
    return samples


def turns(
    ours: Callable[[], Any], other: Callable[[], Any], arguments: argparse.Namespace
) -> list[tuple[float, float]]:
    """Seconds of a call of each, turn by turn."""
    calls = []
    for work in (ours, other):
        work()
        calls.append(max(1, round(arguments.seconds / seconds(work))))
    return [(stretch(ours, calls[0]), stretch(other, calls[1])) for _ in range(arguments.pairs)]


def stretch(work: Callable[[], Any], calls: int) -> float:
    """Seconds of a call, over some in a row."""
    return seconds(lambda: [work() for _ in range(calls)]) / calls


def figures(taken: list[tuple[float, float]], count: int) -> dict[str, Any]:
    """Medians of what took turns."""
    return {
        "ours": median(count / mine for mine, _ in taken),
        "plain": median(count / theirs for _, theirs in taken),
        "ratio": median(theirs / mine for mine, theirs in taken),
        "seconds": taken,
    }


if __name__ == "__main__":
    main()
