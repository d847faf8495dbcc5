"""Spectral normalisation: every layer's largest singular value is kept at 1."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize

from cardigan.networks.layers.precision import no_autocast


class SpectralNorm(nn.Module):
    """weight -> weight / sigma, sigma estimated by power iteration (Miyato et al., 2018, arXiv:1802.05957).

    One iteration at every use while training, none in eval mode. Unlike torch's own, it keeps full precision under
    autocast, where the products of its power iteration would be rounded to bfloat16.

    Args:
        weight: (O, ...), as first seen; a kernel is taken as the matrix (O, rest).
    """

    left: Tensor
    right: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        matrix = weight.detach().flatten(1)
        self.register_buffer("left", F.normalize(torch.randn_like(matrix[:, 0]), dim=0))
        self.register_buffer("right", F.normalize(torch.randn_like(matrix[0]), dim=0))
        for _ in range(15):
            self._iterate(matrix)

    def forward(self, weight: Tensor) -> Tensor:
        """(O, ...) -> (O, ...) of largest singular value about 1."""
        with no_autocast(weight):
            matrix = weight.flatten(1)
            if self.training:
                self._iterate(matrix)
            # Clones: the next use moves the vectors while this one's graph still needs them.
            sigma = self.left.clone() @ (matrix @ self.right.clone())
            return weight / sigma

    @torch.no_grad()
    def _iterate(self, matrix: Tensor) -> None:
        self.left.copy_(F.normalize(matrix @ self.right, dim=0))
        self.right.copy_(F.normalize(matrix.T @ self.left, dim=0))


def normalise_spectrally(network: nn.Module) -> None:
    """Give every linear layer, convolution and embedding of `network` a spectrally normalised weight."""
    for layer in list(network.modules()):
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.Embedding):
            parametrize.register_parametrization(layer, "weight", SpectralNorm(layer.weight))
