"""BLEU and self-BLEU are NLTK's and sacreBLEU's to the last digits, without looking at pairs of sentences."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cardigan.errors import CardiganError
from cardigan.metrics.jackknife import jackknife
from cardigan.metrics.text.averages import average
from cardigan.metrics.text.bleu import bleu, self_bleu

ORDERS = (1, 2, 3, 4, 5)
SENTENCES = st.lists(st.lists(st.integers(0, 4), max_size=9), min_size=1, max_size=8)


def by_nltk(hypothesis: Sequence[object], references: Sequence[Sequence[object]], order: int) -> float:
    translate = pytest.importorskip("nltk.translate.bleu_score")
    method = translate.SmoothingFunction().method1
    return float(translate.sentence_bleu(references, hypothesis, (1 / order,) * order, method))


@settings(deadline=None)  # NLTK goes through all pairs
@given(SENTENCES, SENTENCES)
def test_bleu_is_nltks(hypotheses: list[list[int]], references: list[list[int]]) -> None:
    ours = bleu(hypotheses, references, ORDERS)
    for order in ORDERS:
        expected = [by_nltk(each, references, order) for each in hypotheses]
        assert ours[order].tolist() == pytest.approx(expected, rel=1e-12, abs=1e-15)


@settings(deadline=None)
@given(SENTENCES.filter(lambda each: len(each) > 1))
def test_self_bleu_is_nltks_with_each_left_out(samples: list[list[int]]) -> None:
    ours = self_bleu(samples, ORDERS)
    for order in ORDERS:
        expected = [by_nltk(s, samples[:i] + samples[i + 1 :], order) for i, s in enumerate(samples)]
        assert ours[order].tolist() == pytest.approx(expected, rel=1e-12, abs=1e-15)


@settings(deadline=None)
@given(st.lists(st.integers(0, 3), min_size=4, max_size=9), st.lists(st.integers(0, 3), min_size=1, max_size=9))
def test_of_one_reference_it_is_sacrebleus(hypothesis: list[int], reference: list[int]) -> None:
    """Its floor smoothing is method 1. Without any match it reports smoothed numbers where NLTK says 0."""
    from sacrebleu.metrics.bleu import BLEU

    metric = BLEU(tokenize="none", smooth_method="floor", smooth_value=0.1, effective_order=False)
    if not set(hypothesis) & set(reference):
        return
    theirs = metric.sentence_score(" ".join(map(str, hypothesis)), [" ".join(map(str, reference))]).score
    assert 100 * bleu([hypothesis], [reference], (4,))[4][0] == pytest.approx(theirs, rel=1e-9)


def test_by_hand() -> None:
    """Two of three tokens, one of two bigrams, one token shorter than the reference."""
    score = bleu([["a", "b", "x"]], [["a", "b", "c", "d"]], (2,))[2][0]
    assert score == pytest.approx(math.exp(1 - 4 / 3) * math.sqrt(2 / 3 * 1 / 2))


def test_references_against_themselves_are_1() -> None:
    sentences = [list("abcde"), list("bcdefg"), list("aaaaaa")]
    assert all((each == 1).all() for each in bleu(sentences, sentences, ORDERS).values())


def test_identical_samples_have_a_self_bleu_of_1() -> None:
    assert all((each == 1).all() for each in self_bleu([list("abcdef")] * 3).values())


def test_samples_without_a_common_token_have_a_self_bleu_of_0() -> None:
    assert all((each == 0).all() for each in self_bleu([list("abcdef"), list("ghijkl")]).values())


def test_empty_sentences_have_0_and_short_ones_have_little() -> None:
    scores = bleu([[], list("abc")], [list("abc"), []], (3, 4))
    assert scores[3].tolist() == [0, 1]
    assert scores[4].tolist() == [0, pytest.approx(0.1 ** (1 / 4))]
    assert bleu([[]], [[]], (2,))[2].tolist() == [0]
    assert self_bleu([[], []], (2,))[2].tolist() == [0, 0]


def test_rows_of_tensors_are_numbers() -> None:
    rows = torch.tensor([[1, 2, 3, 4], [1, 2, 3, 5]])
    assert bleu(list(rows), rows.tolist(), (3,))[3].tolist() == [1, 1]
    assert bleu(list(rows.numpy()), rows.tolist(), (3,))[3].tolist() == [1, 1]


def test_too_little_is_refused() -> None:
    with pytest.raises(CardiganError, match="hypotheses: 0 sentences"):
        bleu([], [["a"]])
    with pytest.raises(CardiganError, match="references: 0 sentences"):
        bleu([["a"]], [])
    with pytest.raises(CardiganError, match="1 sentences; allowed: at least 2"):
        self_bleu([["a"]])
    for orders in ((), (0, 2)):
        with pytest.raises(CardiganError, match="orders"):
            bleu([["a"]], [["a"]], orders)


def test_average_is_the_jackknife_of_the_mean() -> None:
    values = np.random.default_rng(0).normal(size=57)
    without = [float(np.delete(values, np.arange(group, 57, 10)).mean()) for group in range(10)]
    assert average(values) == pytest.approx((values.mean(), *jackknife(without, float(values.mean()))))
    assert average(np.ones(10, dtype=np.bool_)) == (1, 1, 1)
    with pytest.raises(CardiganError, match="9 samples in 10 groups"):
        average(np.zeros(9))
