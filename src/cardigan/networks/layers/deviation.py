"""Minibatch standard deviation: a view beyond one sample, by which a discriminator notices that fakes are alike."""

import torch
from torch import Tensor, nn

from cardigan.networks.layers.precision import full

EPSILON = 1e-8
"""Keeps the slope of a root finite where all samples are equal."""


class MinibatchDeviation(nn.Module):
    """One more channel: how much the samples of a group differ, in the mean over channels and pixels.

    Karras et al. 2018, "Progressive growing of GANs for improved quality, stability, and variation", section 3; groups
    as in StyleGAN's code, but of neighbours: shares of a batch, on several processes or one after the other, then see
    what the whole batch sees if `group` divides their size. If it does not, groups are as large as does; a sample that
    is alone differs by 0.

    Args:
        group: samples whose deviation is taken together, at most.
    """

    def __init__(self, group: int) -> None:
        super().__init__()
        self.group = group

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, ...) -> (N, C + 1, ...)."""
        size = max(each for each in range(1, self.group + 1) if len(x) % each == 0)
        groups = full(x).unflatten(0, (-1, size))
        deviation = (groups.var(1, correction=0) + EPSILON).sqrt().flatten(1).mean(1)
        if size == 1:
            deviation = torch.zeros_like(deviation)
        channel = deviation.repeat_interleave(size).to(x.dtype)
        return torch.cat([x, channel.view(-1, *[1] * (x.dim() - 1)).expand(-1, 1, *x.shape[2:])], dim=1)

    def extra_repr(self) -> str:
        """The size of a group."""
        return f"group={self.group}"
