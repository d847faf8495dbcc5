"""Photographs as they come from cameras and through the net: blurred, resized, noisy and compressed, twice over.

The second-order degradation of Wang et al. 2021, "Real-ESRGAN: training real-world blind super-resolution with pure
synthetic data" (arXiv:2107.10833), with the ranges of its x4 model. Unlike there, every picture of a batch is spoiled
in its own way, and JPEG is Pillow's.
"""

from collections.abc import Mapping, Sequence
from math import ceil, log2, pi
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from cardigan.data.degradations.base import Degradation, Restorer, Shape
from cardigan.data.degradations.blur import Kernels, Sides, blurred, odd, sinc
from cardigan.data.degradations.downscale import reduced
from cardigan.data.degradations.eightbit import colours_alone, on_grid, weighted
from cardigan.data.degradations.jpeg import compressed
from cardigan.data.degradations.ranges import Probability, Range, WholeRange, below, choose, coin, uniform, within
from cardigan.data.degradations.restoring import enlargers
from cardigan.settings import Settings

_FILTERS = ("area", "bilinear", "bicubic")


class Scales(Settings):
    """How a picture is resized at random."""

    up: Probability = 0.2
    """Weight of making it larger."""
    down: Probability = 0.7
    """Weight of making it smaller."""
    keep: Probability = 0.1
    """Weight of leaving its size."""
    factor: Annotated[Range, within(0.05, 4)] = Range(low=0.15, high=1.5)
    """By what its sides are multiplied: from low to 1 when it gets smaller, from 1 to high when larger."""

    def draw(self, random: torch.Generator) -> float:
        """A factor for both sides."""
        match choose(random, [self.up, self.down, self.keep]):
            case 0:
                return uniform(random, 1, max(1, self.factor.high))
            case 1:
                return uniform(random, min(1, self.factor.low), 1)
        return 1.0


class Pass(Settings):
    """What happens to a picture on its first way: blur, resizing, noise, JPEG."""

    blur: Probability = 1.0
    """Probability that it is blurred at all."""
    sinc: Probability = 0.1
    """Probability that the blur is a sinc filter, which rings at edges, rather than one of the kernels."""
    kernels: Kernels = Kernels()
    """The blur's kernels; their size is the sinc filter's too."""
    scales: Scales = Scales()
    """How it is resized, by a filter that is drawn too: area, bilinear or bicubic, not smoothed when it shrinks."""
    gaussian: Probability = 0.5
    """Probability that the noise is Gaussian rather than of few photons."""
    deviation: Annotated[Range, within(0, 255)] = Range(low=1, high=30)
    """Standard deviation of Gaussian noise, in grey levels, 0 to 255."""
    photons: Annotated[Range, within(0, 20)] = Range(low=0.05, high=3)
    """Strength of the other noise, 1: as many photons at white as the picture has grey levels, rounded up to a power
    of 2."""
    grey: Probability = 0.4
    """Probability that noise is the same in all channels."""
    quality: Annotated[WholeRange, within(1, 100)] = WholeRange(low=30, high=95)
    """libjpeg's quality, 1 (worst) to 100."""


class SecondPass(Pass):
    """What happens to a picture on its second way: the same, more gently."""

    blur: Probability = 0.8
    """Probability that it is blurred at all."""
    kernels: Kernels = Kernels(deviation=Range(low=0.2, high=1.5))
    """The blur's kernels; their size is the sinc filter's too."""
    scales: Scales = Scales(up=0.3, down=0.4, keep=0.3, factor=Range(low=0.3, high=1.2))
    """How it is resized, against the size of the result; by a filter that is drawn too."""
    deviation: Annotated[Range, within(0, 255)] = Range(low=1, high=25)
    """Standard deviation of Gaussian noise, in grey levels, 0 to 255."""
    photons: Annotated[Range, within(0, 20)] = Range(low=0.05, high=2.5)
    """Strength of the other noise, 1: as many photons at white as the picture has grey levels, rounded up to a power
    of 2."""


