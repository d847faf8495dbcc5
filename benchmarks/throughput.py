"""Pictures per second of training: our loop against the peers' scripts as they stand, in turn, in one run.

    CARDIGAN_DATA=... python benchmarks/throughput.py [WORKLOAD ...] [--pytorch-gan CHECKOUT] [--examples CHECKOUT]
        [--threads 1] [--pairs 9] [--seconds 1.5] [--table]

CHECKOUT is a clone of github.com/eriklindernoren/PyTorch-GAN, and of github.com/pytorch/examples. Where one is missing,
ours is timed alone and the peer's figure is the recorded one, named as such. Both sides run in processes of their own
(`workloads.py`) and take turns of some seconds, so that a machine that is busy is busy for both; the engine is what
`cardigan train` chooses by itself. Resumable: without names, what the file of figures holds already is left out;
--table prints them. Figures go to docs/results/benchmarks/throughput.json.
"""

import argparse
import json
import multiprocessing
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any

import cardigan
import workloads
from cardigan.recipe import Recipe
from cardigan.training.engine import environment
from figures import found

RESULTS = Path(__file__).parents[1] / "docs" / "results" / "benchmarks" / "throughput.json"
RECORDED = "2026-11-20, 2 threads of an AMD EPYC (Zen 5, avx512_bf16), torch 2.13"
"""When and where the recorded figures were taken."""


@dataclass(frozen=True)
class Workload:
    """One network and its mathematics, on both sides.

    Attributes:
        title: for people.
        recipe: ours, and what differs from it.
        recorded: pictures per second of the peer as written, on the machine of `RECORDED`.
        goal: wanted ratio, and what would be beyond.
        script: the peer's file, and its arguments; empty: there is no single known script.
        checkout: the option that tells where it lies.
        plain: the loop of `plain.py` that takes the place of a script; empty: none.
        batches: that are drawn in one of our rounds.
    """

    title: str
    recipe: tuple[str, ...]
    recorded: float
    goal: tuple[float, float]
    script: str = ""
    checkout: str = ""
    plain: str = ""
    batches: int = 1

    def load(self, threads: int) -> Recipe:
        """Our recipe: no average of the generator, since the peers keep none."""
        options = ("training.average={half_life: null}", "engine.device=cpu", f"engine.threads={threads}")
        with cardigan.trusting("pytorch_gan"):
            return cardigan.load_recipe(self.recipe[0], (*self.recipe[1:], *options))

    def other(self, arguments: argparse.Namespace) -> tuple[str, str] | None:
        """The side that we are held against, and where it is found; None: it is not here."""
        if self.plain:
            return "plain", self.plain
        folder = getattr(arguments, self.checkout)
        return None if folder is None else ("script", f"{folder.resolve()}/{self.script}")


