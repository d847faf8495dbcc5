"""Compressed tars cannot be read in the middle: what is wanted of them is copied once to a plain tar in the cache."""

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from cardigan.data import store
from cardigan.data.sources.decoding import SUFFIXES
from cardigan.data.sources.source import shown
from cardigan.data.sources.trees.layout import suffix
from cardigan.data.sources.trees.tar_headers import BLOCK, members, padded
from cardigan.data.sources.trees.tree import LARGEST, TEXTS, is_wanted
from cardigan.errors import CardiganError

_CHUNK = 2**20
_FREE = 2**29
"""Bytes that any archive may unpack to: 512 MiB."""
_RATIO = 200
"""Times its own size that more may be; pictures do not shrink to a hundredth."""
_TAR = "pictures.tar"
_WANTED = SUFFIXES | TEXTS | {".cls"}


def _zstd(file: BinaryIO) -> Any:
    import pyarrow as pa

    return pa.CompressedInputStream(pa.PythonFile(file, mode="r"), "zstd")


Opener = Callable[[BinaryIO], Any]
_FORMS: tuple[tuple[bytes, Opener], ...] = (
    (b"\x1f\x8b", lambda file: gzip.GzipFile(fileobj=file)),
    (b"\x28\xb5\x2f\xfd", _zstd),
    (b"BZh", bz2.BZ2File),
    (b"\xfd7zXZ\0", lzma.LZMAFile),
)
"""How the file starts, and what unpacks it."""


def plain_tar(path: Path) -> Path:
    """`path` itself, or where it is compressed (gzip, zstd, bzip2, xz) a plain tar of what is wanted of it.

    Raises:
        CardiganError: damaged, truncated, a bomb, or refused for a member; see `members`.
        StoreError: the cache cannot be written.
    """
    where = shown(path)
    try:
        with path.open("rb") as file:
            start = file.read(8)
        key = store.stamp([path.absolute()])
    except OSError as error:
        raise CardiganError(f"{where}: cannot be read: {error.strerror}") from None
    opener = next((each for head, each in _FORMS if start.startswith(head)), None)
    if opener is None:
        return path
    about = {"source": str(path.absolute())}
    return store.keep("packed", key, partial(_pack, path, opener), about) / _TAR


def _pack(path: Path, opener: Opener, folder: Path) -> None:
    """Copy the wanted members, headers and all; of one that is too large only the header, its content is a hole."""
    stream = _Unpacked(path, opener)
    try:
        with (folder / _TAR).open("wb") as out:
            _copy(stream, out)
        stream.finish()
    except CardiganError:  # a bomb would leave a gigabyte behind
        (folder / _TAR).unlink()
        raise
    finally:
        stream.close()


def _copy(stream: "_Unpacked", out: BinaryIO) -> None:
    for member in members(stream, stream.where):
        header = stream.seen()
        if not is_wanted(member.name) or suffix(member.name) not in _WANTED:
            continue
        out.write(header)
        if member.size > LARGEST and suffix(member.name) in SUFFIXES:
            out.seek(padded(member.size), 1)
        else:
            stream.copy(member.size, out)
            out.write(bytes(padded(member.size) - member.size))
    out.write(bytes(2 * BLOCK))


class _Unpacked:
    """A compressed file as a stream that only goes forward, and not beyond what an honest archive would unpack to."""

    def __init__(self, path: Path, opener: Opener) -> None:
        self.where = shown(path)
        self._file = path.open("rb")
        self._stream = self._told(lambda: opener(self._file))
        self._size = path.stat().st_size
        self._at = 0
        self._seen: list[bytes] = []

    def close(self) -> None:
        """Let the file go."""
        self._file.close()

    def seek(self, place: int, /) -> int:
        """Go on to `place`; what is passed over is thrown away."""
        if place > self._at:
            self._seen.clear()
        self._check(place, self._size)
        while self._at < place and self._piece(place - self._at):
            pass
        return self._at

    def read(self, count: int, /) -> bytes:
        """The next `count` bytes, fewer only at the end; remembered for `seen`."""
        pieces, missing = list[bytes](), count
        while missing and (piece := self._piece(missing)):
            pieces.append(piece)
            missing -= len(piece)
        self._seen += pieces
        return b"".join(pieces)

    def seen(self) -> bytes:
        """What was read since bytes were last passed over or this was last asked for."""
        data = b"".join(self._seen)
        self._seen.clear()
        return data

    def copy(self, count: int, out: BinaryIO) -> None:
        """Write the next `count` bytes to `out`."""
        self._check(self._at + count, self._size)
        while count:
            piece = self._piece(count)
            if not piece:
                raise CardiganError(f"{self.where}: truncated tar archive: it stops within a member")
            out.write(piece)
            count -= len(piece)

    def finish(self) -> None:
        """Go on to the end, where gzip, bzip2 and xz say whether what was unpacked is right."""
        while self._piece(_CHUNK):
            pass

    def _piece(self, count: int) -> bytes:
        self._check(self._at, self._file.tell())
        piece = self._told(lambda: self._stream.read(min(count, _CHUNK)))
        self._at += len(piece)
        return bytes(piece)

    def _check(self, place: int, packed: int) -> None:
        """Refuse to go to `place` of what `packed` compressed bytes hold."""
        if place > max(_FREE, _RATIO * packed):
            raise CardiganError(
                f"{self.where}: unpacks to {_RATIO} times its size or more: refused as a bomb; unpack it yourself if "
                "you trust it"
            )

    def _told(self, work: Callable[[], Any]) -> Any:
        """What `work` gives; what the unpackers say of damage becomes one line."""
        import pyarrow as pa

        try:
            return work()
        except EOFError:
            raise CardiganError(f"{self.where}: truncated: its compressed data stops in the middle") from None
        except (OSError, ValueError, zlib.error, lzma.LZMAError, pa.ArrowException) as error:
            raise CardiganError(f"{self.where}: damaged: {' '.join(str(error).split())[:120]}") from None
