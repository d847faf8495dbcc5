"""Plain convolutions at the source's size: the compact networks of Real-ESRGAN (Wang et al., 2021)."""

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from cardigan.networks.base import Depth, Translator, TranslatorFamily, Units
from cardigan.networks.layers.initialisation import init_scaled
from cardigan.networks.layers.precision import full
from cardigan.networks.layers.recomputation import recomputable
from cardigan.networks.layers.sources import check_added, scale_of, source_shape
from cardigan.sample import Form

SCALES = (1, 2, 3, 4, 8)
SLOPE = 0.25
"""Of every rectifier below zero, before it is learned."""


class Compact(TranslatorFamily):
    """3x3 convolutions with learned rectifiers; pixels are rearranged into the correction of an enlarged source.

    The compact networks that the authors of Real-ESRGAN (arXiv:2107.10833) published beside the large one.

    For samples 1 (denoising), 2, 3, 4 or 8 times as large as their source. Initial weights are He's normal ones, so
    that signals come through without normalisation; a hundredth of them at the end: training starts at the enlarged
    source.
    """

    family: Literal["compact"] = "compact"
    width: Units = 64
    """Channels of every layer."""
    depth: Depth = 16
    """Layers between the first and the last; the authors have 16 and 32."""
    base: Literal["nearest", "bicubic"] = "nearest"
    """How the source is enlarged that the correction is added to."""

    def build(self, form: Form) -> "CompactTranslator":
        """A translator to pictures of the same size, or 2, 3, 4 or 8 times as large.

        Raises:
            CardiganError: sources and samples of other sizes; sources with fewer channels than samples.
        """
        scale = scale_of(form, self.family, SCALES)
        check_added(form, "game.generator.family", self.family, "unet, resnet-translator, rrdb")
        return CompactTranslator(form, scale, self)


class CompactTranslator(Translator):
    """Sources (N, C', H, W) -> pictures (N, C, H * scale, W * scale), which nothing keeps within [-1, 1].

    Args:
        form: of samples and sources.
        scale: 1, 2, 3, 4 or 8.
        settings: the fields.
    """

    def __init__(self, form: Form, scale: int, settings: Compact) -> None:
        super().__init__()
        self.scale, self.channels, self.base = scale, form.shape[0], settings.base
        # One pixel per convolution, which is more than the two that "bicubic" looks beyond.
        self.margin = settings.depth + 2
        inputs = [source_shape(form, settings.family)[0], *[settings.width] * settings.depth]
        self.layers = nn.ModuleList(nn.Conv2d(each, settings.width, 3, padding=1) for each in inputs)
        self.rectifiers = nn.ModuleList(nn.PReLU(settings.width, SLOPE) for _ in inputs)
        self.end = nn.Conv2d(settings.width, self.channels * scale**2, 3, padding=1)
        init_scaled(self.layers, 1.0, SLOPE)
        init_scaled(self.end, 0.01, SLOPE)

    def forward(self, source: Tensor) -> Tensor:
        """Sources (N, C', H, W) -> pictures (N, C, H * scale, W * scale)."""
        x = source
        for layer, rectify in zip(self.layers, self.rectifiers, strict=True):
            x = self._rectified(layer, rectify, x)
        return self._enlarged(full(source[:, : self.channels])) + F.pixel_shuffle(full(self.end(x)), self.scale)

    @recomputable
    def _rectified(self, layer: nn.Module, rectify: nn.Module, x: Tensor) -> Tensor:
        rectified: Tensor = rectify(layer(x))
        return rectified

    def _enlarged(self, x: Tensor) -> Tensor:
        return x if self.scale == 1 else F.interpolate(x, scale_factor=self.scale, mode=self.base)
