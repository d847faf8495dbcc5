"""Trains the recipes of translation and restoration for their minutes, judges them, and fills docs/translation.md.

    CARDIGAN_DATA=... python benchmarks/translation.py [NAME ...] [--folder runs/translation] [--tables]

Resumable: what is finished is not trained again, what was interrupted goes on. Rows are trained on the
CPU, those called gpu on a CUDA device; two of these commands with `--threads 1` share two cores (give each its names).
Figures go to docs/results/*.json, pictures to docs/results/*.jpg; scores and baselines come from
`cardigan evaluate RUN --baselines`.
"""

import argparse
import io
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import yaml
from PIL import Image

import cardigan
from cardigan.evaluation.evaluate import evaluate
from cardigan.evaluation.result import Evaluation
from cardigan.run import Run

DOCS = Path(__file__).parents[1] / "docs"
RESULTS = DOCS / "results"
ALONE = ("game.adversarial_weight=0", "game.terms.feature_matching=0")
"""The same network by the distance between pixels alone."""

METRICS = ("fd", "prdc", "pairs", "perceptual", "verdict")


@dataclass(frozen=True)
class Row:
    """One row of the table.

    Attributes:
        recipe: a shipped one.
        minutes: of training.
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
    device: str = "cpu"


WIDE = ("game.generator.width=64", "game.discriminator.width=64", "records.checkpoint=200k")
COLOURS = Row("colourisation", 6, (*WIDE, "training.batch=128", "game.start=600k"), device="cuda")
HOLES = Row("inpainting", 6, ("training.batch=32", "game.start=100k", "records.checkpoint=20k"), device="cuda")
PAINTINGS = ("game.generator.width=32", "game.generator.blocks=6", "game.discriminator.width=64", "training.batch=16")

ROWS = {
    "sketch-to-colour": Row("sketch-to-colour", 12),
    "sketch-to-colour-l1": Row("sketch-to-colour", 12, ALONE),
    "super-resolution-x4": Row("super-resolution-x4", 24, stage=True, on=("set5", "set14")),
    "super-resolution-x2": Row("super-resolution-x2", 12, stage=True, on=("set5", "set14")),
    "esrgan": Row("esrgan", 14, stage=True, on=("set5", "set14")),
    "inpainting": Row("inpainting", 6),
    "inpainting-l1": Row("inpainting", 6, ALONE),
    "colourisation": Row("colourisation", 12),
    "colourisation-l1": Row("colourisation", 12, ALONE),
    "denoising": Row("denoising", 6),
    "summer-to-winter": Row("summer-to-winter", 30, backward=True),
    "summer-to-winter-cut": Row("summer-to-winter-cut", 15),
    "photo-to-monet": Row("photo-to-monet", 10, backward=True),
    "colourisation-gpu": COLOURS,
    "colourisation-gpu-l1": replace(COLOURS, overrides=(*COLOURS.overrides, *ALONE)),
    "inpainting-gpu": HOLES,
    "inpainting-gpu-l1": replace(HOLES, overrides=(*HOLES.overrides, *ALONE)),
    "photo-to-monet-gpu": Row("photo-to-monet", 6, PAINTINGS, backward=True, device="cuda"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=list(ROWS))
    parser.add_argument("--folder", type=Path, default=Path("runs/translation"))
    parser.add_argument("--threads", type=int, default=1, help="of a training on the CPU")
    parser.add_argument("--train-only", action="store_true", help="judge later")
    parser.add_argument("--again", action="store_true", help="judge what was judged already once more")
    arguments = parser.parse_args()
    for name in arguments.names:
        row, folder = ROWS[name], arguments.folder / name
        if row.stage:
            start = first_stage(row, folder, arguments.threads)
        trained(row, folder, [f"training.minutes={row.minutes}"], arguments.threads)
        if not arguments.train_only:
            if row.stage:
                judged(name, "l1", folder, row, arguments.again, checkpoint=str(start))
            judged(name, "", folder, row, arguments.again, checkpoint="last")
    if not arguments.train_only:
        write_tables()


def first_stage(row: Row, folder: Path, threads: int) -> int:
    """Train until the discriminator joins; the clock at that time."""
    start = cardigan.load_recipe(row.recipe, row.overrides).game.start  # type: ignore[attr-defined]
    clocks = Run(folder).clocks()
    if not any(clock >= start for clock in clocks):
        budget = [f"training={{samples: {start}, minutes: {row.minutes}}}", f"records.checkpoint={start}"]
        trained(row, folder, budget, threads)
    reached = [clock for clock in Run(folder).clocks() if clock >= start]
    if not reached:
        raise SystemExit(
            f"{folder}: {row.minutes} minutes were over before the discriminator joined at {start:,} samples"
        )
    return min(reached)


def trained(row: Row, folder: Path, budget: Sequence[str], threads: int) -> None:
    """Train, or go on: by the very commands a user would type."""
    command = [sys.executable, "-m", "cardigan"]
    if (folder / "recipe.yaml").exists():
        command += ["resume", str(folder), *budget]
    else:
        command += ["train", row.recipe, "--out", str(folder), *row.overrides, *budget]
        command += [f"engine.device={row.device}", f"engine.threads={threads if row.device == 'cpu' else 1}"]
    print("$", " ".join(command[1:]), flush=True)
    subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": str(threads)})


def judged(name: str, stage: str, folder: Path, row: Row, again: bool, checkpoint: str) -> None:
    """Judge the checkpoint on its own test split and on the other sets, in both directions where there are two."""
    ways: list[tuple[str, dict[str, Any]]] = [("", {"metrics": METRICS})]
    ways += [(each, {"on": each, "metrics": ["pairs", "perceptual"]}) for each in row.on]
    ways += [("backward", {"metrics": METRICS, "direction": "backward"})] if row.backward else []
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
        if exhibit.title == "Translated" and any(name in table.pictures for table in TABLES):
            Image.open(io.BytesIO(exhibit.png)).convert("RGB").save(RESULTS / f"{name}.jpg", quality=90)
    content = {
        "name": name,
        "date": date.today().isoformat(),
        "trained": run.environment["environment"],
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


@dataclass(frozen=True)
class Table:
    """One table of docs/results.md.

    Attributes:
        title: of it.
        rows: what a run is called in the table -> its record, best last; baselines come before them by themselves.
        columns: metrics, by their keys.
        pictures: records whose pictures are shown.
        noted: sentences from seen.yaml under this key.
    """

    title: str
    rows: dict[str, str]
    columns: tuple[str, ...]
    pictures: tuple[str, ...]
    noted: str


STAGES = {"by pixels alone": "{}-l1", "with the discriminator": "{}"}
SHARP = ("psnr", "psnr-luma", "ssim", "perceptual", "edge-energy")
TABLES = (
    Table(
        "Sketch to colour",
        {"U-Net, l1 alone": "sketch-to-colour-l1", "**U-Net, with the discriminator**": "sketch-to-colour"},
        ("psnr", "ssim", "perceptual", "edge-energy", "colourfulness", "fd"),
        ("sketch-to-colour",),
        "sketch-to-colour",
    ),
    *(
        Table(
            f"{title}, {name}",
            {f"{network} {stage}": f"{form.format(recipe)}-{name.lower()}" for stage, form in STAGES.items()},
            SHARP,
            (f"{recipe}-{name.lower()}",) if name == "Set14" else (),
            f"{recipe}-{name.lower()}",
        )
        for title, recipe, network in (
            ("Super-resolution x4", "super-resolution-x4", "compact"),
            ("ESRGAN's objective and blocks, x4", "esrgan", "RRDB"),
            ("Super-resolution x2", "super-resolution-x2", "compact"),
        )
        for name in ("Set5", "Set14")
    ),
    Table(
        "Inpainting",
        {"gated U-Net, l1 alone": "inpainting-l1", "**gated U-Net, with the discriminator**": "inpainting"},
        ("psnr-hole", "psnr", "ssim", "perceptual", "edge-energy", "fd"),
        ("inpainting",),
        "inpainting",
    ),
    Table(
        "Colourisation",
        {"U-Net, l1 alone": "colourisation-l1", "**U-Net, with the discriminator**": "colourisation"},
        ("psnr", "ssim", "perceptual", "colourfulness", "fd"),
        ("colourisation",),
        "colourisation",
    ),
    Table(
        "Denoising, sigma 25",
        {"**compact**": "denoising"},
        ("psnr", "ssim", "edge-energy"),
        ("denoising",),
        "denoising",
    ),
    Table(
        "Summer to winter",
        {"CUT": "summer-to-winter-cut", "**CycleGAN**": "summer-to-winter"},
        ("verdict", "content", "fd", "colourfulness"),
        ("summer-to-winter", "summer-to-winter-cut"),
        "summer-to-winter",
    ),
    Table(
        "Winter to summer",
        {"**CycleGAN**": "summer-to-winter-backward"},
        ("verdict", "content", "fd", "colourfulness"),
        ("summer-to-winter-backward",),
        "winter-to-summer",
    ),
    Table(
        "Photograph to Monet",
        {"**CycleGAN**": "photo-to-monet"},
        ("verdict", "content", "fd", "colourfulness"),
        ("photo-to-monet",),
        "photo-to-monet",
    ),
    Table(
        "Monet to photograph",
        {"**CycleGAN**": "photo-to-monet-backward"},
        ("verdict", "content", "fd", "colourfulness"),
        (),
        "monet-to-photo",
    ),
)


def write_tables() -> None:
    """Put the tables between the markers of docs/results.md; what is seen stands in docs/results/seen.yaml."""
    page = DOCS / "results.md"
    seen = yaml.safe_load((RESULTS / "seen.yaml").read_text())
    parts = [text for table in TABLES if (text := section(table, seen))]
    text = page.read_text()
    begin, end = "<!-- translation: begin -->", "<!-- translation: end -->"
    page.write_text(text[: text.index(begin) + len(begin)] + "\n" + "\n".join(parts) + text[text.index(end) :])


def section(table: Table, seen: dict[str, str]) -> str:
    """A table in Markdown; empty where nothing of it was measured."""
    records = {called: recorded(name) for called, name in table.rows.items()}
    records = {called: found for called, found in records.items() if found}
    if not records:
        return ""
    last = list(records.values())[-1]
    columns = [key for key in table.columns if score_of(last, key)]
    names = [score_of(last, key)["name"] for key in columns]
    lines = [
        f"### {table.title}",
        "",
        " | ".join(["| way", *names, "samples seen", "minutes |"]),
        "|---" * (len(names) + 3) + "|",
    ]
    for rival in last["rivals"]:
        cells = [cell(*rival["scores"][name]) if name in rival["scores"] else "-" for name in names]
        lines.append(f"| {rival['name']} | {' | '.join(cells)} | | |")
    for called, found in records.items():
        each = [score_of(found, key) for key in columns]
        cells = [cell(score["value"], score["low"], score["high"]) if score else "-" for score in each]
        subject = found["subject"]
        lines.append(f"| {called} | {' | '.join(cells)} | {subject['clock']:,} | {subject['minutes']:.0f} |")
    floors = [score_of(last, key)["floor"] for key in columns]
    if any(floor is not None for floor in floors):
        cells = ["-" if floor is None else f"{floor:.3g}" for floor in floors]
        lines.append(f"| *real train pictures (floor)* | {' | '.join(cells)} | | |")
    count = score_of(last, columns[0])["protocol"].get("generated_count", last["protocol"].get("generated_count"))
    lines += ["", f"{count:,} pictures. {' '.join(seen.get(table.noted, '').split())}".strip(), ""]
    lines += [line for name in table.pictures for line in (f"![{name}](results/{name}.jpg)", "")]
    return "\n".join(lines)


def recorded(name: str) -> dict[str, Any] | None:
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


def score_of(found: dict[str, Any], key: str) -> dict[str, Any]:
    """The score of the metric `key`; empty if it was not measured."""
    named = (
        score for score in found["scores"] if score["protocol"].get("metric", found["protocol"].get("metric")) == key
    )
    return next(named, {})


def cell(value: float, low: float | None, high: float | None) -> str:
    half = "" if low is None or high is None else f" ± {(high - low) / 2:.2g}"
    return f"{value:.4g}{half}"


if __name__ == "__main__":
    main()
