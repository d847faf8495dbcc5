"""What compilation gives: the same training as written, compiled, and (CUDA) compiled into CUDA graphs, in turn.

    CARDIGAN_DATA=... python benchmarks/compiled.py [NETWORK ...] [--sizes 32 64 256] [--device cpu] [--threads 1]
        [--batch 64] [--precision bf16] [--pairs 5] [--seconds 2] [--table]

NETWORK is dcgan, resnet or wide (the ResNet at 256 channels, the largest network for noise that there is). Loops of
equal seed take turns of some seconds, so that a machine that is busy for a while is busy for all. Told are pictures a
second, seconds until the first round is through (compilation), the largest memory (CUDA), and the share of the
arithmetic limit: operations of products and convolutions, counted in the rounds as written, over those of a product of
large matrices on the same device in the same precision, taken between turns. A way that fails is told with its reason.
Resumable: what the file of figures holds for a device is left out, unless it is named. Figures go to
docs/results/benchmarks/compiled.json; --table prints them.
"""

import argparse
import gc
import json
import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from statistics import median
from typing import Any

import torch

import cardigan
from cardigan.machine import forget_peak, peak_memory
from cardigan.networks import compilation
from cardigan.training.engine import EngineChoice, environment, start_fabric
from cardigan.training.loop import Loop
from figures import found, keep
from gates import Operations
from throughput import processor

