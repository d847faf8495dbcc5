"""Pictures on the 8-bit grid, their channels and sizes, as Pillow and the makers of pretrained networks define them.

Every step is differentiable: rounding passes gradients on unchanged.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
import torch.nn.functional as F
from torch import Tensor

from cardigan.errors import CardiganError

BYTES = "as 8-bit"
"""What `to_bytes` does, in words."""
COLOURS = "grey repeated to RGB, alpha laid on white"
"""What `to_rgb` does, in words."""
WHITE = 255.0
_PRECISION = 2.0**22
"""Pillow's weights are integers in units of 1 / 2^22."""
_EXACT: ContextVar[bool] = ContextVar("nothing is rounded", default=False)


@contextmanager
def unrounded() -> Iterator[None]:
    """Within this context values keep what lies between the numbers of the 8-bit grid: for measures of steps that are
    smaller than those of the grid."""
    token = _EXACT.set(True)
    try:
        yield
    finally:
        _EXACT.reset(token)


def to_bytes(samples: Tensor) -> Tensor:
    """(N, C, H, W) in [-1, 1] -> the 8-bit grid: whole numbers 0..255 as float32, values beyond cut off.

    The bytes of a PNG file of the same sample, so that a generator and a folder of its pictures score alike.
    """
    values = (samples.float().nan_to_num(0.0) + 1) * 127.5
    return _rounded(values, values.round().clamp(0, 255))


def to_rgb(pictures: Tensor) -> Tensor:
    """(N, 1 | 2 | 3 | 4, H, W) on the 8-bit grid -> (N, 3, H, W): grey repeated, alpha laid on white.

    Raises:
        CardiganError: another number of channels.
    """
    _check(pictures)
    if pictures.shape[1] in (2, 4):
        pictures = on_white(pictures)
    return pictures.expand(-1, 3, -1, -1)


def on_white(pictures: Tensor) -> Tensor:
    """(N, C + 1, H, W) on the 8-bit grid, the last channel alpha -> (N, C, H, W) as seen on a white page."""
    colours, alpha = pictures[:, :-1], pictures[:, -1:] / WHITE
    values = colours * alpha + WHITE * (1 - alpha)
    return _rounded(values, values.round())


def match_channels(pictures: Tensor, channels: int) -> Tensor:
    """Pictures on the 8-bit grid as a network of `channels` inputs wants them: 1 grey, 3 RGB, 4 RGB and alpha.

    Raises:
        CardiganError: colours would have to be dropped or alpha made up, or it is no number of channels of a picture.
    """
    _check(pictures)
    if channels == pictures.shape[1]:
        return pictures
    if channels == 3:
        return to_rgb(pictures)
    if channels == 1 and pictures.shape[1] == 2:
        return on_white(pictures)
    raise CardiganError(f"samples have {pictures.shape[1]} channels, but the extractor sees {channels}")


def tensorflow_bilinear(pictures: Tensor, size: int) -> Tensor:
    """(N, C, H, W) -> (N, C, size, size) as TensorFlow 1's `resize_bilinear` with align_corners=False does it.

    Output pixel i lies at i * H / size: corners, not centres, of pixels coincide, and nothing is smoothed when a
    picture shrinks. Known to be wrong (Parmar et al. 2022, "On aliased resizing and surprising subtleties in GAN
    evaluation"), and part of the definition of FID.
    """
    return _between(_between(pictures, size, 3), size, 2)


def _between(pictures: Tensor, size: int, axis: int) -> Tensor:
    last = pictures.shape[axis] - 1
    position = torch.arange(size, device=pictures.device) * torch.tensor(pictures.shape[axis] / size)
    low = position.long().clamp(max=last)
    share = (position - low).view(-1, *[1] * (3 - axis))
    below, above = (pictures.index_select(axis, index) for index in (low, (low + 1).clamp(max=last)))
    return below + (above - below) * share


def antialiased_bilinear(pictures: Tensor, height: int, width: int) -> Tensor:
    """(N, C, H, W) -> (N, C, height, width), smoothed when pictures shrink."""
    if pictures.shape[2:] == (height, width):
        return pictures
    return F.interpolate(pictures, (height, width), mode="bilinear", align_corners=False, antialias=True)


def pillow_bicubic(pictures: Tensor, height: int, width: int) -> Tensor:
    """(N, C, H, W) on the 8-bit grid -> (N, C, height, width) on it, bit for bit as Pillow's BICUBIC.

    Pillow works in fixed point and rounds to bytes between columns and rows. Doubles hold all of it exactly.
    """
    wide = _to_byte(pictures.double() @ _pillow_weights(pictures.shape[3], width).to(pictures.device).T)
    return _to_byte(_pillow_weights(pictures.shape[2], height).to(pictures.device) @ wide).float()


def _to_byte(sums: Tensor) -> Tensor:
    return _rounded(sums / _PRECISION, (sums / _PRECISION + 0.5).floor().clamp(0, 255))


def _pillow_weights(before: int, after: int) -> Tensor:
    """(after, before) float64: weight of each pixel, whole numbers that sum to about 2^22."""
    if before == after:  # Pillow leaves such an axis alone
        return torch.eye(before, dtype=torch.float64) * _PRECISION
    scale = before / after
    reach = max(scale, 1.0)
    centre = (torch.arange(after, dtype=torch.float64)[:, None] + 0.5) * scale
    pixel = torch.arange(before, dtype=torch.float64)[None]
    first, last = (centre - 2 * reach + 0.5).floor(), (centre + 2 * reach + 0.5).floor()
    weights = _cubic((pixel - centre + 0.5) / reach) * ((pixel >= first) & (pixel < last))
    weights = weights / weights.sum(1, keepdim=True) * _PRECISION
    return torch.where(weights < 0, weights - 0.5, weights + 0.5).trunc()


def _cubic(distance: Tensor) -> Tensor:
    """Keys 1981, "Cubic convolution interpolation for digital image processing", a = -1/2."""
    x = distance.abs()
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((x - 5) * x + 8) * x * -0.5 + 2
    return torch.where(x < 1, near, torch.where(x < 2, far, torch.zeros_like(x)))


def _rounded(values: Tensor, whole: Tensor) -> Tensor:
    """`whole`, with the gradient of `values`; within `unrounded` the values as they are, between 0 and 255."""
    if _EXACT.get():
        return values.clamp(0, WHITE)
    return values + (whole - values).detach() if values.requires_grad else whole


def _check(pictures: Tensor) -> None:
    if pictures.ndim != 4 or pictures.shape[1] not in (1, 2, 3, 4):
        raise CardiganError(
            f"samples of shape {tuple(pictures.shape[1:])} are no pictures: this extractor sees (1 to 4, height, width)"
        )
