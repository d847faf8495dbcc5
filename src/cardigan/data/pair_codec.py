"""Pictures made from pictures: what a user gives as a network takes it, what the network makes as a picture again."""

from collections.abc import Mapping
from math import ceil, sqrt
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import PositiveInt
from torch import Tensor
from torch.nn.functional import interpolate

from cardigan.data.degradations.mask import masked
from cardigan.data.memory import to_unit
from cardigan.data.picture_codec import PLEASANT, PictureCodec
from cardigan.data.pictures import Colour
from cardigan.data.sources.fitting import Wanted, brought
from cardigan.errors import CardiganError
from cardigan.resizing import to_bytes

if TYPE_CHECKING:
    from PIL.Image import Image

Direction = Literal["forward", "backward"]
"""From sources to samples, or from samples to sources."""
THIN, WIDE = 2, 8
"""Pixels between the panels of one sample, and between samples."""
_GREY, _STRIPE, _PERIOD = 128, 2, 8


class PairCodec(PictureCodec):
    """Pictures in [-1, 1] that are made from others; sources of any size, made into samples of a size to match."""

    kind: Literal["pairs"] = "pairs"  # type: ignore[assignment]
    """This kind of codec."""
    source_channels: Literal[1, 3, 4] = 3
    """Of what a sample is made from, the mask not counted; 1: grey, 3: RGB, 4: RGB and alpha."""
    masked: bool = False
    """Whether the last channel of a source is the mask of the hole to be filled, after its `source_channels`."""
    scale: PositiveInt = 1
    """Pixels of a sample's side for one of its source's."""
    background: Colour = "white"
    """The colour under transparent pixels where a network takes no alpha."""

    def usage(self, run: str) -> str:
        """See `Codec.usage`."""
        return f"cardigan translate {run} PICTURE...{' --mask FILE' if self.masked else ''}"

    def hole(self, image: "Image", mask: Tensor | None = None) -> Tensor | None:
        """What is to be filled in `image`: (1, h, w) bool, or None where nothing is ever filled.

        Args:
            image: of mode L, LA, RGB or RGBA; without `mask`, all that is not opaque is the hole.
            mask: (1, h, w) bool, True in the hole.

        Raises:
            CardiganError: a mask where none is used, of another size than the picture, or none where one is needed.
        """
        if not self.masked:
            if mask is not None:
                raise CardiganError("--mask: this run fills no holes; allowed: no mask")
            return None
        if mask is not None:
            _check_mask(mask, image)
            return mask
        if image.mode not in ("LA", "RGBA"):
            raise CardiganError(
                "this run fills holes, and no hole is given; allowed: --mask FILE, or transparent pixels"
            )
        return torch.from_numpy(np.asarray(image)[None, ..., -1] < 255)

    def holes(self, sources: Tensor) -> Tensor | None:
        """See `Codec.holes`."""
        return sources[:, -1:] > 0 if self.masked else None

    def prepare(self, image: "Image", mask: Tensor | None = None, direction: Direction = "forward") -> Tensor:
        """A user's picture as a network takes it: (C, h, w) in [-1, 1], the mask behind it where the run has one.

        Its colours become what the data's do: grey or RGB as the network wants it, transparent pixels on `background`
        unless the network takes alpha. Every pixel by itself, so that a picture may be prepared in parts.

        Args:
            image: upright, of mode L, LA, RGB or RGBA and of any size.
            mask: see `hole`.
            direction: "backward" for what is to be made into a source.

        Raises:
            CardiganError: see `hole` and `ends`.
        """
        channels, _ = self.ends(direction)
        wanted = Wanted(channels, (image.height, image.width), None, self.background)
        picture = to_unit(torch.from_numpy(np.array(brought(image, wanted, "picture"))))
        hole = self.hole(image, mask)
        return picture if hole is None else masked(picture[None], hole[None])[0]

    def finish(self, image: "Image", pixels: NDArray[np.uint8], direction: Direction = "forward") -> "Image":
        """What a network made of `image` as a picture: mode L or RGB, with alpha LA or RGBA.

        Alpha that the network was not given is that of `image` again; where what was made is larger, enlarged by
        Pillow's bicubic filter.

        Args:
            image: what was given to `prepare`.
            pixels: (h * scale, w * scale, C) bytes.
            direction: see `prepare`.

        Raises:
            CardiganError: see `ends`.
        """
        from PIL import Image

        given, _ = self.ends(direction)
        made = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
        if image.mode not in ("LA", "RGBA") or given == 4 or made.mode == "RGBA":
            return made
        alpha = image.getchannel("A")
        made.putalpha(alpha if alpha.size == made.size else alpha.resize(made.size, Image.Resampling.BICUBIC))
        return made

    def ends(self, direction: Direction) -> tuple[int, int]:
        """Channels of what a network takes (without mask) and of what it makes.

        Raises:
            CardiganError: "backward", where samples have another size than their sources or fill a hole in them.
        """
        if direction == "forward":
            return self.source_channels, self.channels
        if self.masked or self.scale != 1:
            what = "fills holes" if self.masked else f"makes pictures {self.scale} times as large"
            raise CardiganError(f"--direction: this run {what}, which has no way back; allowed: forward")
        return self.channels, self.source_channels

    def exhibit(self, panels: Mapping[str, Tensor], path: Path) -> None:
        """Write one picture: the panels of each sample side by side, samples in a near-square grid.

        Args:
            panels: (N, C, h, w) in [-1, 1] by name: sources or samples. Smaller ones are enlarged without smoothing,
                grey ones become coloured beside coloured ones, a hole is hatched.
            path: of the picture, a PNG.
        """
        from PIL import Image

        shown = [self._shown(each) for each in panels.values()]
        channels = max(each.shape[1] for each in shown)
        size = max(each.shape[2] for each in shown), max(each.shape[3] for each in shown)
        alike = [_enlarged(_with_channels(each, channels), size) for each in shown]
        pixels = torch.stack(alike, dim=1).permute(0, 1, 3, 4, 2).cpu().numpy()
        Image.fromarray(sheet(pixels)).save(path, "PNG")

    def _shown(self, pictures: Tensor) -> Tensor:
        """(N, C, h, w) in [-1, 1] -> (N, C', h, w) uint8, a mask painted over the picture that it belongs to."""
        pixels = to_bytes(pictures.detach()).to(torch.uint8)
        if not self.masked or pictures.shape[1] != self.source_channels + 1:
            return pixels
        return hatched(pixels[:, :-1], pictures[:, -1:] > 0)