MLP_OF_WGAN_GP = (
    "game.networks={family: mlp, generator: {width: 128, depth: 4, normalisation: batch}, "
    "discriminator: {width: 256, depth: 2, dropout: 0}}"
)
WORKLOADS = {
    "mlp": Workload("tutorial MLP GAN, MNIST, batch 128", ("mnist-mlp",), recorded=3_073, goal=(4.0, 6.0), plain="mlp"),
    "dcgan": Workload(
        "PyTorch-GAN dcgan.py, MNIST 32x32, batch 64",
        ("mnist-dcgan", "data.size=32", "game.networks={family: 'pytorch_gan:PyTorchGan'}"),
        recorded=245,
        goal=(4.0, 7.0),
        script="implementations/dcgan/dcgan.py",
        checkout="pytorch_gan",
    ),
    "wgan-gp": Workload(
        "PyTorch-GAN wgan_gp.py, MNIST, batch 64",
        ("mnist-wgan-gp", MLP_OF_WGAN_GP, "training.optimizer={rate: 2e-4, betas: [0.5, 0.999]}"),
        recorded=4_218,
        goal=(3.2, 5.0),
        script="implementations/wgan_gp/wgan_gp.py",
        checkout="pytorch_gan",
        batches=5,
    ),
    "official-dcgan": Workload(
        "PyTorch's official DCGAN, 64x64, batch 128",
        ("mnist-dcgan", "data={source: emoji, size: 64, channels: 3}", "training.batch=128"),
        recorded=133,
        goal=(2.0, 3.0),
        script="dcgan/main.py --dataset cifar10 --dataroot . --batchSize 128 --workers 0",
        checkout="examples",
    ),
    "resnet": Workload(
        "small ResNet GAN, 32x32, R1 and R2 in every step, batch 64",
        ("cifar10-resnet", "data.flip=false", "game.penalties={r1: {interval: 1}, r2: {interval: 1}}"),
        recorded=33,
        goal=(2.5, 4.5),
        plain="resnet",
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("workloads", nargs="*", help=f"of {', '.join(WORKLOADS)}; default: those not measured yet")
    parser.add_argument("--pytorch-gan", type=Path, help="a clone of eriklindernoren/PyTorch-GAN")
    parser.add_argument("--examples", type=Path, help="a clone of pytorch/examples")
    parser.add_argument("--threads", type=int, default=1, help="of each side")
    parser.add_argument("--pairs", type=int, default=9, help="turns of each side")
    parser.add_argument("--seconds", type=float, default=1.5, help="that a turn takes, at least one round")
    parser.add_argument("--table", action="store_true", help="print what was found, and measure nothing")
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(arguments.threads)  # of the processes to come
    left = [] if arguments.table else arguments.workloads or [name for name in WORKLOADS if name not in found(RESULTS)]
    for name in left:
        row = measured(WORKLOADS[name], arguments)
        print(name, json.dumps(row), flush=True)
        keep(name, row)
    print(table())


def measured(workload: Workload, arguments: argparse.Namespace) -> dict[str, Any]:
    """Seconds of each turn of both sides, operations of a round, the limit between turns."""
    recipe = workload.load(arguments.threads)
    other = workload.other(arguments)
    about = {"batch": recipe.training.batch, "threads": arguments.threads, "date": date.today().isoformat()}
    row: dict[str, Any] = {**about, **environment(), "cpu": processor(), "load": os.getloadavg()[0]}
    with started("ours", "", recipe, arguments.threads, 1) as ours:
        row["ours"] = ours.told() | {"seconds": []}
        sides = [(ours, row["ours"])]
        if other is None:
            return row | {"limits": turns(sides, arguments)}
        with started(*other, recipe, arguments.threads, workload.batches) as peer:
            row["peer"] = peer.told() | {"kind": other[0], "seconds": []}
            return row | {"limits": turns([*sides, (peer, row["peer"])], arguments)}


def turns(sides: list[tuple["Side", dict[str, Any]]], arguments: argparse.Namespace) -> list[float]:
    """Let `sides` take turns and write down what they took; the limit found by the first one before each pair."""
    for side, figures in sides:
        figures["operations"] = side.asked("count", 1)
        side.asked("time", 1)
        figures["rounds"] = max(1, round(arguments.seconds / side.asked("time", 1)[0]))
    limits = []
    for _ in range(arguments.pairs):
        limits.append(sides[0][0].asked("limit"))
        for side, figures in sides:
            figures["seconds"].append(side.asked("time", figures["rounds"]))
    return limits


@dataclass(frozen=True)
class Side:
    """A process that works when it is told to.

    Attributes:
        batches: that make a round.
    """

    connection: Connection
    batches: int

    def asked(self, order: str, rounds: int = 0) -> Any:
        """What it answers to an order, once it has done as it was told."""
        self.connection.send((order, rounds * self.batches))
        return self.connection.recv()

    def told(self) -> dict[str, Any]:
        """What it says of itself, after a first round."""
        self.asked("time", 1)
        return dict(self.asked("about"))


@contextmanager
def started(kind: str, source: str, recipe: Recipe, threads: int, batches: int) -> Iterator[Side]:
    """A side in a process of its own, that ends with the context."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=workloads.serve, args=(kind, there, recipe, source, threads))
    process.start()
    there.close()
    try:
        yield Side(here, batches)
    finally:
        here.close()
        process.join(10)
        process.kill()


# --- what comes of it


def speed(figures: dict[str, Any], drawn: int, clock: int = 0) -> list[float]:
    """Pictures per second of each turn.

    Args:
        drawn: pictures in a round.
        clock: 0: seconds on the wall; 1: of the processor.
    """
    return [figures["rounds"] * drawn / seconds[clock] for seconds in figures["seconds"]]


def summary(name: str, row: dict[str, Any]) -> dict[str, Any]:
    """The figures of one line of the table."""
    workload, ours, peer = WORKLOADS[name], row["ours"], row.get("peer")
    drawn = row["batch"] * workload.batches
    share = median(speed(ours, drawn, 1)) * ours["operations"] / drawn / median(row["limits"])
    line = {"ours": median(speed(ours, drawn)), "operations": ours["operations"] / drawn, "share": share}
    line["limit"] = median(row["limits"])
    if peer is None:
        return line | {"recorded": workload.recorded}
    for key, clock in (("ratio", 0), ("ratio of processor seconds", 1)):
        pairs = zip(speed(ours, drawn, clock), speed(peer, drawn, clock), strict=True)
        line[key] = median(mine / theirs for mine, theirs in pairs)
    return line | {"peer": median(speed(peer, drawn)), "peer operations": peer["operations"] / drawn}


def table() -> str:
    """All figures, as Markdown."""
    head = "| workload | as written | ours | ratio | goal | reached | operations, theirs / ours | share of the limit |"
    lines = [head, "|---|---|---|---|---|---|---|---|"]
    for name, row in found(RESULTS).items():
        workload, line = WORKLOADS[name], summary(name, row)
        engine = f"{row['ours']['engine']['precision']}, {row['ours']['engine']['memory_format']}"
        goal = f"{workload.goal[0]:g}x (beyond: {workload.goal[1]:g}x)"
        cells = [workload.title, "", f"{line['ours']:,.0f} ({engine})", "", goal, "", "", f"{line['share']:.0%}"]
        if "peer" in line:
            reached = sum(line["ratio"] >= each for each in workload.goal)
            cells[1], cells[3] = f"{line['peer']:,.0f}", f"{line['ratio']:.2f}x"
            cells[5] = ("no", "yes", "beyond")[reached]
            cells[6] = f"{line['peer operations'] / 1e6:,.1f}M / {line['operations'] / 1e6:,.1f}M"
        else:
            cells[1], cells[6] = (
                f"{workload.recorded:,g} (recorded {RECORDED})",
                f"- / {line['operations'] / 1e6:,.1f}M",
            )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def processor() -> str:
    """The processor's name and what it has for narrow numbers."""
    about = Path("/proc/cpuinfo")
    lines = about.read_text().splitlines() if about.exists() else []
    fields = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    narrow = [flag for flag in ("avx512_bf16", "amx_bf16") if flag in fields.get("flags", "").split()]
    return f"{os.cpu_count()} cores, {fields.get('model name', 'unknown')}, {', '.join(narrow) or 'no bf16'}"


def keep(name: str, row: dict[str, Any]) -> None:
    """Add to what was found before."""
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    rows = found(RESULTS) | {name: {**row, "summary": summary(name, row)}}
    ordered = {each: rows[each] for each in WORKLOADS if each in rows}
    RESULTS.write_text(json.dumps(ordered, indent=1) + "\n")


if __name__ == "__main__":
    main()
