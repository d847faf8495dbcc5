"""A discriminator of pixels: the U-Net of Real-ESRGAN (Wang et al., 2021, arXiv:2107.10833)."""

from itertools import pairwise
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from cardigan.networks.base import Discriminator, DiscriminatorFamily, Judgement, Units
from cardigan.networks.layers.pictures import channels
from cardigan.networks.layers.precision import full, no_autocast
from cardigan.networks.layers.recomputation import recomputable
from cardigan.networks.layers.sources import beside, cropped, judged_channels, padded
from cardigan.networks.layers.spectral import normalise_spectrally
from cardigan.sample import Form

DEPTH = 3
SLOPE = 0.2
"""Of every rectifier below zero."""


class UNetDiscriminator(DiscriminatorFamily):
    """Three halvings, three doublings with what was seen on the way in added, and a logit for every pixel.

    The authors' network: all convolutions but the first and the last are spectrally normalised, and have no bias.
    Initial weights are torch's default.
    """

    family: Literal["unet-discriminator"] = "unet-discriminator"
    width: Units = 64
    """Channels at the full size: doubled at each of the three smaller ones."""

    def build(self, form: Form, conditional: bool) -> "PixelDiscriminator":
        """A discriminator of pictures, beside their sources if `conditional`.

        Raises:
            CardiganError: samples or sources that are no pictures.
        """
        return PixelDiscriminator(judged_channels(form, self.family, conditional), conditional, self.width)


class PixelDiscriminator(Discriminator):
    """Pictures (N, C, H, W) -> logits (N, H, W); features: what every convolution but the last makes.

    Sides that are no multiples of 8 are lengthened by repeating their last pixels, and the logits are cropped.

    Args:
        inputs: channels of samples, and of their sources where they are seen beside them.
        conditional: whether they are.
        width: channels at the full size.
    """

    def __init__(self, inputs: int, conditional: bool, width: int) -> None:
        super().__init__()
        self.conditional = conditional
        levels = channels(width, DEPTH + 1)
        self.start = nn.Conv2d(inputs, width, 3, padding=1)
        self.inward = nn.ModuleList(nn.Conv2d(*pair, 4, stride=2, padding=1, bias=False) for pair in pairwise(levels))
        self.outward = nn.ModuleList(nn.Conv2d(*pair, 3, padding=1, bias=False) for pair in pairwise(levels[::-1]))
        self.refine = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1, bias=False) for _ in range(2))
        self.end = nn.Conv2d(width, 1, 3, padding=1)
        for layers in (self.inward, self.outward, self.refine):
            normalise_spectrally(layers)

    def forward(self, sample: Tensor, condition: Tensor | None = None, features: bool = False) -> Judgement:
        """Pictures (N, C, H, W) and their sources (N, C', h, w) -> one tensor of logits (N, H, W)."""
        x = beside(sample, condition) if self.conditional else sample
        seen = [F.leaky_relu(self.start(padded(x, 2**DEPTH)), SLOPE)]
        for layer in self.inward:
            seen.append(self._rectified(layer, seen[-1]))
        for layer, beside_it in zip(self.outward, seen[-2::-1], strict=True):
            seen.append(self._doubled(layer, seen[-1]) + beside_it)
        for layer in self.refine:
            seen.append(self._rectified(layer, seen[-1]))
        last = full(seen[-1])
        with no_autocast(last):
            logits = cropped(self.end(last), sample).squeeze(1)
        return Judgement((logits,), features=tuple(seen) if features else ())

    @recomputable
    def _rectified(self, layer: nn.Module, x: Tensor) -> Tensor:
        return F.leaky_relu(layer(x), SLOPE)

    @recomputable
    def _doubled(self, layer: nn.Module, x: Tensor) -> Tensor:
        return F.leaky_relu(layer(F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)), SLOPE)
