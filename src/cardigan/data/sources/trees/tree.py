"""A folder, a zip and a tar seen alike: relative names with slashes, and a way to read each member."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cardigan.data.sources.source import UnreadableError, shown
from cardigan.data.sources.trees.layout import is_hidden, suffix
from cardigan.data.sources.trees.strings import Strings
from cardigan.errors import CardiganError

LARGEST = 2**28
"""Bytes that one picture may unpack to: 256 MiB."""
LARGEST_TEXT = 2**31
"""Bytes that a file of labels or sentences may unpack to: 2 GiB."""
TEXTS = frozenset({".csv", ".tsv", ".json", ".jsonl", ".txt"})
"""Endings of the files that may say something of the pictures beside them."""


@dataclass(frozen=True)
class Tree:
    """Files under relative names.

    Attributes:
        where: the folder or the archive, as messages name it.
        names: of every file that is not hidden, with slashes, in natural order.
        read: (index, bytes at most, None: as many as a picture may have) -> the content of that file; raises
            UnreadableError. Safe in forked processes.
        show: name -> the file as messages name it.
        files: indices -> what lies on disk of these members.
    """

    where: str
    names: Strings
    read: Callable[[int, int | None], bytes]
    show: Callable[[str], str]
    files: Callable[[NDArray[np.int64]], Sequence[Path]]

    @cached_property
    def texts(self) -> dict[str, int]:
        """Name -> index of the members that may say something of the pictures."""
        return {name: index for index, name in enumerate(self.names) if suffix(name) in TEXTS}

    def text(self, name: str) -> bytes:
        """The content of the text member `name`.

        Raises:
            CardiganError: it cannot be read.
        """
        return told(lambda: self.read(self.texts[name], LARGEST_TEXT))


def told(read: Callable[[], bytes]) -> bytes:
    """What `read` gives; a file that is no picture is not called an unreadable picture."""
    try:
        return read()
    except UnreadableError as failure:
        raise CardiganError(f"{failure.name}: cannot be read: {failure.reason}") from None


def tidy(name: str) -> str:
    """The name of a member with single slashes and without parts that mean nothing: ./a//b -> a/b."""
    return os.path.normpath(name) if "//" in name or "./" in name else name


def is_wanted(name: str) -> bool:
    """Whether the member `name` belongs into a tree at all."""
    return not is_hidden(tidy(name))


def check_name(name: str, where: str) -> None:
    """Refuse an archive with a member that reaches out of it, even though nothing here is written under its name.

    Raises:
        CardiganError: naming `where` and the member.
    """
    slashed = name.replace("\\", "/")
    if ".." in slashed.split("/"):
        raise refusal(where, name, "a path that leaves the archive")
    if slashed.startswith("/") or slashed[1:2] == ":":
        raise refusal(where, name, "an absolute path")


def refusal(where: str, name: str, reason: str) -> CardiganError:
    """Why the archive `where` is refused as a whole."""
    return CardiganError(f"{where}: refused because of its member {shown(name)[:120]!r}: {reason}")


def too_large(name: str, size: int, most: int) -> UnreadableError:
    """What is said of a member beyond the limit."""
    return UnreadableError(name, f"{size:,} bytes unpacked, more than {most >> 20} MiB")


class Window:
    """A file read at given places, without a position that forked processes or threads would share."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.size = os.fstat(self._descriptor).st_size

    def read(self, offset: int, size: int) -> bytes:
        """`size` bytes from `offset`, fewer at the end of the file.

        Raises:
            OSError: they cannot be read.
        """
        wanted = max(0, min(size, self.size - offset))  # no room is set aside for what a damaged header claims
        pieces: list[bytes] = []
        while wanted and (piece := os.pread(self._descriptor, wanted, offset)):
            pieces.append(piece)
            offset, wanted = offset + len(piece), wanted - len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def __del__(self) -> None:
        if hasattr(self, "_descriptor"):
            os.close(self._descriptor)
