"""Sentences: the adversarial game against likelihood, on quality and diversity, over temperatures.

    CARDIGAN_DATA=... python benchmarks/sequences.py [NAME ...] [--folder runs/sequences] [--train-only]

Resumable: what is finished is not done again, what was interrupted goes on. For each task and seed a recipe is
trained by likelihood until game.start; from there one copy plays the game, others go on by likelihood for as many
minutes. All are judged on the test split, at every temperature, beside an n-gram model and real sentences of
the train split (floor). The temperature to be quoted is that of the least local Fréchet distance on validation.
Figures go to docs/results/sequences/*.json and *.png.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

import cardigan
from cardigan.data.base import Data
from cardigan.data.text.rows import padded_rows
from cardigan.extractors.local import local
from cardigan.files import write_text
from cardigan.metrics.frechet import frechet_distance
from cardigan.metrics.moments import Moments
from cardigan.metrics.text.averages import average
from cardigan.metrics.text.bleu import bleu, self_bleu
from cardigan.metrics.text.corpus import corpus_bleu, corpus_chrf, difference
from cardigan.metrics.text.diversity import copies, distinct, loops
from cardigan.metrics.text.ngram import NGram
from cardigan.metrics.text.verse import form_kept, rhyme_classes, rhymes
from cardigan.networks.sequences.sampling import Sampling
from cardigan.run import Run
from cardigan.tokens import content, rows
from cardigan.writing import Writing

RESULTS = Path(__file__).parents[1] / "docs" / "results" / "sequences"
TEMPERATURES = (0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2)
SAMPLES = 2_000
ORACLE_SAMPLES = 5_000
EQUAL_TIME = ("game.adversarial_weight=0", "game.pace=1")
SLOWER = ("game.adversarial_weight=0",)  # the pace of the game: what a lower rate gains by itself


@dataclass(frozen=True)
class Task:
    """What is trained, how often, and how it is judged.

    Attributes:
        recipe: a shipped one.
        seeds: of training.
        judged: which of the functions below judges it.
        overrides: of the recipe.
        rivals: name -> overrides of what else is trained from the same beginning, for as many minutes as the game.
    """

    recipe: str
    seeds: tuple[int, ...]
    judged: str
    overrides: tuple[str, ...] = ()
    rivals: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: {"equal time": EQUAL_TIME})


TASKS = {
    "captions": Task("captions", (0, 1, 2), "curves"),
    "captions-gumbel": Task("captions", (0,), "curves", ("game.method=gumbel",)),
    "poems": Task("poems", (0,), "curves"),
    "translate-de-en": Task(
        "translate-de-en",
        (0,),
        "translation",
        rivals={"equal time": EQUAL_TIME, "equal time, slower": SLOWER, "no BLEU": ("game.rewards=[]",)},
    ),
    # By the likelihood of held-out sentences training should stop at 120,000; the oracle likes what it writes more, the
    # longer it goes on, and published beginnings have gone on. What was tried with seed 100: docs/log.md.
    "oracle": Task(
        "oracle",
        (0, 1, 2),
        "oracle",
        ("game.start=800k", "game.warmup=100k", "game.anchor=0", "game.pace=0.2", "training.samples=1000k"),
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=list(TASKS))
    parser.add_argument("--folder", type=Path, default=Path("runs/sequences"))
    parser.add_argument("--threads", type=int, default=1, help="of a training")
    parser.add_argument("--device", default="cpu", help="of a training")
    parser.add_argument("--seeds", type=int, nargs="*", help="only these")
    parser.add_argument("--rivals", nargs="*", help="only these")
    parser.add_argument("--train-only", action="store_true", help="judge later")
    parser.add_argument("--again", action="store_true", help="judge what was judged already once more")
    arguments = parser.parse_args()
    RESULTS.mkdir(parents=True, exist_ok=True)
    for name in arguments.names:
        for seed in arguments.seeds or TASKS[name].seeds:
            found = runs(name, seed, arguments)
            path = RESULTS / f"{name}-{seed}.json"
            if not arguments.train_only and (arguments.again or not path.exists()):
                judge: Callable[[dict[str, Run]], dict[str, Any]] = JUDGES[TASKS[name].judged]
                path.write_text(json.dumps(about(found) | judge(found), indent=1) + "\n")
    if not arguments.train_only:
        draw_figures()


def runs(name: str, seed: int, arguments: argparse.Namespace) -> dict[str, Run]:
    """The likelihood model where the game begins, likelihood after equal time, and the game: one beginning for all."""
    task = TASKS[name]
    recipe = cardigan.load_recipe(task.recipe, task.overrides)
    threads = arguments.threads
    engine = f"engine.threads={threads}", f"engine.device={arguments.device}"
    options = [*task.overrides, f"training.seed={seed}", *engine]

    def place(key: str) -> Path:
        return Path(arguments.folder) / f"{name}-{seed}-{re.sub('[^a-zA-Z]+', '-', key)}"

    start = f"training.samples={recipe.game.start}"  # type: ignore[attr-defined]
    begun = trained([task.recipe, *options, start], place("likelihood"), threads)
    game = copied(begun, place("game"))
    trained([f"training.samples={recipe.training.samples}"], game.folder, threads)
    found = {"likelihood": begun, "game": game}
    for key, overrides in task.rivals.items():
        if arguments.rivals is not None and key not in arguments.rivals:
            continue
        found[key] = copied(begun, place(key), *overrides)
        trained([f"training={{samples: null, minutes: {minutes(game):.3f}}}"], found[key].folder, threads)
    return found


def copied(run: Run, place: Path, *overrides: str) -> Run:
    """Another run that goes on from where `run` ended, with a recipe that differs in `overrides`."""
    if not place.exists():
        beside = place.with_name(f".{place.name}")
        shutil.rmtree(beside, ignore_errors=True)
        shutil.copytree(run.folder, beside)
        write_text(beside / "recipe.yaml", run.recipe.but(*overrides).yaml())
        beside.rename(place)
    return Run(place)


def minutes(run: Run) -> float:
    """Minutes that a run was trained for."""
    state = json.loads((run.checkpoint_folder / f"{run.clocks()[-1]:09d}" / "state.json").read_text())
    return float(state["minutes"])


def trained(options: Sequence[str], folder: Path, threads: int) -> Run:
    """Train, or go on: by the very commands a user would type."""
    begun = (folder / "recipe.yaml").exists()
    if begun:
        options = [each for each in options if each.startswith(("training.samples", "training={"))]
    command = [
        sys.executable,
        "-m",
        "cardigan",
        *(["resume", str(folder)] if begun else ["train", "--out", str(folder)]),
    ]
    print("$", " ".join([*command[1:], *options]), flush=True)
    subprocess.run([*command, *options], check=True, env={**os.environ, "OMP_NUM_THREADS": str(threads)})
    return Run(folder)


def about(found: dict[str, Run]) -> dict[str, Any]:
    """What the figures were measured with."""
    game = found["game"]
    return {
        "date": date.today().isoformat(),
        "trained": game.environment["environment"],
        "engine": game.environment["engine"],
        "seed": game.recipe.training.seed,
        "samples": SAMPLES,
        "clocks": {name: run.clocks()[-1] for name, run in found.items()},
        "minutes": {name: round(minutes(run), 2) for name, run in found.items()},
    }


class Reference:
    """Real sentences of one split, and what writing is measured with against them."""

    def __init__(self, data: Data, split: str) -> None:
        self.train, self.real = data.load("train"), data.load(split)  # type: ignore[arg-type]
        self.eye = local(data, "judge" if split == "test" else "guide")
        self.tokens = self.real.take(torch.arange(len(self.real))).sample
        self.rows = rows(self.tokens)
        self.moments = self._moments(self.tokens)

    def distance(self, tokens: torch.Tensor) -> float:
        """Local Fréchet distance to the real sentences."""
        mine = self._moments(tokens)
        return frechet_distance(mine.mean, mine.covariance, self.moments.mean, self.moments.covariance)

    def _moments(self, tokens: torch.Tensor) -> Moments:
        moments = Moments(self.eye.dimension, 1)
        moments.add(self.eye(tokens).values)
        return moments

    @cached_property
    def train_rows(self) -> list[list[int]]:
        """The train split."""
        return rows(self.train.take(torch.arange(len(self.train))).sample)

    @cached_property
    def rhymes(self) -> dict[str, int]:
        """Rhyme classes of train verses; none where real sentences have not the form of verse."""
        decode = self.train.codec.decode
        return rhyme_classes(decode(self.train.draw(0, 8000).sample)) if verse(decode(self.tokens[:50])) else {}


@cache
def reference(data: Data, split: str) -> Reference:
    return Reference(data, split)


def curves(found: dict[str, Run]) -> dict[str, Any]:
    """Quality and diversity of every model at every temperature."""
    data, models = found["game"].recipe.data, {name: Writing(run) for name, run in found.items()}
    test, validation = reference(data, "test"), reference(data, "validation")
    points: dict[str, list[dict[str, Any]]] = {}
    for name, writing in models.items():
        points[name] = []
        for temperature in TEMPERATURES:
            how = Sampling(temperature=temperature)
            tokens = torch.cat(list(writing.stream(SAMPLES, seed=1, how=how)))
            chosen_by = torch.cat(list(writing.stream(SAMPLES, seed=2, how=how)))
            scores = measured(tokens, test, writing.codec.decode(tokens))
            points[name].append({"temperature": temperature, "validation-fd": validation.distance(chosen_by), **scores})
            print(name, points[name][-1], flush=True)
    held_out = {name: nats(writing, test) for name, writing in models.items()}
    generator = torch.Generator().manual_seed(0)
    written = NGram(test.train_rows, 5).sample(SAMPLES, test.tokens.shape[1] - 1, generator)
    grams = [np.array(each, np.int32) for each in written]
    real = test.train.draw(0, SAMPLES).sample
    return {
        "points": points,
        "nats a token": held_out,
        "n-gram": measured(torch.from_numpy(padded_rows(grams, test.tokens.shape[1])).long(), test, None),
        "real": measured(real, test, test.train.codec.decode(real)),
    }


def measured(tokens: torch.Tensor, test: Reference, texts: list[str] | None) -> dict[str, Any]:
    """Scores with 95% intervals where there are such."""
    mine = rows(tokens)
    quality, likeness = bleu(mine, test.rows), self_bleu(mine)
    found: dict[str, Any] = {f"bleu-{order}": average(values) for order, values in quality.items()}
    found |= {f"self-bleu-{order}": average(values) for order, values in likeness.items()}
    found |= {f"distinct-{order}": value for order, value in distinct(mine).items()}
    found |= {"fd": test.distance(tokens), "copies": copies(mine, test.train_rows).share}
    found |= {"loops": float(loops(mine).mean()), "length": sum(map(len, mine)) / len(mine)}
    if texts is not None and test.rhymes:
        found["form"] = float(form_kept(texts).mean())
        found["rhyme"] = rhymes(texts, test.rhymes).share
    return found


def verse(texts: list[str]) -> bool:
    """Whether these are four lines of five characters with a mark behind each, by their length."""
    return all(len(text) == 24 for text in texts)


@torch.no_grad()
def nats(writing: Writing, test: Reference) -> float:
    """Negative log-likelihood of real sentences, a token."""
    found = [writing.writer.log_probabilities(chunk.to(writing.device)).sum() for chunk in test.tokens.split(250)]
    return float(-torch.stack(found).sum() / content(test.tokens).sum())


def translation(runs_: dict[str, Run]) -> dict[str, Any]:
    """BLEU and chrF of beam search on the test split, and how surely the game is better."""
    real = runs_["game"].recipe.data.load("test")
    sources, truths = real.input_texts(), real.texts()  # type: ignore[attr-defined]
    made = {name: [answer.text for answer in Writing(run).translate(sources)] for name, run in runs_.items()}
    scored = {name: corpus_bleu(texts, truths) for name, texts in made.items()}
    found: dict[str, Any] = {
        name: {
            "bleu": [scored[name].value, scored[name].low, scored[name].high],
            "chrf": corpus_chrf(texts, truths).value,
            "signature": scored[name].signature,
        }
        for name, texts in made.items()
    }
    gained = {rival: vars(difference(scored["game"], scored[rival])) for rival in made if rival != "game"}
    triples = zip(sources[:8], truths[:8], made["game"][:8], strict=True)
    shown = [{"source": source, "truth": truth, "made": text} for source, truth, text in triples]
    return {"scores": found, "game less": gained, "examples": shown}


def oracle(found: dict[str, Run]) -> dict[str, Any]:
    """How probable the oracle finds what each model writes, and the oracle's own sentences."""
    data, models = found["game"].recipe.data, {name: Writing(run) for name, run in found.items()}
    judge = data.writer()  # type: ignore[attr-defined]
    points = {
        name: {
            str(temperature): scored(
                judge, torch.cat(list(writing.stream(ORACLE_SAMPLES, seed=1, how=Sampling(temperature))))
            )
            for temperature in (0.7, 0.8, 0.9, 1.0)
        }
        for name, writing in models.items()
    }
    return {"nll-oracle": points, "oracle itself": scored(judge, data.load("test").draw(0, ORACLE_SAMPLES).sample)}


