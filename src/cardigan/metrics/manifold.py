"""Precision, recall, density and coverage: quality and diversity apart, by neighbourhoods in feature space.

The manifold of a set of samples is the union of balls around each that reach to its k-th nearest other.

Kynkäänniemi et al. 2019, "Improved precision and recall metric for assessing generative models" (precision and recall,
k = 3 there); Naeem et al. 2020, "Reliable fidelity and diversity metrics for generative models" (density and coverage,
k = 5). Inside means nearer than the radius, as in the code of the latter.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from cardigan.errors import CardiganError
from cardigan.metrics.distances import CHUNK, distances, nearest
from cardigan.metrics.features import both


@dataclass(frozen=True)
class Manifold:
    """How generated and real samples overlap, over N generated and M real samples.

    Attributes:
        precision: share of generated samples inside the real manifold, 0..1.
        recall: share of real samples inside the generated manifold, 0..1.
        density: real balls that a generated sample lies in, on average, divided by k; about 1 for real samples.
        coverage: share of real samples with a generated one inside their ball, 0..1.
        k: neighbours.
        inside: (N,) whether a generated sample lies inside the real manifold.
        recalled: (M,) whether a real sample lies inside the generated manifold.
        covered: (M,) whether a real sample's ball holds a generated one.
    """

    precision: float
    recall: float
    density: float
    coverage: float
    k: int
    inside: Tensor
    recalled: Tensor
    covered: Tensor


def manifold(generated: Tensor, reference: Tensor, k: int = 5, chunk: int = CHUNK) -> Manifold:
    """Precision, recall, density and coverage of (N, D) generated against (M, D) real features.

    They depend on the counts: compare at equal ones only.

    Args:
        generated: (N, D).
        reference: (M, D).
        k: which neighbour a ball reaches to.
        chunk: samples whose distances to all others are held at once.

    Raises:
        CardiganError: no more than k samples on a side, numbers that are not finite, different D, or reference samples
            that are all the same.
    """
    generated, reference = both(generated, reference, least=k + 1)
    reach, radii = _radii(generated, k, chunk), _real_radii(reference, k, chunk)
    balls = torch.empty(len(generated), device=generated.device)
    recalled, covered = (torch.zeros(len(reference), dtype=torch.bool, device=reference.device) for _ in range(2))
    for start in range(0, len(generated), chunk):
        rows = slice(start, start + chunk)
        apart = distances(generated[rows], reference)
        within = apart < radii
        balls[rows] = within.sum(1).float()
        covered |= within.any(0)
        recalled |= (apart < reach[rows, None]).any(0)
    inside = balls > 0
    precision, recall, coverage = (float(each.double().mean()) for each in (inside, recalled, covered))
    return Manifold(precision, recall, float(balls.double().mean()) / k, coverage, k, inside, recalled, covered)


def realism(generated: Tensor, reference: Tensor, k: int = 3, chunk: int = CHUNK) -> Tensor:
    """How deep each generated sample lies within the real manifold -> (N,) float64; above 1: inside; inf: on a sample.

    max over real samples r of radius(r) / |g - r|, over those with no more than the median radius, so that outliers,
    whose balls are large, do not vouch for anything: Kynkäänniemi et al. 2019, section 5.

    Raises:
        CardiganError: as for `manifold`.
    """
    generated, reference = both(generated, reference)
    if len(reference) <= k:
        raise CardiganError(f"reference samples: {len(reference)}; realism needs at least {k + 1}")
    radii = _real_radii(reference, k, chunk)
    kept = (radii <= radii.median()) & (radii > 0)
    if not kept.any():  # more than half of the real samples stand there k times
        kept = radii > 0
    parts = [(radii[kept] / distances(rows, reference[kept])).amax(1) for rows in generated.split(chunk)]
    return torch.cat(parts) if parts else torch.empty(0, dtype=torch.float64)


def _radii(features: Tensor, k: int, chunk: int) -> Tensor:
    return nearest(features, count=k, chunk=chunk)[0][:, -1]


def _real_radii(reference: Tensor, k: int, chunk: int) -> Tensor:
    radii = _radii(reference, k, chunk)
    if not radii.any():
        raise CardiganError(f"reference samples: each is there more than {k} times; they have no manifold")
    return radii
