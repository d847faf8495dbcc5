"""What `throughput.py` times and `quality.py` trains: peers' scripts as they stand, plain loops, and our own loop.

Every side runs in a process of its own and asks its gate for leave before each batch (`gates.py`). Nothing of a peer's
code stands here: its file is executed from its checkout, with a stand-in for torchvision that hands it pictures which
lie in memory, decoded, resized and normalised (in its favour).
"""

import contextlib
import gc
import os
import runpy
import sys
import tempfile
from multiprocessing.connection import Connection
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import data

from cardigan.recipe import Recipe
from cardigan.training.engine import choose, start_fabric
from cardigan.training.loop import Loop
from gates import Gate, Labelled, Turns, gated, parameters
from plain import PLAIN

PICTURES = 4096
"""That a peer's data loader draws from."""


def serve(side: str, connection: Connection, recipe: Recipe, source: str, threads: int) -> None:
    """Be one side, until told to end.

    Args:
        source: of the side: nothing, the path of a script and its arguments, or the name of a plain loop.
    """
    torch.set_num_threads(threads)
    gate = Turns(connection)
    with contextlib.suppress(EOFError, OSError), open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):  # noqa: PTH123
        if side == "ours":
            ours(gate, recipe)
        elif side == "plain":
            PLAIN[source](gate, pictures(recipe), recipe.training.batch)
        else:
            script(gate, pictures(recipe), *source.split())


def ours(gate: Gate, recipe: Recipe) -> None:
    """The loop of `cardigan train`, with the choice that it makes by itself."""
    dataset = recipe.data.load("train", 0)
    fabric = start_fabric(recipe.engine)
    choice = choose(recipe.engine, lambda each: Loop(recipe, dataset, each, fabric).round, fabric)
    choice.apply()
    loop = Loop(recipe, dataset, choice, fabric)
    players = {name: parameters(player) for name, player in loop.game.players.items()}
    gate.about = lambda: {"parameters": players, "engine": choice.plain()}
    gate.half = choice.precision == "bf16"
    while True:
        gate.batch()
        loop.round()


def script(gate: Gate, samples: Tensor, path: str, *arguments: str) -> None:
    """A peer's file, executed as it is, on pictures (N, C, H, W)."""
    gate.about = told
    stand_in(samples)
    sys.argv = [path, *arguments]
    data.DataLoader = gated(gate)  # type: ignore[misc]
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "a" / "b"  # scripts write to ../../data
        place.mkdir(parents=True)
        with contextlib.chdir(place):
            runpy.run_path(path, run_name="__main__")


def told() -> dict[str, Any]:
    """Parameters of the players of a peer, which are whatever modules of its process are called so."""
    players = [each for each in gc.get_objects() if issubclass(type(each), nn.Module)]
    named = {type(each).__name__.lower(): each for each in players}
    return {"parameters": {name: parameters(named[name]) for name in ("generator", "discriminator") if name in named}}


def pictures(recipe: Recipe) -> Tensor:
    """Some pictures of the data of `recipe`, as many as make whole batches."""
    whole = PICTURES // recipe.training.batch * recipe.training.batch
    return recipe.data.load("train", 0).draw(0, whole).sample


def stand_in(samples: Tensor) -> None:
    """Put modules in the place of torchvision: every data set gives `samples`, all else does nothing."""

    class Anything(ModuleType):
        def __getattr__(self, name: str) -> Any:
            if name.startswith("__"):
                raise AttributeError(name)
            return lambda *_, **__: Labelled(samples)

    package = Anything("torchvision")
    sys.modules["torchvision"] = package
    for name in ("datasets", "transforms", "utils"):
        sys.modules[f"torchvision.{name}"] = module = Anything(f"torchvision.{name}")
        setattr(package, name, module)
