"""Trains the recipes of translation and restoration for their minutes, judges them, and fills docs/translation.md.

    CARDIGAN_DATA=... python benchmarks/translation.py [NAME ...] [--folder runs/translation] [--tables]

Resumable: what is finished is not trained again, what was interrupted goes on. Every network is trained on one thread,
so that two of these commands can share two cores (give each its names). Figures go to docs/results/*.json, pictures to
docs/results/*.png; scores and baselines come from `cardigan evaluate RUN --baselines`.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import torch

import cardigan
from cardigan.evaluation.evaluate import evaluate
from cardigan.evaluation.result import Evaluation
from cardigan.run import Run

DOCS = Path(__file__).parents[1] / "docs"
RESULTS = DOCS / "results"
ALONE = ("game.adversarial_weight=0", "game.terms.feature_matching=0")
"""The same network by the distance between pixels alone."""


@dataclass(frozen=True)
class Row:
    """One row of the table.

    Attributes:
        recipe: a shipped one.
        minutes: of training, on one thread.
        overrides: of the recipe.
        stage: the first stage is judged too, when training without discriminator ends.
        on: sets that it is judged on besides its own test split.
        backward: whether the way back is judged too.
    """

    recipe: str
    minutes: float
    overrides: tuple[str, ...] = ()
    stage: bool = False
    on: tuple[str, ...] = ()
    backward: bool = False


ROWS = {
    "sketch-to-colour": Row("sketch-to-colour", 12),
    "sketch-to-colour-l1": Row("sketch-to-colour", 12, ALONE),
    "super-resolution-x4": Row("super-resolution-x4", 24, stage=True, on=("set5", "set14")),
    "super-resolution-x2": Row("super-resolution-x2", 7, stage=True, on=("set5", "set14")),
    "esrgan": Row("esrgan", 8, stage=True, on=("set5", "set14")),
    "inpainting": Row("inpainting", 6),
    "inpainting-l1": Row("inpainting", 6, ALONE),
    "colourisation": Row("colourisation", 5),
    "colourisation-l1": Row("colourisation", 5, ALONE),
    "denoising": Row("denoising", 6),
    "summer-to-winter": Row("summer-to-winter", 30, backward=True),
    "summer-to-winter-cut": Row("summer-to-winter-cut", 15),
    "photo-to-monet": Row("photo-to-monet", 10, backward=True),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=list(ROWS))
    parser.add_argument("--folder", type=Path, default=Path("runs/translation"))
    parser.add_argument("--train-only", action="store_true", help="judge later")
    parser.add_argument("--again", action="store_true", help="judge what was judged already once more")
    arguments = parser.parse_args()
    for name in arguments.names:
        row, folder = ROWS[name], arguments.folder / name
        if row.stage:
            start = first_stage(row, folder)
        trained(row, folder, [f"training.minutes={row.minutes}"])
        if not arguments.train_only:
            if row.stage:
                judged(name, "l1", folder, row, arguments.again, checkpoint=str(start))
            judged(name, "", folder, row, arguments.again, checkpoint="last")


def first_stage(row: Row, folder: Path) -> int:
    """Train until the discriminator joins; the clock at that time."""
    start = cardigan.load_recipe(row.recipe, row.overrides).game.start  # type: ignore[attr-defined]
    clocks = Run(folder).clocks()
    if not any(clock >= start for clock in clocks):
        trained(row, folder, [f"training={{samples: {start}, minutes: {row.minutes}}}", f"records.checkpoint={start}"])
    return min(clock for clock in Run(folder).clocks() if clock >= start)


def trained(row: Row, folder: Path, budget: Sequence[str]) -> None:
    """Train, or go on: by the very commands a user would type."""
    command = [sys.executable, "-m", "cardigan"]
    if (folder / "recipe.yaml").exists():
        command += ["resume", str(folder), *budget]
    else:
        command += ["train", row.recipe, "--out", str(folder), *row.overrides, "engine.threads=1", *budget]
    print("$", " ".join(command[1:]), flush=True)
    subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})


def judged(name: str, stage: str, folder: Path, row: Row, again: bool, checkpoint: str) -> None:
    """Judge the checkpoint on its own test split and on the other sets, in both directions where there are two."""
    ways: list[tuple[str, dict[str, Any]]] = [("", {})]
    ways += [(each, {"on": each, "metrics": ["pairs", "perceptual"]}) for each in row.on]
    ways += [("backward", {"direction": "backward"})] if row.backward else []
    for suffix, options in ways:
        called = "-".join(part for part in (name, stage, suffix) if part)
        if (RESULTS / f"{called}.json").exists() and not again:
            continue
        out = folder / "evaluations" / (called)
        found, _ = evaluate(str(folder), baselines=True, checkpoint=checkpoint, out=out, **options)
        record(called, found, Run(folder))


def record(name: str, found: Evaluation, run: Run) -> None:
    """The figures as JSON, the pictures beside them."""
    for exhibit in found.exhibits:
        if exhibit.title.startswith("Translated"):
            (RESULTS / f"{name}.png").write_bytes(exhibit.png)
    content = {
        "name": name,
        "date": date.today().isoformat(),
        "machine": f"{platform.machine()}, 1 thread of {os.cpu_count()} cores, torch {torch.__version__}",
        "engine": run.environment["engine"],
        "seed": run.recipe.training.seed,
        "parameters": parameters(run),
        **compact(found),
    }
    (RESULTS / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")


def parameters(run: Run) -> dict[str, int]:
    from cardigan.players import load_players

    players = load_players(run).players
    return {name: sum(each.numel() for each in player.parameters()) for name, player in players.items()}


def compact(found: Evaluation) -> dict[str, Any]:
    """The scores, their protocol said once."""
    plain = found.plain()
    protocols = [score.pop("protocol") for score in plain["scores"]]
    for rival in plain["rivals"]:
        rival["scores"] = {each["name"]: [each["value"], each["low"], each["high"]] for each in rival["scores"]}
    shared = {key: value for key, value in protocols[0].items() if all(each[key] == value for each in protocols)}
    shared.pop("subject", None)
    for score, protocol in zip(plain["scores"], protocols, strict=True):
        score["protocol"] = {key: value for key, value in protocol.items() if key not in shared and key != "subject"}
    return {"protocol": shared, **plain}


if __name__ == "__main__":
    main()
