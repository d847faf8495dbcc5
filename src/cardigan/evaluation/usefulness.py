"""Are generated samples of use? Accuracy of classifiers that learn from them, on real test samples.

The classification accuracy score (Ravuri & Vinyals 2019, "Classification accuracy score for conditional generative
models") trains on generated samples alone; the augmentation study adds them to few real ones, beside classical
augmentation. Every classifier has the same network and the same number of optimizer steps, so that more samples do not
mean more training.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import pi, sqrt
from statistics import mean, stdev
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from cardigan.data.base import Dataset, Watch, silent
from cardigan.errors import CardiganError
from cardigan.evaluation.classifier import MOST, accuracy, endless, few, first, joined
from cardigan.extractors import fitting
from cardigan.sample import Batch, Form

STEPS = 300
"""Optimizer steps of a classifier, whatever it learns from."""
BATCH = 64
"""Samples of a step."""
SHARE = 0.5
"""Of generated samples in a batch that mixes them with real ones."""
Make = Callable[[Batch, int], Batch]
"""Real labelled samples, seed -> generated labelled samples of a generator that has seen no others."""


@dataclass(frozen=True)
class Interval:
    """A mean over seeds, with its 95% interval by Student's t; of one seed, without one.

    Attributes:
        values: one for each seed.
    """

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Over seeds."""
        return mean(self.values)

    @property
    def half(self) -> float | None:
        """Half the interval's width; None with a single seed."""
        from scipy.stats import t

        count = len(self.values)
        return float(t.ppf(0.975, count - 1)) * stdev(self.values) / sqrt(count) if count > 1 else None

    def minus(self, other: "Interval") -> "Interval":
        """The paired difference: seed by seed."""
        return Interval(tuple(mine - theirs for mine, theirs in zip(self.values, other.values, strict=True)))

    def __format__(self, form: str) -> str:
        return format(self.mean, form) + (f" ± {self.half:.3f}" if self.half is not None else " (one seed)")

    def plain(self) -> dict[str, Any]:
        """As JSON values."""
        return {"values": list(self.values), "mean": self.mean, "half": self.half}


@dataclass(frozen=True)
class Usefulness:
    """The classification accuracy score.

    Attributes:
        score: accuracy on real test samples after training on generated samples alone, 0..1.
        real: the same after training on equally many real ones: what could be reached.
        chance: share of the largest class among the test samples: what needs no training.
        count: generated samples trained on.
        real_count: real samples trained on.
        test_count: real samples tested on.
    """

    score: Interval
    real: Interval
    chance: float
    count: int
    real_count: int
    test_count: int

    def lines(self) -> Iterator[str]:
        """As text for people."""
        yield f"trained on {self.count:,} generated samples: {self.score:.3f} of {self.test_count:,} real ones right"
        yield f"trained on {self.real_count:,} real samples: {self.real:.3f}; the commonest class: {self.chance:.3f}"
        yield f"difference: {self.score.minus(self.real):+.3f}"

    def plain(self) -> dict[str, Any]:
        """As JSON values."""
        return {**vars(self), "score": self.score.plain(), "real": self.real.plain()}


def classification_accuracy_score(
    generated: Batch,
    train: Dataset,
    test: Dataset,
    *,
    steps: int = STEPS,
    seeds: Sequence[int] = (0, 1, 2),
    watch: Watch = silent,
) -> Usefulness:
    """Train on `generated` only and test on real samples; beside it, train on equally many real samples.

    Args:
        generated: (N, *form.shape) samples with the labels they were asked for.
        train: real samples; as many as there are generated ones are used, or all there are.
        test: real samples, 10,000 at most.
        steps: of every classifier, whatever it learns from.
        seeds: of classifiers and their batches.

    Raises:
        CardiganError: samples without labels, or of another shape.
    """
    _check(generated, train.form)
    real = first(train, len(generated))
    everything = first(test, MOST)
    mine, theirs = (
        Interval(
            tuple(
                accuracy(endless(some, BATCH, seed), train.form, everything, steps, seed, watch=watch) for seed in seeds
            )
        )
        for some in (generated, real)
    )
    assert everything.label is not None
    chance = float(everything.label.bincount().max()) / len(everything)
    return Usefulness(mine, theirs, chance, len(generated), len(real), len(everything))


ARMS = ("none", "classical", "generated", "classical and generated")
"""What is added to the real samples."""


@dataclass(frozen=True)
class Study:
    """Accuracy on real test samples by what was added to few real training samples.

    Attributes:
        per_class: real training samples of each class; None: all there are.
        accuracy: arm -> accuracy over seeds, 0..1.
        test_count: real samples tested on.
    """

    per_class: int | None
    accuracy: Mapping[str, Interval]
    test_count: int

    def lines(self) -> Iterator[str]:
        """As text for people."""
        yield f"{self.per_class or 'all'} real samples of each class; accuracy on {self.test_count:,} real test samples"
        for arm, found in self.accuracy.items():
            gain = "" if arm == "none" else f"   {found.minus(self.accuracy['none']):+.3f} against none"
            yield f"  {arm:<24} {found:.3f}{gain}"

    def plain(self) -> dict[str, Any]:
        """As JSON values."""
        arms = {arm: found.plain() for arm, found in self.accuracy.items()}
        return {"per_class": self.per_class, "test_count": self.test_count, "accuracy": arms}


