"""Time to quality: local-FD and class coverage against minutes of training, ours beside peers' scripts as they stand.

    CARDIGAN_DATA=... python benchmarks/quality.py [--only NAME ...] [--pytorch-gan CHECKOUT] [--examples CHECKOUT]
        [--seeds 0 1 2] [--threads 2] [--device cpu] [--folder runs/quality] [--quick] [--table]

NAME is a task (mnist) or one of its methods (mnist/relativistic). CHECKOUT is a clone of
github.com/eriklindernoren/PyTorch-GAN, and of github.com/pytorch/examples; what needs one that is not named is left
out. Ours is trained by `cardigan train` until the first mark, then by `cardigan resume` until the next one, which is
one run; samples are those of the averaged generator, as `cardigan generate` makes them. A peer (`workloads.py`) has the
train split that ours has, brought to its size; at a mark a copy of its generator is sampled in train mode, as its
script does it. Only training counts in minutes (`marks.py`).

Samples are kept as uint8 beside the run and judged afterwards, against all of the test split; those of another size are
brought to that of the test split (`shrunk`). The floor is what as many real samples of the train split score. On
MNIST a small LeNet (`lenet.py`) judges too, by which the goals were set: the stricter a judge, the lower its floor.
Resumable; without --only, what the file of figures holds is left out. --quick tries the machinery in seconds, in a
folder of its own. Figures go to docs/results/benchmarks/quality.json and quality-*.png; --table prints them.
"""

import argparse
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

import figures
from cardigan.data.pictures import Pictures
from cardigan.evaluation.baseline import independent_pixels
from cardigan.resizing import to_bytes
from judging import Judge
from lenet import LeNetJudge
from marks import Job, Ours, Peer, everything, train

RESULTS = Path(__file__).parents[1] / "docs" / "results" / "benchmarks"
SAMPLES = 10_000
LENETS = "accuracy of the LeNet"
PRESENT = 0.01
"""Share of the samples from which a class counts as covered."""


@dataclass(frozen=True)
class Goal:
    """So many times the floor within so many seconds."""

    title: str
    times: float
    seconds: int


@dataclass(frozen=True)
class Task:
    """Data, methods, and when they are looked at.

    Attributes:
        source: of the pictures.
        marks: seconds of training.
        lenet: whether a LeNet judges too; goals are in its measure then.
    """

    source: str
    methods: dict[str, Ours | Peer]
    seeds: tuple[int, ...]
    marks: tuple[int, ...]
    goals: tuple[Goal, ...] = ()
    lenet: bool = False


