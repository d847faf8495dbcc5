"""The headers of a tar, one after another: plain ustar, PAX and GNU long names.

Python's tarfile keeps an object of a kilobyte for each member; archives of pictures have millions. Layout: https://pubs.opengroup.org/onlinepubs/9699919799/utilities/pax.html
"""

import zlib
from collections.abc import Iterator
from typing import NamedTuple, Protocol

from cardigan.data.sources.trees.tree import check_name, refusal
from cardigan.errors import CardiganError

BLOCK = 512
_ZEROS = bytes(BLOCK)
_LONGEST = 2**20
"""Bytes that the records before a header may have."""
_MANY = 16
"""Such records before one header."""
_LINKS = {b"1": "a hard link", b"2": "a symbolic link"}
_DEVICES = {b"3": "a device", b"4": "a device", b"6": "a pipe"}
_RECORDS = frozenset((b"x", b"g", b"L", b"K"))


class Stream(Protocol):
    """What headers are read from. Places only ever grow."""

    def seek(self, place: int, /) -> int:
        """Go to the byte `place`."""

    def read(self, count: int, /) -> bytes:
        """The next `count` bytes, fewer only at the end."""


class Member(NamedTuple):
    """One file of a tar.

    Attributes:
        name: with slashes.
        start: where its first header lies.
        offset: where its content lies.
        size: bytes of its content.
    """

    name: str
    start: int
    offset: int
    size: int


def padded(size: int) -> int:
    """`size` rounded up to whole blocks."""
    return -(-size // BLOCK) * BLOCK


def members(stream: Stream, where: str, start: int = 0) -> Iterator[Member]:
    """The files in the tar `stream`; folders are passed over. After a member the stream may stand anywhere within it.

    Raises:
        CardiganError: no tar, damaged, truncated, or with a link, a device or a path that leaves the archive.
    """
    at = start
    while True:
        first, record = at, _Record()
        for _ in range(_MANY):
            stream.seek(at)
            block = stream.read(BLOCK)
            if block == _ZEROS and at == first:
                return
            if len(block) < BLOCK:
                raise _cut(where)
            kind, size = _checked(block, where, at)
            if kind not in _RECORDS:
                break
            at += BLOCK + padded(size)
            record.add(kind, _content(stream, size, where), where)
        else:
            raise CardiganError(f"{where}: damaged tar: too many records at byte {first:,}")
        size = size if record.size is None else record.size
        name = record.name or _name(block)
        offset = at + BLOCK
        at = offset + (0 if kind == b"5" else padded(size))
        check_name(name, where)
        if (
            reason := _LINKS.get(kind)
            or _DEVICES.get(kind)
            or ("a sparse file" if record.sparse or kind == b"S" else "")
        ):
            raise refusal(where, name, reason)
        if kind in (b"0", b"\0", b"7") and not name.endswith("/"):
            yield Member(name, first, offset, size)


class _Record:
    """What the records before a header say of it."""

    def __init__(self) -> None:
        self.name, self.sparse = "", False
        self.size: int | None = None

    def add(self, kind: bytes, data: bytes, where: str) -> None:
        if kind == b"L":
            self.name = _text(data)
        elif kind == b"x":
            for key, value in _pairs(data, where):
                if key == b"path":
                    self.name = _text(value)
                elif key == b"size":
                    self.size = _number(value, where)
                elif key.startswith(b"GNU.sparse"):
                    self.sparse = True


def _pairs(data: bytes, where: str) -> Iterator[tuple[bytes, bytes]]:
    """The pairs of a PAX record, each written as "length key=value" and a line break."""
    at = 0
    while at < len(data) and data[at]:
        digits, _, _ = data[at : at + 24].partition(b" ")
        length = _number(digits, where)
        key, equals, value = data[at + len(digits) + 1 : at + length - 1].partition(b"=")
        if not equals or at + length > len(data):
            raise CardiganError(f"{where}: damaged tar: a broken PAX record")
        yield key, value
        at += length


def _content(stream: Stream, size: int, where: str) -> bytes:
    if size > _LONGEST:
        raise CardiganError(f"{where}: damaged tar: a name or record of {size:,} bytes")
    data = stream.read(padded(size))
    if len(data) < padded(size):
        raise _cut(where)
    return data[:size]


def _checked(block: bytes, where: str, at: int) -> tuple[bytes, int]:
    """Kind of the member, and bytes of its content, from a header whose checksum is right."""
    try:
        stated = int(block[148:156].strip(b" \0") or b"0", 8)
        # Adler's sum is that of the bytes, modulo 65521 and far quicker than `sum`.
        right = zlib.adler32(block[:148] + b" " * 8 + block[156:]) & 0xFFFF == (stated + 1) % 65521
    except ValueError:
        right = False
    if not right:
        what = f"damaged tar: no header at byte {at:,}" if at else "not a tar archive"
        raise CardiganError(f"{where}: {what}")
    digits = block[124:136]
    if digits[0] & 0x80:  # GNU: base 256
        size = int.from_bytes(digits[1:]) if digits[0] == 0x80 else -1
    else:
        size = _number(digits.strip(b" \0") or b"0", where, 8)
    if not 0 <= size < 2**60:
        raise CardiganError(f"{where}: damaged tar: an impossible size at byte {at:,}")
    return block[156:157], size


def _number(digits: bytes, where: str, base: int = 10) -> int:
    try:
        value = int(digits, base)
    except ValueError:
        value = -1
    if not 0 < value < 2**60 and digits.strip(b"0"):
        raise CardiganError(f"{where}: damaged tar: {digits[:20]!r} is no number")
    return max(value, 0)


def _name(block: bytes) -> str:
    name = block[:100].partition(b"\0")[0]
    prefix = block[345:500].partition(b"\0")[0] if block[257:263] == b"ustar\0" else b""
    return _text(prefix + b"/" + name if prefix else name)


def _text(data: bytes) -> str:
    return data.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def _cut(where: str) -> CardiganError:
    return CardiganError(f"{where}: truncated tar archive: it stops before its end mark")