def hatched(pixels: Tensor, hole: Tensor) -> Tensor:
    """(..., C, h, w) uint8 with the `hole` (..., 1, h, w) bool painted over: grey with white stripes, opaque."""
    height, width = pixels.shape[-2:]
    places = torch.arange(height, device=pixels.device)[:, None] + torch.arange(width, device=pixels.device)
    pattern = torch.where(places % _PERIOD < _STRIPE, 255, _GREY).to(torch.uint8)
    painted = torch.where(hole, pattern, pixels)
    if pixels.shape[-3] in (2, 4):
        painted[..., -1:, :, :] = torch.where(hole, 255, pixels[..., -1:, :, :])
    return painted


def sheet(pictures: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(N, panels, H, W, C) on white: the panels of each of N samples side by side, samples near square together.

    Magnified by a whole number where it stays small.
    """
    count, panels, height, width, channels = pictures.shape
    columns = max(1, min(count, ceil(sqrt(count * height / (panels * width)))))
    rows = ceil(count / columns)
    factor = max(1, min(PLEASANT // (columns * panels * width), PLEASANT // (rows * height)))
    right, down = width * factor + THIN, height * factor + WIDE
    beside = panels * right - THIN + WIDE
    canvas = np.full((rows * down - WIDE, columns * beside - WIDE, channels), 255, np.uint8)
    for index, sample in enumerate(pictures):
        top, left = down * (index // columns), beside * (index % columns)
        for number, panel in enumerate(sample):
            start = left + number * right
            large = panel.repeat(factor, 0).repeat(factor, 1)
            canvas[top : top + large.shape[0], start : start + large.shape[1]] = large
    return canvas[..., 0] if channels == 1 else canvas


def _with_channels(pixels: Tensor, channels: int) -> Tensor:
    """(N, C, h, w) uint8 with so many channels, no fewer than it has: grey repeated, alpha opaque."""
    if pixels.shape[1] == channels:
        return pixels
    colours = pixels[:, :3].expand(-1, 3, -1, -1)
    opaque = [torch.full_like(colours[:, :1], 255)] if channels == 4 else []
    return torch.cat([colours, *opaque], dim=1)


def _enlarged(pixels: Tensor, size: tuple[int, int]) -> Tensor:
    return pixels if pixels.shape[2:] == size else interpolate(pixels, size, mode="nearest-exact")


def _check_mask(mask: Tensor, image: "Image") -> None:
    if tuple(mask.shape) != (1, image.height, image.width):
        found = "x".join(map(str, mask.shape[-2:]))
        raise CardiganError(
            f"--mask: {found} pixels (height x width), but the picture has {image.height}x{image.width}; both must be "
            "equal"
        )
