"""Convolutions to as few channels as a picture has.

Kernels work on sixteen channels at once and do most of their work for nothing here. On a CPU one product gives all that
each place adds to its surroundings, and these pieces are laid over each other: the same numbers, up to three times as
fast, forward and backward. With channels last, and where more channels come out than is said below, torch's own way is
the faster one (docs/log.md).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def doubled(x: Tensor, kernel: Tensor, bias: Tensor | None) -> Tensor:
    """The transposed convolution of stride 2 and padding 1: (N, I, H, W) by a kernel (I, O, 4, 4) -> (N, O, 2H, 2W)."""
    if _pays(x) and kernel.shape[1] <= 3:
        return _laid(x, kernel, bias, stride=2)
    return F.conv_transpose2d(x, kernel, bias, stride=2, padding=1)


class TransposedConvolution(nn.ConvTranspose2d):
    """A 4x4 transposed convolution of stride 2, which doubles the size.

    Args:
        inputs: I channels.
        outputs: O channels.
        bias: whether there is one.
    """

    def __init__(self, inputs: int, outputs: int, bias: bool = True) -> None:
        super().__init__(inputs, outputs, 4, stride=2, padding=1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        """(N, I, H, W) -> (N, O, 2H, 2W)."""
        return doubled(x, self.weight, self.bias)


class ToPixels(nn.Conv2d):
    """A 3x3 convolution, the last one before pixels.

    Args:
        inputs: I channels.
        outputs: O channels, those of a picture.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, I, H, W) -> (N, O, H, W)."""
        if _pays(x) and self.out_channels == 1:
            # What a place gets from its surroundings, it gives to them by the kernel turned round.
            return _laid(x, self.weight.flip(2, 3).transpose(0, 1), self.bias, stride=1)
        return super().forward(x)


def _pays(x: Tensor) -> bool:
    return x.device.type == "cpu" and x.is_contiguous()


def _laid(x: Tensor, kernel: Tensor, bias: Tensor | None, stride: int) -> Tensor:
    """(N, I, H, W) and what each place adds around itself, (I, O, K, K) -> (N, O, H * stride, W * stride)."""
    pieces = torch.bmm(kernel.flatten(1).t().expand(len(x), -1, -1), x.flatten(2))
    size = (stride * x.shape[2], stride * x.shape[3])
    laid = F.fold(pieces, size, kernel.shape[-1], stride=stride, padding=1)
    return laid if bias is None else laid + bias.to(laid)[:, None, None]
