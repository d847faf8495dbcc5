"""Training until marks: a shipped recipe by the commands of a user, or a peer as it stands; samples at each mark.

Only training counts. Ours by the minutes in the checkpoint's state.json, which leave out start and probes; a peer's
from its first batch, without what is done at marks.
"""

import contextlib
import copy
import json
import multiprocessing
import os
import random
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import cardigan
import figures
from cardigan.data.base import Dataset
from cardigan.data.pictures import Pictures
from cardigan.files import read_json
from cardigan.resizing import to_bytes
from cardigan.run import Run
from cardigan.training.checkpoint import name_of
from cardigan.training.engine import environment
from gates import Gate
from plain import PLAIN
from throughput import processor
from workloads import script


@dataclass(frozen=True)
class Ours:
    """A shipped recipe."""

    title: str
    recipe: str


@dataclass(frozen=True)
class Peer:
    """A script of others, or a plain loop of `plain.py`.

    Attributes:
        source: the file in its checkout and its arguments, or the name of the plain loop.
        checkout: the option that tells where it lies; empty: a plain loop.
        batch: its pictures a step.
        size: of the pictures that it is trained on.
        generator: what it calls it.
        latent: the shape of one.
    """

    title: str
    source: str
    checkout: str
    batch: int
    size: int
    generator: str = "generator"
    latent: tuple[int, ...] = (100,)


@dataclass(frozen=True)
class Job:
    """One method with one seed, and the folder in which it leaves samples.

    Attributes:
        source: of the pictures.
        marks: seconds of training.
        count: samples at each mark.
        device: on which ours is trained.
    """

    source: str
    method: Ours | Peer
    seed: int
    marks: tuple[int, ...]
    count: int
    threads: int
    folder: Path
    device: str = "cpu"

    @property
    def reached(self) -> dict[int, dict[str, float]]:
        """Mark -> minutes trained and real samples drawn."""
        return {int(mark): point for mark, point in figures.found(self.folder / "marks.json").items()}

    @property
    def run(self) -> Run:
        """Of ours."""
        return Run(self.folder / "run")

    def about(self) -> dict[str, Any]:
        """When and on what it was trained, and what the engine chose."""
        about = read_json(self.folder / "about.json")
        return about | ({"engine": self.run.environment["engine"]} if isinstance(self.method, Ours) else {})

    def keep(self, mark: int, samples: Tensor, minutes: float, clock: int) -> None:
        """Write down what a generator makes at a mark: (N, C, H, W) in [-1, 1]."""
        np.save(self.folder / f"{mark}.npy", to_bytes(samples).byte().numpy())
        figures.keep(self.folder / "marks.json", {str(mark): {"minutes": minutes, "clock": clock}})

    def samples(self, mark: int) -> Tensor:
        """What was made at a mark, on the 8-bit grid."""
        return torch.from_numpy(np.load(self.folder / f"{mark}.npy")) / 127.5 - 1


def train(job: Job, checkout: Path) -> None:
    """Train until the last mark, if that was not done."""
    if set(job.marks) <= set(job.reached):
        return
    job.folder.mkdir(parents=True, exist_ok=True)
    about = {"date": date.today().isoformat(), "cpu": processor(), "threads": job.threads, **environment()}
    (job.folder / "about.json").write_text(json.dumps({**about, "load": os.getloadavg()[0]}, indent=1))
    if isinstance(job.method, Ours):
        ours(job, job.method)
        return
    process = multiprocessing.get_context("spawn").Process(target=theirs, args=(job, job.method, checkout))
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit(f"{job.method.title} ended with {process.exitcode}")


def ours(job: Job, method: Ours) -> None:
    """Train by the commands that a user would type: until the first mark, then on until the next one."""
    run = job.run
    for mark in sorted(set(job.marks) - set(job.reached)):
        command = ["resume", str(run.folder)]
        if not run.recipe_file.exists():
            command = ["train", method.recipe, "--out", str(run.folder), f"training.seed={job.seed}"]
            command += [f"engine.device={job.device}", f"engine.threads={job.threads}"]
        budget = f"training={{samples: null, minutes: {mark / 60}}}"
        subprocess.run([sys.executable, "-m", "cardigan", *command, budget], check=True)
        clock = run.clocks()[-1]  # older ones are thinned out as training goes on
        state = read_json(run.checkpoint_folder / name_of(clock) / "state.json")
        job.keep(mark, torch.cat(list(cardigan.load(run).stream(job.count, seed=1))), state["minutes"], clock)


def theirs(job: Job, peer: Peer, checkout: Path) -> None:
    """Train a peer in this process, as it stands; it cannot go on, so it begins anew."""
    (job.folder / "marks.json").unlink(missing_ok=True)
    torch.set_num_threads(job.threads)
    random.seed(job.seed)
    np.random.seed(job.seed)
    torch.manual_seed(job.seed)
    samples = everything(Pictures(source=job.source, size=peer.size).load("train"))
    watch = Watch(job, peer, samples.shape[1:])
    with contextlib.suppress(SystemExit), open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):  # noqa: PTH123
        if peer.checkout:
            script(watch, samples, *f"{checkout}/{peer.source}".split())
        else:
            PLAIN[peer.source](watch, samples, peer.batch)
    if watch.left:
        raise RuntimeError(f"{peer.title} ended by itself")


class Watch(Gate):
    """The clock of a peer's training; at marks it stands while a copy of the generator is sampled."""

    def __init__(self, job: Job, peer: Peer, shape: torch.Size) -> None:
        super().__init__()
        self.job, self.peer, self.shape = job, peer, shape
        self.left = list(job.marks)
        self.drawn, self.start = 0, 0.0

    def batch(self, samples: int = 0) -> None:
        """Look at the clock before a batch is given out; see `Gate.batch`."""
        now = time.perf_counter()
        self.start = self.start or now
        if now - self.start >= self.left[0]:
            self.job.keep(self.left.pop(0), self._made(), (now - self.start) / 60, self.drawn)
            self.start += time.perf_counter() - now
        if not self.left:
            raise SystemExit
        self.drawn += samples

    @torch.no_grad()
    def _made(self) -> Tensor:
        """Samples in the mode that the script leaves its generator in, and in batches of its size."""
        generator = copy.deepcopy(self.names()[self.peer.generator])
        source, batch = torch.Generator().manual_seed(1), self.peer.batch
        chunks = [
            generator(torch.randn(batch, *self.peer.latent, generator=source)).view(batch, *self.shape)
            for _ in range(0, self.job.count, batch)
        ]
        return torch.cat(chunks)[: self.job.count]


def everything(dataset: Dataset) -> Tensor:
    """(N, C, H, W) all samples in [-1, 1]."""
    return dataset.take(torch.arange(len(dataset))).sample
