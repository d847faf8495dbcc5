"""Values of any common type -> bytes 0..255."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cardigan.data.sources.arrays.npy import LARGEST, Array
from cardigan.data.sources.source import Pixels
from cardigan.errors import CardiganError

_ALLOWED = "uint8, bool, uint16, or floats in 0..1 or -1..1"
_CHUNK = 2**22
"""Values that are looked at, or rounded, at once."""
_SLACK = 1e-6
"""How far beyond its range a float may lie by rounding errors."""


@dataclass(frozen=True)
class Scale:
    """How values become bytes: (value - low) * factor, rounded; None where they have no range to be found out.

    Attributes:
        low: the value that becomes 0.
        factor: bytes per unit.
        remark: what to tell the user; empty where there is nothing to tell.
    """

    low: float = 0.0
    factor: float = 255.0
    remark: str = ""


def check_kind(array: Array) -> None:
    """Refuse an array of values that are no pixels.

    Raises:
        CardiganError: another type, or more values than can be held as bytes.
    """
    kind = array.dtype.kind
    if not (kind in "bf" or (kind == "u" and array.dtype.itemsize <= 2)):
        raise CardiganError(f"{array.name}: values of type {array.dtype}; allowed: {_ALLOWED}")
    if array.dtype != np.uint8 and np.prod(array.shape, dtype=np.float64) > LARGEST:
        raise CardiganError(f"{array.name}: more than {LARGEST >> 30} GiB of pixels in memory; save them as uint8 .npy")


def scale_of(arrays: Sequence[Array]) -> Scale:
    """The scale of all `arrays` together, found by looking at every float in them.

    Raises:
        CardiganError: arrays of different types, a value that is not finite, or floats of another range.
    """
    kinds = {array.dtype.kind + str(array.dtype.itemsize) * (array.dtype.kind == "u") for array in arrays}
    if len(kinds) > 1:
        types = ", ".join(sorted({str(array.dtype) for array in arrays}))
        raise CardiganError(f"{arrays[0].path.name}: splits of different types, {types}; allowed: one for all")
    dtype = arrays[0].dtype
    if dtype.kind != "f":
        deep = dtype.kind == "u" and dtype.itemsize == 2
        return Scale(remark="16 bits per channel are rounded to 8") if deep else Scale()
    ranges = [_range(array) for array in arrays]
    low, high = min(each[0] for each in ranges), max(each[1] for each in ranges)
    if low < -1 - _SLACK or high > 1 + _SLACK:
        raise CardiganError(f"{arrays[0].name}: floats from {low:g} to {high:g}; allowed: {_ALLOWED}")
    if low < -_SLACK:
        return Scale(-1.0, 127.5, "floats in -1..1 are rounded to bytes")
    return Scale(0.0, 255.0, "floats in 0..1 are rounded to bytes")


def as_bytes(values: NDArray[Any], scale: Scale) -> Pixels:
    """`values` as uint8 of the same shape: themselves if they are bytes already."""
    if values.dtype == np.uint8:
        return values
    result = np.empty(values.shape, np.uint8)
    for rows in _pieces(values):
        piece = values[rows]
        if values.dtype.kind == "b":
            result[rows] = piece.astype(np.uint8) * np.uint8(255)
        elif values.dtype.kind == "u":
            result[rows] = (piece.astype(np.uint32) + 128) // 257
        else:
            scaled = (piece.astype(np.float64) - scale.low) * scale.factor
            result[rows] = np.rint(scaled).clip(0, 255).astype(np.uint8)
    return result


def _range(array: Array) -> tuple[float, float]:
    values, low, high = array.values(), np.inf, -np.inf
    for rows in _pieces(values):
        piece = values[rows]
        if not np.isfinite(piece).all():
            raise CardiganError(f"{array.name}: values that are NaN or infinite; allowed: {_ALLOWED}")
        low, high = min(low, float(piece.min())), max(high, float(piece.max()))
    return low, high


def _pieces(values: NDArray[Any]) -> Iterator[slice]:
    """The rows of `values`, so many at a time that they have _CHUNK values."""
    each = max(1, _CHUNK // max(1, int(np.prod(values.shape[1:]))))
    return (slice(start, start + each) for start in range(0, len(values), each))
