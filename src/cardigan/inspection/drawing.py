"""What sheets of pictures are drawn with: cells, checkerboards, captions, and a file written whole or not at all."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cardigan.files import writable

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFont import FreeTypeFont, ImageFont

PAPER = (250, 250, 250)
INK = (40, 40, 40)
FAINT = (130, 130, 130)
ACCENT = (220, 50, 47)
TEXT = 13
"""Pixels, the height of captions."""
_CHECKS = ((255, 255, 255), (226, 226, 226))
_CHECK = 8
_MAGNIFIED = 16
"""The most that small pictures are magnified."""


def canvas(height: int, width: int) -> "Image":
    """An empty sheet."""
    from PIL import Image

    return Image.new("RGB", (width, height), PAPER)


def font(size: int = TEXT) -> "FreeTypeFont | ImageFont":
    """Pillow's own font."""
    from PIL import ImageFont

    return ImageFont.load_default(size)


def write(sheet: "Image", at: tuple[int, int], text: str, width: int, colour: tuple[int, int, int] = INK) -> None:
    """`text` on `sheet` with its top left corner `at` (x, y), its middle left out where it is wider than `width`."""
    from PIL import ImageDraw

    ImageDraw.Draw(sheet).text(at, shortened(text, width), fill=colour, font=font())


def shortened(text: str, width: int) -> str:
    """`text` in at most `width` pixels of `font`, by leaving out its middle."""
    letters, room = font(), len(text)
    while letters.getlength(_cut(text, room)) > width and room > 1:
        room -= 1
    return _cut(text, room)


def _cut(text: str, room: int) -> str:
    if len(text) <= room:
        return text
    head = (room - 1) // 3
    return f"{text[:head]}...{text[len(text) - (room - 1 - head) :]}"


def whole(image: "Image", side: int, smooth: bool = True) -> "Image":
    """All of `image` (L, LA, RGB, RGBA) within side x side pixels, mode RGB, on a checkerboard where it is transparent.

    Large ones are reduced; small ones are magnified by a whole factor, pixel by pixel.
    """
    from PIL import Image

    scale = side / max(image.size)
    if scale >= 1:
        factor = min(int(scale), _MAGNIFIED)
        size, filtered = (image.width * factor, image.height * factor), Image.Resampling.NEAREST
    else:
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        filtered = Image.Resampling.LANCZOS if smooth else Image.Resampling.NEAREST
    return on_checks(image.resize(size, filtered))


def on_checks(image: "Image") -> "Image":
    """`image` (L, LA, RGB, RGBA) as RGB, a checkerboard showing where it is transparent."""
    from PIL import Image

    if image.mode not in ("LA", "RGBA"):
        return image.convert("RGB")
    rows, columns = np.indices((image.height, image.width)) // _CHECK
    pattern = Image.fromarray(np.asarray(_CHECKS, np.uint8)[(rows + columns) % 2])
    return Image.alpha_composite(pattern.convert("RGBA"), image.convert("RGBA")).convert("RGB")


def place(sheet: "Image", picture: "Image", at: tuple[int, int], side: int) -> tuple[int, int]:
    """Put `picture` into the middle of the cell of side x side at `at` (x, y), with a hair line around it."""
    from PIL import ImageDraw

    left, top = at[0] + (side - picture.width) // 2, at[1] + (side - picture.height) // 2
    box = (left - 1, top - 1, left + picture.width, top + picture.height)
    ImageDraw.Draw(sheet).rectangle(box, outline=(205, 205, 205))
    sheet.paste(picture, (left, top))
    return left, top


def save(sheet: "Image", path: Path) -> Path:
    """Write `sheet` as PNG.

    Raises:
        CardiganError: the disk is full or read-only.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with writable(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            sheet.save(temporary, "PNG")
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    return path
