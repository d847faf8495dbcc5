"""Runs are ranked where their scores were measured alike, refused where not, and set apart when forced."""

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from invented_evaluations import curves, exhibits, saved, score

from cardigan.errors import CardiganError
from cardigan.evaluation.comparison import Comparison, compare
from cardigan.evaluation.protocol import MUST_AGREE
from cardigan.evaluation.report.compared import write_comparison
from cardigan.evaluation.result import Evaluation, Subject


def having(*scores: Any) -> dict[str, Any]:
    """As it comes back from evaluation.json."""
    return json.loads(json.dumps(Evaluation(Subject("x", "run"), scores).plain()))  # type: ignore[no-any-return]


def distance(value: float, half: float | None = 0.3, **changes: Any) -> dict[str, Any]:
    ends = {"low": None, "high": None} if half is None else {"low": value - half, "high": value + half}
    return having(score(value=value, **ends, **changes))


def ranking(comparison: Comparison) -> list[tuple[str, int | None, str]]:
    return [(row.run, row.rank, row.against) for row in comparison.tables[0].rows]


def test_the_best_comes_first_and_overlapping_intervals_are_ties() -> None:
    found = compare([("poor", distance(9.0)), ("good", distance(4.0)), ("also good", distance(4.5))])
    assert ranking(found) == [("good", 1, ""), ("also good", 2, "tie"), ("poor", 3, "worse")]


def test_higher_may_be_better_and_neither_is_not_ranked() -> None:
    found = compare([("a", distance(4.0, better="higher")), ("b", distance(9.0, better="higher"))])
    assert ranking(found) == [("b", 1, ""), ("a", 2, "worse")]
    found = compare([("a", distance(9.0, better="neither")), ("b", distance(4.0, better="neither"))])
    assert ranking(found) == [("a", None, ""), ("b", None, "")]


def test_without_intervals_nothing_is_decided() -> None:
    found = compare([("a", distance(4.0)), ("b", distance(9.0, None)), ("c", distance(float("nan")))])
    assert ranking(found) == [("a", 1, ""), ("b", 2, "undecided"), ("c", None, "undecided")]


def test_a_score_that_only_some_have_names_the_others() -> None:
    extra = having(score(), score("kd", "KD", 1.0))
    found = compare([("a", extra), ("b", distance(4.0)), ("c", extra)])
    assert [(table.name, table.missing) for table in found.tables] == [("local-FD", ()), ("KD", ("b",))]
    assert "      not measured: b" in found.lines()


@pytest.mark.parametrize("field", MUST_AGREE)
def test_scores_measured_differently_are_refused(field: str) -> None:
    changed: Any = 77 if field in ("version", "reference_count", "generated_count", "truncation") else "changed"
    with pytest.raises(CardiganError) as refused:
        compare([("one", distance(4.0)), ("two", distance(9.0, **{field: changed}))])
    words = str(refused.value)
    assert field in words and repr(changed) in words and "in one" in words and "in two" in words and "--force" in words
    assert "\n" not in words


def test_what_need_not_agree_is_no_hindrance() -> None:
    other = distance(9.0, seed=5, date="2027-01-01", subject="elsewhere", checkpoint=7, libraries={})
    assert len(compare([("one", distance(4.0)), ("two", other)]).tables) == 1


def test_forced_they_are_given_apart() -> None:
    runs = [("a", distance(4.0)), ("b", distance(1.0, generated_count=100)), ("c", distance(9.0))]
    first, second = compare(runs, force=True).tables
    assert [row.run for row in first.rows] == ["a", "c"] and first.protocol == {"generated_count": 10_000}
    assert [(row.run, row.rank) for row in second.rows] == [("b", 1)] and second.protocol == {"generated_count": 100}
    assert "local-FD" in compare(runs, force=True).remarks[0]


def test_what_is_not_known_of_one_run_brings_no_others_together() -> None:
    runs = [("folder", distance(5.0, weights=None)), ("a", distance(4.0)), ("b", distance(1.0, weights="raw"))]
    first, second = compare(runs, force=True).tables
    assert [row.run for row in first.rows] == ["a", "folder"] and first.protocol == {"weights": "average"}
    assert [row.run for row in second.rows] == ["b"] and second.protocol == {"weights": "raw"}
    with pytest.raises(CardiganError, match="weights is 'average' in a and 'raw' in b"):
        compare(runs)
    assert "Not known of folder, and taken to agree: weights." in compare(runs[:2]).remarks


def test_scores_of_one_name_go_by_their_extractors() -> None:
    two = having(score(extractor="local"), score(extractor="inception"))
    turned = having(score(extractor="inception"), score(extractor="local"))
    assert len(compare([("a", two), ("b", turned)]).tables) == 2


@pytest.mark.parametrize(
    ("runs", "words"),
    [
        ([("a", distance(4.0))], "at least two"),
        ([("a", distance(4.0)), ("a", distance(4.0))], "different names"),
        ([("a", distance(4.0)), ("b", having(score("kd", "KD", 1.0)))], "nothing to compare"),
        ([("a", distance(4.0)), ("b", {})], "b: its evaluation has format None"),
        ([("a", distance(4.0)), ("b", {"format": 1, "scores": [{"name": "x"}]})], "b: its evaluation is damaged"),
        ([("a", distance(4.0)), ("b", {"format": 1, "scores": 3})], "b: its evaluation is damaged"),
        ([("a", distance(4.0)), ("b", having(score(value="4")))], "b: its evaluation is damaged"),
    ],
)
def test_what_cannot_be_compared_is_told_in_one_line(runs: list[tuple[str, Any]], words: str) -> None:
    with pytest.raises(CardiganError, match=words):
        compare(runs)


def test_lines_for_a_terminal() -> None:
    found = compare([("poor", distance(9.0)), ("a longer name", distance(4.0)), ("no interval", distance(9.5, None))])
    assert found.lines()[:4] == [
        "local-FD  (lower is better, real 1.7, trivial 1,410)",
        "   1  a longer name  4.0  (3.7 to 4.3)",
        "   2  poor           9.0  (8.7 to 9.3)",
        "   3  no interval    9.5  no interval           no interval: undecided",
    ]


def test_plain_values_are_json() -> None:
    plain = json.loads(json.dumps(compare([("a", saved()), ("b", saved(2.0))]).plain()))
    assert plain["runs"] == ["a", "b"] and plain["tables"][0]["rows"][1]["against"] == "worse"
    assert plain["tables"][0]["rows"][0]["score"]["protocol"]["reference"] == "mnist"


def test_the_page_shows_tables_curves_of_scores_and_grids(tmp_path: Path) -> None:
    names = ("one <b>", "two")
    found = compare([(name, saved(factor)) for name, factor in zip(names, (1.0, 2.0), strict=True)])
    path = write_comparison(
        found,
        {name: curves() for name in names},
        {name: exhibits()[0].png for name in names},
        tmp_path / "comparison.html",
    )
    html = path.read_text("utf-8")
    HTMLParser().feed(html)
    assert "<b>" not in html and html.count("one &lt;b&gt;") > len(found.tables)
    assert html.count('class="ranking"') == len(found.tables) and html.count("<img") == 2
    assert html.count('class="plot"') == 2 * 2 and "adversarial" not in html and "<script" not in html
    bare = write_comparison(found, {}, {}, tmp_path / "bare.html").read_text("utf-8")
    assert "<h2>Scores" in bare and "<h2>Curves" not in bare and "<h2>Samples" not in bare
