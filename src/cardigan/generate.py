"""Use a trained run: load its averaged generator and make samples. Loading executes no code from the run."""

from collections.abc import Iterator
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from cardigan.errors import CardiganError
from cardigan.machine import MATMULS, Matmul, exact, matmul
from cardigan.networks.base import Generator
from cardigan.players import Players, Weights, load_players
from cardigan.randomness import Random
from cardigan.run import Run, open_run
from cardigan.settings import allowed

CHUNK = 64
"""Samples made at a time: bounds the memory, and keeps the latent of sample i the same whatever n is."""


class Model:
    """The generator of one checkpoint, ready to make samples.

    Attributes:
        run: where it comes from.
        clock: real samples it had been trained on.
        codec: turns its samples into pictures (or points, sounds, ...) and files.
        weights: "average" or "raw".
        generator: the generator with these weights, in evaluation mode.
        matmul: backend of matrix products on the CPU while samples are made (a switch of the whole process); None: as
            the process has it.
    """

    def __init__(
        self, run: Run, at: int | None = None, weights: Weights = "average", loaded: Players | None = None
    ) -> None:
        self.run, self.weights = run, weights
        loaded = loaded or load_players(run, at, weights, "generate")
        self.codec, self.form, self.clock, self.device = loaded.codec, loaded.form, loaded.clock, loaded.device
        generator = loaded.players.get("generator")
        if not isinstance(generator, Generator):
            raise CardiganError(
                f"{run.folder}: its game {run.recipe.game.kind!r} has no generator of noise; to use it: "
                f"{self.codec.usage(str(run.folder))}"
            )
        self.generator = generator
        self.conditional = getattr(run.recipe.game, "labels", "none") != "none"
        self.matmul = _matmul(run) if self.device.type == "cpu" else None

    def generate(self, n: int = 1, *, seed: int = 0, label: int | str | None = None, truncation: float = 1.0) -> Tensor:
        """(n, *form.shape) samples, float32 on the CPU; pictures in [-1, 1].

        Args:
            seed: sample i of one seed is the same (to rounding) whatever n is.
            label: class index or name; None: every class in turn, where the generator is conditional.
            truncation: 1 leaves latents alone, less draws them towards their mean: better samples, less variety.

        Raises:
            CardiganError: a label that is unknown or not understood, truncation outside [0, 1], n below 1.
        """
        if n < 1:
            raise CardiganError(f"n: the number of samples must be at least 1, not {n}")
        labels = self._labels(n, label)
        latents = (self._latents(seed, index) for index in range(-(-n // CHUNK)))
        return self._make(torch.cat(list(latents))[:n], labels, truncation)

    def stream(
        self, n: int, *, seed: int = 0, labels: Tensor | None = None, truncation: float = 1.0
    ) -> Iterator[Tensor]:
        """The same n samples as `generate`, some at a time: memory does not grow with n.

        Args:
            labels: (n,) int64 class indices, one for each; None: every class in turn, where it is conditional.
        """
        labels = self._labels(n, None) if labels is None and self.conditional else labels
        for index, start in enumerate(range(0, n, CHUNK)):
            count = min(CHUNK, n - start)
            some = None if labels is None or not self.conditional else labels[start : start + count]
            yield self._make(self._latents(seed, index)[:count], some, truncation)

    def interpolate(
        self, n: int, *, seed: int = 0, label: int | str | None = None, truncation: float = 1.0, stops: int = 4
    ) -> Tensor:
        """(n, *form.shape) samples on a closed way through `stops` latents.

        Neighbouring normal latents are joined by great arcs (slerp), on which the norm stays typical (White 2016).
        """
        corners = self._latents(seed, 0)[:stops]
        corners = torch.cat([corners, corners[:1]])
        times = torch.arange(n, device=self.device) * stops / n
        start, share = times.long(), times.frac()[:, None]
        latents = slerp(corners[start], corners[start + 1], share)
        labels = self._labels(1, label)
        return self._make(latents, None if labels is None else labels.expand(n), truncation)

    def decode(self, samples: Tensor) -> list[Any]:
        """Samples as objects people use: PIL pictures, arrays of points."""
        return self.codec.decode(samples)

    def _make(self, latents: Tensor, labels: Tensor | None, truncation: float) -> Tensor:
        if not 0 <= truncation <= 1:
            raise CardiganError(f"truncation: must lie between 0 and 1, not {truncation}")
        chunks = latents.split(CHUNK)
        label_chunks = [None] * len(chunks) if labels is None else labels.to(self.device).split(CHUNK)
        made = [self.make(chunk, some, truncation) for chunk, some in zip(chunks, label_chunks, strict=True)]
        return torch.cat(made)

    @torch.no_grad()
    def make(self, latents: Tensor, labels: Tensor | None = None, truncation: float = 1.0) -> Tensor:
        """(N, L) latents and (N,) labels -> (N, *form.shape) samples, float32 on the CPU, all at once."""
        with nullcontext() if self.matmul is None else matmul(self.matmul):
            mapped = self.generator.map(latents, labels)
            if truncation < 1:
                mapped = self.generator.centre(labels).to(mapped).lerp(mapped, truncation)
            samples: Tensor = self.generator.synthesize(mapped, labels)
            return samples.float().cpu()

    def _latents(self, seed: int, chunk: int) -> Tensor:
        return self.generator.sample_latents(CHUNK, Random(seed, "generate", chunk)).to(self.device)

    def _labels(self, n: int, label: int | str | None) -> Tensor | None:
        if not self.conditional:
            if label is not None:
                raise CardiganError(f"--label: {self.run.name} was trained without labels (game.labels is 'none')")
            return None
        if label is None:
            return torch.arange(n) % self.form.classes
        return torch.full((n,), self._label_index(label))

    def _label_index(self, label: int | str) -> int:
        names = self.codec.classes or tuple(map(str, range(self.form.classes)))
        if str(label) in names:
            return names.index(str(label))
        if str(label).isdecimal() and int(label) < self.form.classes:
            return int(label)
        raise CardiganError(f"--label: unknown label {str(label)!r}; {allowed(str(label), names)}")


def _matmul(run: Run) -> Matmul | None:
    """The backend that the run was trained with, where it is exact on this machine too: it was the fastest there."""
    with suppress(CardiganError, AttributeError):  # a file that is missing or damaged costs speed alone
        recorded = run.environment.get("engine", {}).get("matmul")
        if recorded in MATMULS and exact(recorded):
            return cast(Matmul, recorded)
    return None


def slerp(start: Tensor, end: Tensor, share: Tensor) -> Tensor:
    """Spherical interpolation of (N, L) vectors at (N, 1) shares in [0, 1]."""
    cosine = torch.nn.functional.cosine_similarity(start, end, dim=1)[:, None].clamp(-1, 1)
    angle = torch.acos(cosine).clamp(min=1e-4)
    return (torch.sin((1 - share) * angle) * start + torch.sin(share * angle) * end) / torch.sin(angle)


def load(run: str | Path | Run, at: int | None = None, weights: Weights = "average") -> Model:
    """The trained generator of `run` (a folder, a name, "last"), of its newest checkpoint or the one at clock `at`.

    Args:
        weights: "average" (of the generator over training) or "raw".

    Raises:
        CardiganError: no such run, no checkpoint, or a damaged one.
    """
    return Model(run if isinstance(run, Run) else open_run(run), at, weights)


def write_samples(model: Model, samples: Tensor, out: Path) -> list[Path]:
    """Write samples to `out`: one rendered file if it has an ending (.png, .gif), else one file each in that folder.

    Raises:
        CardiganError: an ending that this kind of sample cannot be written as, or a place that cannot be written.
    """
    try:
        if not out.suffix:
            return list(_write_each(model, samples, out))
        out.parent.mkdir(parents=True, exist_ok=True)
        model.codec.write(samples[0], out) if len(samples) == 1 else model.codec.render(samples, out)
    except OSError as error:
        raise CardiganError(f"{out} cannot be written: {error.strerror or error}") from None
    except ValueError as error:
        raise CardiganError(f"{out}: {error}") from None
    return [out]


def _write_each(model: Model, samples: Tensor, folder: Path) -> Iterator[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    for index, sample in enumerate(samples):
        path = folder / f"{index:05d}{model.codec.extension}"
        model.codec.write(sample, path)
        yield path
