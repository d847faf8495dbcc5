"""Pictures as a network makes them -> pictures as people use them: PIL images, files, grids."""

from math import ceil, sqrt
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cardigan.data.base import Codec
from cardigan.errors import CardiganError

if TYPE_CHECKING:
    from PIL.Image import Image


class PictureCodec(Codec):
    """Pictures in [-1, 1] as PIL images and PNG files."""

    kind: Literal["pictures"] = "pictures"
    """This kind of codec."""
    channels: Literal[1, 3, 4] = 3
    """1: grey, 3: RGB, 4: RGB and alpha."""
    size: tuple[int, int]
    """Height and width in pixels."""

    @property
    def extension(self) -> str:
        """Pictures and grids of them are PNG."""
        return ".png"

    def decode(self, samples: Tensor) -> list["Image"]:
        """(N, C, H, W) in [-1, 1], values beyond cut off -> N images of mode L, RGB or RGBA."""
        from PIL import Image

        return [Image.fromarray(pixels) for pixels in self._bytes(samples)]

    def rounded(self, samples: Tensor) -> Tensor:
        """(N, C, H, W) on the grid of 8 bits, still in [-1, 1]."""
        return (samples.float().nan_to_num(0.0) + 1).mul(127.5).round().clamp(0, 255).div(127.5).sub(1)

    def write(self, sample: Tensor, path: Path) -> None:
        """Write one sample (C, H, W) in the format that the ending of `path` names; PNG where it has none.

        Raises:
            CardiganError: an ending that names no picture format.
        """
        _save(self.decode(sample[None])[0], path)

    def render(self, samples: Tensor, path: Path) -> None:
        """Write (N, C, H, W) as one picture: a near-square grid, 2 pixels between pictures, small ones magnified.

        An ending of .gif makes an animation instead: the samples one after another, 20 a second, without end.

        Raises:
            CardiganError: an ending that names no picture format.
        """
        from PIL import Image

        if path.suffix.lower() == ".gif":
            first, *others = [Image.fromarray(grid([pixels])) for pixels in self._bytes(samples)]
            first.save(path, save_all=True, append_images=others, duration=50, loop=0)
        else:
            _save(Image.fromarray(grid(self._bytes(samples))), path)

    def _bytes(self, samples: Tensor) -> list[NDArray[np.uint8]]:
        """Each sample as (H, W) or (H, W, C) bytes."""
        if samples.ndim != 4 or samples.shape[1] != self.channels:
            raise ValueError(f"samples of shape {tuple(samples.shape)} are not (N, {self.channels}, H, W)")
        values = samples.detach().float().nan_to_num(0.0)
        pixels = (values + 1).mul_(127.5).round_().clamp_(0, 255).to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
        return list(pixels[..., 0] if self.channels == 1 else pixels)


def _save(image: "Image", path: Path) -> None:
    if path.suffix.lower() in (".jpg", ".jpeg") and image.mode == "RGBA":
        image = image.convert("RGB")
    try:
        image.save(path, format=None if path.suffix else "PNG")
    except ValueError:
        raise CardiganError(
            f"{path}: cannot write a picture of this ending; allowed: .png, .jpg, .webp, .gif"
        ) from None


GAP = 2
"""Pixels between the pictures of a grid."""

PLEASANT = 800
"""Pixels of a grid's longer side, up to which small pictures are magnified."""


def grid(pictures: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Pictures of one shape, (H, W) or (H, W, C), side by side on white, row by row; magnified by a whole number."""
    if not pictures:
        raise ValueError("a grid needs at least one picture")
    height, width = pictures[0].shape[:2]
    columns = ceil(sqrt(len(pictures)))
    rows = ceil(len(pictures) / columns)
    factor = max(
        1, min((PLEASANT - GAP * (columns - 1)) // (columns * width), (PLEASANT - GAP * (rows - 1)) // (rows * height))
    )
    down, right = height * factor + GAP, width * factor + GAP
    canvas = np.full((rows * down - GAP, columns * right - GAP, *pictures[0].shape[2:]), 255, dtype=np.uint8)
    for index, picture in enumerate(pictures):
        top, left = down * (index // columns), right * (index % columns)
        canvas[top : top + down - GAP, left : left + right - GAP] = picture.repeat(factor, 0).repeat(factor, 1)
    return canvas
