"""Shared by the trajectory tests: small runs as a user would start them, and what they leave behind."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from lightning_fabric import Fabric
from safetensors.torch import load_file
from torch import Tensor

from cardigan import Recipe
from cardigan.machine import bf16_pays
from cardigan.run import Run
from cardigan.training import checkpoint
from cardigan.training.engine import EngineChoice
from cardigan.training.loop import Loop

HALF = "bf16" if bf16_pays() else "fp32"
"""What the engine would choose here: where it is emulated, bf16 takes minutes for what fp32 does in seconds."""
ENGINE = [
    "engine.device=cpu",
    f"engine.precision={HALF}",
    "engine.memory_format=channels_last",
    "engine.matmul=highest",
    "engine.threads=1",
    "engine.fused=true",
    "engine.compile=false",
]
"""An explicit choice: no probe decides, so that equal commands give equal bits."""

TINY = [
    *ENGINE,
    "game.networks.generator.width=16",
    "game.networks.discriminator.width=16",
    "training.batch=32",
    "records.scalars=320",
    "records.checkpoint=640",
    "records.first_grid=320",
    "records.grid=4",
    "guard.enabled=false",  # it writes checkpoints of its own
]


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "cardigan", *map(str, arguments)]


def cardigan(*arguments: str | Path, cwd: Path | None = None, timeout: float = 240) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        command(*arguments), cwd=cwd, env=environment, capture_output=True, text=True, timeout=timeout, check=False
    )


def tensors(folder: Path, clock: int | None = None) -> dict[str, Tensor]:
    """Every tensor of the newest checkpoint (or the one at `clock`) of the run in `folder`, by file and name."""
    run = Run(folder)
    path = run.checkpoint_folder / f"{run.clocks()[-1] if clock is None else clock:09d}"
    return {
        f"{file.stem}/{name}": value
        for file in sorted(path.glob("*.safetensors"))
        for name, value in load_file(file).items()
    }


def loop_of(recipe: Recipe, precision: str) -> Loop:
    """A loop of `recipe` in this process, its data shuffled by the recipe's seed."""
    choice = EngineChoice(precision=precision, memory_format="channels_last", threads=1)  # type: ignore[arg-type]
    choice.apply()
    return Loop(recipe, recipe.data.load("train", recipe.training.seed), choice, Fabric(accelerator="cpu", devices=1))


def state_of(loop: Loop) -> dict[str, Tensor]:
    """Every tensor that a checkpoint of `loop` would hold, by file and name."""
    groups, _ = checkpoint.capture(loop)
    return {f"{group}/{name}": value.clone() for group, each in groups.items() for name, value in each.items()}


def same_bits(left: dict[str, Tensor], right: dict[str, Tensor]) -> bool:
    return left.keys() == right.keys() and all(left[name].equal(right[name]) for name in left)


def untimed(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if key != "minutes"} for row in rows]
