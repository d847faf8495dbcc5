"""Convolutions joined with doubling or halving the size, at 2.25 times fewer operations than one after the other."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cardigan.networks.layers.pixels import doubled
from cardigan.networks.layers.precision import no_autocast

# Along one axis, with w the three weights of the 3x3 kernel:
# copying every pixel twice, then convolving, gives even pixels w0 x[i-1] + (w1+w2) x[i] and odd ones
# (w0+w1) x[i] + w2 x[i+1]: a transposed convolution of stride 2 with (w2, w1+w2, w0+w1, w0).
UP = ((0, 0, 1), (0, 1, 1), (1, 1, 0), (1, 0, 0))
# Convolving, then averaging neighbours, is a convolution of stride 2 with (w0, w0+w1, w1+w2, w2) / 2.
DOWN = ((0.5, 0, 0), (0.5, 0.5, 0), (0, 0.5, 0.5), (0, 0, 0.5))


class _Resampling(nn.Conv2d):
    """A 3x3 convolution whose weights are blended into a 4x4 kernel of stride 2."""

    blend: Tensor

    def __init__(self, inputs: int, outputs: int, bias: bool, axis: tuple[tuple[float, ...], ...]) -> None:
        super().__init__(inputs, outputs, 3, padding=1, bias=bias)
        along = torch.tensor(axis, dtype=torch.get_default_dtype())
        self.register_buffer("blend", torch.kron(along, along).T.contiguous(), persistent=False)

    def kernel(self) -> Tensor:
        """(O, I, 4, 4)."""
        with no_autocast(self.blend):
            return (self.weight.flatten(2) @ self.blend).unflatten(2, (4, 4))


class UpConvolution(_Resampling):
    """Nearest-neighbour doubling followed by a 3x3 convolution (Odena et al., 2016), computed as one.

    Args:
        inputs: I channels.
        outputs: O channels.
        bias: whether there is one.
    """

    def __init__(self, inputs: int, outputs: int, bias: bool = True) -> None:
        super().__init__(inputs, outputs, bias, UP)

    def forward(self, x: Tensor) -> Tensor:
        """(N, I, H, W) -> (N, O, 2H, 2W)."""
        return doubled(x, self.kernel().transpose(0, 1), self.bias)


class DownConvolution(_Resampling):
    """A 3x3 convolution followed by 2x2 mean pooling, computed as one; the odd last row or column is dropped.

    Args:
        inputs: I channels.
        outputs: O channels.
        bias: whether there is one.
    """

    def __init__(self, inputs: int, outputs: int, bias: bool = True) -> None:
        super().__init__(inputs, outputs, bias, DOWN)

    def forward(self, x: Tensor) -> Tensor:
        """(N, I, H, W) -> (N, O, H // 2, W // 2)."""
        return F.conv2d(x, self.kernel(), self.bias, stride=2, padding=1)
