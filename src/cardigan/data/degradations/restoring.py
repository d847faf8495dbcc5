"""Classical ways back that need no learning: enlarging, and taking noise away."""

from collections.abc import Callable, Mapping
from functools import partial
from math import pi, sqrt
from typing import TYPE_CHECKING, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from cardigan.data.degradations.base import Restorer
from cardigan.data.degradations.eightbit import by_pillow, colours_of, from_bytes
from cardigan.data.degradations.filtering import smoothed
from cardigan.resizing import pillow_bicubic, to_bytes

if TYPE_CHECKING:
    from PIL.Image import Image

Filter = Literal["nearest", "area", "bilinear", "bicubic", "lanczos"]
UNCHANGED = "unchanged"
"""Name of the way back that does nothing: the first of every degradation that keeps the shape."""


def unchanged(pictures: Tensor) -> Tensor:
    """The pictures as they are."""
    return pictures


def resized(pictures: Tensor, height: int, width: int, filtered: Filter) -> Tensor:
    """(N, C, H, W) in [-1, 1], C from 1 to 4 -> (N, C, height, width) on the 8-bit grid, bit for bit as Pillow.

    Like Pillow, colours are weighted by alpha in pictures of 2 and 4 channels. area: the mean over the pixel's area.
    """
    from PIL.Image import Resampling

    if filtered == "bicubic" and pictures.shape[1] in (1, 3):
        return from_bytes(pillow_bicubic(to_bytes(pictures), height, width))
    chosen = Resampling["BOX" if filtered == "area" else filtered.upper()]

    def change(image: "Image", _: int) -> "Image":
        return image.resize((width, height), chosen)

    return by_pillow(pictures, change)


def enlargers(factor: int) -> dict[str, Restorer]:
    """Ways to make both sides of a picture `factor` times longer; the best known first."""
    if factor == 1:
        return {UNCHANGED: unchanged}

    def enlarged(pictures: Tensor, filtered: Filter) -> Tensor:
        height, width = pictures.shape[2:]
        return resized(pictures, factor * height, factor * width, filtered)

    names: tuple[Filter, ...] = ("bicubic", "lanczos", "nearest")
    return {name: partial(enlarged, filtered=name) for name in names}


def denoisers(fine: bool = True) -> Mapping[str, Restorer]:
    """Ways to take noise out of the colours of pictures; alpha keeps its values.

    Args:
        fine: whether noise changes all pixels a little; non-local means is of use only then.
    """
    ways: dict[str, Callable[[Tensor], Tensor]] = {
        "median 3x3": partial(median, side=3),
        "median 5x5": partial(median, side=5),
        "gaussian 1.0": partial(gaussian_blur, deviation=1.0),
        "gaussian 1.5": partial(gaussian_blur, deviation=1.5),
    }
    if fine:
        ways["non-local means"] = non_local_means
    return {UNCHANGED: unchanged, **{name: partial(_on_colours, step=step) for name, step in ways.items()}}


def _on_colours(pictures: Tensor, step: Callable[[Tensor], Tensor]) -> Tensor:
    colours = colours_of(pictures.shape[1:])
    return torch.cat([step(pictures[:, :colours]), pictures[:, colours:]], dim=1)


def median(pictures: Tensor, side: int) -> Tensor:
    """(N, C, H, W): the median of `side` x `side` pixels, side odd, the outermost repeated beyond the borders."""
    around = _edged(pictures, side // 2).unfold(2, side, 1).unfold(3, side, 1)
    return around.flatten(4).median(-1).values


def gaussian_blur(pictures: Tensor, deviation: float) -> Tensor:
    """(N, C, H, W) under a Gaussian of this standard deviation in pixels."""
    return torch.stack([smoothed(picture, deviation) for picture in pictures])


def unsharp_mask(pictures: Tensor, deviation: float = 1.5, strength: float = 1.0) -> Tensor:
    """(N, C, H, W): what a Gaussian of this deviation (pixels) takes away, added `strength` times."""
    return (pictures + strength * (pictures - gaussian_blur(pictures, deviation))).clamp(-1, 1)


def non_local_means(pictures: Tensor, distance: int = 6, patch: int = 5) -> Tensor:
    """(N, C, H, W): each pixel a mean over those up to `distance` away, by how alike their surroundings are.

    Buades et al. 2005, "A non-local algorithm for image denoising": weights exp(-max(d^2 - 2 s^2, 0) / h^2), d^2 the
    mean squared difference over `patch` x `patch` pixels and all channels, s the noise's own deviation, found by
    `noise_of`, and h = 0.8 s.
    """
    height, width = pictures.shape[2:]
    variance = noise_of(pictures).square().clamp(min=1e-6)[:, None, None, None]
    framed, total, weights = _edged(pictures, distance), torch.zeros_like(pictures), torch.zeros_like(pictures[:, :1])
    for down in range(2 * distance + 1):
        for right in range(2 * distance + 1):
            other = framed[:, :, down : down + height, right : right + width]
            differs = (pictures - other).square().mean(1, keepdim=True)
            differs = F.avg_pool2d(_edged(differs, patch // 2), patch, stride=1)
            weight = torch.exp(-(differs - 2 * variance).relu_() / (0.64 * variance))
            total += weight * other
            weights += weight
    return total / weights


def noise_of(pictures: Tensor) -> Tensor:
    """(N, C, H, W) -> (N,): standard deviation of the noise in each, in the pictures' unit.

    Immerkaer 1996, "Fast noise variance estimation": the mean of what is left by a filter blind to planes and edges.
    """
    row = torch.tensor([1.0, -2.0, 1.0], device=pictures.device)
    left = F.conv2d(_edged(pictures, 1).flatten(0, 1)[:, None], (row[:, None] * row)[None, None])
    return left.view(len(pictures), -1).abs().mean(1) * sqrt(pi / 2) / 6


def _edged(pictures: Tensor, reach: int) -> Tensor:
    return F.pad(pictures, (reach,) * 4, mode="replicate")
