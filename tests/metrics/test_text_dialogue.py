"""Recall among candidates, by hand and of those who guess."""

import numpy as np
import pytest

from cardigan.errors import CardiganError
from cardigan.metrics.text.dialogue import recall_at


def test_by_hand() -> None:
    found = recall_at([[3, 1, 2], [2, 3, 1], [0, 1, 2]], (1, 2, 3))
    assert {k: each.tolist() for k, each in found.items()} == {1: [1, 0, 0], 2: [1, 1, 0], 3: [1, 1, 1]}


def test_equal_scores_are_a_guess() -> None:
    found = recall_at(np.zeros((4, 10)), (1, 2, 5, 10))
    assert {k: each.mean() for k, each in found.items()} == pytest.approx({1: 0.1, 2: 0.2, 5: 0.5, 10: 1})
    assert recall_at([[1, 1, 2, 0]], (1, 2, 3))[2].tolist() == [0.5]


def test_random_scores_are_a_guess() -> None:
    found = recall_at(np.random.default_rng(0).normal(size=(20_000, 10)), (1, 5))
    assert found[1].mean() == pytest.approx(0.1, abs=0.01) and found[5].mean() == pytest.approx(0.5, abs=0.015)


def test_what_is_no_score_is_refused() -> None:
    for scores in ([1.0], [[]], [[np.nan, 1]]):
        with pytest.raises(CardiganError, match="recall: scores"):
            recall_at(scores)
    with pytest.raises(CardiganError, match="best 0"):
        recall_at([[1, 2]], (0, 1))
