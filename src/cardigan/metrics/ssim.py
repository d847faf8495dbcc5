"""Structural similarity: do pictures agree in brightness, contrast and structure, window by window?"""

import torch
import torch.nn.functional as F
from torch import Tensor

from cardigan.errors import CardiganError
from cardigan.metrics.psnr import check_pair
from cardigan.resizing import to_bytes

WINDOW = 11
"""Side of the Gaussian window in pixels."""
SIGMA = 1.5
"""Its standard deviation in pixels."""
K1, K2 = 0.01, 0.03
CHUNK = 2**18
"""Numbers filtered at once: what fits a cache is filtered seven times as fast."""


def ssim(pictures: Tensor, wanted: Tensor) -> Tensor:
    """The structural similarity of each picture, mean over windows and channels -> (N,) float64; 1: they are equal.

    Pictures are compared as their files would be, rounded to 8 bits.

    Args:
        pictures: (N, C, H, W) in [-1, 1], any number of channels.
        wanted: the same shape.

    Raises:
        CardiganError: no pictures, different shapes, numbers that are not finite, or sides shorter than the window.
    """
    check_pair(pictures, wanted)
    return similarity(to_bytes(pictures) / 127.5 - 1, to_bytes(wanted) / 127.5 - 1, span=2.0)


def similarity(one: Tensor, other: Tensor, span: float) -> Tensor:
    """(2 m1 m2 + C1)(2 s12 + C2) / ((m1^2 + m2^2 + C1)(s1^2 + s2^2 + C2)) of (N, C, H, W) values, averaged -> (N,).

    Wang et al. 2004, "Image quality assessment: from error visibility to structural similarity", equations 13 to 17:
    m, s^2 and s12 are means, variances and covariance under a Gaussian window, C1 = (0.01 span)^2, C2 = (0.03 span)^2.
    Only windows that lie inside count.

    Args:
        span: from the smallest to the largest value there may be.

    Raises:
        CardiganError: sides shorter than the window.
    """
    height, width = one.shape[2:]
    if min(height, width) < WINDOW:
        raise CardiganError(f"pictures of {height}x{width}; SSIM looks through windows of {WINDOW}x{WINDOW}")
    each = max(1, CHUNK // max(1, one[0].numel()))
    pieces = zip(one.split(each), other.split(each), strict=True)
    return torch.cat([_similarity(mine.double(), theirs.double(), span) for mine, theirs in pieces])


def _similarity(one: Tensor, other: Tensor, span: float) -> Tensor:
    mean_1, mean_2 = _filtered(one), _filtered(other)
    variances = _filtered(one * one + other * other) - mean_1.square() - mean_2.square()
    covariance = _filtered(one * other) - mean_1 * mean_2
    c1, c2 = (K1 * span) ** 2, (K2 * span) ** 2
    brightness = (2 * mean_1 * mean_2 + c1) / (mean_1.square() + mean_2.square() + c1)
    return (brightness * (2 * covariance + c2) / (variances + c2)).flatten(1).mean(1)


def _filtered(values: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, C, H - 10, W - 10): weighted means over windows, along columns, then along rows."""
    offset = torch.arange(WINDOW, dtype=torch.float64, device=values.device) - WINDOW // 2
    window = (-offset.square() / (2 * SIGMA**2)).exp()
    window = window / window.sum()
    flat = values.flatten(0, 1)[:, None]
    flat = F.conv2d(F.conv2d(flat, window.view(1, 1, -1, 1)), window.view(1, 1, 1, -1))
    return flat.view(*values.shape[:2], *flat.shape[2:])
