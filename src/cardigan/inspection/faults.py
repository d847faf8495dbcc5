"""Why a picture cannot be read, and what it is instead."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from cardigan.data.sources.source import Split

Kind = Literal["empty", "not a picture", "truncated", "bomb", "other"]
KINDS: tuple[Kind, ...] = ("empty", "not a picture", "truncated", "bomb", "other")
"""What may be wrong, in the order in which it is reported."""


@dataclass(frozen=True)
class Failure:
    """One picture that cannot be read.

    Attributes:
        split: of the source.
        index: within the split.
        name: as an error message names it.
        kind: what is wrong with it.
        reason: the same in a few words, with what it seems to be.
    """

    split: Split
    index: int
    name: str
    kind: Kind
    reason: str


_PICTURES: Sequence[tuple[int, bytes, str]] = (
    (0, b"\x89PNG\r\n\x1a\n", "PNG"),
    (0, b"\xff\xd8\xff", "JPEG"),
    (0, b"GIF8", "GIF"),
    (8, b"WEBP", "WEBP"),
    (0, b"II*\0", "TIFF"),
    (0, b"MM\0*", "TIFF"),
    (0, b"BM", "BMP"),
    *((0, b"P" + digit, "PPM") for digit in (b"1", b"2", b"3", b"4", b"5", b"6")),
)
"""Where in a file which bytes stand, and the format that they are the mark of."""

_OTHERS: Sequence[tuple[int, bytes, str]] = (
    (4, b"ftypavif", "an AVIF picture, which is not read here; convert it to PNG or JPEG"),
    (4, b"ftyphei", "a HEIC picture, which is not read here; convert it to PNG or JPEG"),
    (4, b"ftypmif1", "a HEIF picture, which is not read here; convert it to PNG or JPEG"),
    (4, b"ftyp", "a video"),
    (0, b"version https://git-lfs", "a Git LFS pointer; fetch the file itself with git lfs pull"),
    (0, b"%PDF", "a PDF document"),
    (0, b"PK\x03\x04", "a zip archive"),
    (0, b"\x1f\x8b", "a gzip file"),
    (0, b"8BPS", "a Photoshop document"),
    (0, b"\x00\x00\x01\x00", "an icon"),
    (0, b"<!doctype html", "a web page, perhaps of a failed download"),
    (0, b"<html", "a web page, perhaps of a failed download"),
    (0, b"<svg", "an SVG drawing, which is not read here"),
    (0, b"<?xml", "XML, perhaps an SVG drawing, which is not read here"),
)


def format_of(data: bytes) -> str:
    """The picture format whose mark `data` carries, such as PNG; "?" for none."""
    return _marked(data, _PICTURES) or "?"


def is_deep(data: bytes, mode: str) -> bool:
    """Whether a picture has 16 bits per channel: its mode says so, or the header of its PNG."""
    return mode.startswith(("I", "F")) or (data[:8] == _PICTURES[0][1] and data[24:25] == b"\x10")


def classified(data: bytes | None, reason: str) -> tuple[Kind, str]:
    """What is wrong with a picture of these bytes (None: they could not be read) that failed for `reason`."""
    if data is None:
        return ("empty", "the file is empty") if reason == "no bytes in this row" else ("other", reason)
    if not data:
        return "empty", "the file is empty"
    if "decompression bomb" in reason:
        return "bomb", reason
    form = format_of(data)
    if form == "?":
        return "not a picture", _guess(data)
    if _ends_early(data, form) or "truncated" in reason:
        return "truncated", f"a {form} that ends too early, after {len(data):,} bytes"
    return "other", f"a damaged {form}: {reason}"


def _guess(data: bytes) -> str:
    known = _marked(data.lstrip(b"\xef\xbb\xbf \r\n\t").lower(), _OTHERS, lower=True) or _marked(data, _OTHERS)
    if known:
        return f"it is {known}"
    head = data[:256]
    if not any(head):
        return "it holds zeros, perhaps of a disk that was full"
    return "it is text" if _is_text(head) else "it is in no picture format that is known here"


def _marked(data: bytes, marks: Sequence[tuple[int, bytes, str]], lower: bool = False) -> str:
    return next((what for at, mark, what in marks if data.startswith(mark.lower() if lower else mark, at)), "")


def _is_text(head: bytes) -> bool:
    try:
        text = head.decode("utf-8", "ignore")
    except ValueError:
        return False
    printable = sum(char.isprintable() or char.isspace() for char in text)
    return len(text) >= len(head) // 3 and printable >= 0.95 * len(text) and b"\0" not in head and len(text) > 0


def _ends_early(data: bytes, form: str) -> bool:
    """Whether the mark that ends a file of this format is missing from its last bytes; some tools add a little."""
    if form == "PNG":
        return b"IEND" not in data[-64:]
    if form == "JPEG":
        return b"\xff\xd9" not in data[-64:]
    if form == "WEBP":
        return len(data) < int.from_bytes(data[4:8], "little") + 8
    if form == "BMP":
        return len(data) < int.from_bytes(data[2:6], "little")
    return False
