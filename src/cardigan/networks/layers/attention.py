"""Self-attention over the pixels of a picture."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cardigan.networks.layers.recomputation import recomputable


class SelfAttention(nn.Module):
    """x + gain * attention(x), every pixel attending to all (SAGAN: Zhang et al., 2019, arXiv:1805.08318).

    Keys and values are pooled 2x2 as in the authors' code. The gain starts at 0: the network first learns without.
    Written out with matmul and softmax, because the fused kernel has no second derivative, which gradient penalties
    need.

    Args:
        channels: C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        narrow, middle = max(channels // 8, 1), max(channels // 2, 1)
        self.query = nn.Conv2d(channels, narrow, 1, bias=False)
        self.key = nn.Conv2d(channels, narrow, 1, bias=False)
        self.value = nn.Conv2d(channels, middle, 1, bias=False)
        self.out = nn.Conv2d(middle, channels, 1, bias=False)
        self.gain = nn.Parameter(torch.zeros(()))

    @recomputable
    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        query = self.query(x).flatten(2)
        key = self._pool(self.key(x)).flatten(2)
        value = self._pool(self.value(x)).flatten(2)
        weights = torch.softmax(query.transpose(1, 2) @ key, dim=2)
        attended = (value @ weights.to(value.dtype).transpose(1, 2)).unflatten(2, x.shape[2:])
        return x + self.gain.to(x.dtype) * self.out(attended)

    @staticmethod
    def _pool(x: Tensor) -> Tensor:
        return F.max_pool2d(x, 2, ceil_mode=True)
