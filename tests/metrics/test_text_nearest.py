"""Nearest sentences are the nearest of all, though few pairs are compared."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cardigan.errors import CardiganError
from cardigan.metrics.text.nearest import edit_distance, nearest_sentences

SENTENCE = st.lists(st.integers(0, 4), max_size=8)


def plain(one: list[int], other: list[int]) -> int:
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        row, last = [i], row
        for j, b in enumerate(other, 1):
            row.append(min(last[j] + 1, row[-1] + 1, last[j - 1] + (a != b)))
    return row[-1]


@settings(deadline=None)
@given(SENTENCE, SENTENCE)
def test_the_distance_is_levenshteins(one: list[int], other: list[int]) -> None:
    assert edit_distance(one, other) == plain(one, other)


def test_by_hand() -> None:
    assert edit_distance("kitten", "sitting") == 3
    assert edit_distance("", "abc") == 3
    assert edit_distance(["a", "b"], ["b", "a"]) == 2


@settings(deadline=None)
@given(st.lists(SENTENCE, min_size=1, max_size=5), st.lists(SENTENCE, min_size=1, max_size=30))
def test_none_is_nearer(samples: list[list[int]], train: list[list[int]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cardigan.metrics.text.nearest.BLOCK", 2)
        patch.setattr("cardigan.metrics.text.nearest.CHUNK", 3)
        found = nearest_sentences(samples, train)
    for index, each in enumerate(samples):
        least = min(plain(each, other) for other in train)
        assert found.distances[index] == least == plain(each, train[found.indices[index]])
        assert found.shares[index] == least / max(len(each), len(train[found.indices[index]]), 1)


def test_a_copy_is_found_among_sentences_of_the_same_words() -> None:
    found = nearest_sentences([list("abcd")], [list("dcba"), list("abdc"), list("abcd")])
    assert (found.indices.tolist(), found.distances.tolist(), found.shares.tolist()) == ([2], [0], [0])


def test_no_sentences_are_refused() -> None:
    with pytest.raises(CardiganError, match="train sentences: 0"):
        nearest_sentences([["a"]], [])
    with pytest.raises(CardiganError, match="samples: 0"):
        nearest_sentences([], [["a"]])
