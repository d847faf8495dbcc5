"""The directory of a zip, entry by entry.

Python's zipfile keeps an object of a kilobyte for each member; archives of pictures have millions. Layout:
https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT, section 4.3
"""

import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

_END = struct.Struct("<4s4H2LH")
_LOCATOR = struct.Struct("<4sLQL")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_FULL = 0xFFFFFFFF
_MOST = 2**31
"""Bytes that a directory may have: thirty million members or so."""


class Entry(NamedTuple):
    """One member of a zip.

    Attributes:
        name: as it is written.
        header: where the header before its content lies.
        packed: bytes of its content as it is stored.
        size: bytes of its content.
        check: CRC-32 of its content.
        method: 0 stored, 8 deflated.
        flags: 1: encrypted.
        mode: Unix mode of the file; 0 where there is none.
    """

    name: str
    header: int
    packed: int
    size: int
    check: int
    method: int
    flags: int
    mode: int


def entries(file: BinaryIO) -> Iterator[Entry]:
    """The members of the zip `file`; what stands before the archive (a program that unpacks itself) is skipped.

    Raises:
        ValueError: no zip, or damaged; says why.
    """
    start, size, count, before = _directory(file)
    file.seek(start)
    data = file.read(size)
    at = 0
    for _ in range(count):
        if len(data) < at + _ENTRY.size or data[at : at + 4] != b"PK\1\2":
            raise ValueError("its directory is cut or broken")
        fields = _ENTRY.unpack_from(data, at)
        _, _, _, flags, method, _, _, check, packed, stated, name, extra, comment, _, _, outer, header = fields
        at += _ENTRY.size
        if len(data) < at + name + extra + comment:
            raise ValueError("its directory is cut or broken")
        if _FULL in (stated, packed, header):
            stated, packed, header = _wide(data[at + name : at + name + extra], stated, packed, header)
        text = _text(data[at : at + name], flags)
        at += name + extra + comment
        yield Entry(text, header + before, packed, stated, check, method, flags, outer >> 16)


def _directory(file: BinaryIO) -> tuple[int, int, int, int]:
    """Where the directory lies, its bytes, its members, and the bytes before the archive."""
    length = file.seek(0, 2)
    tail_start = max(0, length - _END.size - 2**16)
    file.seek(tail_start)
    tail = file.read()
    at = tail.rfind(b"PK\5\6")
    if at < 0 or len(tail) < at + _END.size:
        raise ValueError("it has no directory at its end")
    _, _, _, _, count, size, start, _ = _END.unpack_from(tail, at)
    end = tail_start + at
    file.seek(max(0, end - _LOCATOR.size))
    locator = file.read(_LOCATOR.size)
    if locator.startswith(b"PK\6\7") and len(locator) == _LOCATOR.size:
        end -= _LOCATOR.size + _END_64.size
        file.seek(max(0, end))
        record = file.read(_END_64.size)
        if not record.startswith(b"PK\6\6") or len(record) < _END_64.size:
            raise ValueError("its 64-bit directory is broken")
        *_, count, size, start = _END_64.unpack(record)
    before = end - size - start
    if before < 0 or size > min(length, _MOST) or count * _ENTRY.size > size:
        raise ValueError("its directory is cut or broken")
    return start + before, size, count, before


def _wide(extra: bytes, size: int, packed: int, header: int) -> tuple[int, int, int]:
    """Size, stored size and place where they need 64 bits: of the extra field 1, in this order."""
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, at)
        if kind == 1:
            data = extra[at + 4 : at + 4 + length]
            values = list(struct.unpack_from(f"<{len(data) // 8}Q", data))
            wide = [values.pop(0) if value == _FULL and values else value for value in (size, packed, header)]
            return wide[0], wide[1], wide[2]
        at += 4 + length
    return size, packed, header


def _text(name: bytes, flags: int) -> str:
    """UTF-8 where the flags say so, else the code page of DOS; up to a zero byte, as everybody reads it."""
    name = name.partition(b"\0")[0]
    return name.decode("utf-8", "surrogateescape") if flags & 0x800 else name.decode("cp437")
