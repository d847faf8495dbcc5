"""The nearest train sentence of each sample, by how many tokens have to be put in, taken out or replaced.

Levenshtein 1966, "Binary codes capable of correcting deletions, insertions and reversals". Two sentences are at least
max(|a|, |b|) - (tokens they share, in whatever order) apart; train sentences are tried by that bound, the lowest
first, until it passes the least distance found: no pair that could be nearer is left out.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cardigan.metrics.text.grams import Flat, Sentences, Whole, flatten, some

BLOCK = 300
"""Train sentences compared at once."""
CHUNK = 256
"""Samples whose bounds to all train sentences are held at once."""


@dataclass(frozen=True)
class NearestSentences:
    """What train sentence is nearest to each of N samples.

    Attributes:
        indices: (N,) one of the nearest train sentences.
        distances: (N,) tokens to change; 0: a copy.
        shares: (N,) the same over the length of the longer sentence, 0..1.
    """

    indices: Whole
    distances: Whole
    shares: NDArray[np.float64]


def edit_distance(one: Sequence[Hashable], other: Sequence[Hashable]) -> int:
    """Tokens to put in, take out or replace to make one sentence the other."""
    flat = flatten([one, other])
    rows = _rows(flat)
    return int(_distances(rows[0, : len(one)], rows[1:], flat.lengths[1:])[0])


def nearest_sentences(samples: Sentences, train: Sentences) -> NearestSentences:
    """The nearest train sentence of each sample.

    Raises:
        CardiganError: no sentences on a side.
    """
    some(samples, "nearest sentences: samples")
    some(train, "nearest sentences: train sentences")
    flat = flatten(samples, train)
    bags, rows, count = _bags(flat), _rows(flat), len(samples)
    theirs, others, lengths = bags[count:].T.tocsr(), rows[count:], flat.lengths[count:]
    found = np.zeros((count, 2), dtype=np.int64)
    for start in range(0, count, CHUNK):
        stop = min(start + CHUNK, count)
        longer = np.maximum(flat.lengths[start:stop, None], lengths)
        bounds = longer - (bags[start:stop] @ theirs).toarray()
        for index in range(start, stop):
            found[index] = _nearest(rows[index, : flat.lengths[index]], others, lengths, bounds[index - start])
    longest = np.maximum(flat.lengths[:count], lengths[found[:, 0]])
    return NearestSentences(found[:, 0], found[:, 1], found[:, 1] / np.maximum(longest, 1))


def _nearest(sentence: Whole, others: Whole, lengths: Whole, bounds: Whole) -> tuple[int, int]:
    order = bounds.argsort(kind="stable")
    index, least = -1, np.iinfo(np.int64).max
    for start in range(0, len(order), BLOCK):
        block = order[start : start + BLOCK]
        block = block[bounds[block] < least]
        if not len(block):
            break
        apart = _distances(sentence, others[block, : lengths[block].max()], lengths[block])
        place = int(apart.argmin())
        if apart[place] < least:
            index, least = int(block[place]), int(apart[place])
    return index, least


def _distances(sentence: Whole, others: Whole, lengths: Whole) -> Whole:
    """(K,) distances of a sentence to (K, M) others, all at once, token by token of the sentence."""
    column = np.arange(others.shape[1] + 1)
    row = np.tile(column, (len(others), 1))
    for place, token in enumerate(sentence.tolist(), 1):
        replaced = row[:, :-1] + (others != token)
        row[:, 1:] = np.minimum(replaced, row[:, 1:] + 1)
        row[:, 0] = place
        # Putting in from the left: min over j <= i of row_j + (i - j).
        row = np.minimum.accumulate(row - column, axis=1) + column
    return row[np.arange(len(others)), lengths]


def _rows(flat: Flat) -> Whole:
    """(N, M) tokens, -1 after the end."""
    rows = np.full((len(flat.lengths), int(flat.lengths.max())), -1, dtype=np.int64)
    rows[np.arange(rows.shape[1]) < flat.lengths[:, None]] = flat.tokens
    return rows


def _bags(flat: Flat) -> Any:
    """(N, kinds) sparse: the k-th of equal tokens in a sentence is a kind of its own, so that products count tokens."""
    from scipy.sparse import csr_array

    order = np.lexsort((flat.tokens, flat.owner))
    keys = flat.owner[order] * max(flat.words, 1) + flat.tokens[order]
    first = np.searchsorted(keys, keys)
    kinds = np.unique(np.stack([flat.tokens[order], np.arange(len(keys)) - first]), axis=1, return_inverse=True)[
        1
    ].reshape(-1)
    columns = int(kinds.max()) + 1 if len(kinds) else 1
    ones = np.ones(len(kinds), dtype=np.int32)
    return csr_array((ones, (flat.owner[order], kinds)), shape=(len(flat.lengths), columns))
