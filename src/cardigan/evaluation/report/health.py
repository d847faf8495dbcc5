"""The health of a run's training, as a part of its report: verdict, diagnoses over time, signals."""

from collections.abc import Mapping, Sequence
from itertools import groupby

from cardigan.evaluation.report.figures import Line, legend, line_chart, timeline, timeline_axis
from cardigan.evaluation.report.markup import Markup, joined, tag
from cardigan.evaluation.report.tables import body, row, table
from cardigan.health.checkup import Checkup, Period
from cardigan.health.diagnosis import LEVELS, Level, samples
from cardigan.health.interventions import Intervention
from cardigan.health.signals import Series, telling

ABOUT = (
    "What readings at intervals told of the game while it was trained; each bar is a time in which one diagnosis held, "
    "coloured by how bad it was. The command cardigan doctor says the same of a run that still trains."
)
SHOWN = ("Accuracy", "Gap of logits", "Gradient norm", "Update to weight", "Variety", "Penalty")
"""Groups of signals that are drawn."""
UNBOUNDED = {"Variety": ("classes",)}
"""Signals that are left out of their group's chart: counts among shares."""


def health(checkup: Checkup | None) -> Markup:
    """Verdict, timeline, interventions, advice and curves; empty where a run was not watched."""
    if checkup is None:
        return Markup()
    return joined(
        each
        for each in (
            tag("p", checkup.verdict(), class_=f"verdict {checkup.level or 'well'}"),
            _periods(checkup),
            _interventions(checkup.interventions),
            _advice(checkup),
            _curves(checkup),
        )
        if each
    )


def _periods(checkup: Checkup) -> Markup:
    """A row for each diagnosis, the first to be made first."""
    of: dict[str, list[Period]] = {}
    for each in checkup.periods:
        of.setdefault(each.name, []).append(each)
    if not of:
        return Markup()
    end = checkup.readings[-1].clock
    head = ("Diagnosis", "When", "Level", "Evidence")
    rows = (_period(head, members, end) for members in of.values())
    levels = [level for level in LEVELS if any(each.level == level for each in checkup.periods)]
    axis = tag("tr", tag("td"), tag("td", timeline_axis(end)), tag("td", "samples", colspan=2), aria_hidden="true")
    shown = table("Diagnoses over the clock", head, body(*rows, axis), class_="periods")
    return joined([_key(levels), shown])


def _period(head: Sequence[str], members: Sequence[Period], end: int) -> Markup:
    last = members[-1]
    bars = [(each.start, each.end, each.level) for each in members]
    said = f"{last.title}: {'; '.join(map(_when, members))}"
    now = f"{last.told.level} now" if last.holds else f"{_worst(members)}, passed"
    return row(head, last.title, timeline(bars, end, said), now, last.told.evidence)


def _worst(members: Sequence[Period]) -> Level:
    return max((each.level for each in members), key=LEVELS.index)


def _when(period: Period) -> str:
    if period.holds:
        return f"{period.level} since {samples(period.start)} samples"
    return f"{period.level} from {samples(period.start)} to {samples(period.end)} samples"


def _key(levels: Sequence[Level]) -> Markup:
    swatches = (
        tag("svg", tag("rect", width=22, height=10, class_=level), class_="key", aria_hidden="true") for level in levels
    )
    return tag(
        "ul", *(tag("li", swatch, level) for swatch, level in zip(swatches, levels, strict=True)), class_="legend"
    )


def _interventions(done: Sequence[Intervention]) -> Markup:
    if not done:
        return Markup()
    head = ("At", "Done", "Why", "Changes", "Effect")
    rows = (
        row(head, samples(each.clock), each.action, each.reason, ", ".join(each.changes), each.effect) for each in done
    )
    return joined([tag("h3", "Interventions"), table("Interventions", head, body(*rows), class_="done")])


def _advice(checkup: Checkup) -> Markup:
    given = [text for text, holds in checkup.advice() if holds]
    if not given:
        return Markup()
    return joined(
        [tag("h3", "What usually helps"), tag("ul", *(tag("li", each) for each in given), class_="sentences")]
    )


def _curves(checkup: Checkup) -> Markup:
    """A chart for each group of telling signals, two beside each other."""
    found = {name: list(members) for name, members in groupby(telling(checkup.readings), key=lambda each: each.group)}
    drawn = [_chart(name, found) for name in SHOWN]
    return tag("div", *drawn, class_="charts signals") if any(drawn) else Markup()


def _chart(name: str, groups: Mapping[str, Sequence[Series]]) -> Markup:
    members = [each for each in groups.get(name, ()) if each.label not in UNBOUNDED.get(name, ())]
    lines = [Line(each.label, each.clocks, each.values, number) for number, each in enumerate(members)]
    chart = line_chart(name, "samples", lines, (0.0, 1.0) if members and members[0].share else None)
    return (
        tag("div", tag("h3", name), legend([each.label for each in members]), chart, class_="curves")
        if chart
        else chart
    )
