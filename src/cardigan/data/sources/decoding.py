"""Encoded pictures of any mode -> upright pictures of mode L, LA, RGB or RGBA, 8 bits per channel."""

import io
import struct
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from importlib import import_module
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from cardigan.data.sources.source import UnreadableError

if TYPE_CHECKING:
    from PIL.Image import Image

T = TypeVar("T")
LARGEST_PIXELS = 2**30
"""A picture that claims more pixels is taken for a decompression bomb. Pillow's own limit is a twelfth of it, which a
photograph upscaled four times exceeds."""

# Only plain picture formats: Pillow would also start programs (EPS) or fetch what a file points to.
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM")
_READERS = ("Png", "Jpeg", "Gif", "Bmp", "WebP", "Tiff", "Ppm")
SUFFIXES = frozenset(
    {".png", ".apng", ".jpg", ".jpeg", ".jfif", ".gif", ".bmp", ".webp", ".tif", ".tiff"}
    | {".ppm", ".pgm", ".pbm", ".pnm"}
)
GREY = frozenset({"1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N", "F"})
ALPHA = frozenset({"LA", "La", "PA", "RGBA", "RGBa"})
_ORIENTATION = 0x0112
_PAGED = ("TIFF", "MPO")  # what follows the first picture are pages, or depths of a telephone's camera, no frames
_RAISING = Lock()


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


def look(data: bytes, name: str, limit: int = LARGEST_PIXELS) -> Look:
    """What the header of the picture in `data` says; its pixels are not read.

    Raises:
        UnreadableError: no picture, or one of more than `limit` pixels.
    """
    with opened(data, name, limit) as image:
        return look_at(image)


def stored_as_grey(data: bytes, name: str, limit: int = LARGEST_PIXELS) -> bool:
    """Whether the picture in `data` is stored as grey: the cheapest question there is.

    Raises:
        UnreadableError: no picture, or one of more than `limit` pixels.
    """
    with opened(data, name, limit) as image:
        return image.mode in GREY


def decode(data: bytes, name: str, limit: int = LARGEST_PIXELS) -> tuple["Image", Look]:
    """The picture in `data`, and what its header says.

    Of mode L, LA, RGB or RGBA: grey where it is stored as grey, with alpha where one of its pixels is not opaque; 16
    bits are rounded to 8. Upright by its EXIF orientation. Of an animation, the first frame.

    Raises:
        UnreadableError: no picture, damaged, truncated, or of more than `limit` pixels.
    """
    with opened(data, name, limit) as image:
        header = look_at(image)
        _unhindered(image.load)
        return plain(image, header), header


def plain(image: "Image", header: Look) -> "Image":
    """An open picture with this header, brought to what `decode` gives.

    Raises:
        ValueError: pixels without an agreed range.
    """
    from PIL import ImageOps

    return _plain(ImageOps.exif_transpose(image) if header.orientation != 1 else image)


def look_at(image: "Image") -> Look:
    """What the header of an open picture says."""
    orientation = _orientation(image)
    turned = orientation >= 5 and image.format != "TIFF"  # a TIFF is turned by its reader, and says its upright size
    size = image.size if turned else image.size[::-1]
    alpha = image.mode in ALPHA or "transparency" in image.info
    animated = image.format not in _PAGED and _unhindered(lambda: bool(getattr(image, "is_animated", False)))
    return Look(image.mode, size, image.mode in GREY, alpha, orientation, animated)


def _orientation(image: "Image") -> int:
    """How the picture lies: 1 upright, 5 to 8 on its side. Damaged EXIF does not spoil a picture."""
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except Exception:
        return 1
    return value if value in range(1, 9) else 1


@contextmanager
def opened(data: bytes, name: str, limit: int = LARGEST_PIXELS) -> Iterator["Image"]:
    """The picture in `data`, of which only the header is read; what goes wrong within names it.

    Raises:
        UnreadableError: no picture, one of more than `limit` pixels, or whatever is raised while it is open.
    """
    bomb = f"may be a decompression bomb: more than {limit:,} pixels"
    try:
        with _identified(data) as image:
            if image.width * image.height > limit:
                raise UnreadableError(name, bomb)
            yield image
    except _pillow().DecompressionBombError:
        raise UnreadableError(name, bomb) from None
    except _pillow().UnidentifiedImageError:
        what = f"none of {', '.join(FORMATS)}" if data else "the file is empty"
        raise UnreadableError(name, what) from None
    except UnreadableError:
        raise
    except Exception as error:  # Pillow's readers raise nearly anything on damaged bytes
        raise UnreadableError(name, str(error) or type(error).__name__) from None


def _identified(data: bytes) -> "Image":
    """The picture in `data`, of which the header is read.

    Pillow's readers are asked one by one, as `Image.open` does, which however refuses what exceeds its own limit on
    pixels. That one belongs to the whole process: to raise it would take the guard from the user's program too.
    """
    readers = _pillow().OPEN
    for reader, accepts in (readers[kind] for kind in FORMATS if kind in readers):
        try:
            if accepts(data[:16]) is True:
                return _unhindered(partial(_header, reader, data))
        except (SyntaxError, IndexError, TypeError, struct.error):  # it looked like one of this kind and is none
            continue
    raise _pillow().UnidentifiedImageError


def _header(reader: Callable[[io.BytesIO, str], "Image"], data: bytes) -> "Image":
    return reader(io.BytesIO(data), "")


def _unhindered(act: Callable[[], T]) -> T:
    """`act`, once more where one of Pillow's readers refuses a number of pixels by itself (WebP, TIFF, GIF do).

    There is no other way then than to raise the limit of the process: for the moment, by one thread at a time, and no
    further than `LARGEST_PIXELS`, so that no other thread is ever without any limit.
    """
    pillow = _pillow()
    try:
        return act()
    except (pillow.DecompressionBombError, pillow.DecompressionBombWarning):  # the latter where warnings are errors
        with _RAISING:
            before = pillow.MAX_IMAGE_PIXELS
            pillow.MAX_IMAGE_PIXELS = LARGEST_PIXELS // 2  # Pillow refuses twice as much
            try:
                return act()
            finally:
                pillow.MAX_IMAGE_PIXELS = before


@cache
def _pillow() -> Any:
    from PIL import Image

    for name in _READERS:  # they register themselves
        import_module(f"PIL.{name}ImagePlugin")
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
