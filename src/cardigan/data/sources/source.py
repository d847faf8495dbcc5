"""What every source of pictures looks like to the rest: class names, and the pictures of each split."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cardigan.errors import CardiganError

Split = Literal["train", "validation", "test"]
Pixels = NDArray[np.uint8]
Labels = NDArray[np.int64]
Sentences = Sequence[tuple[str, ...]]


@dataclass(frozen=True)
class Stack:
    """Pictures that are pixels already, all of one size.

    Attributes:
        pixels: uint8, (N, H, W) grey or (N, H, W, C): grey and alpha (C = 2), RGB (3), RGB and alpha (4). May be a
            memory map.
        labels: (N,) int64 class indices, or None.
        sentences: what is said of each picture, none, one or several; or None.
    """

    pixels: Pixels
    labels: Labels | None = None
    sentences: Sentences | None = None

    def __len__(self) -> int:
        return len(self.pixels)


@dataclass(frozen=True)
class Encoded:
    """Pictures still encoded as PNG, JPEG and so on, of any size and mode.

    Attributes:
        names: of each picture, as an error message names it: "photos.zip: cats/1.png". Made when asked for, where
            there may be millions.
        read: index -> the encoded bytes; raises UnreadableError. Safe in forked processes. Neighbouring indices lie
            near each other on disk.
        labels: (N,) int64 class indices, or None.
        sentences: what is said of each picture, none, one or several; or None.
    """

    names: Sequence[str]
    read: Callable[[int], bytes]
    labels: Labels | None = None
    sentences: Sentences | None = None

    def __len__(self) -> int:
        return len(self.names)


Part = Stack | Encoded


@dataclass(frozen=True)
class Source:
    """A place pictures come from.

    Attributes:
        name: as the user wrote it.
        parts: split -> what reads its pictures; asking twice is cheap. "train" is always there; where it is alone, the
            source has no split of its own and "train" is everything.
        classes: names of the labels in the order of their indices; empty where pictures carry none.
        files: everything on disk that pictures, labels and sentences come from; empty where there is nothing.
        remarks: what the user should know about how the source was understood, a line each.
        selection: by what its pictures were chosen out of `files` beyond what those say themselves: classes, a table.
    """

    name: str
    parts: Mapping[Split, Callable[[], Part]]
    classes: tuple[str, ...] = ()
    files: Sequence[Path] = ()
    remarks: tuple[str, ...] = ()
    selection: tuple[str, ...] = ()


class UnreadableError(CardiganError):
    """One picture that cannot be read; the others may be well.

    Attributes:
        name: of the picture.
        reason: why, in a few words.
    """

    def __init__(self, name: str, reason: str) -> None:
        self.name, self.reason = name, " ".join(reason.split())
        super().__init__(f"{name}: unreadable picture: {self.reason}")

    def __reduce__(self) -> tuple[type["UnreadableError"], tuple[str, str]]:
        return UnreadableError, (self.name, self.reason)


def shown(name: object) -> str:
    """A file name fit for a one-line message: line breaks and broken encodings escaped."""
    text = str(name)
    return text if text.isprintable() else ascii(text)


def number_names(labels: Sequence[Labels], where: str) -> tuple[str, ...]:
    """Class names "0", "1", ... for `labels` of every split that come without names.

    Raises:
        CardiganError: labels that cannot be class indices.
    """
    together = np.concatenate([np.asarray(each, dtype=np.int64) for each in labels])
    low, high = (int(together.min()), int(together.max())) if len(together) else (0, 0)
    if low < 0 or high >= max(256, len(together)):
        raise CardiganError(f"{where}: labels run from {low} to {high}; allowed: class indices counted from 0")
    return tuple(str(index) for index in range(high + 1))
