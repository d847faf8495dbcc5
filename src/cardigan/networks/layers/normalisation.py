"""Normalisation of activations, class-conditional where labels are given."""

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cardigan.distributed import global_mean, world_size

Kind = Literal["none", "batch", "layer"]
MapKind = Literal["none", "instance", "batch", "layer"]
"""Kinds for networks that normalise nothing but maps of pixels."""


MOMENTUM, EPSILON = 0.1, 1e-5
"""Of batch normalisation: share of the newest batch in its running statistics; what is added to its variances."""


class BatchNorm(nn.Module):
    """Batch normalisation (Ioffe & Szegedy, 2015) of (N, C) or (N, C, H, W).

    The one batch normalisation of the package: its statistics are those of the batch over all processes, twice
    differentiable too; torch's SyncBatchNorm knows GPUs only, and no second derivative. A lone value per channel has no
    variance, where torch refuses; it is normalised by the running statistics instead, so that a batch of one trains.

    Args:
        channels: C.
        affine: whether gain and bias are learned here.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, affine: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels)) if affine else None
        self.bias = nn.Parameter(torch.zeros(channels)) if affine else None
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, ...) -> (N, C, ...); updates the running statistics, momentum 0.1, while training."""
        if self.training and world_size() > 1:
            return self._over_all_processes(x)
        own = self.training and x.numel() > x.shape[1]
        if own and torch.compiler.is_compiling():
            return self._statistics_apart(x)
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, own, MOMENTUM, EPSILON)

    def _statistics_apart(self, x: Tensor) -> Tensor:
        """The same, where what is normalised has nothing to do with the running statistics: a compiled graph would keep
        them for its backward pass, before which real and fake samples, one after the other, change them."""
        values = x if x.dtype == torch.float64 else x.float()
        variance, mean = torch.var_mean(values.detach(), [0, *range(2, x.dim())], correction=0)
        self._remember(mean, variance, x.numel() // x.shape[1])
        return F.batch_norm(x, None, None, self.weight, self.bias, True, MOMENTUM, EPSILON)

    def _over_all_processes(self, x: Tensor) -> Tensor:
        values = x if x.dtype == torch.float64 else x.float()
        variance, mean = torch.var_mean(values, [0, *range(2, x.dim())], correction=0)
        near = self.running_mean.clone()  # squares are taken from here, where they are small, so that nothing cancels
        own = torch.stack([mean, variance + (mean - near).square()])
        mean, square = global_mean(own[None], 0)
        variance = square - (mean - near).square()
        self._remember(mean, variance, world_size() * x.numel() // x.shape[1])
        scale = (variance + EPSILON).rsqrt() * (1 if self.weight is None else self.weight)
        shape = (-1, *[1] * (x.dim() - 2))
        normalised = (values - mean.view(shape)) * scale.view(shape)
        return (normalised if self.bias is None else normalised + self.bias.view(shape)).to(x.dtype)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor, count: int) -> None:
        """Move the running statistics towards those of `count` values per channel."""
        self.running_mean.lerp_(mean.to(self.running_mean), MOMENTUM)
        self.running_var.lerp_((variance * (count / (count - 1))).to(self.running_var), MOMENTUM)


class InstanceNorm(nn.GroupNorm):
    """Instance normalisation (Ulyanov et al., 2016, arXiv:1607.08022) of (N, C, H, W): over each map by itself.

    A map of one pixel has no variance and would always become 0: it keeps its value.

    Args:
        channels: C.
        affine: whether gain and bias are learned here.
    """

    def __init__(self, channels: int, affine: bool = True) -> None:
        super().__init__(channels, channels, affine=affine)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        if x[0, 0].numel() > 1:
            # A map's pixels lie together then: in channels_last, bf16 takes 15 times as long on a CPU.
            return F.group_norm(x.contiguous(), self.num_groups, self.weight, self.bias, self.eps)
        if self.weight is None or self.bias is None:
            return x
        return x * self.weight.to(x.dtype).view(-1, 1, 1) + self.bias.to(x.dtype).view(-1, 1, 1)


def _layer_norm(channels: int, affine: bool) -> nn.Module:
    # Over channels and pixels together, one gain per channel: what WGAN-GP calls layer normalisation of pictures.
    return nn.GroupNorm(1, channels, affine=affine)


KINDS: dict[MapKind, Callable[[int, bool], nn.Module]] = {
    "none": lambda channels, affine: nn.Identity(),
    "instance": InstanceNorm,
    "batch": BatchNorm,
    "layer": _layer_norm,
}
"""Kind of normalisation -> its constructor, of channels and whether gain and bias are learned within."""


class Normalisation(nn.Module):
    """Normalisation of one `kind`; with classes, gain and bias are those of each sample's class.

    Class-conditional gains and biases: Dumoulin et al., 2017 (arXiv:1610.07629); Miyato & Koyama, 2018
    (arXiv:1802.05637). "none" is the identity, and then knows nothing of labels.

    Args:
        kind: "none", "instance", "batch" or "layer".
        channels: C.
        classes: number of classes; 0: one gain and bias for all samples.
    """

    def __init__(self, kind: MapKind, channels: int, classes: int = 0) -> None:
        super().__init__()
        conditional = classes > 0 and kind != "none"
        self.norm = KINDS[kind](channels, not conditional)
        self.gain = nn.Embedding(classes, channels) if conditional else None
        self.shift = nn.Embedding(classes, channels) if conditional else None
        if self.gain is not None and self.shift is not None:
            nn.init.ones_(self.gain.weight)
            nn.init.zeros_(self.shift.weight)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """(N, C, ...) and, where conditional, (N,) labels -> (N, C, ...)."""
        x = self.norm(x)
        if self.gain is None or self.shift is None:
            return x
        shape = (*x.shape[:2], *[1] * (x.dim() - 2))
        # In the precision of x: a bf16 network must not be widened by its float32 gains.
        return x * self.gain(labels).to(x.dtype).view(shape) + self.shift(labels).to(x.dtype).view(shape)