def scored(judge: Any, tokens: torch.Tensor) -> dict[str, Any]:
    """NLL-oracle with its interval, and how much sentences repeat one another."""
    values = judge.surprise(tokens)
    unsaid = values.isinf()  # a special token, of which the oracle knows nothing
    return {
        "nll": average(values[~unsaid].numpy()),
        "left out": int(unsaid.sum()),
        "self-bleu-3": average(self_bleu(rows(tokens[:SAMPLES]), (3,))[3]),
    }


JUDGES = {"curves": curves, "translation": translation, "oracle": oracle}
COLOURS = {"likelihood": "tab:blue", "equal time": "tab:green", "game": "tab:red"}


def draw_figures() -> None:
    """One figure for each task judged by curves: BLEU against self-BLEU, and distance over temperature."""
    from matplotlib.figure import Figure

    for name, task in TASKS.items():
        found = [path for seed in task.seeds if (path := RESULTS / f"{name}-{seed}.json").exists()]
        if task.judged != "curves" or not found:
            continue
        figure = Figure(figsize=(11, 4.6), layout="constrained")
        left, right = figure.subplots(1, 2)
        for number, path in enumerate(found):
            draw(json.loads(path.read_text()), left, right, labelled=number == 0)
        left.set(xlabel="self-BLEU-3 of 2,000 sentences (right: they repeat one another)", ylabel="BLEU-3 against test")
        right.set(xlabel="temperature", ylabel="local-FD against test", yscale="log")
        for axes in (left, right):
            axes.grid(alpha=0.3)
            axes.legend(fontsize="small")
        figure.suptitle(f"{name}: every point a temperature, {len(found)} seed{'s' if len(found) > 1 else ''}")
        figure.savefig(RESULTS / f"{name}.png", dpi=110)


def draw(content_: dict[str, Any], left: Any, right: Any, labelled: bool) -> None:
    for name, points in content_["points"].items():
        label = name if labelled else None
        x, y = ([point[key][0] for point in points] for key in ("self-bleu-3", "bleu-3"))
        bars = [(point["bleu-3"][2] - point["bleu-3"][1]) / 2 for point in points]
        left.errorbar(x, y, bars, marker="o", markersize=3, linewidth=1, color=COLOURS[name], label=label)
        temperatures, distances = ([point[key] for point in points] for key in ("temperature", "fd"))
        right.plot(temperatures, distances, marker="o", markersize=3, linewidth=1, color=COLOURS[name], label=label)
    if labelled:
        for name, marker in (("n-gram", "s"), ("real", "*")):
            point = content_[name]
            left.plot(point["self-bleu-3"][0], point["bleu-3"][0], marker, color="black", label=name)
            right.axhline(point["fd"], linestyle="--" if name == "real" else ":", color="black", label=name)


if __name__ == "__main__":
    main()
