"""Encoded pictures of any mode -> upright pictures of mode L, LA, RGB or RGBA, 8 bits per channel."""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from cardigan.data.sources.source import UnreadableError

if TYPE_CHECKING:
    from PIL.Image import Image

# Only plain picture formats: Pillow would also start programs (EPS) or fetch what a file points to.
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM")
SUFFIXES = frozenset(
    {".png", ".apng", ".jpg", ".jpeg", ".jfif", ".gif", ".bmp", ".webp", ".tif", ".tiff"}
    | {".ppm", ".pgm", ".pbm", ".pnm"}
)
GREY = frozenset({"1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N", "F"})
ALPHA = frozenset({"LA", "La", "PA", "RGBA", "RGBa"})
_ORIENTATION = 0x0112


@dataclass(frozen=True)
class Look:
    """What the header of a picture says.

    Attributes:
        mode: Pillow's name of its mode: L, RGB, P, CMYK, I;16 and so on.
        size: (height, width) once upright.
        grey: whether it is stored as grey.
        alpha: whether it may have transparent pixels.
        orientation: EXIF's, 1 (upright) to 8.
        animated: whether it holds more than one frame.
    """

    mode: str
    size: tuple[int, int]
    grey: bool
    alpha: bool
    orientation: int
    animated: bool


def look(data: bytes, name: str) -> Look:
    """What the header of the picture in `data` says; its pixels are not read.

    Raises:
        UnreadableError: no picture, or larger than Pillow's limit on pixels.
    """
    with _opened(data, name) as image:
        return _look(image)


def stored_as_grey(data: bytes, name: str) -> bool:
    """Whether the picture in `data` is stored as grey: the cheapest question there is.

    Raises:
        UnreadableError: no picture, or larger than Pillow's limit on pixels.
    """
    with _opened(data, name) as image:
        return image.mode in GREY


def decode(data: bytes, name: str) -> tuple["Image", Look]:
    """The picture in `data`, and what its header says.

    Of mode L, LA, RGB or RGBA: grey where it is stored as grey, with alpha where one of its pixels is not opaque; 16
    bits are rounded to 8. Upright by its EXIF orientation. Of an animation, the first frame.

    Raises:
        UnreadableError: no picture, damaged, truncated, or larger than Pillow's limit on pixels.
    """
    from PIL import ImageOps

    with _opened(data, name) as image:
        header = _look(image)
        image.load()
        upright = ImageOps.exif_transpose(image) if header.orientation != 1 else image
        return _plain(upright), header


def _look(image: "Image") -> Look:
    orientation = _orientation(image)
    turned = orientation >= 5 and image.format != "TIFF"  # a TIFF is turned by its reader, and says its upright size
    size = image.size if turned else image.size[::-1]
    alpha = image.mode in ALPHA or "transparency" in image.info
    animated = bool(getattr(image, "is_animated", False)) and image.format != "TIFF"  # pages of a TIFF are no frames
    return Look(image.mode, size, image.mode in GREY, alpha, orientation, animated)


def _orientation(image: "Image") -> int:
    """How the picture lies: 1 upright, 5 to 8 on its side. Damaged EXIF does not spoil a picture."""
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except Exception:
        return 1
    return value if value in range(1, 9) else 1


@contextmanager
def _opened(data: bytes, name: str) -> Iterator["Image"]:
    pillow = _pillow()
    limit = pillow.MAX_IMAGE_PIXELS or 2**62
    bomb = UnreadableError(name, f"may be a decompression bomb: more than {limit:,} pixels")
    try:
        with pillow.open(io.BytesIO(data), formats=FORMATS) as image:
            if image.width * image.height > limit:  # Pillow itself refuses only twice as much
                raise bomb
            yield image
    except pillow.DecompressionBombError:
        raise bomb from None
    except pillow.UnidentifiedImageError:
        what = f"none of {', '.join(FORMATS)}" if data else "the file is empty"
        raise UnreadableError(name, what) from None
    except UnreadableError:
        raise
    except Exception as error:  # Pillow's readers raise nearly anything on damaged bytes
        raise UnreadableError(name, str(error) or type(error).__name__) from None


@cache
def _pillow() -> Any:
    from PIL import Image

    # Pillow remarks on oddities that do not spoil the pixels; what does spoil them is raised. Said once and for all:
    # to silence it around each picture costs more than a small picture, and is not safe in threads.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    return Image


def _plain(image: "Image") -> "Image":
    if image.mode in ("L", "RGB") and "transparency" not in image.info:
        return image
    if image.mode.startswith("I") or image.mode == "F":
        return _from_16_bit(image)
    straight = {"La": "LA", "RGBa": "RGBA"}.get(image.mode, image.mode)  # from premultiplied alpha
    image = image if image.mode == straight else image.convert(straight)
    if image.mode in ALPHA or "transparency" in image.info:
        image = image.convert("LA" if image.mode in GREY else "RGBA")
        return image if np.asarray(image)[..., -1].min() < 255 else image.convert("L" if image.mode == "LA" else "RGB")
    return image.convert("L" if image.mode in GREY else "RGB")


def _from_16_bit(image: "Image") -> "Image":
    from PIL import Image

    values = np.asarray(image)
    if image.mode == "F" or values.min() < 0 or values.max() > 65535:
        raise ValueError("its pixels have no agreed range; allowed: 8 or 16 bits per channel")
    return Image.fromarray(((values.astype(np.uint32) + 128) // 257).astype(np.uint8))