OFFICIAL = "dcgan/main.py --dataset cifar10 --dataroot . --workers 0"
TASKS = {
    "mnist": Task(
        "mnist",
        {
            "mlp": Peer("tutorial MLP (plain)", "mlp", "", 128, 28),
            "dcgan": Peer("PyTorch-GAN dcgan.py, 32x32", "implementations/dcgan/dcgan.py", "pytorch_gan", 64, 32),
            "relativistic": Ours("ours, mnist-relativistic", "mnist-relativistic"),
        },
        seeds=(0, 1, 2),
        marks=(15, 30, 60, 120, 240, 360),
        goals=(Goal("goal", 6, 120), Goal("goal", 3, 360), Goal("beyond", 3, 120)),
        lenet=True,
    ),
    "cifar10": Task(
        "cifar10",
        {
            "dcgan": Peer("PyTorch's official DCGAN, 64x64", OFFICIAL, "examples", 64, 64, "netG", (100, 1, 1)),
            "resnet": Ours("ours, cifar10-resnet", "cifar10-resnet"),
        },
        seeds=(0,),
        marks=(60, 120, 240, 480),
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", help="tasks or methods, such as mnist or mnist/dcgan")
    parser.add_argument("--pytorch-gan", type=Path, help="a clone of eriklindernoren/PyTorch-GAN")
    parser.add_argument("--examples", type=Path, help="a clone of pytorch/examples")
    parser.add_argument("--seeds", type=int, nargs="*", help="default: those of the task")
    parser.add_argument("--threads", type=int, default=2, help="of each method")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="of ours; figures name it")
    parser.add_argument("--folder", type=Path, default=Path("runs/quality"))
    parser.add_argument("--quick", action="store_true", help="marks of 2 and 4 seconds, few samples, one seed")
    parser.add_argument("--table", action="store_true", help="print and draw what was found, and train nothing")
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(arguments.threads)  # of the processes to come
    torch.set_num_threads(arguments.threads)
    tasks, results = TASKS, RESULTS
    if arguments.quick:
        arguments.folder = results = arguments.folder / "quick"
        tasks = {name: replace(task, marks=(2, 4), seeds=(0,), goals=()) for name, task in TASKS.items()}
    for name, task in {} if arguments.table else tasks.items():
        compare(name, task, results / "quality.json", arguments)
    rows = figures.found(results / "quality.json")
    for name, task in tasks.items():
        if f"{name}/references" in rows:
            draw(name, task, rows, results / f"quality-{name}.png")
            print("\n".join([*table(name, task, rows), ""]))


def compare(name: str, task: Task, results: Path, arguments: argparse.Namespace) -> None:
    """Train and judge what of a task is wanted and not there yet."""
    panel = Panel(task, 500 if arguments.quick else SAMPLES, arguments.folder)
    for seed in task.seeds if arguments.seeds is None else arguments.seeds:
        for key, method in task.methods.items():
            device = arguments.device
            row = f"{name}/{key}/{seed}" + (f"/{device}" if device != "cpu" else "")
            checkout = checkout_of(method, arguments)
            wanted = row not in figures.found(results)
            if arguments.only is not None:
                wanted = name in arguments.only or f"{name}/{key}" in arguments.only
            if not wanted or checkout is None:
                continue
            folder = arguments.folder / row.replace("/", "-")
            job = Job(task.source, method, seed, task.marks, panel.count, arguments.threads, folder, device)
            train(job, checkout)
            about = {"task": name, "method": key, "seed": seed, "on": device, **job.about()}
            content = {**about, "points": panel.judged(job)}
            figures.keep(results, {f"{name}/references": panel.references, row: content})
            print(row, json.dumps(content["points"]), flush=True)


def checkout_of(method: Ours | Peer, arguments: argparse.Namespace) -> Path | None:
    """The checkout that a method needs; None: it is not here."""
    if isinstance(method, Ours) or not method.checkout:
        return Path()
    place: Path | None = getattr(arguments, method.checkout)
    return place if place is None else place.resolve()


class Panel:
    """Scores against the test split of a task's data.

    Attributes:
        count: samples that are judged at a time.
        folder: where a LeNet is kept.
    """

    def __init__(self, task: Task, count: int, folder: Path) -> None:
        self.task, self.count, self.folder = task, count, folder
        self.data = Pictures(source=task.source)

    @cached_property
    def judge(self) -> Judge:
        """Trained or read when it is first needed."""
        return Judge(self.data, everything(self.data.load("test")))

    @cached_property
    def lenet(self) -> LeNetJudge:
        """Trained or read when it is first needed."""
        return LeNetJudge(self.folder)

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """Of a sample of the test split."""
        return self.data.load("test").form.shape

    @cached_property
    def references(self) -> dict[str, Any]:
        """How well the judge does; what real samples score, also through a peer's size, and pixels in no order."""
        real = self._real(None)
        pixels = torch.cat(list(independent_pixels(real, self.count, 0)))
        found: dict[str, Any] = {LENETS: self.lenet.accuracy} if self.task.lenet else {}
        found |= {
            "accuracy": self.judge.eye.facts["accuracy"],
            "floor": self.scores(real),
            "pixels": self.scores(pixels),
        }
        for size in {each.size for each in self.task.methods.values() if isinstance(each, Peer)} - {self.shape[-1]}:
            found[f"floor through {size}x{size}"] = self.scores(self._real(size))
        return found

    def judged(self, job: Job) -> list[dict[str, float]]:
        """What was reached at each mark, and its scores."""
        return [{"mark": mark, **job.reached[mark], **self.scores(job.samples(mark))} for mark in job.marks]

    def scores(self, samples: Tensor) -> dict[str, float]:
        """Distances of (N, C, H, W) samples, covered classes, the smallest share and the entropy (nats) of classes."""
        if samples.shape[1:] != self.shape:
            samples = to_bytes(shrunk(samples, self.shape[-1])) / 127.5 - 1
        seen = self.judge.look(samples)
        shares = seen.counts.double() / len(samples)
        coverage = {"classes": int((shares >= PRESENT).sum()), "smallest share": float(shares.min())}
        distances = {"fd": self.judge.distance(seen)}
        if self.task.lenet:
            distances["lenet"] = self.lenet.distance(samples)
        return {**distances, **coverage, "entropy": float(torch.special.entr(shares).sum())}

    def _real(self, size: int | None) -> Tensor:
        """Samples of the train split, in random order."""
        return Pictures(source=self.task.source, size=size).load("train", 1).draw(0, self.count).sample


def shrunk(samples: Tensor, size: int) -> Tensor:
    """The pictures of `size` whose enlargement comes nearest to (N, C, S, S) samples, in least squares.

    Real pictures that were enlarged for a peer (Pillow's bicubic) come back as they were, so that it loses nothing by
    its size; interpolation would blur them, which costs it many times the floor.
    """
    enlarged = F.interpolate(torch.eye(size)[None, None], (samples.shape[-1], size), mode="bicubic", antialias=True)
    back = torch.linalg.pinv(enlarged[0, 0])
    return back @ samples @ back.T


# --- what comes of it


Points = list[dict[str, Any]]
"""Of one method at one mark, one a seed."""


def courses(name: str, task: Task, rows: dict[str, Any]) -> Iterator[tuple[str, dict[int, Points]]]:
    """Title of a method -> its points at each mark."""
    for key, method in task.methods.items():
        for device, title in (("cpu", method.title), ("cuda", f"{method.title}, on a GPU")):
            wanted = (name, key, device)
            points = [
                row["points"]
                for row in rows.values()
                if (row.get("task"), row.get("method"), row.get("on", "cpu")) == wanted
            ]
            if points:
                yield title, {each[0]["mark"]: list(each) for each in zip(*points, strict=True)}


def middle(points: Points, name: str = "fd") -> float:
    """The median over seeds."""
    return float(median(point[name] for point in points))


def short(value: float) -> str:
    """Three figures, or whole numbers."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def draw(name: str, task: Task, rows: dict[str, Any], file: Path) -> None:
    """Local-FD against minutes: the median over seeds, and a band from the best to the worst."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.6), layout="constrained")
    axes = figure.subplots()
    for title, course in courses(name, task, rows):
        minutes = [middle(points, "minutes") for points in course.values()]
        (line,) = axes.plot(minutes, list(map(middle, course.values())), marker="o", markersize=4, label=title)
        low, high = ([end(point["fd"] for point in points) for points in course.values()] for end in (min, max))
        axes.fill_between(minutes, low, high, color=line.get_color(), alpha=0.2, linewidth=0)
    for key, style, label in (("pixels", ":", "independent pixels"), ("floor", "--", "floor: real samples")):
        distance = rows[f"{name}/references"][key]["fd"]
        axes.axhline(distance, color="black", linestyle=style, linewidth=1, label=label)
    axes.set(xlabel="minutes of training", ylabel="local-FD to the test split", xscale="log", yscale="log", title=name)
    axes.set_xticks([mark / 60 for mark in task.marks], [f"{mark / 60:.2g}" for mark in task.marks])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    figure.savefig(file, dpi=110)


def table(name: str, task: Task, rows: dict[str, Any]) -> Iterator[str]:
    """Medians over seeds as Markdown: distances and, in brackets, covered classes; then references and goals."""
    courses_, references = dict(courses(name, task, rows)), rows[f"{name}/references"]
    for measure, title in {"fd": "local-FD", **({"lenet": "LeNet-FD"} if task.lenet else {})}.items():
        yield from grid(f"{name}, {title}", measure, task, courses_, references)
        yield ""
    yield f"- the judge's accuracy: {references['accuracy']:.1%}"
    measure = "lenet" if task.lenet else "fd"
    if task.lenet:
        yield f"- LeNet's: {references[LENETS]:.1%}"
    for goal in task.goals:
        for title, course in courses_.items():
            times = middle(course[goal.seconds], measure) / references["floor"][measure]
            wanted = f"{goal.title}, {goal.times:g} times the floor in {goal.seconds / 60:g} minutes"
            yield f"- {wanted}: {title} {'reached' if times <= goal.times else 'not reached'} ({times:.1f} times)"


def grid(
    title: str, measure: str, task: Task, courses_: dict[str, dict[int, Points]], references: dict[str, Any]
) -> Iterator[str]:
    """One measure of every method at every mark, and what it says of the references."""
    yield f"| {title} | seeds | {' | '.join(f'{mark / 60:.2g} min' for mark in task.marks)} |"
    yield "|---|---|" + "---|" * len(task.marks)
    for method, course in courses_.items():
        cells = [f"{short(middle(points, measure))} ({middle(points, 'classes'):g})" for points in course.values()]
        yield f"| {method} | {len(course[task.marks[0]])} | {' | '.join(cells)} |"
    for key, found in references.items():
        if isinstance(found, dict):
            yield f"| *{key}* | | {short(found[measure])} ({found['classes']}) |" + " |" * (len(task.marks) - 1)


if __name__ == "__main__":
    main()
