"""Adaptive discriminator augmentation: each of many operations is applied to each picture with one probability, p.

Karras et al. 2020, "Training generative adversarial networks with limited data" (ADA): as long as p stays below 0.8 or
so, the unchanged pictures among the others tell the generator which way up samples are and what colours they have. The
operations and their strengths are those of its appendix B (pixel blitting, scaling, colours), in its order; arbitrary
rotation, fractional translation and filtering are left out. What steers p is in `games/steering.py`.

A picture that no operation fell to keeps its bits. All operations are differentiable twice, as gradient penalties need.
"""

from math import pi, sqrt
from typing import Annotated, Self

import torch
from pydantic import Field, NonNegativeFloat, PositiveInt, model_validator
from torch import Tensor
from torch.nn.functional import relu

from cardigan.games.diffaugment import cut_out
from cardigan.networks.layers.precision import no_autocast
from cardigan.randomness import Random
from cardigan.settings import Count, Settings

Deviation = Annotated[float, Field(ge=0, le=1)]


class Adaptive(Settings):
    """Operations on what the discriminator sees, each applied with probability p; by default as published."""

    probability: Annotated[float, Field(ge=0, le=1)] = 0.0
    """p in the beginning; where `target` is null, throughout."""
    target: Annotated[float, Field(gt=0, lt=1)] | None = 0.6
    """Wanted mean sign of the discriminator's logits of real samples, from 0 (undecided) to 1 (knows them all): above
    it p grows, below it p falls. null: p stays as it is."""
    speed: Count = 100_000
    """Real samples in which p moves from 0 to 1; published: 500,000 for runs of 25 million, 100,000 where training goes
    on from another run."""
    interval: PositiveInt = 4
    """Turns of the discriminator from one move of p to the next; the sign is averaged over them."""
    most: Annotated[float, Field(gt=0, le=1)] = 0.8
    """The largest p that is steered to; beyond 0.8 operations show up in what is generated."""
    flip: bool = True
    """Whether pictures are mirrored, left to right."""
    quarter_turns: bool = True
    """Whether pictures are turned by multiples of 90 degrees, or of 180 where they are not square."""
    translation: Annotated[float, Field(ge=0, lt=0.5)] = 0.125
    """Largest shift in whole pixels, as a share of height and width; what comes in is the picture's mirror image."""
    scale: Deviation = 0.2
    """Standard deviation of the enlargement, in powers of two; likewise mirrored where pictures shrink."""
    stretch: Deviation = 0.2
    """Standard deviation of the ratio by which pictures become wider and as much lower, in powers of two."""
    brightness: NonNegativeFloat = 0.2
    """Standard deviation of what is added to all colours; their range is 2."""
    contrast: NonNegativeFloat = 0.5
    """Standard deviation of the factor of all colours, in powers of two."""
    luma_flip: bool = True
    """Whether light and dark change places, and hues stay."""
    hue: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Largest turn of the hue, as a share of half a circle; of RGB pictures."""
    saturation: NonNegativeFloat = 1.0
    """Standard deviation of the factor of colours' distance from grey, in powers of two; of RGB pictures."""
    cutout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Sides of a rectangle that is blanked, as a share of height and width; tried at 0.5 in the paper."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.target is not None and self.probability > self.most:
            raise ValueError(f"probability is {self.probability:g}; allowed: up to most, {self.most:g}")
        return self


