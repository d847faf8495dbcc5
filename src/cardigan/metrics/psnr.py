"""Peak signal-to-noise ratio: how far pictures are from those wanted, in decibels; of all channels, or of luma."""

import torch
from torch import Tensor

from cardigan.errors import CardiganError
from cardigan.metrics.features import checked
from cardigan.resizing import WHITE, to_bytes, to_rgb

LEAST = 1.0
"""Mean square error in grey levels that is told apart from none."""


def psnr(pictures: Tensor, wanted: Tensor, peak: float = WHITE) -> Tensor:
    """10 log10(peak^2 / mean square error) of each picture, over pixels and channels -> (N,) decibels, float64.

    Pictures are compared as their files would be, rounded to 8 bits. An error below one grey level counts as one, so
    that means over pictures stay finite: equal pictures have 20 log10(255) = 48.13 dB, and no pictures have more.

    Args:
        pictures: (N, C, H, W) in [-1, 1].
        wanted: the same shape.
        peak: the largest value, in grey levels.

    Raises:
        CardiganError: no pictures, different shapes, or numbers that are not finite.
    """
    check_pair(pictures, wanted)
    return _decibels(to_bytes(pictures), to_bytes(wanted), peak)


def psnr_luma(pictures: Tensor, wanted: Tensor, border: int = 0) -> Tensor:
    """The same of their luma, without `border` pixels on each side, as the literature of super-resolution reports it.

    The peak is 255 although luma ends at 235. By custom the border is as wide as pictures were enlarged.

    Args:
        pictures: (N, 1 | 2 | 3 | 4, H, W) in [-1, 1].
        wanted: the same shape.
        border: pixels left out.

    Raises:
        CardiganError: as of `psnr`, or the border leaves nothing.
    """
    check_pair(pictures, wanted)
    height, width = pictures.shape[2:]
    if not 0 <= 2 * border < min(height, width):
        raise CardiganError(f"a border of {border} pixels around pictures of {height}x{width} leaves nothing")
    inside = (..., slice(border, height - border), slice(border, width - border))
    return _decibels(luma(pictures)[inside], luma(wanted)[inside], WHITE)


def psnr_hole(pictures: Tensor, wanted: Tensor, hole: Tensor) -> Tensor:
    """The same as `psnr` over the pixels of the hole alone; without any, 20 log10(255).

    Args:
        pictures: (N, C, H, W) in [-1, 1].
        wanted: the same shape.
        hole: (N, 1, H, W) bool.

    Raises:
        CardiganError: as of `psnr`.
    """
    check_pair(pictures, wanted)
    error = (to_bytes(pictures).double() - to_bytes(wanted).double()).square() * hole
    counted = hole.flatten(1).sum(1).clamp(min=1) * pictures.shape[1]
    return 10 * (WHITE**2 / (error.flatten(1).sum(1) / counted).clamp_min(LEAST)).log10()


def luma(pictures: Tensor) -> Tensor:
    """Y = 16 + 65.481 R + 128.553 G + 24.966 B of ITU-R BT.601, R, G, B in 0..1, not rounded -> (N, 1, H, W), 16..235.

    Args:
        pictures: (N, 1 | 2 | 3 | 4, H, W) in [-1, 1], rounded to 8 bits first; grey is R = G = B, alpha lies on white.

    Returns:
        float64.

    Raises:
        CardiganError: another number of channels.
    """
    colours = to_rgb(to_bytes(pictures.detach())).double() / WHITE
    factors = torch.tensor([65.481, 128.553, 24.966], dtype=torch.float64, device=colours.device)
    return 16 + (colours * factors.view(3, 1, 1)).sum(1, keepdim=True)


def check_pair(pictures: Tensor, wanted: Tensor) -> None:
    """Refuse what are not two batches of pictures of one shape.

    Raises:
        CardiganError: they are not.
    """
    if pictures.dim() != 4 or pictures.shape != wanted.shape:
        raise CardiganError(
            f"pictures of {tuple(pictures.shape)} against {tuple(wanted.shape)}; allowed: (N, C, H, W), twice the same"
        )
    checked(pictures, "pictures")
    checked(wanted, "wanted pictures")


def _decibels(one: Tensor, other: Tensor, peak: float) -> Tensor:
    error = (one.detach().double() - other.detach().double()).square().flatten(1).mean(1)
    return 10 * (peak**2 / error.clamp_min(LEAST)).log10()
