"""Perceptual distance: how far apart two samples are for a network that looks at them, layer by layer."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from cardigan.extractors.lpips import unit
from cardigan.objectives.adversarial import widen

Distance = Literal["normalised", "l1"]
"""Names of the distances between activations in recipes."""


def perceptual(maps: Sequence[Tensor], others: Sequence[Tensor], distance: Distance = "normalised") -> Tensor:
    """The distance between activations, mean over layers -> (N,), in float32 (float64 stays).

    normalised: 1 / (h w) sum |a / |a| - b / |b||^2, over pixels of the map, |.| over channels: Zhang et al. 2018, "The
    unreasonable effectiveness of deep features as a perceptual metric", equation 1 with all weights w_l = 1, and a mean
    over layers for their sum; 0 to 4, after a ReLU 0 to 2. l1: mean |a - b|, as of Wang et al. 2018, "ESRGAN: Enhanced
    super-resolution generative adversarial networks", section 3.3 (Johnson et al. 2016, "Perceptual losses for
    real-time style transfer and super-resolution", square it).

    Args:
        maps: (N, D, h, w) of each layer, or (N, D) where samples are no pictures.
        others: the same shapes; gradients reach both sides.

    Raises:
        ValueError: no layers, or shapes that differ.
    """
    shapes = [[tuple(each.shape) for each in side] for side in (maps, others)]
    if not maps or shapes[0] != shapes[1]:
        raise ValueError(f"needs activations of equal shapes, not {shapes[0]} and {shapes[1]}")
    function = _normalised if distance == "normalised" else _l1
    return torch.stack([function(widen(one), widen(other)) for one, other in zip(maps, others, strict=True)]).mean(0)


def _normalised(one: Tensor, other: Tensor) -> Tensor:
    return (unit(one) - unit(other)).square().sum(1).reshape(len(one), -1).mean(1)


def _l1(one: Tensor, other: Tensor) -> Tensor:
    return (one - other).abs().reshape(len(one), -1).mean(1)
