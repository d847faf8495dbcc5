"""Sequences whose items are made when asked for, so that a million names cost their letters and eight bytes each."""

import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

_MANY = 2**14
"""Strings that are taken from the array at once when all are asked for in turn."""
T_co = TypeVar("T_co", covariant=True)


class Made(Sequence[T_co], Generic[T_co]):
    """`length` items, each made by `make` from its index whenever it is asked for."""

    def __init__(self, length: int, make: Callable[[int], T_co]) -> None:
        self._length, self._make = length, make

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, index: int) -> T_co: ...
    @overload
    def __getitem__(self, index: slice) -> list[T_co]: ...
    def __getitem__(self, index: int | slice) -> T_co | list[T_co]:
        if isinstance(index, slice):
            return [self._make(each) for each in range(*index.indices(self._length))]
        number = operator.index(index)
        if not -self._length <= number < self._length:
            raise IndexError(f"item {number} of {self._length}")
        return self._make(number % self._length)


class Strings(Made[str]):
    """Any strings, lone surrogates included, as one array of bytes.

    Args:
        data: (bytes,) uint8, the strings in UTF-8 one after another; may be a memory map.
        ends: (N,) int64, where each ends.
    """

    def __init__(self, data: NDArray[np.uint8], ends: NDArray[np.int64]) -> None:
        self.data, self.ends = data, ends
        super().__init__(len(ends), self._string)

    @classmethod
    def of(cls, strings: Iterable[str]) -> "Strings":
        """`strings`, packed."""
        encoded = [each.encode("utf-8", "surrogatepass") for each in strings]
        ends = np.cumsum(np.fromiter(map(len, encoded), np.int64, len(encoded)))
        return cls(np.frombuffer(b"".join(encoded), np.uint8), ends)

    def __iter__(self) -> Iterator[str]:
        start = 0
        for first in range(0, len(self), _MANY):
            ends = self.ends[first : first + _MANY].tolist()
            data = self.data[start : ends[-1]].tobytes()
            base = start
            for end in ends:
                yield data[start - base : end - base].decode("utf-8", "surrogatepass")
                start = end

    def _string(self, index: int) -> str:
        start = int(self.ends[index - 1]) if index else 0
        return self.data[start : int(self.ends[index])].tobytes().decode("utf-8", "surrogatepass")


def packed_sentences(each: Sequence[Sequence[str]]) -> Sequence[tuple[str, ...]]:
    """What is said of each picture, kept as one array of bytes."""
    strings = Strings.of(sentence for sentences in each for sentence in sentences)
    starts = np.concatenate([[0], np.cumsum([len(sentences) for sentences in each], dtype=np.int64)])
    return Made(len(each), lambda index: tuple(strings[int(starts[index]) : int(starts[index + 1])]))


def shown_many(names: Iterable[Any], most: int = 3) -> str:
    """The first few of `names` for a message, with an ellipsis where there are more."""
    listed = list(names)
    return ", ".join(map(str, listed[:most])) + (" ..." if len(listed) > most else "")
