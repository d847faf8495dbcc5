"""The comparison of several runs: a self-contained HTML page in the style of the report."""

from collections.abc import Mapping, Sequence
from math import isfinite
from pathlib import Path

from cardigan.evaluation.comparison import TOLD, Comparison, Row, Table, limits
from cardigan.evaluation.protocol import Score
from cardigan.evaluation.report.figures import interval_bar, reach
from cardigan.evaluation.report.markup import Markup, document, joined, section, tag, write
from cardigan.evaluation.report.page import bullets, charts, gallery
from cardigan.evaluation.report.scale import Scale, scale_of
from cardigan.evaluation.report.tables import body, row, table, value_cell
from cardigan.evaluation.result import Curve, Exhibit

_SCORES = (
    "Best first. The dot is the value, the thick line its 95% interval; further right is better. The upright mark is "
    "what real samples reach; each axis goes from there as far as these runs need."
)
_CURVES = (
    "Scores as recorded while training, which may rest on fewer samples than those above. Losses are left out: those "
    "of different runs cannot be compared."
)


def write_comparison(
    comparison: Comparison, curves: Mapping[str, Sequence[Curve]], grids: Mapping[str, bytes], path: Path
) -> Path:
    """Write `comparison` as one HTML file that loads nothing from elsewhere and runs no script.

    Args:
        curves: name of the run -> its curves; only scores are drawn.
        grids: name of the run -> PNG of its sample grid.

    Returns:
        `path`.

    Raises:
        CardiganError: the file cannot be written.
    """
    return write(path, page(comparison, curves, grids))


def page(comparison: Comparison, curves: Mapping[str, Sequence[Curve]], grids: Mapping[str, bytes]) -> str:
    """The HTML of the comparison."""
    kind = tag("p", "Comparison", class_="kind")
    shown = [Exhibit(run, "Sample grid.", grids[run]) for run in comparison.runs if run in grids]
    return document(
        f"Comparison of {', '.join(comparison.runs)}",
        tag("header", kind, tag("h1", f"{len(comparison.runs)} runs"), bullets(comparison.remarks)),
        section("Scores", *(_table(each) for each in comparison.tables), about=_SCORES),
        section("Curves", _curves(comparison.runs, curves), about=_CURVES),
        section("Samples", gallery(shown)),
    )


def _table(ranked: Table) -> Markup:
    direction = "Larger →" if ranked.better == "neither" else "Better →"
    head = ("Rank", "Run", "Value (95% interval)", direction, "Against the row above")
    scale, scores = _common_scale(ranked), [each.score for each in ranked.rows]
    extent = _extent(scale, scores) if scale else (0.0, 1.0)
    rows = (row(head, *_cells(each, scale, extent)) for each in ranked.rows)
    apart = "; ".join(f"{field.replace('_', ' ')}: {value}" for field, value in (ranked.protocol or {}).items())
    missing = f"Not measured: {', '.join(ranked.missing)}." if ranked.missing else ""
    return tag(
        "div",
        tag("h3", ranked.name, tag("span", limits(ranked), class_="direction")),
        *(tag("p", said, class_="about") for said in (apart, missing) if said),
        table(ranked.name, head, body(*rows), class_="ranks"),
        class_="ranking",
    )


def _cells(each: Row, scale: Scale | None, extent: tuple[float, float]) -> tuple[object, ...]:
    limited = scale_of(each.score) is not None and each.score.better != "neither"
    bar = interval_bar(scale, each.score, extent, limited) if scale else Markup()
    return "–" if each.rank is None else each.rank, each.run, value_cell(each.score), bar, TOLD[each.against]


def _extent(scale: Scale, scores: Sequence[Score]) -> tuple[float, float]:
    """From the worst end of all intervals to what real samples reach, with a margin."""
    _, right = reach(scale, scores)
    ends = [
        end for score in scores for end in (score.low, score.value, score.high) if end is not None and isfinite(end)
    ]
    left = max(-0.3, min([scale.at(end) for end in ends], default=0.0))
    margin = 0.05 * max(right - left, 0.02)
    return left - margin, right + margin


def _common_scale(ranked: Table) -> Scale | None:
    """From trivial to real where both are known, else from the worst end of all intervals to the best.

    Where no direction is better, from the smallest to the largest.
    """
    known = scale_of(ranked.rows[0].score)
    if known and ranked.better != "neither":
        return known
    scores = [each.score for each in ranked.rows]
    ends = [end for score in scores for end in (score.low, score.value, score.high) if end is not None and end == end]
    if not ends or min(ends) == max(ends):
        return None
    worst, best = (max(ends), min(ends)) if ranked.better == "lower" else (min(ends), max(ends))
    return Scale(worst, best, False)


def _curves(runs: Sequence[str], curves: Mapping[str, Sequence[Curve]]) -> Markup:
    """One pair of charts for each score, a line for each run; a run has one colour throughout."""
    scores: dict[str, list[tuple[int, Curve]]] = {}
    for number, run in enumerate(runs):
        for curve in curves.get(run, ()):
            if curve.name.startswith("score/"):
                scores.setdefault(curve.name, []).append((number, curve))
    return joined(charts(name.removeprefix("score/"), runs, members) for name, members in scores.items())