def augmentation_study(
    train: Dataset,
    test: Dataset,
    make: Make | None = None,
    *,
    per_class: Sequence[int | None] = (10, 50, None),
    steps: int = STEPS,
    seeds: Sequence[int] = (0, 1, 2),
    flips: bool = False,
    watch: Watch = silent,
) -> list[Study]:
    """What classical augmentation and generated samples add to few real ones, for each number of these.

    Args:
        make: gives generated samples; None: classical augmentation only. To be honest, its generator must have been
            trained on the real samples that it is given, and on no others.
        per_class: real samples of each class; None: all there are.
        steps: of every classifier, whatever it learns from.
        seeds: each draws its real samples and trains its classifiers; arms are paired by it.
        flips: whether a mirrored picture is still one of its class.

    Raises:
        CardiganError: samples without labels, or that are no pictures.
    """
    everything, studies = first(test, MOST), []
    for count in per_class:
        found: dict[str, list[float]] = {}
        for seed in seeds:
            real = few(train, count, seed)
            generated = None if make is None else make(real, seed)
            for arm in ARMS if generated is not None else ARMS[:2]:
                value = arm_accuracy(
                    arm, real, generated, train.form, everything, steps, seed, flips=flips, watch=watch
                )
                found.setdefault(arm, []).append(value)
        intervals = {arm: Interval(tuple(values)) for arm, values in found.items()}
        studies.append(Study(count, intervals, len(everything)))
    return studies


def arm_accuracy(
    arm: str,
    real: Batch,
    generated: Batch | None,
    form: Form,
    test: Batch,
    steps: int,
    seed: int,
    *,
    flips: bool = False,
    share: float = SHARE,
    watch: Watch = silent,
) -> float:
    """Accuracy on `test` after training on `real` and what `arm`, one of `ARMS`, adds to it.

    Args:
        share: of generated samples in every batch, where the arm has any.
    """
    draw = endless(real, BATCH, seed)
    if "generated" in arm:
        assert generated is not None
        _check(generated, form)
        draw = _mixed(real, generated, share, seed)
    change = partial(classically_augmented, flips=flips) if "classical" in arm else None
    return accuracy(draw, form, test, steps, seed, change, watch)


def _mixed(real: Batch, generated: Batch, share: float, seed: int) -> fitting.Draw:
    count = round(share * BATCH)
    sources = endless(real, BATCH - count, seed), endless(generated, count, seed)
    return lambda step: joined([draw(step) for draw in sources])


def classically_augmented(samples: Tensor, generator: torch.Generator, flips: bool = False) -> Tensor:
    """Each of (N, C, H, W) shifted by up to an eighth, turned by up to 10 degrees, scaled by up to a tenth.

    Args:
        flips: mirror half of them, too.

    Raises:
        CardiganError: samples that are no pictures.
    """
    if samples.dim() != 4:
        raise CardiganError("classical augmentation changes pictures, and these samples are none")
    coins = 2 * torch.rand(4, len(samples), generator=generator) - 1
    angle, scale, shift = coins[0] * pi / 18, 1 + coins[1] / 10, coins[2:] / 4  # of a side that is 2 long
    cosine, sine = scale * angle.cos(), scale * angle.sin()
    matrix = torch.stack([torch.stack([cosine, -sine, shift[0]]), torch.stack([sine, cosine, shift[1]])])
    matrix = matrix.permute(2, 0, 1)
    if flips:
        matrix[torch.rand(len(samples), generator=generator) < 0.5, :, 0] *= -1
    grid = affine_grid(matrix, list(samples.shape), align_corners=False)
    return grid_sample(samples, grid, padding_mode="border", align_corners=False)


def _check(generated: Batch, form: Form) -> None:
    """Refuse generated samples that a classifier of `form` cannot learn from.

    Raises:
        CardiganError: other shapes, no samples, no labels or unknown ones.
    """
    if generated.sample.shape[1:] != form.shape or not len(generated):
        raise CardiganError(
            f"generated samples of shape {tuple(generated.sample.shape)}; allowed: one or more of {form.shape}"
        )
    if generated.label is None:
        raise CardiganError(
            "generated samples without labels: only a conditional generator can be of use to a classifier"
        )
    if not 0 <= int(generated.label.min()) <= int(generated.label.max()) < form.classes:
        raise CardiganError(
            f"generated samples of label {int(generated.label.max())}; allowed: 0 to {form.classes - 1}"
        )
