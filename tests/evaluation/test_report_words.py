"""The summary in words claims what the numbers show, and says where they show little."""

from typing import Any

import pytest
from invented_evaluations import classes, evaluation, score, scores

from cardigan.evaluation.report.words import summarise
from cardigan.evaluation.result import ClassShare

NOTHING: dict[str, Any] = {"low": None, "high": None, "floor": None, "ceiling": None}
SHARE: dict[str, Any] = {"floor": 0.8, "ceiling": 0.0, "better": "higher"}


def told(*found: Any, shares: tuple[ClassShare, ...] = ()) -> str:
    return " ".join(summarise(found, shares))


def test_the_whole_summary_of_a_usual_run() -> None:
    said = evaluation().summary
    assert said[0] == (
        "local-FD 4.1 (3.8 to 4.4): real samples reach 1.7, a trivial generator 1,410; "
        "most of the way, counted in factors."
    )
    assert said[1] == "All 10 classes appear; 6 falls short most (7.8% against 9.6% of the real ones)."
    assert said[2].endswith("more is missing in variety than in fidelity.")
    assert said[3].startswith("No sign of memorised training samples: memorisation 0.50 (0.48 to 0.51)")
    assert "support size" in said[4] and said[5] == "Without an interval: spectrum, a metric of my own."


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (1.72, "within its interval the same as real samples"),
        (1.2, "beyond what real samples reach"),
        (48.0, "about half of the way, counted in factors"),
        (500.0, "a small part of the way, counted in factors"),
        (1400.0, "about where a trivial generator is."),
        (9000.0, "worse than a trivial generator."),
    ],
)
def test_how_far_it_has_come(value: float, words: str) -> None:
    assert words in told(score(value=value, low=value - 0.05, high=value + 0.05))


def test_what_is_not_known_is_not_claimed() -> None:
    assert told(score(**NOTHING)).startswith("local-FD 4.12; what real samples reach is not known.")
    assert told(score(**NOTHING | {"floor": 1.7})).startswith("local-FD 4.12: real samples reach 1.7.")
    assert told(score(**NOTHING | {"ceiling": 1412.3})).startswith("local-FD 4.12: a trivial generator reaches 1,410.")
    assert "way" not in told(score(value=float("nan")))
    assert summarise((), ()) == ()


def test_the_first_distance_speaks_for_the_whole() -> None:
    precise = score("precision", "precision", 0.5, low=0.49, high=0.51, **SHARE)
    assert told(precise, score(), score(name="FID")).startswith("local-FD")
    assert told(precise).startswith("precision 0.50")


def test_missing_classes_are_named() -> None:
    gone = tuple(ClassShare(str(at), 0.0 if at < 7 else 0.3, 0.0, 0.0, 0.1) for at in range(10))
    assert "3 of 10 classes appear; missing: 0, 1, 2, 3, 4 and 2 more." in told(shares=gone)
    even = tuple(ClassShare(str(at), 0.1 - at / 1000, 0.08, 0.12, 0.1) for at in range(10))
    assert "9 falls short most, yet within its interval" in told(shares=even)
    assert "class" not in told(shares=(ClassShare("never there", 0.0, 0.0, 0.0, 0.0),))
    assert len(summarise((), classes())) == 1


def test_variety_is_held_against_fidelity_only_where_intervals_allow() -> None:
    def pair(precision: float, recall: float, half: float) -> str:
        one = score("precision", "precision", precision, low=precision - half, high=precision + half, **SHARE)
        return told(one, score("recall", "recall", recall, low=recall - half, high=recall + half, **SHARE))

    assert "more is missing in variety" in pair(0.7, 0.4, 0.01)
    assert "more is missing in fidelity" in pair(0.4, 0.7, 0.01)
    assert "more is missing" not in pair(0.55, 0.5, 0.05)


def test_memorisation_is_judged_by_its_interval() -> None:
    def sign(**numbers: Any) -> str:
        return told(score("memorisation", "copies", 0.6, **{"floor": 0.5, "ceiling": None, **numbers}))

    assert "Signs of memorised" in sign(low=0.55, high=0.65)
    assert "No sign of memorised" in sign(low=0.45, high=0.75)
    assert "No sign" not in sign(low=0.3, high=0.4, better="higher") and "Signs" in sign(
        low=0.3, high=0.4, better="higher"
    )
    assert "does not decide it" in sign(low=None, high=None)
    assert "nothing to hold it against" in sign(low=0.5, high=0.7, floor=None)


def test_wide_intervals_and_few_samples_are_said() -> None:
    assert "Wide intervals: local-FD 4 (0 to 8)" in told(score(low=0.2, high=8.1))
    assert "Few samples: scores rest on as few as 500 generated ones." in told(score(generated_count=500))
    assert "as few as 90 real ones" in told(score(reference_count=90))
    assert "Few samples" not in told(*scores()) and "Wide" not in told(score())