def adapt(samples: Tensor, settings: Adaptive, probability: float | Tensor, random: Random) -> Tensor:
    """(N, C, H, W) pictures in [-1, 1] -> the same, each operation applied to each with `probability`."""
    count = len(samples)
    if settings.flip:
        samples = mirrored(samples, _uniform(samples, random) < probability / 2)
    if settings.quarter_turns:
        steps = 4 if samples.shape[2] == samples.shape[3] else 2
        quarters = random.integers(steps, count).to(samples.device) * (4 // steps)
        samples = turned(samples, quarters * (_uniform(samples, random) < probability))
    if settings.translation or settings.scale or settings.stretch:
        samples = _moved(samples, settings, probability, random)
    if settings.brightness or settings.contrast or settings.luma_flip or settings.hue or settings.saturation:
        samples = _recoloured(samples, settings, probability, random)
    if settings.cutout:
        chosen = _uniform(samples, random) < probability
        samples = _where(chosen, cut_out(samples, settings.cutout, random), samples)
    return samples


def mirrored(samples: Tensor, chosen: Tensor) -> Tensor:
    """(N, C, H, W), left and right exchanged where (N,) `chosen` is true."""
    return _where(chosen, samples.flip(3), samples)


def turned(samples: Tensor, quarters: Tensor) -> Tensor:
    """(N, C, H, W), each turned counter-clockwise by so many (N,) quarters of a circle, 0 to 3; odd ones of squares."""
    steps = (1, 2, 3) if samples.shape[2] == samples.shape[3] else (2,)
    made = samples
    for quarter in steps:
        made = _where(quarters == quarter, samples.rot90(quarter, (2, 3)), made)
    return made


def resampling(side: int, zoom: Tensor, shift: Tensor) -> Tensor:
    """(N, side, side) matrices that resample a line of pixels: moved by (N,) `shift`, then enlarged about its middle by
    (N,) `zoom`; beyond its ends lies its mirror image.

    Linear interpolation, over 1/zoom pixels where the line shrinks, so that none is passed over. A whole shift alone
    gives zeros and ones. As a product with matrices, pictures are resampled at the same speed forwards, backwards and
    twice backwards; torch's grid_sample could not be differentiated twice for a long time.
    """
    place = torch.arange(side, device=zoom.device, dtype=zoom.dtype)
    middle = (side - 1) / 2
    source = ((place - middle) / zoom[:, None] + middle - shift[:, None])[:, :, None]
    reach = zoom.reciprocal().clamp(min=1)[:, None, None]

    def hat(distance: Tensor) -> Tensor:
        # A line and its mirror image, again and again, are a circle of twice its length.
        around = (distance + side) % (2 * side) - side
        return relu(1 - around.abs() / reach)

    weights = hat(source - place) + hat(source + 1 + place)
    return weights / weights.sum(2, keepdim=True)


def _moved(samples: Tensor, settings: Adaptive, probability: float | Tensor, random: Random) -> Tensor:
    """Translation by whole pixels, isotropic and anisotropic scaling, in one product for all three."""
    height, width = samples.shape[2:]
    down, right = samples.new_zeros(2, len(samples))
    larger = wider = samples.new_ones(len(samples))
    if settings.translation:
        most = settings.translation * (2 * random.uniform(len(samples), 2).to(samples) - 1)
        most = most * (_uniform(samples, random) < probability)[:, None]
        down, right = (most[:, 0] * height).round(), (most[:, 1] * width).round()
    if settings.scale:
        larger = _power(settings.scale, samples, probability, random)
    if settings.stretch:
        wider = _power(settings.stretch, samples, probability, random)
    with no_autocast(samples):
        rows = resampling(height, larger / wider, down)[:, None]
        columns = resampling(width, larger * wider, right)[:, None]
        changed = rows @ samples @ columns.mT
    return _where((larger != 1) | (wider != 1) | (down != 0) | (right != 0), changed, samples)


def _recoloured(samples: Tensor, settings: Adaptive, probability: float | Tensor, random: Random) -> Tensor:
    """Brightness, contrast, luma flip; and of RGB hue and saturation. Alpha (of 2 or 4 channels) keeps its values.

    The paper's matrices, written out: each of them acts either along the axis of greys or around it.
    """
    colours = samples.shape[1] - (samples.shape[1] in (2, 4))
    colour, alpha = samples[:, :colours], samples[:, colours:]
    added = angle = samples.new_zeros(len(samples))
    factor = flip = saturation = samples.new_ones(len(samples))
    if settings.brightness:
        added = settings.brightness * _normal(samples, probability, random)
    if settings.contrast:
        factor = _power(settings.contrast, samples, probability, random)
    if settings.luma_flip:
        flip = 1 - 2 * (_uniform(samples, random) < probability / 2).to(samples)
    if settings.hue and colours == 3:
        chosen = _uniform(samples, random) < probability
        angle = pi * settings.hue * (2 * _uniform(samples, random) - 1) * chosen
    if settings.saturation and colours == 3:
        saturation = _power(settings.saturation, samples, probability, random)
    chosen = (added != 0) | (factor != 1) | (flip != 1) | (angle != 0) | (saturation != 1)
    added, factor, flip, angle, saturation = (
        each[:, None, None, None] for each in (added, factor, flip, angle, saturation)
    )
    changed = (colour + added) * factor
    grey = changed.mean(1, keepdim=True)
    tint = changed - grey
    around = (tint.roll(1, 1) - tint.roll(-1, 1)) / sqrt(3)  # the cross product of the grey axis and the tint
    changed = flip * grey + saturation * (angle.cos() * tint + angle.sin() * around)
    return _where(chosen, torch.cat([changed, alpha], dim=1), samples)


def _where(chosen: Tensor, changed: Tensor, samples: Tensor) -> Tensor:
    return torch.where(chosen[:, None, None, None], changed, samples)


def _uniform(samples: Tensor, random: Random) -> Tensor:
    """(N,) from U[0, 1)."""
    return random.uniform(len(samples)).to(samples)


def _normal(samples: Tensor, probability: float | Tensor, random: Random) -> Tensor:
    """(N,) from N(0, 1) with `probability`, else 0."""
    return random.normal(len(samples)).to(samples) * (_uniform(samples, random) < probability)


def _power(deviation: float, samples: Tensor, probability: float | Tensor, random: Random) -> Tensor:
    """(N,) factors 2^N(0, deviation^2) with `probability`, else 1."""
    return (deviation * _normal(samples, probability, random)).exp2()
