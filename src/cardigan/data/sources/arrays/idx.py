"""The IDX format of MNIST and its relatives: `train-images-idx3-ubyte.gz` and its three companions.

Layout of a file (http://yann.lecun.com/exdb/mnist): two zero bytes, the type of the values, the number of dimensions,
each dimension as a big-endian 32-bit integer, the values.
"""

import re
import struct
import zlib
from functools import partial
from math import prod
from pathlib import Path

import numpy as np

from cardigan.data.sources.source import Pixels, Source, Split, Stack, number_names, shown
from cardigan.errors import CardiganError

_NAME = re.compile(r"(train|t10k|test)-(images|labels)[-.]idx[0-9]-ubyte(\.gz)?$")
_SPLITS: dict[str, Split] = {"train": "train", "t10k": "test", "test": "test"}
_UNSIGNED_BYTE = 0x08
_LARGEST = 2**31
"""Bytes that a file may unpack to."""


def holds_idx(folder: Path) -> bool:
    """Whether `folder` holds the pictures of an IDX data set."""
    return any(kind == "images" for _, kind in _files(folder))


def open_idx(name: str, folder: Path) -> Source:
    """The IDX files in `folder`: train required, t10k (the test split) and labels where they are there.

    Raises:
        CardiganError: no pictures to train on, or damaged labels. Damaged pictures raise it when their split is read.
    """
    files = _files(folder)
    if ("train", "images") not in files:
        raise CardiganError(f"{shown(folder)}: no train-images-idx3-ubyte.gz in this folder")
    splits: list[Split] = [split for split, kind in files if kind == "images"]
    labelled = [split for split in splits if (split, "labels") in files and ("train", "labels") in files]
    labels = {split: read_idx(files[split, "labels"], (1,)).astype(np.int64) for split in labelled}
    parts = {split: partial(_part, files[split, "images"], labels.get(split)) for split in splits}
    return Source(name, parts, number_names(list(labels.values()), shown(folder)) if labelled else ())


def _files(folder: Path) -> dict[tuple[Split, str], Path]:
    """(split, "images" or "labels") -> file."""
    found = ((_NAME.fullmatch(path.name), path) for path in sorted(folder.iterdir()))
    return {(_SPLITS[match[1]], match[2]): path for match, path in found if match}


def _part(path: Path, labels: np.ndarray | None) -> Stack:
    pixels = read_idx(path, (3, 4))
    if pixels.ndim == 4 and pixels.shape[3] != 3:
        raise CardiganError(
            f"{shown(path)}: pictures of {pixels.shape[3]} channels; allowed: (N, H, W) or (N, H, W, 3)"
        )
    if labels is not None and len(labels) != len(pixels):
        raise CardiganError(f"{shown(path)}: {len(pixels)} pictures, but {len(labels)} labels beside them")
    return Stack(pixels, labels)


def read_idx(path: Path, dimensions: tuple[int, ...]) -> Pixels:
    """The values of an IDX file, plain or gzip, that has one of `dimensions` as its number of dimensions.

    Raises:
        CardiganError: the file cannot be read, or is not what its header claims.
    """
    where = shown(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CardiganError(f"{where}: cannot be read: {error.strerror}") from None
    values = parse_idx(_unpacked(data, where) if data[:2] == b"\x1f\x8b" else data, where)
    if values.ndim not in dimensions:
        allowed = " or ".join(map(str, dimensions))
        raise CardiganError(f"{where}: IDX file of {values.ndim} dimensions; allowed here: {allowed}")
    return values


def _unpacked(data: bytes, where: str) -> bytes:
    stream = zlib.decompressobj(wbits=31)
    try:
        unpacked = stream.decompress(data, _LARGEST)
    except zlib.error as error:
        raise CardiganError(f"{where}: damaged gzip file: {error}") from None
    if stream.unconsumed_tail:
        raise CardiganError(f"{where}: unpacks to more than {_LARGEST >> 30} GiB; refused")
    if not stream.eof:
        raise CardiganError(f"{where}: truncated gzip file")
    return unpacked


def parse_idx(data: bytes, where: str) -> Pixels:
    """The array of unsigned bytes that `data` describes, of one to four dimensions; read-only.

    Raises:
        CardiganError: wrong magic number, another type of values, impossible or wrong dimensions, missing or
            superfluous bytes; names `where`.
    """
    if len(data) < 4 or data[:2] != b"\0\0":
        raise CardiganError(f"{where}: not an IDX file: it must start with two zero bytes, the type and the dimensions")
    kind, count = data[2], data[3]
    if kind != _UNSIGNED_BYTE:
        raise CardiganError(f"{where}: IDX values of type 0x{kind:02X}; allowed: 0x08, unsigned bytes")
    start = 4 + 4 * count
    if not 1 <= count <= 4 or len(data) < start:
        raise CardiganError(
            f"{where}: IDX header of {count} dimensions in {len(data)} bytes; allowed: 1 to 4, complete"
        )
    shape = struct.unpack(f">{count}I", data[4:start])
    if prod(shape) != len(data) - start or not prod(shape):
        claimed = "x".join(map(str, shape))
        raise CardiganError(
            f"{where}: truncated or damaged: {len(data) - start} bytes of values, its header says {claimed}"
        )
    return np.frombuffer(data, dtype=np.uint8, offset=start).reshape(shape)
