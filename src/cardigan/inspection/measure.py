"""What a survey notes of each picture: one compact row, computed block by block."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cardigan.data.sources.decoding import Look, decode
from cardigan.data.sources.pixels import name_of
from cardigan.data.sources.source import Encoded, Part, Split, Stack, UnreadableError
from cardigan.data.sources.split import DIGEST, digest, digests
from cardigan.inspection.faults import Failure, classified, format_of, is_deep
from cardigan.inspection.thumbs import LUMA, SIDE, chroma, luma, seen, shrunk, small

MODES: tuple[str, ...] = (
    "1",
    "L",
    "LA",
    "La",
    "P",
    "PA",
    "RGB",
    "RGBA",
    "RGBa",
    "RGBX",
    "CMYK",
    "YCbCr",
    "LAB",
    "HSV",
    "I",
    "I;16",
)
MODES += ("I;16B", "I;16L", "I;16N", "F", "?")
FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP", "PPM", "pixels", "?")

ROW = np.dtype(
    [
        ("split", np.uint8),  # index into Survey.splits
        ("index", np.int64),  # within the split
        ("height", np.int32),  # pixels, upright
        ("width", np.int32),
        ("mode", np.uint8),  # index into MODES, as stored
        ("format", np.uint8),  # index into FORMATS
        ("alpha", np.bool_),  # some pixel is not opaque
        ("deep", np.bool_),  # 16 bits per channel
        ("animated", np.bool_),  # only the first frame is seen
        ("orientation", np.uint8),  # EXIF's, 1 (upright) to 8
        ("label", np.int64),  # -1 for none
        ("bytes", np.int64),  # encoded; 0 where the source holds pixels
        ("blank", np.bool_),  # all pixels alike, once transparency is laid on white
        ("brightness", np.float32),  # mean luma, 0 to 255
        ("contrast", np.float32),  # standard deviation of luma
        ("digest", np.uint8, DIGEST),  # equal for equal pixels
        ("luma", np.uint8, (SIDE, SIDE)),  # the whole picture, small
        ("chroma", np.int8, (SIDE // 4, SIDE // 4, 2)),
    ]
)
"""One picture of a survey."""

Rows = NDArray[np.void]


@dataclass(frozen=True)
class Measured:
    """Some pictures of one split.

    Attributes:
        rows: (n,) of type ROW, those that could be read; "split" and "label" are not filled in.
        failures: the others.
    """

    rows: Rows
    failures: tuple[Failure, ...] = ()


def measured(part: Part, split: Split, indices: NDArray[np.int64]) -> Measured:
    """Read and measure the pictures at `indices` of `part`."""
    return _of_stack(part, indices) if isinstance(part, Stack) else _of_encoded(part, split, indices)


def _of_stack(part: Stack, indices: NDArray[np.int64]) -> Measured:
    rows = np.zeros(len(indices), ROW)
    pixels = part.pixels[indices]
    rows["digest"] = digests(pixels)
    channels = 1 if pixels.ndim == 3 else pixels.shape[3]
    pixels = pixels.reshape(*pixels.shape[:3], channels)
    rows["alpha"] = (pixels[..., -1] < 255).any((1, 2)) if channels in (2, 4) else False
    opaque = _on_white(pixels)
    flat = opaque.reshape(len(opaque), -1, opaque.shape[-1])
    rows["blank"] = (flat.max(1) == flat.min(1)).all(-1)
    bright = (flat @ LUMA if flat.shape[-1] == 3 else flat[..., 0]).astype(np.float32)
    rows["brightness"], rows["contrast"] = bright.mean(1), bright.std(1)
    _keep_small(rows, np.broadcast_to(small(opaque), (len(rows), SIDE, SIDE, 3)))
    rows["index"], rows["height"], rows["width"] = indices, pixels.shape[1], pixels.shape[2]
    rows["mode"] = MODES.index({1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[channels])
    rows["format"], rows["orientation"] = FORMATS.index("pixels"), 1
    return Measured(rows)


def _on_white(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(N, H, W, 1 to 4) without its alpha."""
    if pixels.shape[3] not in (2, 4):
        return pixels
    share = pixels[..., -1:].astype(np.float32) / 255
    return np.rint(pixels[..., :-1] * share + 255 * (1 - share)).astype(np.uint8)


def _of_encoded(part: Encoded, split: Split, indices: NDArray[np.int64]) -> Measured:
    rows, failures, kept = np.zeros(len(indices), ROW), list[Failure](), 0
    thumbs = np.empty((len(indices), SIDE, SIDE, 3), np.float32)
    for index in map(int, indices):
        data: bytes | None = None
        try:
            data = part.read(index)
            thumbs[kept] = _measure(rows[kept], data, name_of(part, index))
        except UnreadableError as error:
            failures.append(Failure(split, index, error.name, *classified(data, error.reason)))
            continue
        rows[kept]["index"] = index
        kept += 1
    rows = rows[:kept]
    _keep_small(rows, thumbs[:kept])
    return Measured(rows, tuple(failures))


def _measure(row: np.void, data: bytes, name: str) -> NDArray[np.float32]:
    """Fill in `row` for one encoded picture; gives its small version."""
    image, header = decode(data, name)
    row["digest"] = np.frombuffer(digest(np.asarray(image)), np.uint8)
    row["alpha"] = image.mode in ("LA", "RGBA")
    opaque = seen(image)
    counts = np.asarray((opaque if opaque.mode == "L" else opaque.convert("L")).histogram(), np.float64)
    levels, total = np.arange(256), counts.sum()
    row["brightness"] = mean = counts @ levels / total
    row["contrast"] = np.sqrt(max(counts @ (levels - mean) ** 2 / total, 0))
    row["blank"] = np.count_nonzero(counts) == 1 and _is_flat(opaque)
    row["height"], row["width"], row["bytes"] = image.height, image.width, len(data)
    _note_header(row, header, data)
    return shrunk(opaque)


def _is_flat(image: "object") -> bool:
    pixels = np.asarray(image)
    pixels = pixels.reshape(pixels.shape[0] * pixels.shape[1], -1)
    return bool((pixels == pixels[0]).all())


def _note_header(row: np.void, header: Look, data: bytes) -> None:
    row["mode"] = MODES.index(header.mode if header.mode in MODES else "?")
    row["format"] = FORMATS.index(format_of(data))
    row["orientation"], row["animated"] = header.orientation, header.animated
    row["deep"] = is_deep(data, header.mode)


def _keep_small(rows: Rows, thumbs: NDArray[np.float32]) -> None:
    rows["luma"], rows["chroma"] = luma(thumbs), chroma(thumbs)
