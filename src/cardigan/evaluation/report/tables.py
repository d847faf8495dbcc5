"""Tables that a screen reader can follow and a narrow screen turns into lists: scores, classes, protocol."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from cardigan.evaluation.protocol import Protocol, Score
from cardigan.evaluation.report.figures import interval_bar, reach, share_bar
from cardigan.evaluation.report.glossary import explained
from cardigan.evaluation.report.markup import Markup, joined, tag
from cardigan.evaluation.report.numbers import beside, interval_of, percent, rounded, value_of
from cardigan.evaluation.report.scale import scale_of
from cardigan.evaluation.result import ClassShare

MOST_CLASSES = 40
"""Classes that are shown at once; of more, those farthest from their real share."""
BETTER = {"lower": "lower is better", "higher": "higher is better", "neither": "no direction is better"}
"""Direction of a score, in words."""


def table(caption: str, head: Sequence[str], *bodies: object, class_: str = "") -> Markup:
    """A table of named columns; `bodies` are made of `row`s. Roles are said, as lists on narrow screens lose them."""
    columns = (tag("th", name, scope="col", role="columnheader") for name in head)
    return tag(
        "table",
        tag("caption", caption),
        tag("thead", tag("tr", *columns, role="row"), role="rowgroup"),
        *bodies,
        class_=class_ or None,
        role="table",
    )


def row(head: Sequence[str], first: object, *cells: object) -> Markup:
    """One row: its header and its cells; each cell carries its column's name, for narrow screens."""
    written = (tag("td", cell, role="cell", data_label=name) for name, cell in zip(head[1:], cells, strict=True))
    return tag("tr", tag("th", first, scope="row", role="rowheader"), *written, role="row")


def body(*rows: object) -> Markup:
    """Rows that belong together."""
    return tag("tbody", *rows, role="rowgroup")


def score_table(scores: Sequence[Score]) -> Markup:
    """Every score with interval, floor, ceiling, its place between them, its note and what its metric means."""
    head = ("Score", "Value (95% interval)", "Trivial", "From trivial to real", "Real")
    return table("Scores", head, *(_score(head, score) for score in scores), class_="scores")


def _score(head: Sequence[str], score: Score) -> Markup:
    scale = scale_of(score)
    bar = Markup()
    if scale:
        bar = interval_bar(scale, score, reach(scale, [score]))
        bar = joined([bar, tag("span", "log", class_="log", aria_hidden="true")]) if scale.logarithmic else bar
    return body(
        row(head, score.name, value_cell(score), beside(score, score.ceiling), bar, beside(score, score.floor)),
        tag("tr", tag("td", tag("div", *_about(score)), role="cell", colspan=len(head)), role="row", class_="about"),
    )


def _direction(score: Score) -> str:
    return BETTER[score.better] if score.better in BETTER else str(score.better)


def value_cell(score: Score) -> Markup:
    """The value, and its interval less loudly."""
    interval = interval_of(score)
    aside = tag("span", f"({interval})" if interval else "no interval", class_="aside")
    return joined([tag("span", value_of(score), class_="number"), " ", aside])


def _about(score: Score) -> list[Markup]:
    entry = explained(score.protocol.metric)
    parts = [tag("span", _direction(score))]
    if entry:
        parts.append(tag("details", tag("summary", f"What is this? {entry.title}"), tag("p", entry.text)))
    return [*parts, *([tag("p", score.note)] if score.note else [])]


def class_table(classes: Sequence[ClassShare]) -> Markup:
    """The histogram of classes, a row each; of very many, those farthest from their real share first."""
    ordered = list(classes)
    if len(ordered) > MOST_CLASSES:
        ordered.sort(key=lambda each: -abs(each.generated - each.real))
    most = max([*(max(each.high, each.generated, each.real) for each in ordered), 1e-9])
    shown = _classes("Share of each class", ordered[:MOST_CLASSES], most)
    rest = ordered[MOST_CLASSES:]
    if not rest:
        return shown
    return joined(
        [shown, tag("details", tag("summary", f"{len(rest):,} more classes"), _classes("More classes", rest, most))]
    )


def _classes(caption: str, classes: Sequence[ClassShare], most: float) -> Markup:
    optional = {"FD": "fd", "As asked": "asked"}
    extra = {name: key for name, key in optional.items() if any(getattr(each, key) is not None for each in classes)}
    head = ("Class", "Generated", "Real", "Shares", *extra)
    rows = []
    for each in classes:
        more = [_class_fact(each, key) for key in extra.values()]
        rows.append(row(head, each.name, _share(each), percent(each.real), share_bar(each, most), *more))
    return table(caption, head, body(*rows), class_="classes")


def _share(each: ClassShare) -> Markup:
    ends = " to ".join(percent(end, each.low, each.high).rstrip("%") for end in (each.low, each.high))
    value = tag("span", percent(each.generated, each.low, each.high), class_="number")
    return joined([value, " ", tag("span", f"({ends})", class_="aside")])


def _class_fact(each: ClassShare, key: str) -> str:
    value = getattr(each, key)
    if value is None:
        return "–"
    return percent(value) if key == "asked" else rounded(value)


def protocol_tables(scores: Sequence[Score]) -> Markup:
    """Every field of every protocol: what all scores have in common once, what differs for each score."""
    flat = [facts(score.protocol) for score in scores]
    names = list(dict.fromkeys(name for each in flat for name in each))
    common = [name for name in names if len({each.get(name, "–") for each in flat}) == 1]
    differing = [name for name in names if name not in common]
    parts = [tag("h3", "Common to all scores"), fact_list([(name, flat[0][name]) for name in common])] if common else []
    if differing:
        head = ("Score", *(_words(name) for name in differing))
        rows = (
            row(head, score.name, *(each.get(name, "–") for name in differing))
            for score, each in zip(scores, flat, strict=True)
        )
        whole = table("What differs between the scores", head, body(*rows), class_="protocol")
        scrolled = tag("div", whole, class_="scroll", role="region", aria_label="Protocol of each score", tabindex=0)
        parts += [tag("h3", "For each score"), scrolled]
    return joined(parts)


def facts(protocol: Protocol) -> dict[str, str]:
    """Every field of a protocol as text; libraries and facts one by one, as "libraries: torch"."""
    found: dict[str, str] = {}
    for each in fields(protocol):
        value = getattr(protocol, each.name)
        if each.name == "sampling" and value is None:  # of most kinds of samples there is nothing to say
            continue
        if isinstance(value, Mapping):
            found |= {f"{each.name}: {key}": _fact(part) for key, part in value.items()}
            found |= {} if value else {each.name: "none"}
        else:
            found[each.name] = _fact(value)
    return found


def _fact(value: Any) -> str:
    if value is None:
        return "none, or not known"
    whole = isinstance(value, int) and not isinstance(value, bool)
    return f"{value:,}" if whole else str(value)


def _words(name: str) -> str:
    """A field's name for people; what stands after a colon is a name of its own."""
    field, colon, rest = name.partition(": ")
    return field.replace("_", " ") + colon + rest


def fact_list(pairs: Sequence[tuple[str, object]]) -> Markup:
    """Names and values, one under the other."""
    return tag("dl", *(tag("div", tag("dt", _words(name)), tag("dd", value)) for name, value in pairs), class_="facts")
