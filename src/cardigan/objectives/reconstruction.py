"""Reconstruction terms: what a translator is told beside the discriminator's verdict, one small function each.

All give one unweighted value per sample, (N,), the mean over its numbers, so that means over parts of a batch average
to the mean over the whole and do not depend on the size of a picture. They are computed in float32 (float64 stays).
Terms of pictures take a weight map (N, 1, H, W), not negative: 1 inside and 0 outside of a hole, say. They are then the
mean over weighted pixels, whatever the sum of the weights, and 0 where all weights are 0.
"""

from typing import Literal

import torch
from pydantic import NonNegativeFloat, PositiveFloat
from torch import Tensor

from cardigan.errors import CardiganError
from cardigan.networks.base import Judgement
from cardigan.objectives.adversarial import widen
from cardigan.objectives.perceptual import Distance
from cardigan.settings import Settings

Kind = Literal["l1", "charbonnier", "l2"]
"""Names of the distances between pixels in recipes."""
Eye = Literal["local", "vgg16", "vgg19"]
"""Networks that a perceptual term may look through."""
EPSILON = 1e-3
"""Charbonnier's, as published, in units of a sample's values ([-1, 1])."""


class Terms(Settings):
    """Weights of the terms that compare a translated sample with the wanted one; 0 switches a term off."""

    reconstruction: NonNegativeFloat = 0.0
    """Factor of the distance between pixels that `distance` names; pix2pix: 100."""
    distance: Kind = "l1"
    """The distance between pixels: l1 keeps edges sharper than l2; charbonnier is an l1 that is smooth at 0."""
    epsilon: PositiveFloat = EPSILON
    """Where charbonnier turns from a parabola to l1, in units of a sample's values ([-1, 1])."""
    feature_matching: NonNegativeFloat = 0.0
    """Factor of the l1 distance between the discriminator's activations; pix2pixHD: 10."""
    perceptual: NonNegativeFloat = 0.0
    """Factor of the distance between activations of a fixed network, `eye`, that `perceptual_distance` names."""
    perceptual_distance: Distance = "normalised"
    """normalised: of unit vectors, as LPIPS without its learned weights; l1: of activations as they are, as ESRGAN."""
    eye: Eye = "local"
    """The fixed network: local, the data's own guide, or vgg16 and vgg19, whose weights are downloaded (550 MB)."""
    gradient_difference: NonNegativeFloat = 0.0
    """Factor of the difference between the steps from pixel to pixel, which blur makes smaller."""
    total_variation: NonNegativeFloat = 0.0
    """Factor of the steps from pixel to pixel of the translated sample itself; it smooths."""

    @property
    def compares(self) -> bool:
        """Whether a term holds the sample to the wanted one, without a discriminator."""
        return bool(self.reconstruction or self.perceptual or self.gradient_difference)


def reconstruction(sample: Tensor, wanted: Tensor, terms: Terms, weight: Tensor | None = None) -> Tensor:
    """The distance between pixels that `terms.distance` names, (N, ...) and (N, ...) -> (N,), unweighted."""
    if terms.distance == "charbonnier":
        return charbonnier(sample, wanted, weight, terms.epsilon)
    return (l1 if terms.distance == "l1" else l2)(sample, wanted, weight)


