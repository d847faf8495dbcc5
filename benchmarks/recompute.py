"""What activation checkpointing (engine.recompute) saves and costs: the same training with and without, in turn.

    CARDIGAN_DATA=... python benchmarks/recompute.py [RECIPE] [OVERRIDE ...] [--pairs 16] [--threads 1] [--keep]

By default cifar10-resnet at 64 pixels. Two loops of equal seed take turns, round by round, so that a machine that is
busy for a while is busy for both. Memory is counted, not read off the process: bytes of the tensors that are alive
beside those that were there before the round, at most (what a kernel takes within itself is not seen); and bytes that
the graph of one batch keeps for the backward pass. Rounds with penalties that take gradients of gradients are told
apart: their graphs keep what was computed again. With --keep figures go to docs/results/benchmarks/recompute.json.
"""

import argparse
import json
import time
import weakref
from datetime import date
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import cardigan
from cardigan.networks.layers.recomputation import recompute
from cardigan.randomness import Random, use
from cardigan.recipe import Recipe
from cardigan.sample import Batch
from cardigan.training.engine import EngineChoice, environment, start_fabric
from cardigan.training.loop import Loop
from figures import keep

RESULTS = Path(__file__).parents[1] / "docs" / "results" / "benchmarks" / "recompute.json"
COUNTED = 8
"""Rounds in which memory is counted: lazy penalties come due in every fourth or so."""
NAMES = ("kept", "computed again")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe", nargs="?", default="cifar10-resnet")
    parser.add_argument("overrides", nargs="*", default=["data.size=64"])
    parser.add_argument("--pairs", type=int, default=16)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--keep", action="store_true")
    arguments = parser.parse_args()
    recipe = cardigan.load_recipe(arguments.recipe, (*arguments.overrides, "engine.device=cpu"))
    row = measured(recipe, arguments.pairs, arguments.threads)
    print(json.dumps(row, indent=1), flush=True)
    if arguments.keep:
        about = {"overrides": arguments.overrides, "date": date.today().isoformat(), **environment()}
        keep(RESULTS, {" ".join([arguments.recipe, *arguments.overrides]): {**row, **about}})


def measured(recipe: Recipe, pairs: int, threads: int) -> dict[str, Any]:
    """Bytes and seconds of both, and the ratios of their seconds."""
    choice = EngineChoice(threads=threads)
    choice.apply()
    dataset, fabric = recipe.data.load("train", 0), start_fabric(recipe.engine)
    loops = [Loop(recipe.but(f"engine.recompute={asked}"), dataset, choice, fabric) for asked in (False, True)]
    memory, seconds = [list[int]() for _ in loops], [list[float]() for _ in loops]
    for loop in loops:  # optimizers make their state
        loop.round()
    while len(seconds[0]) < pairs:
        for loop, taken in zip(loops, seconds, strict=True):
            start = time.perf_counter()
            loop.round()
            taken.append(time.perf_counter() - start)
    for loop, most in zip(loops, memory, strict=True):
        for _ in range(COUNTED):
            with Alive() as alive:
                loop.round()
            most.append(alive.most)
    ratios = [each / other for each, other in zip(seconds[1], seconds[0], strict=True)]
    return {
        "graph of one batch": graphs(loops[0]),
        "alive, plain rounds": dict(zip(NAMES, map(min, memory), strict=True)),
        "alive, at most": dict(zip(NAMES, map(max, memory), strict=True)),
        "seconds": dict(zip(NAMES, seconds, strict=True)),
        "ratio of seconds": sum(seconds[1]) / sum(seconds[0]),
        "median ratio of pairs": median(ratios),
        "engine": choice.plain(),
        "batch": recipe.training.batch,
    }


def graphs(loop: Loop) -> dict[str, dict[str, int]]:
    """Bytes that each player of noise keeps of a batch, without and with; asks the players of `loop` at last."""
    batch, found = loop.prepared(loop.dataset.draw(0, loop.recipe.training.batch)), dict[str, dict[str, int]]()
    for name, player in loop.game.players.items():
        sizes = [kept(player, batch)]
        recompute(player)
        found[name] = dict(zip(NAMES, [*sizes, kept(player, batch)], strict=True))
    return found


def kept(player: Any, batch: Batch) -> int:
    """Bytes that `player` keeps of `batch` for the backward pass, each memory counted once, without its own weights."""
    own = {each.untyped_storage().data_ptr() for each in [*player.parameters(), *player.buffers()]}
    found: dict[int, Tensor] = {}

    def count(tensor: Tensor) -> Tensor:
        if tensor.untyped_storage().data_ptr() not in own:  # held, so that no other memory comes to lie there
            found[tensor.untyped_storage().data_ptr()] = tensor.detach()
        return tensor

    with use(Random(0)), saved_tensors_hooks(count, lambda tensor: tensor):
        latents = player.sample_latents(len(batch.sample), Random(1)) if hasattr(player, "latent") else None
        made = player(batch.sample if latents is None else latents, batch.label)
    assert made is not None
    return sum(each.untyped_storage().nbytes() for each in found.values())


class Alive(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of what operations make, backward included, as long as it lives.

    Attributes:
        most: bytes, at the moment when there were most.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.most = 0
        self.seen: dict[int, weakref.ref[Any]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Do it, and count what is new."""
        given = {id(memory) for memory in memories((args, kwargs))}
        out = func(*args, **(kwargs or {}))
        for memory in memories(out):
            if id(memory) not in self.seen and id(memory) not in given:  # a view of weights is nothing new
                self.count(memory)
        self.most = max(self.most, self.now)
        return out

    def count(self, memory: torch.UntypedStorage) -> None:
        """Count `memory` until nobody holds it."""
        size, key = memory.nbytes(), id(memory)
        self.now += size

        def gone(_: Any) -> None:
            self.now -= size
            del self.seen[key]

        self.seen[key] = weakref.ref(memory, gone)


def memories(tree: Any) -> list[torch.UntypedStorage]:
    """What the tensors in `tree` lie in; torch gives the same object for the same memory as long as that lives."""
    return [each.untyped_storage() for each in tree_leaves(tree) if isinstance(each, Tensor)]


if __name__ == "__main__":
    main()
