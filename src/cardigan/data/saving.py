"""Pictures written under the name that another file had: in its format where that can hold them, else as PNG."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class _Format:
    """How a picture is written.

    Attributes:
        name: Pillow's.
        modes: what it holds without loss of channels.
        most: pixels of a side.
        noted: whether it has room for EXIF and a colour profile.
        options: of Pillow's `save`.
    """

    name: str
    modes: frozenset[str] = frozenset({"L", "LA", "RGB", "RGBA"})
    most: int = 2**31 - 1
    noted: bool = True
    options: Mapping[str, Any] = field(default_factory=dict)


_OPAQUE = frozenset({"L", "RGB"})
_JPEG = _Format("JPEG", _OPAQUE, 65_535, options={"quality": 95, "subsampling": 0})
_PNG = _Format("PNG")
_TIFF = _Format("TIFF")  # not compressed: Pillow loses the details of EXIF in a TIFF that is
_FORMATS = {
    ".png": _PNG,
    ".apng": _PNG,
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
    ".jfif": _JPEG,
    ".webp": _Format("WEBP", most=16_383, options={"quality": 95}),
    ".tif": _TIFF,
    ".tiff": _TIFF,
    ".bmp": _Format("BMP", _OPAQUE, noted=False),
    ".ppm": _Format("PPM", frozenset({"RGB"}), noted=False),
    ".pgm": _Format("PPM", frozenset({"L"}), noted=False),
    ".pnm": _Format("PPM", _OPAQUE, noted=False),
}


def ending_for(ending: str, image: "Image") -> str:
    """`ending` if a picture of that format can hold `image`, else ".png".

    GIF and PBM hold too few colours, JPEG and others no alpha, WebP no side longer than 16,383 pixels.
    """
    kind = _FORMATS.get(ending.lower())
    fits = kind is not None and image.mode in kind.modes and max(image.size) <= kind.most
    return ending if fits else ".png"


def write(image: "Image", path: Path, notes: Mapping[str, bytes]) -> None:
    """Write `image` (mode L, LA, RGB or RGBA) as the ending of `path` says, whole or not at all.

    Args:
        notes: EXIF and a colour profile, as of `data.sources.notes`; left out where the format has no room for them,
            the profile also where it speaks of other colours.

    Raises:
        OSError: it cannot be written.
    """
    kind = _FORMATS[path.suffix.lower()]
    kept = {name: value for name, value in notes.items() if kind.noted and (name == "exif" or _suits(value, image))}
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        image.save(temporary, kind.name, **kind.options, **kept)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _suits(profile: bytes, image: "Image") -> bool:
    """Whether a colour profile speaks of the channels that `image` has (ICC.1:2022, 7.2.8)."""
    return profile[16:20] == (b"GRAY" if image.mode in ("L", "LA") else b"RGB ")