def l1(sample: Tensor, wanted: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean of |x - y| -> (N,). Isola et al. 2017, "Image-to-image translation with conditional adversarial networks",
    equation 3.

    Args:
        sample: (N, ...).
        wanted: the same shape.
        weight: (N, 1, H, W) of pictures; None: all pixels count alike.

    Raises:
        ValueError: shapes that do not fit.
    """
    sample, wanted = _pair(sample, wanted)
    return _mean((sample - wanted).abs(), weight)


def charbonnier(sample: Tensor, wanted: Tensor, weight: Tensor | None = None, epsilon: float = EPSILON) -> Tensor:
    """Mean of sqrt((x - y)^2 + epsilon^2) -> (N,); never below `epsilon`. Arguments and errors as of `l1`.

    Lai et al. 2017, "Deep Laplacian pyramid networks for fast and accurate super-resolution", section 3.2.
    """
    sample, wanted = _pair(sample, wanted)
    return _mean(((sample - wanted).square() + epsilon**2).sqrt(), weight)


def l2(sample: Tensor, wanted: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean of (x - y)^2 -> (N,). Arguments and errors as of `l1`."""
    sample, wanted = _pair(sample, wanted)
    return _mean((sample - wanted).square(), weight)


def gradient_difference(sample: Tensor, wanted: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean of ||dx| - |dy|| over steps down plus that over steps right, d from one pixel to the next -> (N,).

    Mathieu et al. 2016, "Deep multi-scale video prediction beyond mean square error", section 3.3, with alpha 1 and
    means for sums. A step weighs as much as the lighter of its two pixels.

    Args:
        sample: (N, C, H, W); an axis of one pixel has no steps.
        wanted: the same shape.
        weight: (N, 1, H, W).

    Raises:
        ValueError: shapes that do not fit, or no pictures.
    """
    sample, wanted = _pair(sample, wanted)
    values = zip(_steps(sample), _steps(wanted), _weights(weight), strict=True)
    return torch.stack([_mean((mine.abs() - theirs.abs()).abs(), each) for mine, theirs, each in values]).sum(0)


def total_variation(sample: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean of |dx| over steps down plus that over steps right -> (N,): anisotropic.

    After Rudin et al. 1992, "Nonlinear total variation based noise removal algorithms", whose steps are taken together
    as the length of the gradient. Arguments as of `gradient_difference`.

    Raises:
        ValueError: no pictures (N, C, H, W), or weights that do not fit.
    """
    steps = zip(_steps(widen(sample)), _weights(weight), strict=True)
    return torch.stack([_mean(step.abs(), each) for step, each in steps]).sum(0)


def feature_matching(real: Judgement, fake: Judgement) -> Tensor:
    """Mean of |real - fake| over each of the discriminator's activations, then over these -> (N,).

    Wang et al. 2018, "High-resolution image synthesis and semantic manipulation with conditional GANs", equation 4,
    with a mean over layers for their sum. No gradient reaches the real side.

    Raises:
        CardiganError: the discriminator gives no activations.
        ValueError: the two sides have different ones.
    """
    if not (real.features and fake.features):
        raise CardiganError("game.terms.feature_matching: the discriminator gives no activations; allowed here: 0")
    layers = zip(real.features, fake.features, strict=True)
    return torch.stack([l1(theirs, mine.detach()) for mine, theirs in layers]).mean(0)


def _steps(pictures: Tensor) -> tuple[Tensor, Tensor]:
    """From each pixel to the one below (N, C, H - 1, W) and to the one on its right (N, C, H, W - 1)."""
    if pictures.dim() != 4:
        raise ValueError(f"needs pictures (N, C, H, W), not {tuple(pictures.shape)}")
    return pictures.diff(dim=2), pictures.diff(dim=3)


def _weights(weight: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
    """Of steps down and right."""
    if weight is None:
        return None, None
    down = torch.minimum(weight[:, :, 1:], weight[:, :, :-1])
    return down, torch.minimum(weight[..., 1:], weight[..., :-1])


def _mean(values: Tensor, weight: Tensor | None) -> Tensor:
    """Mean (N,) of (N, ...); 0 where there is nothing to count."""
    if weight is None:
        return values.flatten(1).sum(1) / max(values[:1].numel(), 1)
    if values.dim() != 4 or weight.shape != (len(values), 1, *values.shape[2:]):
        raise ValueError(f"weights {tuple(weight.shape)} do not fit {tuple(values.shape)}: needs (N, 1, H, W)")
    weight = weight.to(values)
    counted = weight.flatten(1).sum(1) * values.shape[1]
    return (values * weight).flatten(1).sum(1) / counted.clamp_min(torch.finfo(values.dtype).tiny)


def _pair(sample: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    # Unequal shapes would broadcast silently.
    if sample.shape != wanted.shape:
        raise ValueError(f"needs samples of equal shape, not {tuple(sample.shape)} and {tuple(wanted.shape)}")
    return widen(sample), widen(wanted)
