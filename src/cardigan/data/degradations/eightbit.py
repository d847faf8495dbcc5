"""Pictures in [-1, 1] on the 8-bit grid that files have, through Pillow and back, and alpha set apart."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from cardigan.resizing import to_bytes

if TYPE_CHECKING:
    from PIL.Image import Image


def from_bytes(values: Tensor) -> Tensor:
    """Whole numbers 0..255 as float32 -> [-1, 1], to the bit as a data set gives them out."""
    return values.div(127.5).sub_(1)


def on_grid(pictures: Tensor) -> Tensor:
    """(N, C, H, W) as files hold them: values cut to [-1, 1] and rounded to 8 bits; what is on the grid stays."""
    return from_bytes(to_bytes(pictures))


def by_pillow(pictures: Tensor, change: Callable[["Image", int], "Image"]) -> Tensor:
    """(N, C, H, W) in [-1, 1], C from 1 to 4 -> (N, C, h, w) on the 8-bit grid: each picture changed by Pillow.

    Args:
        change: image of mode L, LA, RGB or RGBA and its number in the batch -> image of the same mode.
    """
    from PIL import Image

    pixels = to_bytes(pictures.detach()).to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    pixels = pixels[..., 0] if pixels.shape[3] == 1 else pixels
    changed = np.stack([np.asarray(change(Image.fromarray(each), index)) for index, each in enumerate(pixels)])
    changed = changed[..., None] if changed.ndim == 3 else changed
    return from_bytes(torch.from_numpy(changed).permute(0, 3, 1, 2).contiguous().float()).to(pictures.device)


def colours_of(shape: tuple[int, ...]) -> int:
    """How many channels of a picture (C, ...) are colours: all, or all but the last of 2 or 4, which is alpha."""
    return shape[0] - (shape[0] in (2, 4))


def colours_alone(picture: Tensor, step: Callable[[Tensor], Tensor]) -> Tensor:
    """`step` applied to the colours of one picture (C, H, W); alpha, where there is one, stays."""
    colours = colours_of(picture.shape)
    return torch.cat([step(picture[:colours]), picture[colours:]])


def weighted(picture: Tensor, step: Callable[[Tensor], Tensor]) -> Tensor:
    """`step`, linear, applied to one picture (C, H, W) in [-1, 1], colours weighted by alpha where there is one.

    Unweighted, a filter would draw the colours that nobody sees into those next to them.
    """
    colours = colours_of(picture.shape)
    if colours == len(picture):
        return step(picture)
    opacity = (picture[colours:] + 1) / 2
    mixed = step(torch.cat([(picture[:colours] + 1) * opacity, opacity]))
    opacity = mixed[colours:].clamp(0, 1)
    seen = (mixed[:colours] / opacity.clamp(min=1e-3)).clamp(0, 2)
    return torch.cat([seen, 2 * opacity]) - 1
