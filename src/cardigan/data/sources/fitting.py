"""Pictures of any size and mode -> the one shape that a recipe wants."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from cardigan.data.sources.source import Pixels
from cardigan.errors import CardiganError

if TYPE_CHECKING:
    from PIL.Image import Image

Fit = Literal["crop", "pad", "stretch"]
MODES = {1: "L", 3: "RGB", 4: "RGBA"}


@dataclass(frozen=True)
class Wanted:
    """What every picture is brought to.

    Attributes:
        channels: 1 for grey, 3 for RGB, 4 for RGB and alpha.
        size: (height, width).
        fit: how another size is brought to this one; None refuses another size.
        background: the colour under transparent pixels and around padded pictures: a name, or #rrggbb.
    """

    channels: int
    size: tuple[int, int]
    fit: Fit | None = "crop"
    background: str = "white"

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        return (self.channels, *self.size)


def brought(image: "Image", wanted: Wanted, name: str) -> Pixels:
    """`image` (mode L, LA, RGB or RGBA) as (C, H, W) bytes.

    With 4 channels alpha is kept, a pixel that cannot be seen at all has the colour of the background, and what pads a
    picture is transparent. Otherwise transparent pixels are laid on the background.

    Raises:
        CardiganError: a picture of another size where `wanted` has no way to fit it.
    """
    from PIL import ImageColor

    if wanted.fit is None and image.size != wanted.size[::-1]:
        raise CardiganError(
            f"{name}: {image.height}x{image.width} pixels (height x width), but the first picture has "
            f"{wanted.size[0]}x{wanted.size[1]}; give one size for all, such as data.size=64"
        )
    if wanted.channels < 4 and image.mode in ("LA", "RGBA"):
        image = laid_on(image, wanted.background)
    mode = MODES[wanted.channels]
    image = image if image.mode == mode else image.convert(mode)
    pixels = np.asarray(fitted(image, wanted.size, wanted.fit or "crop", wanted.background))
    if wanted.channels == 4:
        unseen = np.array([*ImageColor.getrgb(wanted.background)[:3], 0], np.uint8)
        pixels = np.where(pixels[..., 3:] == 0, unseen, pixels)
    return channels_first(pixels)


def channels_first(pixels: Pixels) -> Pixels:
    """(H, W) or (H, W, C) -> (C, H, W), a view."""
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def laid_on(image: "Image", background: str) -> "Image":
    """`image` (LA or RGBA) without its alpha: mode L or RGB."""
    from PIL import Image

    canvas = Image.new("RGBA", image.size, background)
    return Image.alpha_composite(canvas, image.convert("RGBA")).convert("L" if image.mode == "LA" else "RGB")


def fitted(image: "Image", size: tuple[int, int], fit: Fit, background: str = "white") -> "Image":
    """`image` at `size` (height, width), resized by an antialiased bicubic filter, colours weighted by alpha.

    crop: the largest centred part of the wanted aspect ratio; pad: the whole, centred on `background` (transparent
    where there is alpha); stretch: the whole, without regard to its aspect ratio.
    """
    from PIL import Image, ImageOps

    height, width = size
    if image.size == (width, height):
        return image
    if fit == "pad":
        return ImageOps.pad(image, (width, height), Image.Resampling.BICUBIC, 0 if image.mode == "RGBA" else background)
    return image.resize((width, height), Image.Resampling.BICUBIC, box=kept_box(image.size, size, fit))


def kept_box(
    original: tuple[int, int], size: tuple[int, int], fit: Fit | None
) -> tuple[float, float, float, float] | None:
    """What of a picture of `original` (width, height) goes into `size` (height, width): left, top, right, bottom.

    None: all of it.
    """
    if fit != "crop":
        return None
    (width, height), ratio = original, size[1] / size[0]
    kept_width, kept_height = min(float(width), height * ratio), min(float(height), width / ratio)
    left, top = (width - kept_width) / 2, (height - kept_height) / 2
    return left, top, left + kept_width, top + kept_height
