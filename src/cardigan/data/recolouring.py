"""Colour transfer without training: the baseline that a network for style must beat."""

import torch
from torch import Tensor

from cardigan.data.degradations.base import Restorer

# Reinhard et al. 2001, equations 4 to 6: RGB -> cone responses, whose logarithms are rotated to uncorrelated axes.
_TO_CONES = ((0.3811, 0.5783, 0.0402), (0.1967, 0.7244, 0.0782), (0.0241, 0.1288, 0.8444))
_TO_AXES = ((1.0, 1.0, 1.0), (1.0, 1.0, -2.0), (1.0, -1.0, 0.0))
_SCALE = (3**-0.5, 6**-0.5, 2**-0.5)
_DARKEST = 1 / 255
"""Of a cone response: its logarithm must be finite."""


def palette(pictures: Tensor) -> Tensor:
    """(N, 3, H, W) in [-1, 1] -> (2, 3): mean and deviation of lightness and the two colour axes over all pixels."""
    values = _to_axes(pictures).transpose(0, 1).flatten(1)
    return torch.stack([values.mean(1), values.std(1)])


def reinhard(wanted: Tensor) -> Restorer:
    """Pictures given the mean and the deviation that `wanted` (2, 3) says, each axis by itself.

    Reinhard et al. 2001, "Color transfer between images", equations 10 and 11.
    """

    def transfer(pictures: Tensor) -> Tensor:
        values = _to_axes(pictures)
        mean, deviation = values.mean((2, 3), keepdim=True), values.std((2, 3), keepdim=True)
        moved = (values - mean) / deviation.clamp(min=1e-4) * wanted[1, :, None, None] + wanted[0, :, None, None]
        return _from_axes(moved)

    return transfer


def _to_axes(pictures: Tensor) -> Tensor:
    cones = _mixed(torch.tensor(_TO_CONES), (pictures.float() + 1) / 2).clamp(min=_DARKEST).log10()
    return _mixed(torch.tensor(_TO_AXES), cones) * torch.tensor(_SCALE)[:, None, None]


def _from_axes(values: Tensor) -> Tensor:
    back = torch.linalg.inv(torch.tensor(_TO_AXES))
    cones = 10 ** _mixed(back, values / torch.tensor(_SCALE)[:, None, None])
    return (_mixed(torch.linalg.inv(torch.tensor(_TO_CONES)), cones) * 2 - 1).clamp(-1, 1)


def _mixed(matrix: Tensor, pictures: Tensor) -> Tensor:
    return torch.einsum("ij,njhw->nihw", matrix, pictures)
