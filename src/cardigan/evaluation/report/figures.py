"""Drawings as inline SVG: intervals between trivial and real, shares of classes, curves."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, inf, isfinite, log10

from cardigan.evaluation.protocol import Score
from cardigan.evaluation.report.markup import Markup, joined, tag
from cardigan.evaluation.report.numbers import compact, percent, with_interval
from cardigan.evaluation.report.scale import RATIO, Scale
from cardigan.evaluation.result import ClassShare

COLOURS = 8
"""Lines that have a colour each; further ones are dashed."""
POINTS = 240
"""Points of a curve that are drawn, at most; extremes are kept."""
_BEYOND = 0.3
"""How far beyond trivial or real an interval bar reaches, as a share of the way between them."""


def reach(scale: Scale, scores: Sequence[Score]) -> tuple[float, float]:
    """The stretch of positions that shows all values and intervals, cut off a little beyond trivial and real."""
    ends = [scale.at(end) for score in scores for end in _ends(score) if isfinite(end)]
    return max(-_BEYOND, min([0.0, *ends])), min(1 + _BEYOND, max([1.0, *ends]))


def _ends(score: Score) -> tuple[float, float, float]:
    low, high = (score.value if end is None else end for end in (score.low, score.high))
    return low, score.value, high


def interval_bar(scale: Scale, score: Score, extent: tuple[float, float], limits: bool = True) -> Markup:
    """A score's value and interval on its scale; better is always to the right.

    Args:
        extent: the stretch of positions shown, see `reach`.
        limits: mark trivial and real, at 0 and 1, where they lie in it.
    """

    def place(position: float) -> float:
        left, right = extent
        return 100 * (min(right, max(left, position)) - left) / (right - left)

    marks = [("decade", at) for at in _decades(scale)] + [("limit", end) for end in (0.0, 1.0) if limits]
    inside = [(kind, at) for kind, at in marks if extent[0] <= at <= extent[1]]
    parts = [_along(0, 100, "track"), *(_upright(place(at), kind) for kind, at in inside)]
    if isfinite(score.value):
        low, value, high = (scale.at(end) for end in _ends(score))
        if score.low is not None and score.high is not None:
            parts.append(_along(place(low), place(high), "interval"))
        kind = "value" if extent[0] <= value <= extent[1] else "beyond"
        parts.append(tag("circle", cx=f"{place(value):.2f}%", cy="50%", r=4, class_=kind))
    return tag("svg", *parts, class_="bar", role="img", aria_label=_said(scale, score, limits))


def _decades(scale: Scale) -> list[float]:
    """Positions of the powers of ten between trivial and real."""
    if not scale.logarithmic:
        return []
    low, high = sorted((scale.trivial, scale.real))
    powers = range(ceil(log10(low)), floor(log10(high)) + 1)
    return [scale.at(10.0**power) for power in powers]


def _said(scale: Scale, score: Score, limits: bool) -> str:
    position = scale.at(score.value) if isfinite(score.value) else None
    if position is None or not limits:
        return f"{score.name} {with_interval(score)}"
    kind = "logarithmic" if scale.logarithmic else "linear"
    return f"{score.name} {with_interval(score)}: at {position:.0%} from trivial (0%) to real (100%), {kind} scale"


def _along(start: float, end: float, kind: str) -> Markup:
    return tag("line", x1=f"{min(start, end):.2f}%", x2=f"{max(start, end):.2f}%", y1="50%", y2="50%", class_=kind)


def _upright(place: float, kind: str) -> Markup:
    return tag("line", x1=f"{place:.2f}%", x2=f"{place:.2f}%", y1="25%", y2="75%", class_=kind)


def share_bar(each: ClassShare, most: float) -> Markup:
    """One class: a bar for the generated share with its interval, a line for the real share; `most` fills the width."""

    def place(share: float) -> float:
        return 100 * min(1.0, max(0.0, share / most)) if isfinite(share) else 0.0

    said = f"{each.name}: generated {percent(each.generated, each.low, each.high)}, real {percent(each.real)}"
    return tag(
        "svg",
        tag("rect", x=0, y="22%", width=f"{place(each.generated):.2f}%", height="56%", class_="share"),
        _along(place(each.low), place(each.high), "whisker"),
        tag("line", x1=f"{place(each.real):.2f}%", x2=f"{place(each.real):.2f}%", y1="4%", y2="96%", class_="real"),
        class_="bar",
        role="img",
        aria_label=said,
    )


def timeline(periods: Sequence[tuple[int, int, str]], end: int, said: str) -> Markup:
    """Bars over the clock from 0 to `end`: start, end and kind (a class of the style) of each; `said` says them."""
    bars = []
    for start, stop, kind in periods:
        left, right = (100 * min(1.0, each / max(1, end)) for each in (start, stop))
        width = max(1.0, right - left)  # a moment is seen too
        left = min(left, 100 - width)
        bars.append(tag("rect", x=f"{left:.2f}%", y="25%", width=f"{width:.2f}%", height="50%", class_=kind))
    return tag("svg", _along(0, 100, "track"), *bars, class_="bar", role="img", aria_label=said)


def timeline_axis(end: int) -> Markup:
    """The clock below a `timeline`, for the eye alone."""
    axis = _axis([0.0, float(max(1, end))], False, tight=True)
    marks = (tag("span", compact(tick), style=f"left:{axis.at(tick):.2%}") for tick in axis.ticks)
    return tag("div", *marks, class_="clock")


@dataclass(frozen=True)
class Line:
    """One line of a chart.

    Attributes:
        label: for the legend.
        across: positions on the horizontal axis, in order.
        values: on the vertical axis; what is not finite leaves a gap.
        colour: number of its colour; lines of the same number look alike in all charts.
    """

    label: str
    across: Sequence[float]
    values: Sequence[float]
    colour: int = 0


def line_chart(title: str, unit: str, lines: Sequence[Line], least: tuple[float, float] | None = None) -> Markup:
    """Lines over samples or minutes, whose text keeps its size however wide the chart is; empty without points.

    Args:
        least: what the vertical axis shows at least, which then counts evenly; None: what there is, maybe in factors.
    """
    lines = [_thinned(line) for line in lines]
    points = [point for line in lines for point in zip(line.across, line.values, strict=True) if isfinite(point[1])]
    if not points:
        return Markup()
    across = _axis([0.0, *(point[0] for point in points)], False, tight=True)
    up = _axis([*(point[1] for point in points), *(least or ())], least is None)
    drawing = tag(
        "svg",
        *(tag("path", d=f"M0 {1000 - 1000 * up.at(tick):.1f}H1000", class_="grid") for tick in up.ticks),
        *(_drawn(line, across, up) for line in lines),
        viewBox="0 0 1000 1000",
        preserveAspectRatio="none",
        aria_hidden="true",
    )
    rows = tag(
        "div", *(tag("span", compact(tick), style=f"bottom:{up.at(tick):.2%}") for tick in up.ticks), class_="up"
    )
    columns = (tag("span", compact(tick), style=f"left:{across.at(tick):.2%}") for tick in across.ticks)
    scale = ", logarithmic" if up.logarithmic else ""
    said = f"{title} over {unit}{scale}: " + "; ".join(_journey(line) for line in lines)
    plot = tag("div", rows, drawing, tag("div", *columns, class_="across"), class_="plot", role="img", aria_label=said)
    return tag("figure", plot, tag("figcaption", f"{unit}{scale and '; vertical axis logarithmic'}"), class_="chart")


def legend(labels: Sequence[str]) -> Markup:
    """The colours of lines 0, 1, ... and their names."""
    keys = [
        tag("svg", tag("path", d="M0 5H22", class_=_look(at)), class_="key", aria_hidden="true")
        for at in range(len(labels))
    ]
    return tag("ul", *(tag("li", key, label) for key, label in zip(keys, labels, strict=True)), class_="legend")


def _journey(line: Line) -> str:
    finite = [value for value in line.values if isfinite(value)]
    return f"{line.label} from {compact(finite[0])} to {compact(finite[-1])}" if finite else f"{line.label}: none"


def _look(colour: int) -> str:
    return f"line c{colour % COLOURS}" + (" dashed" if colour >= COLOURS else "")


def _drawn(line: Line, across: "_Axis", up: "_Axis") -> Markup:
    """The line, and a dot for every point where they are few."""
    path, dots, pen = "", "", "M"
    for x, y in zip(line.across, line.values, strict=True):
        if not isfinite(y):
            pen = "M"
            continue
        place = f"{1000 * across.at(x):.1f} {1000 - 1000 * up.at(y):.1f}"
        path, dots, pen = path + pen + place, f"{dots}M{place}h0", "L"
    few = len(line.across) <= 40
    return joined(
        [
            tag("path", d=path, class_=_look(line.colour)),
            tag("path", d=dots, class_=f"{_look(line.colour)} dots") if few else "",
        ]
    )


def _thinned(line: Line) -> Line:
    """The same line with at most `POINTS` points: of every stretch its lowest and its highest."""
    count = len(line.across)
    if count <= POINTS:
        return line
    kept = {0, count - 1}
    stretches = POINTS // 2 - 1
    for number in range(stretches):
        stretch = range(number * count // stretches, (number + 1) * count // stretches)
        kept |= {min(stretch, key=line.values.__getitem__), max(stretch, key=line.values.__getitem__)}
    order = sorted(kept)
    return Line(line.label, [line.across[at] for at in order], [line.values[at] for at in order], line.colour)


@dataclass(frozen=True)
class _Axis:
    low: float
    high: float
    logarithmic: bool
    ticks: tuple[float, ...]

    def at(self, value: float) -> float:
        low, high, value = (log10(each) if self.logarithmic else each for each in (self.low, self.high, value))
        return (value - low) / (high - low)


def _axis(values: Sequence[float], may_be_logarithmic: bool, tight: bool = False) -> _Axis:
    """An axis for `values`, with two to six ticks; `tight`: it ends where they end."""
    low, high = min(values), max(values)
    if low == high:
        low, high = (low - abs(low) / 2 - (low == 0), high + abs(high) / 2 + (high == 0))
    if may_be_logarithmic and low > 0 and high / low >= RATIO:
        return _logarithmic(low, high)
    step = _step((high - low) / 4)
    if not tight:
        low, high = floor(low / step + 1e-9) * step, ceil(high / step - 1e-9) * step
    first, last = ceil(low / step - 1e-9), floor(high / step + 1e-9)
    return _Axis(low, high, False, tuple(number * step for number in range(first, last + 1)))


def _logarithmic(low: float, high: float) -> _Axis:
    powers = range(floor(log10(low)), ceil(log10(high)) + 1)
    every = max(1, ceil(len(powers) / 6))
    ticks = [10.0**power * times for power in powers[::every] for times in ((1, 3) if len(powers) <= 4 else (1,))]
    low, high = (
        max([tick for tick in ticks if tick <= low], default=low),
        min([t for t in ticks if t >= high], default=high),
    )
    return _Axis(low, high, True, tuple(tick for tick in ticks if low <= tick <= high))


def _step(rough: float) -> float:
    """The nearest of 1, 2, 5 times a power of ten that is not smaller."""
    power = 10.0 ** floor(log10(rough)) if rough not in (0, inf) else 1.0
    return next(power * times for times in (1, 2, 5, 10) if power * times >= rough * (1 - 1e-9))
