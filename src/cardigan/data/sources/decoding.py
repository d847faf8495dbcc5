"""Encoded pictures of any mode -> grey or RGB, upright, opaque, of the wanted size."""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

import numpy as np

from cardigan.data.sources.source import UnreadableError

if TYPE_CHECKING:
    from PIL.Image import Image

Fit = Literal["crop", "pad", "stretch"]
Background = Literal["white", "black"]

# Only plain picture formats: Pillow would also start programs (EPS) or fetch what a file points to.
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM")
SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".jfif", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm"}
)
GREY = frozenset({"1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N"})
_ORIENTATION = 0x0112


def decode(data: bytes, name: str, background: Background = "white") -> "Image":
    """The picture in `data`: mode L where it is stored as grey, else RGB; upright, alpha laid on a colour.

    EXIF rotation is applied. Of an animation, the first frame.

    Raises:
        UnreadableError: no picture, damaged, truncated, or larger than Pillow's limit on pixels.
    """
    from PIL import ImageOps

    with _opened(data, name) as image:
        image.load()
        upright = ImageOps.exif_transpose(image) if _orientation(image) != 1 else image
        return _opaque(upright, background)


def look(data: bytes, name: str) -> tuple[bool, tuple[int, int]]:
    """Whether a picture is stored as grey, and its (height, width) once upright; reads the header alone."""
    with _opened(data, name) as image:
        width, height = image.size
        return image.mode in GREY, (width, height) if _orientation(image) >= 5 else (height, width)


def _orientation(image: "Image") -> int:
    """How the picture lies: 1 upright, 5 to 8 on its side. Damaged EXIF does not spoil a picture."""
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except Exception:
        return 1
    return value if value in range(1, 9) else 1


@contextmanager
def _opened(data: bytes, name: str) -> Iterator["Image"]:
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow remarks on oddities that do not spoil the pixels
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                yield image
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        limit = Image.MAX_IMAGE_PIXELS
        raise UnreadableError(name, f"may be a decompression bomb: more than {limit:,} pixels") from None
    except UnidentifiedImageError:
        what = f"none of {', '.join(FORMATS)}" if data else "the file is empty"
        raise UnreadableError(name, what) from None
    except UnreadableError:
        raise
    except Exception as error:  # Pillow's readers raise nearly anything on damaged bytes
        raise UnreadableError(name, str(error) or type(error).__name__) from None


def _opaque(image: "Image", background: Background) -> "Image":
    if image.mode in ("L", "RGB") and "transparency" not in image.info:
        return image
    if image.mode.startswith("I") or image.mode == "F":
        return _from_16_bit(image)
    grey = image.mode in GREY
    if image.mode.endswith(("A", "a")) or "transparency" in image.info:
        image = _laid_on(image, background)
    return image.convert("L" if grey else "RGB")


def _from_16_bit(image: "Image") -> "Image":
    from PIL import Image

    values = np.asarray(image)
    if image.mode == "F" or values.min() < 0 or values.max() > 65535:
        raise ValueError("its pixels have no agreed range; allowed: 8 or 16 bits per channel")
    return Image.fromarray(((values.astype(np.uint32) + 128) // 257).astype(np.uint8))


def _laid_on(image: "Image", background: Background) -> "Image":
    from PIL import Image

    straight = {"La": "LA", "RGBa": "RGBA"}.get(image.mode, image.mode)  # from premultiplied alpha
    image = image.convert(straight).convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, background), image)


def fitted(image: "Image", size: tuple[int, int], fit: Fit, background: Background = "white") -> "Image":
    """`image` at `size` (height, width), resized by an antialiased bicubic filter.

    crop: the largest centred part of the wanted aspect ratio; pad: the whole, centred on `background`;
    stretch: the whole, without regard to its aspect ratio.
    """
    from PIL import Image

    height, width = size
    if image.size == (width, height):
        return image
    if fit == "pad":
        scale = min(width / image.width, height / image.height)
        inner = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        canvas = Image.new(image.mode, (width, height), background)
        canvas.paste(image.resize(inner, Image.Resampling.BICUBIC), ((width - inner[0]) // 2, (height - inner[1]) // 2))
        return canvas
    box = _centre(image.size, width / height) if fit == "crop" else None
    return image.resize((width, height), Image.Resampling.BICUBIC, box=box)


def _centre(size: tuple[int, int], ratio: float) -> tuple[float, float, float, float]:
    """The largest centred box of aspect `ratio` (width / height) in a picture of `size` (width, height)."""
    width, height = size
    kept_width, kept_height = min(float(width), height * ratio), min(float(height), width / ratio)
    left, top = (width - kept_width) / 2, (height - kept_height) / 2
    return left, top, left + kept_width, top + kept_height
