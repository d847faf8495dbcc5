"""Files that NumPy wrote, with their headers checked before anything is read; never any Python object."""

import io
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from cardigan.data.sources.source import shown
from cardigan.errors import CardiganError

LARGEST = 2**32
"""Bytes that one array of an .npz may unpack to in memory: 4 GiB."""
_MAGIC = b"\x93NUMPY"
_CHUNK = 2**22
_SIGNED_END = 2**62


@dataclass(frozen=True)
class Array:
    """An array in a file.

    Attributes:
        name: as an error message names it: "digits.npz: x_train".
        path: the file.
        key: its name within an .npz; empty for an .npy.
        shape: as its header says.
        dtype: as its header says; never one of Python objects or of several fields.
        values: reads it; asking twice is cheap. Raises CardiganError.
    """

    name: str
    path: Path
    key: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    values: Callable[[], NDArray[Any]]


@dataclass(frozen=True)
class _Header:
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran: bool
    start: int

    @property
    def size(self) -> int:
        """Bytes of all values."""
        return prod(self.shape) * self.dtype.itemsize


def mapped(path: Path) -> Array:
    """The array in the .npy file `path`, mapped into memory.

    Raises:
        CardiganError: no such file, one of Python objects, truncated or damaged.
    """
    where = shown(path)
    try:
        with path.open("rb") as file:
            header = _header(file, where)
        size = path.stat().st_size
    except OSError as error:
        raise CardiganError(f"{where}: cannot be read: {error.strerror}") from None
    _check_size(header, size - header.start, where)
    return Array(where, path, "", header.shape, header.dtype, cache(partial(_map, path, header, where)))


def archived(path: Path) -> dict[str, Array]:
    """The arrays in the .npz file `path` by their names; nothing but their headers is read.

    Raises:
        CardiganError: no zip archive, a damaged or an encrypted one, or an array that is too large to unpack.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = [member for member in archive.infolist() if member.filename.endswith(".npy")]
            return {member.filename[:-4]: _member(path, archive, member) for member in members}
    except _FAULTS as error:
        raise CardiganError(f"{shown(path)}: not an .npz file, or damaged: {error}") from None


_FAULTS = (
    zipfile.BadZipFile,
    zlib.error,
    OSError,
    EOFError,
    RuntimeError,
    ValueError,
    NotImplementedError,
    LookupError,
)


def _member(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Array:
    where = f"{shown(path)}: {shown(member.filename[:-4])}"
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or member.flag_bits & 1:
        raise CardiganError(f"{where}: encrypted, or compressed by another method than deflate")
    with archive.open(member) as file:
        header = _header(file, where)
    _check_size(header, member.file_size - header.start, where)
    if header.size > LARGEST:
        raise CardiganError(f"{where}: {header.size:,} bytes unpacked, more than {LARGEST >> 30} GiB; save it as .npy")
    read = cache(partial(_unpack, path, member.filename, header, where))
    return Array(where, path, member.filename[:-4], header.shape, header.dtype, read)


def _header(file: IO[bytes], where: str) -> _Header:
    """What stands before the values of an array.

    Raises:
        CardiganError: it is none, or speaks of Python objects, of several fields, or of impossible dimensions.
    """
    start = file.read(8)
    if len(start) < 8 or start[:6] != _MAGIC or start[6:] not in (b"\1\0", b"\2\0", b"\3\0"):
        raise CardiganError(f"{where}: not a .npy array: it must start with \\x93NUMPY and version 1, 2 or 3")
    width = 2 if start[6] == 1 else 4
    length = file.read(width)
    count = int.from_bytes(length, "little")
    text = file.read(count) if count <= _CHUNK else b""
    try:
        # Version 3 differs from 2 in names of fields only, and arrays with fields are refused below.
        rest = io.BytesIO(length + text)
        read = np.lib.format.read_array_header_1_0 if width == 2 else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(rest)
    except Exception as error:  # a header is a Python literal, and its reader raises whatever that can raise
        raise CardiganError(f"{where}: damaged header: {str(error)[:120] or type(error).__name__}") from None
    if dtype.hasobject:
        raise CardiganError(f"{where}: an array of Python objects, which are never loaded; allowed: numbers")
    if dtype.fields or dtype.subdtype or dtype.itemsize == 0:
        raise CardiganError(f"{where}: values of type {dtype}; allowed: numbers")
    whole = all(isinstance(each, int) and not isinstance(each, bool) and each >= 0 for each in shape)
    if not whole or len(shape) > 16 or prod(shape) * dtype.itemsize > _SIGNED_END:
        raise CardiganError(f"{where}: impossible shape {str(shape)[:80]}")
    return _Header(tuple(shape), dtype, bool(fortran), 8 + width + count)


def _check_size(header: _Header, there: int, where: str) -> None:
    if header.size != there:
        raise CardiganError(
            f"{where}: truncated or damaged: {max(0, there):,} bytes of values, its header says {header.size:,}"
        )


def _map(path: Path, header: _Header, where: str) -> NDArray[Any]:
    if header.size == 0:
        return np.zeros(header.shape, header.dtype)
    try:
        order = "F" if header.fortran else "C"
        return np.memmap(path, header.dtype, "r", header.start, header.shape, order)  # type: ignore[call-overload]
    except (OSError, ValueError) as error:
        raise CardiganError(f"{where}: cannot be read: {error}") from None


def _unpack(path: Path, member: str, header: _Header, where: str) -> NDArray[Any]:
    values = bytearray()
    try:
        # Grown as they come: memory that a forged header claims is not taken before there are bytes for it.
        with zipfile.ZipFile(path) as archive, archive.open(member) as file:
            file.read(header.start)
            while len(values) <= header.size and (block := file.read(min(_CHUNK, header.size + 1 - len(values)))):
                values += block
    except _FAULTS as error:
        raise CardiganError(f"{where}: damaged: {error}") from None
    _check_size(header, len(values), where)
    array = np.frombuffer(values, header.dtype)
    return array.reshape(header.shape, order="F" if header.fortran else "C")
