"""Distinct n-grams, copies, loops and lengths, by hand and against plain counting."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cardigan.errors import CardiganError
from cardigan.metrics.text.diversity import copies, distinct, lengths, loops, novelty, unique_share

SENTENCES = st.lists(st.lists(st.integers(0, 3), max_size=10), min_size=1, max_size=8)


def plain(sentences: list[list[int]], order: int) -> Counter[tuple[int, ...]]:
    return Counter(tuple(s[i : i + order]) for s in sentences for i in range(len(s) - order + 1))


@settings(deadline=None)
@given(SENTENCES, SENTENCES)
def test_counting_is_plain_counting(samples: list[list[int]], train: list[list[int]]) -> None:
    shares, new = distinct(samples, (1, 2, 3, 5)), novelty(samples, train, (1, 2, 3, 5))
    for order in (1, 2, 3, 5):
        mine, theirs = plain(samples, order), plain(train, order)
        assert shares[order] == pytest.approx(len(mine) / max(mine.total(), 1))
        unseen = sum(times for gram, times in mine.items() if gram not in theirs)
        assert new[order] == pytest.approx(unseen / max(mine.total(), 1))


@settings(deadline=None)
@given(SENTENCES)
def test_loops_are_a_4_gram_twice_or_three_in_a_row(samples: list[list[int]]) -> None:
    expected = [
        any(times > 1 for times in plain([each], 4).values())
        or any(each[i] == each[i + 1] == each[i + 2] for i in range(len(each) - 2))
        for each in samples
    ]
    assert loops(samples).tolist() == expected


def test_of_nothing_there_is_nothing() -> None:
    assert loops([]).tolist() == [] and loops([[]]).tolist() == [False]
    assert distinct([[]]) == {1: 0, 2: 0, 3: 0}
    assert novelty([[]], []) == {2: 0, 3: 0, 4: 0, 5: 0}


def test_unique_sentences() -> None:
    assert unique_share([["a"], ["a"], ["a", "b"], []]) == 3 / 4
    assert unique_share(["ab", "ab"]) == 1 / 2


@settings(deadline=None)
@given(SENTENCES, SENTENCES)
def test_copies_are_equal_sentences(samples: list[list[int]], train: list[list[int]]) -> None:
    found = copies(samples, train)
    expected = [(index, train.index(each)) for index, each in enumerate(samples) if each in train]
    assert list(zip(found.samples.tolist(), found.train.tolist(), strict=True)) == expected
    assert found.share == len(expected) / len(samples)


def test_a_copy_is_all_new_to_nobody() -> None:
    train = [list("abcdef"), list("xyz")]
    assert novelty(train[:1], train) == {2: 0, 3: 0, 4: 0, 5: 0}
    assert novelty([list("zyxwvu")], train)[2] == 1


def test_lengths() -> None:
    found = lengths([["a"], ["a", "b"]], [["a"], ["a"], ["a", "b", "c"], []])
    assert (found.mean, found.reference_mean) == (1.5, 1.25)
    assert found.total_variation == pytest.approx((0.25 + 0 + 0.5 + 0.25) / 2)
    assert lengths([["a"]], [["b"]]).total_variation == 0
    assert lengths([["a"]], [[]]).total_variation == 1


def test_no_sentences_are_refused() -> None:
    for ask in (distinct, unique_share, lambda none: copies(none, []), lambda none: lengths([["a"]], none)):
        with pytest.raises(CardiganError, match="0 sentences"):
            ask([])
