"""Differentiable augmentation (Zhao et al. 2020, DiffAugment): real and fake are changed alike before they are judged.

A discriminator that has seen every picture of a small set a hundred times knows them by heart. Changed at random, they
stay new; and because fakes are changed by the same operations, through which gradients flow, the generator does not
learn to make changed pictures.
"""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from cardigan.randomness import Random
from cardigan.settings import Settings


class Augmentation(Settings):
    """How pictures are changed before the discriminator sees them; by default not at all."""

    colour: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Strength of random brightness, saturation and contrast; 1: as published."""
    translation: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Largest shift, as a share of height and width; published: 0.125."""
    cutout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Sides of a rectangle that is blanked, as a share of height and width; published: 0.5."""

    @property
    def active(self) -> bool:
        """Whether anything is changed at all."""
        return bool(self.colour or self.translation or self.cutout)


def augment(samples: Tensor, settings: Augmentation, random: Random) -> Tensor:
    """(N, C, H, W) pictures in [-1, 1], each changed in its own way; differentiable twice, as gradient penalties need.

    Of grey with alpha or RGB with alpha (2 or 4 channels), alpha keeps its values.
    """
    if settings.colour:
        samples = recoloured(samples, settings.colour, random)
    if settings.translation:
        samples = translated(samples, settings.translation, random)
    if settings.cutout:
        samples = cut_out(samples, settings.cutout, random)
    return samples


def recoloured(samples: Tensor, strength: float, random: Random) -> Tensor:
    """Brightness moved by up to 0.5, saturation times 0 to 2, contrast times 0.5 to 1.5, each times `strength`."""
    colours = samples.shape[1] - (samples.shape[1] in (2, 4))
    colour, alpha = samples[:, :colours], samples[:, colours:]
    coins = strength * (random.uniform(len(samples), 3, 1, 1, 1).to(samples) - 0.5)
    brightness, saturation, contrast = coins.unbind(1)
    colour = colour + brightness
    grey = colour.mean(1, keepdim=True)
    colour = grey + (colour - grey) * (1 + 2 * saturation)
    middle = colour.mean((1, 2, 3), keepdim=True)
    return torch.cat([middle + (colour - middle) * (1 + contrast), alpha], dim=1)


def translated(samples: Tensor, share: float, random: Random) -> Tensor:
    """Shifted by up to `share` of the height and of the width; what comes in is 0, mid-grey.

    A product with shifted identities: unlike indexing, as fast backwards, and twice backwards, as it is forwards.
    """
    height, width = samples.shape[2:]
    down, right = (_shifts(random, len(samples), round(share * side)).to(samples.device) for side in (height, width))
    return _shifted_identity(height, down, samples) @ samples @ _shifted_identity(width, right, samples).mT


def _shifts(random: Random, count: int, most: int) -> Tensor:
    """(count,) whole numbers from -most to most."""
    return random.integers(2 * most + 1, count) - most


def _shifted_identity(side: int, shifts: Tensor, like: Tensor) -> Tensor:
    """(N, 1, side, side): row i picks element i - shift, or nothing where there is none."""
    place = torch.arange(side, device=like.device)
    return (place[:, None] - shifts[:, None, None] == place)[:, None].to(like.dtype)


def cut_out(samples: Tensor, share: float, random: Random) -> Tensor:
    """A rectangle of `share` of each side, its centre anywhere, set to 0, mid-grey."""
    inside = [_near(random, len(samples), side, round(share * side)).to(samples.device) for side in samples.shape[2:]]
    hole = inside[0][:, :, None] & inside[1][:, None, :]
    return samples * (~hole)[:, None].to(samples.dtype)


def _near(random: Random, count: int, side: int, length: int) -> Tensor:
    """(count, side) bool: which of `side` places lie in an interval of `length` around a random one."""
    first = random.integers(side + 1 - length % 2, count) - length // 2
    offset = torch.arange(side) - first[:, None].cpu()
    return (offset >= 0) & (offset < length)
