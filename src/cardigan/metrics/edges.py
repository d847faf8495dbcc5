"""Edges of pictures: how much there is of them, and whether two pictures have them at the same places.

Of an unpaired translation there is no picture to compare with: what should stay, the content, is where its edges are;
what should change, the style, is mostly in its colours.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from cardigan.errors import CardiganError
from cardigan.metrics.features import checked
from cardigan.metrics.psnr import check_pair, luma
from cardigan.metrics.ssim import WINDOW, similarity

STEEPEST = 219 / 2
"""Sobel's answer to the edge between black and white, in grey levels a pixel: luma has 219 of them."""


def edge_energy(pictures: Tensor) -> Tensor:
    """Mean over pixels of how steep luma is, in grey levels a pixel -> (N,) float64; the outermost pixels are left out.

    Args:
        pictures: (N, 1 | 2 | 3 | 4, H, W) in [-1, 1].

    Raises:
        CardiganError: no pictures, numbers that are not finite, or a side of less than 3 pixels.
    """
    return edges(pictures).flatten(1).mean(1)


def edge_similarity(pictures: Tensor, others: Tensor) -> Tensor:
    """The structural similarity (`ssim.similarity`) of two pictures' edges -> (N,) float64; 1: they are equal.

    Args:
        pictures: (N, 1 | 2 | 3 | 4, H, W) in [-1, 1].
        others: the same shape.

    Raises:
        CardiganError: no pictures, different shapes, numbers that are not finite, or a side of less than 13 pixels.
    """
    check_pair(pictures, others)
    height, width = pictures.shape[2:]
    if min(height, width) < WINDOW + 2:
        raise CardiganError(f"pictures of {height}x{width}; edges are compared from {WINDOW + 2}x{WINDOW + 2} on")
    return similarity(edges(pictures), edges(others), STEEPEST)


def edges(pictures: Tensor) -> Tensor:
    """The length of luma's gradient by Sobel's operator, in grey levels a pixel -> (N, 1, H - 2, W - 2) float64.

    Sobel & Feldman 1968: differences over two pixels, averaged over three lines with weights 1, 2, 1.

    Raises:
        CardiganError: as of `edge_energy`.
    """
    if pictures.dim() != 4 or min(pictures.shape[2:]) < 3:
        raise CardiganError(f"edges of {tuple(pictures.shape)}; allowed: pictures (N, C, H, W) of at least 3x3 pixels")
    checked(pictures, "pictures")
    values = luma(pictures)
    across = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]], dtype=torch.float64, device=values.device) / 8
    gradient = F.conv2d(values, torch.stack([across, across.T])[:, None])
    return torch.linalg.vector_norm(gradient, dim=1, keepdim=True)
