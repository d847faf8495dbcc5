"""The operations of DiffAugment (Zhao et al. 2020, "Differentiable augmentation for data-efficient GAN training").

Each changes every picture of a batch in its own way and is differentiable twice, as gradient penalties need.
"""

import torch
from torch import Tensor

from cardigan.randomness import Random


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
