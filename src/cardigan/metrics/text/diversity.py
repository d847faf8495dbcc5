"""How much a generator of sentences varies: distinct n-grams, sentences, loops, copies of train sentences, lengths."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cardigan.metrics.text.grams import Sentences, Whole, each_order, flatten, one_order, some

LOOP = 4
"""A sentence that has an n-gram of this order twice goes in circles."""
IN_A_ROW = 3
"""So does one with a token as many times in a row."""


@dataclass(frozen=True)
class Copies:
    """Samples that are train sentences, word by word.

    Attributes:
        share: of the samples, 0..1.
        samples: (C,) which samples.
        train: (C,) the first train sentence that each is.
    """

    share: float
    samples: Whole
    train: Whole


@dataclass(frozen=True)
class Lengths:
    """Lengths of sentences in tokens.

    Attributes:
        mean: of the samples.
        reference_mean: of the reference sentences.
        total_variation: half the sum of |p(length) - q(length)|, 0..1. It is above 0 between two sets of real
            sentences too: see what real ones reach.
    """

    mean: float
    reference_mean: float
    total_variation: float


def distinct(samples: Sentences, orders: Sequence[int] = (1, 2, 3)) -> dict[int, float]:
    """Different n-grams over all n-grams of the samples together; 0 where there are none.

    Li et al. 2016, "A diversity-promoting objective function for neural conversation models", who divide by the number
    of tokens; by the number of n-grams, 1 means that none occurs twice. More samples have fewer distinct ones:
    compare equal numbers only.

    Raises:
        CardiganError: no samples.
    """
    some(samples, "distinct n-grams: samples")
    grams = {each.order: each for each in each_order(flatten(samples), max(orders))}
    return {order: grams[order].kinds / max(len(grams[order].kind), 1) for order in orders}


def unique_share(samples: Sentences) -> float:
    """Different sentences over all sentences.

    Raises:
        CardiganError: no samples.
    """
    some(samples, "unique sentences: samples")
    return len(set(_rows(samples))) / len(samples)


def novelty(samples: Sentences, train: Sentences, orders: Sequence[int] = (2, 3, 4, 5)) -> dict[int, float]:
    """Share of the samples' n-grams, repeated ones counted, that no train sentence has; 0 where there are none.

    Neither high nor low is good: held-out real sentences tell what is usual.

    Raises:
        CardiganError: no samples.
    """
    counted = novel_counts(samples, train, orders)
    return {order: float(new.sum() / max(of.sum(), 1)) for order, (new, of) in counted.items()}


def novel_counts(
    samples: Sentences, train: Sentences, orders: Sequence[int] = (2, 3, 4, 5)
) -> dict[int, tuple[Whole, Whole]]:
    """How many n-grams of each sample no train sentence has, and how many it has in all: for every order (N,) each.

    Raises:
        CardiganError: no samples.
    """
    some(samples, "novel n-grams: samples")
    found, count = {}, len(samples)
    for grams in each_order(flatten(samples, train), max(orders)):
        mine = grams.owner < count
        known = np.zeros(grams.kinds, dtype=np.bool_)
        known[grams.kind[~mine]] = True
        new = ~known[grams.kind[mine]]
        owner = grams.owner[mine]
        found[grams.order] = np.bincount(owner[new], minlength=count), np.bincount(owner, minlength=count)
    return {order: found[order] for order in orders}


def copies(samples: Sentences, train: Sentences) -> Copies:
    """The samples that are train sentences.

    Held-out real sentences may be some too, short ones above all: compare with their share.

    Raises:
        CardiganError: no samples.
    """
    some(samples, "copies: samples")
    places: dict[tuple[int, ...], int] = {}
    rows = _rows(samples, train)
    for place, sentence in enumerate(rows[len(samples) :]):
        places.setdefault(sentence, place)
    pairs = [(index, places[row]) for index, row in enumerate(rows[: len(samples)]) if row in places]
    which, where = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    return Copies(len(pairs) / len(samples), which, where)


def loops(samples: Sentences) -> NDArray[np.bool_]:
    """(N,) whether a sentence has a 4-gram of tokens twice, or a token three times in a row."""
    flat = flatten(samples)
    found = np.zeros(len(samples), dtype=np.bool_)
    sentence, _, times = one_order(flat, LOOP).counts()
    found[sentence[times > 1]] = True
    window = np.arange(len(flat.tokens) - IN_A_ROW + 1)[:, None] + np.arange(IN_A_ROW)
    same = (flat.tokens[window] == flat.tokens[window[:, :1]]).all(1) & (
        flat.owner[window[:, 0]] == flat.owner[window[:, -1]]
    )
    found[flat.owner[window[same, 0]]] = True
    return found


def lengths(samples: Sentences, reference: Sentences) -> Lengths:
    """Lengths of samples beside those of other sentences.

    Raises:
        CardiganError: no sentences on a side.
    """
    some(samples, "lengths: samples")
    some(reference, "lengths: reference sentences")
    mine, theirs = (np.array([len(each) for each in side], dtype=np.int64) for side in (samples, reference))
    bins = int(max(mine.max(), theirs.max())) + 1
    p, q = (np.bincount(each, minlength=bins) / len(each) for each in (mine, theirs))
    return Lengths(float(mine.mean()), float(theirs.mean()), float(np.abs(p - q).sum() / 2))


def _rows(*parts: Sentences) -> list[tuple[int, ...]]:
    """Sentences of all parts as tuples of numbers, equal where the sentences are."""
    flat = flatten(*parts)
    ends = flat.lengths.cumsum()
    tokens = flat.tokens.tolist()
    return [tuple(tokens[end - length : end]) for end, length in zip(ends.tolist(), flat.lengths.tolist(), strict=True)]
