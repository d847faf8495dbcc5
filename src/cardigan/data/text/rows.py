"""Tokens of sentences as rows of equal length: END behind each, PAD behind that."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cardigan.data.text.tokenizer import Ids
from cardigan.tokens import END, PAD

LONGEST = 512
"""Tokens of a sentence, END among them, where no length is asked for."""


@dataclass(frozen=True)
class Ragged:
    """Sentences of different lengths, one after another.

    Attributes:
        flat: the tokens of all of them, without END.
        lengths: (N,) tokens of each.
    """

    flat: Ids
    lengths: NDArray[np.int64]

    @classmethod
    def of(cls, each: Iterable[Ids]) -> "Ragged":
        """Those sentences."""
        parts = list(each)
        flat = np.concatenate(parts) if parts else np.zeros(0, np.int32)
        return cls(flat, np.array([len(part) for part in parts], np.int64))

    @property
    def longest(self) -> int:
        """Tokens of the longest, with its END."""
        return int(self.lengths.max(initial=0)) + 1

    def rows(self, chosen: NDArray[np.int64], width: int) -> Ids:
        """(n, width) the `chosen` ones with END and then PAD; of one that is longer its first tokens, without END."""
        rows = np.full((len(chosen), width), PAD, np.int32)
        starts = np.concatenate([[0], np.cumsum(self.lengths)])[:-1][chosen]
        lengths = np.minimum(self.lengths[chosen], width)
        column = np.arange(width)
        filled = column < lengths[:, None]
        rows[filled] = self.flat[(starts[:, None] + column)[filled]]
        whole = lengths < width
        rows[np.flatnonzero(whole), lengths[whole]] = END
        return rows


def padded_rows(each: Sequence[Ids], width: int | None = None) -> Ids:
    """(N, width) sentences with END and then PAD; by default as wide as the longest."""
    ragged = Ragged.of(each)
    return ragged.rows(np.arange(len(each)), width or ragged.longest)


def windows(flat: Ids, width: int) -> Ids:
    """(N, width) one long sequence cut into stretches; what is left over at its end is dropped."""
    count = len(flat) // width
    return flat[: count * width].reshape(count, width)
