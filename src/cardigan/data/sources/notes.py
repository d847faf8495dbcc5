"""What the file of a picture says beside its pixels, and what of it stays true of other pixels that stand upright."""

from typing import TYPE_CHECKING

from cardigan.data.sources.decoding import LARGEST_PIXELS, opened

if TYPE_CHECKING:
    from PIL.Image import Image

_DETAILS = 0x8769
_SIZE = frozenset({0xA002, 0xA003})
# EXIF is a TIFF without pixels: what lays out those of a TIFF, how they lie, and what other blocks of a file hold.
_LAYOUT = frozenset(
    {*range(254, 260), 262, *range(263, 267), 273, 274, *range(277, 282), 284, *range(288, 294), 317, *range(320, 326)}
    | {330, 332, 333, 334, *range(336, 344), 347, *range(512, 522), 529, 530, 532, 700, 33723, 34377, 34675}
)


def notes(data: bytes, name: str, limit: int = LARGEST_PIXELS) -> dict[str, bytes]:
    """What the file of a picture says beside its pixels; see `notes_of`.

    Raises:
        UnreadableError: no picture, or one of more than `limit` pixels.
    """
    with opened(data, name, limit) as image:
        return notes_of(image)


def notes_of(image: "Image") -> dict[str, bytes]:
    """What an open picture says beside its pixels, as `save` takes it: "exif" and "icc_profile", where it has them.

    Without orientation, sizes and preview. Damaged EXIF is left out.
    """
    found = {"exif": _exif(image), "icc_profile": image.info.get("icc_profile")}
    return {name: value for name, value in found.items() if value}


def _exif(image: "Image") -> bytes:
    from PIL.Image import Exif

    exif = Exif()
    try:
        exif.load(image.getexif().tobytes())  # a copy: the picture keeps its own
        for tag in _LAYOUT & set(exif):
            del exif[tag]
        details = exif.get_ifd(_DETAILS) if _DETAILS in exif else {}
        for tag in _SIZE & set(details):
            del details[tag]
        return exif.tobytes() if len(exif) else b""
    except Exception:  # Pillow raises nearly anything on damaged EXIF
        return b""
