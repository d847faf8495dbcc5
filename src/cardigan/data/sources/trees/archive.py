"""A zip archive of a folder of pictures, read in place: nothing is ever unpacked to disk."""

import stat
import struct
import zlib
from array import array
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cardigan.data.sources.source import Source, UnreadableError, shown
from cardigan.data.sources.trees import tree as trees
from cardigan.data.sources.trees.annotations import open_tree
from cardigan.data.sources.trees.layout import natural
from cardigan.data.sources.trees.strings import Strings
from cardigan.data.sources.trees.tree import Tree, Window, check_name, is_wanted, refusal, tidy, too_large
from cardigan.data.sources.trees.zip_directory import Entry, entries
from cardigan.errors import CardiganError

LARGEST = trees.LARGEST
"""Bytes that one picture may unpack to."""
_STORED, _DEFLATED = 0, 8
_LOCAL = 30
"""Bytes of the header before each member, without its name."""


def open_archive(name: str, path: Path, labels: str | Path | None = None) -> Source:
    """The pictures in the zip `path`, laid out as in a folder; see `open_tree`.

    Raises:
        CardiganError: no zip, damaged, encrypted, without pictures, or with a member that reaches out of the archive.
    """
    return open_tree(name, zip_tree(path), labels)


@dataclass(frozen=True)
class _Directory:
    """Where the members lie: (N,) arrays, a few bytes each where Python's own objects would take a thousand."""

    header: NDArray[np.int64]
    packed: NDArray[np.int64]
    size: NDArray[np.int64]
    check: NDArray[np.uint32]
    deflated: NDArray[np.bool_]


def zip_tree(path: Path) -> Tree:
    """Every file in the zip `path` that is not hidden.

    Raises:
        CardiganError: no zip, damaged, encrypted, or with a member that reaches out of the archive.
    """
    names, directory = _directory(path)
    window = Window(path)

    def show(name: str) -> str:
        return f"{shown(path)}: {shown(name)}"

    def read(index: int, most: int | None = None) -> bytes:
        name, most = show(names[index]), LARGEST if most is None else most
        if directory.size[index] > most:
            raise too_large(name, int(directory.size[index]), most)
        try:
            return _member(window, directory, index)
        except (zlib.error, OSError, ValueError, struct.error) as error:
            raise UnreadableError(name, str(error) or "damaged") from None

    return Tree(shown(path), names, read, show, lambda _: (path,))


def _directory(path: Path) -> tuple[Strings, _Directory]:
    names, rows, where = list[str](), array("q"), shown(path)
    try:
        with path.open("rb") as file:
            for entry in entries(file):
                _check(entry, where)
                name = tidy(entry.name.replace("\\", "/"))
                if not name.endswith("/") and is_wanted(name):
                    names.append(name)
                    deflated = entry.method == _DEFLATED
                    rows.extend((entry.header, entry.packed, entry.size, entry.check, deflated))
    except (OSError, ValueError, OverflowError, struct.error) as error:
        raise CardiganError(f"{where}: not a zip archive, or damaged: {error}") from None
    order = sorted(range(len(names)), key=lambda index: natural(names[index]))
    columns = np.frombuffer(rows, np.int64).reshape(-1, 5)[np.asarray(order, np.int64)]
    header, packed, size = columns[:, :3].T.copy()
    directory = _Directory(header, packed, size, columns[:, 3].astype(np.uint32), columns[:, 4].astype(np.bool_))
    return Strings.of(names[index] for index in order), directory


def _check(entry: Entry, where: str) -> None:
    """Refuse what no honest archive of pictures holds, even though nothing here is written to disk."""
    check_name(entry.name, where)
    reason = ""
    if stat.S_ISLNK(entry.mode):
        reason = "a symbolic link"
    elif entry.flags & 1:
        reason = "encrypted"
    elif entry.method not in (_STORED, _DEFLATED):
        reason = "compressed by another method than deflate"
    elif max(entry.size, entry.packed, entry.header) >= 2**62:
        reason = "a place or a size that cannot be"
    if reason:
        raise refusal(where, entry.name, reason)


def _member(window: Window, directory: _Directory, index: int) -> bytes:
    """The content of a member. What its headers claim is not believed: no more than its stated size is unpacked."""
    start, size = int(directory.header[index]), int(directory.size[index])
    header = window.read(start, _LOCAL)
    if len(header) < _LOCAL or not header.startswith(b"PK\3\4"):
        raise ValueError("damaged: no header where it should be")
    name, extra = struct.unpack("<HH", header[26:30])
    deflated = bool(directory.deflated[index])
    data = window.read(start + _LOCAL + name + extra, min(int(directory.packed[index]), size + size // 100 + 2**16))
    if deflated:
        data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, size + 1)
    if len(data) != size:
        raise ValueError(f"damaged: {'more than ' * (len(data) > size)}{len(data):,} bytes, not {size:,} as stated")
    if zlib.crc32(data) != int(directory.check[index]):
        raise ValueError("damaged: its checksum is wrong")
    return data
