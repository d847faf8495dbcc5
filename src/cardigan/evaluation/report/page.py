"""The report of one evaluation: a self-contained HTML page."""

from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path

from cardigan.evaluation.report import health, rivals
from cardigan.evaluation.report.figures import Line, legend, line_chart
from cardigan.evaluation.report.markup import Markup, document, joined, section, tag, write
from cardigan.evaluation.report.rivals import rival_table
from cardigan.evaluation.report.tables import body, class_table, fact_list, protocol_tables, row, score_table, table
from cardigan.evaluation.result import Curve, Evaluation, Exhibit, Subject

WIDE = 1.8
"""Width by height from which a picture takes the whole width of the page."""
_SCORES = (
    "Real: what real samples of another split reach by the same protocol, the best to hope for. Trivial: what "
    "a trivial generator reaches. The bar goes from trivial on the left to real on the right: the dot is the value, "
    "the thick line its 95% interval; on a logarithmic scale ticks are powers of ten."
)
_CLASSES = (
    "As a classifier sees both: the bar is the share among the generated samples, its thin line the 95% interval, "
    "the upright line the share among the real ones. FD: Fréchet distance of this class alone. As asked: of the "
    "samples made for this class, the share in which the classifier sees it."
)
_CURVES = "As recorded while training; scores of that time may rest on fewer samples than those above."
_PROTOCOL = (
    "What is needed to measure the same again; scores may be compared where extractor, reference and counts agree."
)


def write_report(evaluation: Evaluation, path: Path) -> Path:
    """Write `evaluation` as one HTML file that loads nothing from elsewhere and runs no script.

    Returns:
        `path`.

    Raises:
        CardiganError: the file cannot be written.
    """
    return write(path, page(evaluation))


def page(evaluation: Evaluation) -> str:
    """The HTML of the report."""
    scores, classes = evaluation.scores, evaluation.classes
    return document(
        f"Evaluation of {evaluation.subject.name}",
        _heading(evaluation),
        section("Summary", bullets(evaluation.summary)),
        section("Scores", score_table(scores) if scores else "", about=_SCORES),
        section("Baselines", rival_table(evaluation), about=rivals.ABOUT),
        section("Classes", class_table(classes) if classes else "", about=_CLASSES),
        section("Exhibits", gallery(evaluation.exhibits)),
        section("Health of the training", health.health(evaluation.health), about=health.ABOUT),
        section("Curves", _curves(evaluation.curves), about=_CURVES),
        section("Remarks", bullets(evaluation.remarks)),
        section("Protocol", protocol_tables(scores) if scores else "", about=_PROTOCOL),
    )


def _heading(evaluation: Evaluation) -> Markup:
    dates = sorted({score.protocol.date for score in evaluation.scores})
    described = [*_described(evaluation.subject), *([("measured", dates[-1][:10])] if dates else [])]
    kind = tag("p", f"Evaluation of a {evaluation.subject.kind}", class_="kind")
    return tag("header", kind, tag("h1", evaluation.subject.name), fact_list(described))


def _described(subject: Subject) -> list[tuple[str, str]]:
    found = [
        ("recipe", subject.recipe),
        ("checkpoint", subject.checkpoint),
        ("written with", subject.sampling),
        ("trained on", "" if subject.clock is None else f"{subject.clock:,} samples"),
        ("training time", "" if subject.minutes is None else duration(subject.minutes)),
    ]
    return [(name, value) for name, value in found if value]


def duration(minutes: float) -> str:
    """A time of training: "10 minutes", "3.4 hours"."""
    if minutes >= 120:
        return f"{minutes / 60:.1f} hours"
    return f"{minutes:.1f}".removesuffix(".0") + (" minute" if minutes == 1 else " minutes")


def bullets(sentences: Sequence[str]) -> Markup:
    """Sentences, one under the other; empty without any."""
    return tag("ul", *(tag("li", sentence) for sentence in sentences), class_="sentences") if sentences else Markup()


def gallery(exhibits: Sequence[Exhibit]) -> Markup:
    """Pictures and texts in order, two beside each other unless they are wide; empty without any."""
    return tag("div", *(_exhibit(each) for each in exhibits), class_="gallery") if exhibits else Markup()


def _exhibit(exhibit: Exhibit) -> Markup:
    return _picture(exhibit) if exhibit.png else _texts(exhibit)


def _texts(exhibit: Exhibit) -> Markup:
    """Sentences as a table, their line ends kept."""
    rows = [row(exhibit.columns, *each) for each in exhibit.texts]
    whole = table(exhibit.title, exhibit.columns, body(*rows), class_="texts")
    scrolled = tag("div", whole, class_="scroll", role="region", aria_label=exhibit.title, tabindex=0)
    caption = tag("figcaption", exhibit.caption)
    wide = "wide" if len(exhibit.columns) > 1 else None
    return tag("figure", tag("h3", exhibit.title), scrolled, caption, class_=wide)


def _picture(exhibit: Exhibit) -> Markup:
    size = png_size(exhibit.png)
    width, height = size or (None, None)
    wide = size is not None and size[0] / size[1] >= WIDE
    source = Markup(f"data:image/png;base64,{b64encode(exhibit.png).decode('ascii')}")
    image = tag("img", src=source, alt=f"{exhibit.title}. {exhibit.caption}", width=width, height=height)
    caption = tag("figcaption", exhibit.caption)
    return tag("figure", tag("h3", exhibit.title), image, caption, class_="wide" if wide else None)


def png_size(png: bytes) -> tuple[int, int] | None:
    """Width and height that a PNG's header gives; None where it is none."""
    if png[:8] != b"\x89PNG\r\n\x1a\n" or len(png) < 24:
        return None
    width, height = int.from_bytes(png[16:20], "big"), int.from_bytes(png[20:24], "big")
    return (width, height) if width and height else None


def _curves(curves: Sequence[Curve]) -> Markup:
    """Each score by itself, losses by whose they are; scores first."""
    groups: dict[str, list[Curve]] = {}
    for curve in sorted(curves, key=lambda curve: not curve.name.startswith("score/")):
        group = curve.name if curve.name.startswith("score/") else curve.name.partition("/")[0]
        groups.setdefault(group, []).append(curve)
    return joined(_group(name, members) for name, members in groups.items())


def _group(name: str, curves: Sequence[Curve]) -> Markup:
    title = name if len(curves) > 1 else curves[0].name.removeprefix("score/")
    labels = [curve.name.partition("/")[2] or curve.name for curve in curves]
    return charts(title, labels, list(enumerate(curves)))


def charts(title: str, labels: Sequence[str], curves: Sequence[tuple[int, Curve]]) -> Markup:
    """Curves over samples and, beside it, over minutes; empty without points.

    Args:
        labels: names of lines 0, 1, ...
        curves: number of the line, and the curve.
    """
    over_samples = [Line(labels[number], curve.samples, curve.values, number) for number, curve in curves]
    over_minutes = [Line(labels[number], curve.minutes, curve.values, number) for number, curve in curves]
    drawn = [line_chart(title, "samples", over_samples), line_chart(title, "minutes", over_minutes)]
    if not any(drawn):
        return Markup()
    key = legend(labels) if len(labels) > 1 else Markup()
    return tag("div", tag("h3", title), key, tag("div", *drawn, class_="charts"), class_="curves")
