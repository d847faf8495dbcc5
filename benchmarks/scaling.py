"""What several processes cost: samples a second on 1 and on 2, bytes that a round sends, time that goes into sending.

    CARDIGAN_DATA=... python benchmarks/scaling.py [RECIPE ...] [--pairs 5] [--rounds 8]

One process plays some rounds, then two play as many with the same global batch, and so on in turn, so that a machine
that is busy for a while is busy for both. Every process has one thread. Speed-ups mean something only where two cores
are idle; bytes do not depend on that. Figures go to docs/results/benchmarks/scaling.json, with the load of the machine.
"""

import argparse
import json
import os
import time
from datetime import date
from multiprocessing.synchronize import Barrier
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing
from torch import Tensor

import cardigan
from cardigan.data.base import Dataset
from cardigan.recipe import Recipe
from cardigan.training.engine import EngineChoice, environment
from cardigan.training.loop import Loop
from figures import keep

RESULTS = Path(__file__).parents[1] / "docs" / "results" / "benchmarks" / "scaling.json"
RECIPES = ("mnist-relativistic", "cifar10-resnet")


def main() -> None:
    """Measure each recipe, and keep what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipes", nargs="*", default=RECIPES)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=8)
    given = parser.parse_args()
    torch.set_num_threads(1)  # before the fork, which no pool of threads survives
    for name in given.recipes:
        row = measured(name, given.pairs, given.rounds)
        print(name, json.dumps(row), flush=True)
        keep(RESULTS, {name: row})


def measured(name: str, pairs: int, rounds: int) -> dict[str, Any]:
    """Figures of one recipe: see `summary`."""
    recipe = cardigan.load_recipe(name, ("engine.device=cpu",))
    dataset = recipe.data.load("train", 0)
    context = multiprocessing.get_context("fork")
    turn, results = context.Barrier(3), context.SimpleQueue()
    players = [
        context.Process(target=play, args=(who, recipe, dataset, pairs, rounds, turn, results)) for who in range(3)
    ]
    for player in players:
        player.start()
    found = dict(results.get() for _ in players)
    for player in players:
        player.join()
    return summary(found[2], found[0], recipe.training.batch * rounds)


def play(who: int, recipe: Recipe, dataset: Dataset, pairs: int, rounds: int, turn: Barrier, results: Any) -> None:
    """Process 0 or 1 of two, or (2) one that is alone: every other stretch is its own."""
    torch.set_num_threads(1)
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29533"}
    together = who < 2
    if together:
        dist.init_process_group("gloo", rank=who, world_size=2)
    place = SimpleNamespace(global_rank=who % 2, world_size=2 if together else 1, device=torch.device("cpu"))
    loop, sent = Loop(recipe, dataset, EngineChoice(), place), Sent()  # type: ignore[arg-type]
    taken = list[dict[str, float]]()
    for _ in range(pairs + 1):
        for mine in (not together, together):
            turn.wait()
            if mine:
                taken.append(stretch(loop, rounds, sent))
    results.put((who, taken[1:]))  # the first is for warming up


def stretch(loop: Loop, rounds: int, sent: "Sent") -> dict[str, float]:
    """Seconds of some rounds; of them in collective calls; bytes of tensors that these were given."""
    sent.seconds, sent.bytes, sent.calls, start = 0.0, 0, 0, time.perf_counter()
    for _ in range(rounds):
        loop.round()
    taken = time.perf_counter() - start
    return {"seconds": taken, "waiting": sent.seconds, "bytes": sent.bytes / rounds, "calls": sent.calls / rounds}


class Sent:
    """Counts what goes through `torch.distributed.all_reduce` from now on."""

    def __init__(self) -> None:
        self.seconds, self.bytes, self.calls, self.reduce = 0.0, 0, 0, dist.all_reduce
        dist.all_reduce = self

    def __call__(self, values: Tensor, *arguments: Any) -> None:
        """What it replaces, and how long it took."""
        start = time.perf_counter()
        self.reduce(values, *arguments)
        self.seconds += time.perf_counter() - start
        self.calls += 1
        self.bytes += values.numel() * values.element_size()


def summary(alone: list[dict[str, float]], first: list[dict[str, float]], samples: int) -> dict[str, Any]:
    """Medians over the pairs: rates, speed-up, bytes a round, share of the time in collective calls."""
    speedups = [one["seconds"] / two["seconds"] for one, two in zip(alone, first, strict=True)]
    return {
        "samples per second": {
            "1 process": samples / median(each["seconds"] for each in alone),
            "2 processes": samples / median(each["seconds"] for each in first),
        },
        "speed-up": median(speedups),
        "speed-ups": speedups,
        "bytes reduced in a round": first[0]["bytes"],
        "calls in a round": first[0]["calls"],
        "share of time in all-reduce": median(each["waiting"] / each["seconds"] for each in first),
        "load": os.getloadavg()[0],
        "cores": os.cpu_count(),
        "date": date.today().isoformat(),
        **environment(),
    }


if __name__ == "__main__":
    main()
