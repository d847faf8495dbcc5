"""Which classes a generator makes, how often, and how well each, as a classifier sees them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor

from cardigan.errors import CardiganError
from cardigan.metrics.features import both
from cardigan.metrics.frechet import frechet_from_features

ENOUGH = 1 / 3
"""Share of its real share that a class must reach to count as covered."""
SMOOTHING = 1e-3
"""Added to every share before they are compared, so that an absent class costs much but not infinitely much."""
LEAST = 50
"""Samples of a class on either side below which its Fréchet distance is not computed."""


@dataclass(frozen=True)
class IntraFrechet:
    """Fréchet distances class by class.

    Attributes:
        mean: over the classes; None if none had enough samples.
        distances: class -> its distance.
        left_out: classes with fewer than `LEAST` samples on a side.
    """

    mean: float | None
    distances: Mapping[str, float]
    left_out: tuple[str, ...]


def class_shares(predictions: Tensor, classes: int) -> Tensor:
    """The share of each class -> (classes,) float64, adding up to 1.

    Args:
        predictions: (N,) classes, or (N, classes) probabilities or logits, of which the greatest counts.
        classes: how many there are.

    Raises:
        CardiganError: there is no sample, or a class that is none.
    """
    if predictions.dim() == 2:
        if predictions.shape[1] != classes:
            raise CardiganError(f"predictions: of {predictions.shape[1]} classes; allowed: {classes}")
        if predictions.isnan().any():
            raise CardiganError(f"predictions: {int(predictions.isnan().any(1).sum())} samples hold NaN")
        predictions = predictions.argmax(1)
    if len(predictions) == 0:
        raise CardiganError("predictions: no samples; shares of classes need at least one")
    if predictions.min() < 0 or predictions.max() >= classes:
        raise CardiganError(f"predictions: a class outside 0 to {classes - 1}")
    return torch.bincount(predictions.long().flatten(), minlength=classes).double() / predictions.numel()


def class_coverage(shares: Tensor, real_shares: Tensor) -> float:
    """Share of the real classes that are generated at least a third as often as they really are; 0..1.

    A third: well below what chance does to a class at a few hundred samples, well above leftovers of a lost mode.
    """
    shares, real_shares = _fitting(shares, real_shares)
    present = real_shares > 0
    return float((shares[present] >= ENOUGH * real_shares[present]).double().mean())


def class_divergence(generated_shares: Tensor, real_shares: Tensor) -> float:
    """KL(generated || real) of the shares of classes in nats; 0: the same shares.

    Both are smoothed: (share + 0.001) / (1 + 0.001 classes).
    """
    generated, real = (
        (each + SMOOTHING) / (1 + SMOOTHING * len(each)) for each in _fitting(generated_shares, real_shares)
    )
    return max(0.0, float((generated * (generated / real).log()).sum()))


def intra_frechet(
    generated: Tensor,
    generated_labels: Tensor,
    reference: Tensor,
    reference_labels: Tensor,
    classes: Sequence[str],
    least: int = LEAST,
) -> IntraFrechet:
    """The Fréchet distance between generated and real samples of each class: one that is bad alone shows.

    Args:
        generated: (N, D) features.
        generated_labels: (N,), as asked for or as predicted.
        reference: (M, D) features.
        reference_labels: (M,).
        classes: their names, by label.
        least: samples of a class on either side below which it is left out.

    Raises:
        CardiganError: features do not fit, or there are more or fewer labels than samples.
    """
    generated, reference = both(generated, reference)
    if (len(generated), len(reference)) != (len(generated_labels), len(reference_labels)):
        raise CardiganError(
            f"labels: {len(generated_labels)} generated and {len(reference_labels)} reference ones; "
            f"allowed: one for each of {len(generated)} and {len(reference)} samples"
        )
    distances, left_out = {}, []
    for label, name in enumerate(classes):
        mine, theirs = generated[generated_labels == label], reference[reference_labels == label]
        if min(len(mine), len(theirs)) < max(least, 2):
            left_out.append(name)
        else:
            distances[name] = frechet_from_features(mine, theirs)
    mean = sum(distances.values()) / len(distances) if distances else None
    return IntraFrechet(mean, MappingProxyType(distances), tuple(left_out))


def _fitting(shares: Tensor, real_shares: Tensor) -> tuple[Tensor, Tensor]:
    if shares.shape != real_shares.shape or shares.dim() != 1 or not len(shares):
        raise CardiganError(f"shares of classes: {tuple(shares.shape)} and {tuple(real_shares.shape)} do not fit")
    return shares.double(), real_shares.double()
