"""Sentences as one row of numbers, and their n-grams counted at once instead of sentence by sentence."""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cardigan.errors import CardiganError

Sentences = Sequence[Sequence[Hashable]]
"""Lists of tokens: numbers or words; of strings, the tokens are characters."""
Whole = NDArray[np.int64]


@dataclass(frozen=True)
class Flat:
    """Sentences behind one another.

    Attributes:
        tokens: (T,) numbers from 0, equal where tokens are equal.
        owner: (T,) the sentence of each token.
        lengths: (N,) tokens of each sentence.
        words: how many different tokens there are.
    """

    tokens: Whole
    owner: Whole
    lengths: Whole
    words: int


@dataclass(frozen=True)
class Grams:
    """All n-grams of one order.

    Attributes:
        order: n.
        kind: (G,) numbers from 0, equal where n-grams are equal.
        owner: (G,) the sentence of each.
        kinds: how many different ones there are.
    """

    order: int
    kind: Whole
    owner: Whole
    kinds: int

    def counts(self) -> tuple[Whole, Whole, Whole]:
        """Sentence, kind and count of every kind in every sentence that has it, by sentence."""
        pairs, count = np.unique(self.owner * max(self.kinds, 1) + self.kind, return_counts=True)
        sentence, kind = np.divmod(pairs, max(self.kinds, 1))
        return sentence, kind, count


def flatten(*parts: Sentences) -> Flat:
    """All sentences of all parts in one row, with one numbering of tokens."""
    numbers: dict[Hashable, int] = {}
    rows = [plain(sentence) for part in parts for sentence in part]
    tokens = [numbers.setdefault(token, len(numbers)) for row in rows for token in row]
    lengths = np.array([len(row) for row in rows], dtype=np.int64)
    owner = np.repeat(np.arange(len(rows)), lengths)
    return Flat(np.array(tokens, dtype=np.int64), owner, lengths, len(numbers))


def each_order(flat: Flat, highest: int) -> Iterator[Grams]:
    """The n-grams of orders 1, 2, ... `highest`.

    An n-gram is the (n - 1)-gram it begins with and one more token: two numbers, whatever n is.
    """
    start = np.arange(len(flat.tokens))
    kind, kinds = flat.tokens, flat.words
    for order in range(1, highest + 1):
        if order > 1:
            last = start + order - 1
            inside = last < len(flat.tokens)
            inside[inside] = flat.owner[last[inside]] == flat.owner[start[inside]]
            start, last = start[inside], last[inside]
            keys = kind[inside] * flat.words + flat.tokens[last]
            different, kind = np.unique(keys, return_inverse=True)
            kinds = len(different)
        yield Grams(order, kind, flat.owner[start], kinds)


def one_order(flat: Flat, order: int) -> Grams:
    """The n-grams of one order."""
    *_, last = each_order(flat, order)
    return last


def some(sentences: Sentences, name: str, least: int = 1) -> None:
    """Refuse too few sentences.

    Raises:
        CardiganError: there are fewer than `least`.
    """
    if len(sentences) < least:
        raise CardiganError(f"{name}: {len(sentences)} sentences; allowed: at least {least}")


def plain(sentence: Sequence[Hashable]) -> Sequence[Hashable]:
    """Rows of tensors are made lists: a tensor's elements are hashed by where they lie, not by what they are."""
    return sentence.tolist() if hasattr(sentence, "tolist") else sentence