RESULTS = Path(__file__).parents[1] / "docs" / "results" / "benchmarks" / "compiled.json"
NETWORKS = {
    "dcgan": ("mnist-dcgan", "game.penalties={r1: {weight: 1, interval: 4}}", "game.objective=relativistic"),
    "resnet": ("cifar10-resnet",),
    "wide": ("cifar10-resnet", "game.networks.width=256"),
}
WRITTEN, COMPILED, GRAPHS = "as written", "compiled", "CUDA graphs"
COUNTED = 4
"""Rounds in which operations are counted: penalties are due in every fourth."""
SIDE = {"cpu": 2048, "cuda": 8192}
"""Of the matrices whose product tells the arithmetic limit."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="*", help=f"of {', '.join(NETWORKS)}; default: those not measured yet")
    parser.add_argument("--sizes", type=int, nargs="*", default=[32, 64, 256], help="of pictures, in pixels")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="bf16")
    parser.add_argument("--pairs", type=int, default=5, help="turns of each way")
    parser.add_argument("--seconds", type=float, default=2.0, help="that a turn takes, at least four rounds")
    parser.add_argument("--table", action="store_true", help="print what was found, and measure nothing")
    arguments = parser.parse_args()
    for name in [] if arguments.table else arguments.networks or NETWORKS:
        for size in arguments.sizes:
            key = f"{arguments.device}/{name}/{size}"
            if arguments.networks or key not in found(RESULTS):
                row = {"batch": arguments.batch, "threads": arguments.threads, "precision": arguments.precision}
                about = {"date": date.today().isoformat(), "cpu": processor(), **environment()}
                keep(RESULTS, {key: {**row, **measured(name, size, arguments), **about}})
                print(key, json.dumps(found(RESULTS)[key]), flush=True)
    print("\n".join(table(found(RESULTS))))


def measured(name: str, size: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """Pictures a second of each way in each turn, and what else there is to tell of it."""
    cuda = arguments.device == "cuda"
    ways, rows = dict[str, Callable[[], None]](), dict[str, dict[str, Any]]()
    for way in (WRITTEN, COMPILED, *([GRAPHS] if cuda else [])):
        forget_peak()
        before, began = torch.cuda.memory_allocated() if cuda else 0, time.perf_counter()
        try:
            loop = started(way, name, size, arguments)
            for _ in range(COUNTED + 1):
                loop.round()
            wait(cuda)
        except Exception as error:  # compilers fail in many ways, and that one does is one of the figures
            rows[way] = {"failed": str(error).strip().partition("\n")[0]}
            continue
        ways[way] = loop.round
        rows[way] = {"seconds until it runs": time.perf_counter() - began, "pictures": []}
        if cuda:
            rows[way]["memory"] = peak_memory() - before
    with Operations() as operations:
        for _ in range(COUNTED):
            ways[WRITTEN]()  # which there is, or nothing can be said
    found_limits, rounds = [], dict.fromkeys(ways, COUNTED)
    for turn in range(arguments.pairs + 1):
        found_limits.append(limit(arguments))
        for way, play in ways.items():
            seconds = taken(play, rounds[way], cuda)
            if turn:  # the first tells how many rounds make a turn
                rows[way]["pictures"].append(rounds[way] * arguments.batch / seconds)
            else:
                rounds[way] = COUNTED * max(1, round(arguments.seconds / seconds))
    ways.clear()
    gc.collect()
    return {"operations": operations.total / COUNTED / arguments.batch, "limit": median(found_limits), "ways": rows}


def started(way: str, name: str, size: int, arguments: argparse.Namespace) -> Loop:
    """A loop that plays in one of the ways."""
    recipe = cardigan.load_recipe(
        NETWORKS[name][0],
        [*NETWORKS[name][1:], f"training.batch={arguments.batch}", f"engine.device={arguments.device}"],
    ).but(data={"kind": "pictures", "source": "emoji", "size": size, "channels": 3})
    choice = EngineChoice(
        precision=arguments.precision,
        memory_format="channels_last" if arguments.device == "cuda" else "contiguous",
        matmul="high",
        threads=arguments.threads,
        compile=way != WRITTEN,
    )
    choice.apply()
    torch._dynamo.reset()
    compilation.MODE = "reduce-overhead" if way == GRAPHS else "default"
    fabric = start_fabric(recipe.engine)
    return Loop(recipe, recipe.data.load("train", 0).to(fabric.device), choice, fabric)


def taken(play: Callable[[], object], rounds: int, cuda: bool) -> float:
    """Seconds of so many rounds."""
    start = time.perf_counter()
    for _ in range(rounds):
        play()
    wait(cuda)
    return time.perf_counter() - start


def wait(cuda: bool) -> None:
    if cuda:
        torch.cuda.synchronize()


def limit(arguments: argparse.Namespace) -> float:
    """Operations a second of a product of large matrices."""
    side, cuda = SIDE[arguments.device], arguments.device == "cuda"
    dtype = torch.bfloat16 if arguments.precision == "bf16" else torch.float32
    left = torch.randn(side, side, dtype=dtype, device=arguments.device)
    taken(lambda: left @ left, 2, cuda)
    return float(8 * 2 * side**3 / taken(lambda: left @ left, 8, cuda))


def table(rows: dict[str, Any]) -> Iterator[str]:
    """All figures, as Markdown."""
    yield "| device, network, pixels | as written | compiled | CUDA graphs | s until it runs | operations | share |"
    yield "|---|---|---|---|---|---|---|"
    for key, row in rows.items():
        ways = row["ways"]
        written = ways[WRITTEN]["pictures"]
        cells = [f"{median(written):,.0f}"]
        for way in (COMPILED, GRAPHS):
            mine = ways.get(way, {})
            ratios = [each / other for each, other in zip(mine.get("pictures", []), written, strict=False)]
            cells.append(f"{median(ratios):.2f}x" if ratios else "failed" if "failed" in mine else "")
        waits = [f"{each['seconds until it runs']:.0f}" for each in ways.values() if "pictures" in each]
        best = max(median(each["pictures"]) for each in ways.values() if "pictures" in each)
        cells += [
            " / ".join(waits),
            f"{row['operations'] / 1e6:,.0f}M",
            f"{best * row['operations'] / row['limit']:.0%}",
        ]
        yield f"| {key.replace('/', ', ')} | " + " | ".join(cells) + " |"


if __name__ == "__main__":
    main()
