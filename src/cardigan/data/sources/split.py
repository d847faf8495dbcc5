"""A split that depends on each picture's content alone: stable as a collection grows, blind to names and order."""

from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cardigan.data.sources.source import Pixels, Split

DIGEST = 16
"""Bytes of a picture's digest."""


def digest(pixels: Pixels) -> bytes:
    """Hash of one picture, (H, W) or (H, W, C): equal for equal pixels, whatever file they came from.

    A grey picture stored as RGB is the same picture as its grey original, one whose alpha is opaque everywhere the same
    as one without, and the colour of a pixel that cannot be seen makes no difference.
    """
    pixels = _essential(pixels)
    content = blake2b(repr(pixels.shape).encode(), digest_size=DIGEST)
    content.update(np.ascontiguousarray(pixels).data)
    return content.digest()


def _essential(pixels: Pixels) -> Pixels:
    if pixels.ndim == 2:
        return pixels
    colours, alpha = (pixels[..., :-1], pixels[..., -1:]) if pixels.shape[2] in (2, 4) else (pixels, None)
    if alpha is not None and (alpha == 255).all():
        alpha = None
    if alpha is not None:
        colours = np.where(alpha == 0, np.uint8(0), colours)
    if (colours == colours[..., :1]).all():
        colours = colours[..., :1]
    pixels = colours if alpha is None else np.concatenate([colours, alpha], axis=2)
    return pixels[..., 0] if pixels.shape[2] == 1 else pixels


def digests(pixels: Pixels) -> NDArray[np.uint8]:
    """(N, 16) digests of a stack of pictures."""
    return pack([digest(each) for each in pixels])


def pack(each: list[bytes]) -> NDArray[np.uint8]:
    """(N, 16) of N digests."""
    return np.frombuffer(b"".join(each), dtype=np.uint8).reshape(-1, DIGEST)


def digests_of_positions(count: int) -> NDArray[np.uint8]:
    """(N, 16) stand-ins for digests where reading every picture would take too long: each depends on its position."""
    words = np.empty((count, 2), dtype=np.uint64)
    with np.errstate(over="ignore"):
        for column in range(2):  # splitmix64 (Steele et al. 2014)
            word = (np.arange(count, dtype=np.uint64) * 2 + column + 1) * np.uint64(0x9E3779B97F4A7C15)
            word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            words[:, column] = word ^ (word >> np.uint64(31))
    return words.view(np.uint8)


def sizes_of(files: Sequence[Path]) -> NDArray[np.uint8]:
    """Hash of the names and sizes of `files`, where reading all of them would take too long."""
    whole = blake2b(digest_size=DIGEST)
    for path in files:
        try:
            size = path.stat().st_size
        except OSError:  # a broken link is one unreadable picture
            size = -1
        whole.update(f"{path.name}\0{size}\n".encode(errors="surrogateescape"))
    return np.frombuffer(whole.digest(), np.uint8)


def assign(digests: NDArray[np.uint8], test: float, validation: float) -> NDArray[np.str_]:
    """The split of each picture, from its (N, 16) digests: a share `test` of all, a share `validation` of the rest.

    A share is the chance of one picture, decided by its own digest: adding pictures moves no other one, and duplicates
    stay together. Only where a share above zero would get nothing or everything of two or more different pictures, the
    nearest picture is moved, so that the smallest collections have something in each split.
    """
    words, inverse = np.unique(digests.view(np.uint64), axis=0, return_inverse=True)
    in_test = _chosen(words[:, 0], test)
    rest = np.flatnonzero(~in_test)
    in_validation = np.zeros_like(in_test)
    in_validation[rest] = _chosen(words[rest, 1], validation)
    names: tuple[Split, ...] = ("train", "validation", "test")
    return np.asarray(names)[2 * in_test + in_validation][inverse.reshape(-1)]


def _chosen(words: NDArray[np.uint64], share: float) -> NDArray[np.bool_]:
    marks = words.astype(np.float64) / 2.0**64 < share
    if share > 0 and len(words) > 1:
        if not marks.any():
            marks[words.argmin()] = True
        elif marks.all():
            marks[words.argmax()] = False
    return marks if len(words) > 1 else np.zeros_like(marks)