class RealWorld(Degradation):
    """Two passes, a last sinc filter, and the size of the result; noise and JPEG leave alpha alone."""

    kind: Literal["real-world"] = "real-world"
    """This kind of degradation."""
    factor: Literal[1, 2, 4] = 4
    """Sides of the clean picture over those of the spoiled one."""
    first: Pass = Pass()
    """What happens first."""
    second: SecondPass = SecondPass()
    """What happens then."""
    final_sinc: Probability = 0.8
    """Probability of a sinc filter at the end; its cutoff is drawn from pi / 3 to pi."""
    final_size: Sides = WholeRange(low=7, high=21)
    """Side of that filter in pixels; odd numbers are drawn."""

    def shape(self, shape: Shape) -> Shape:
        """See `Degradation.shape`."""
        return reduced(shape, self.factor, self.kind)

    def apply(self, pictures: Tensor, randoms: Sequence[torch.Generator]) -> Tensor:
        """See `Degradation.apply`; 1, 3 or 4 channels."""
        _, height, width = self.shape((pictures.shape[1], pictures.shape[2], pictures.shape[3]))
        spoiled = [
            self._one(picture, (height, width), random) for picture, random in zip(pictures, randoms, strict=True)
        ]
        return on_grid(torch.stack(spoiled))

    def restorers(self) -> Mapping[str, Restorer]:
        """Enlarged by Pillow; nothing is done about noise and blur."""
        return enlargers(self.factor)

    def _one(self, picture: Tensor, size: tuple[int, int], random: torch.Generator) -> Tensor:
        picture = _blurred(picture, self.first, random)
        picture = _rescaled(picture, (picture.shape[1], picture.shape[2]), self.first.scales, random)
        picture = _compressed(_noisy(picture, self.first, random), self.first, random)
        picture = _blurred(picture, self.second, random)
        picture = _rescaled(picture, size, self.second.scales, random)
        picture = _noisy(picture, self.second, random)
        # Resizing and the sinc filter stay together: the authors found that other orders twist lines.
        if coin(random, 0.5):
            return _compressed(self._finished(picture, size, random), self.second, random)
        return self._finished(_compressed(picture, self.second, random), size, random)

    def _finished(self, picture: Tensor, size: tuple[int, int], random: torch.Generator) -> Tensor:
        picture = interpolated(picture, size, _FILTERS[below(random, 3)])
        if coin(random, self.final_sinc):
            picture = blurred(picture, sinc(odd(self.final_size, random), uniform(random, pi / 3, pi)))
        return picture


def _blurred(picture: Tensor, settings: Pass, random: torch.Generator) -> Tensor:
    if not coin(random, settings.blur):
        return picture
    if not coin(random, settings.sinc):
        return blurred(picture, settings.kernels.kernel(random))
    side = odd(settings.kernels.size, random)
    # A small kernel cannot hold the long waves of a low cutoff.
    return blurred(picture, sinc(side, uniform(random, pi / 3 if side < 13 else pi / 5, pi)))


def _rescaled(picture: Tensor, size: tuple[int, int], scales: Scales, random: torch.Generator) -> Tensor:
    """`size` times a factor that is drawn."""
    factor = scales.draw(random)
    height, width = (max(1, int(side * factor)) for side in size)
    return interpolated(picture, (height, width), _FILTERS[below(random, 3)])


def interpolated(picture: Tensor, size: tuple[int, int], filtered: str) -> Tensor:
    """(C, H, W) -> (C, *size) by torch's area, bilinear or bicubic filter, which alias when a picture shrinks."""
    if tuple(picture.shape[1:]) == size:
        return picture
    corners = None if filtered == "area" else False
    return weighted(picture, lambda values: F.interpolate(values[None], size, mode=filtered, align_corners=corners)[0])


def _noisy(picture: Tensor, settings: Pass, random: torch.Generator) -> Tensor:
    def noisy(colours: Tensor) -> Tensor:
        gaussian, grey = coin(random, settings.gaussian), coin(random, settings.grey)
        shown = _luma(colours) if grey else colours
        if gaussian:
            noise = settings.deviation.draw(random) / 127.5 * torch.randn(shown.shape, generator=random)
        else:
            noise = settings.photons.draw(random) * photon_noise(shown, random)
        return (colours + noise).clamp(-1, 1)

    return colours_alone(picture, noisy)


def _luma(colours: Tensor) -> Tensor:
    """(1 | 3, H, W) -> (1, H, W), not rounded."""
    weights = [0.299, 0.587, 0.114] if len(colours) == 3 else [1.0]
    return (colours * torch.tensor(weights).view(-1, 1, 1)).sum(0, keepdim=True)


def photon_noise(colours: Tensor, random: torch.Generator) -> Tensor:
    """(C, H, W) in [-1, 1] -> noise of that shape: of as many photons at white as there are grey levels in use.

    Rounded up to a power of 2, as the paper's code has it after scikit-image.
    """
    levels = ((colours + 1) * 127.5).round().clamp(0, 255)
    photons = 2 ** ceil(log2(int(levels.to(torch.uint8).unique().numel())))
    share = levels / 255
    return 2 * (torch.poisson(share * photons, generator=random) / photons - share)


def _compressed(picture: Tensor, settings: Pass, random: torch.Generator) -> Tensor:
    return compressed(picture[None], [settings.quality.draw(random)])[0]
