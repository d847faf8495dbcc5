"""Perceptual path length: how far samples move, to an extractor's eye, for a small step of the latent.

Karras et al. 2019, "A style-based generator architecture for generative adversarial networks", section 4.1, with the
normalised features of any extractor in the place of LPIPS. Values are comparable under one extractor only, and only in
the same latent space.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist

import torch
from torch import Tensor

EPSILON = 1e-4
"""Length of a step, as a share of the way."""
TRIMMED = 0.01
"""Share of the shortest and of the longest paths that is left out."""
CHUNK = 100
"""Steps looked at together."""
FEWEST = 10

Blend = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(N, ...) start, (N, ...) end and (N, 1) share of the way -> (N, ...) latents; `torch.lerp`, slerp."""


@dataclass(frozen=True)
class PathLength:
    """Mean squared distance of features per squared share of the way, without the most extreme paths.

    Attributes:
        value: 0 for a generator that ignores its latents; large where a step changes a sample abruptly.
        low: lower end of its 95% interval.
        high: upper end.
        count: paths measured.
    """

    value: float
    low: float
    high: float
    count: int


def path_length(
    make: Callable[[Tensor], Tensor],
    features: Callable[[Tensor], Tensor],
    blend: Blend,
    start: Tensor,
    end: Tensor,
    shares: Tensor,
    *,
    epsilon: float = EPSILON,
) -> PathLength:
    """|f(G(b(t + e))) - f(G(b(t)))|^2 / e^2, f of unit length, averaged over paths b from start to end.

    A step is so small that nothing may be rounded on the way: samples must not be brought to 8 bits, autocast is
    switched off, latents are blended in float64. What float32 then adds is about 1e-6 (a trained generator of digits:
    9.1), which matters only for generators that hardly listen to their latents; networks in float64, given latents in
    float64, are free of it.

    Args:
        make: latents -> samples, in evaluation mode: sample i depends on latent i alone.
        features: samples -> (N, D).
        blend: slerp for normal latents, `torch.lerp` for mapped ones (W).
        start: (N, ...) latents from which paths lead; what `make` gets has its dtype.
        end: (N, ...) latents to which they lead.
        shares: (N,) how far along each path the step begins, 0..1: uniform for the whole path, 0 for its end.

    Raises:
        ValueError: shapes that differ, or fewer than 10 paths.
    """
    if start.shape != end.shape or shares.shape != start.shape[:1] or len(start) < FEWEST:
        raise ValueError(f"{tuple(start.shape)}, {tuple(end.shape)}, {tuple(shares.shape)}: not {FEWEST} or more paths")
    with torch.no_grad(), torch.autocast(start.device.type, enabled=False):
        pieces = zip(start.split(CHUNK), end.split(CHUNK), shares.split(CHUNK), strict=True)
        moved = [_moved(make, features, blend, *piece, epsilon) for piece in pieces]
    return _trimmed_mean(torch.cat(moved) / epsilon**2)


def _moved(
    make: Callable[[Tensor], Tensor],
    features: Callable[[Tensor], Tensor],
    blend: Blend,
    start: Tensor,
    end: Tensor,
    share: Tensor,
    epsilon: float,
) -> Tensor:
    """(N,) squared distances of the unit features at both ends of each step."""
    here = share.double().reshape(-1, *[1] * (start.dim() - 1))
    places = [blend(start.double(), end.double(), at).to(start.dtype) for at in (here, here + epsilon)]
    seen = features(make(torch.cat(places))).double()  # one batch, so that both ends are computed alike
    one, other = torch.nn.functional.normalize(seen, dim=1).chunk(2)
    return (one - other).square().sum(1)


def _trimmed_mean(lengths: Tensor) -> PathLength:
    """Mean of what lies between the 1% and 99% quantiles, with Tukey and McLaughlin's interval (1963)."""
    count = len(lengths)
    low = torch.quantile(lengths, TRIMMED, interpolation="lower")
    high = torch.quantile(lengths, 1 - TRIMMED, interpolation="higher")
    value = float(lengths[(lengths >= low) & (lengths <= high)].mean())
    error = float(lengths.clamp(low, high).std()) / ((1 - 2 * TRIMMED) * sqrt(count))
    half = NormalDist().inv_cdf(0.975) * error
    return PathLength(value, value - half, value + half, count)
