"""The audit as a self-contained HTML page in the style of the report."""

from pathlib import Path

from cardigan.evaluation.audit import Audit, Group
from cardigan.evaluation.report.figures import share_bar
from cardigan.evaluation.report.markup import Markup, document, joined, section, tag, write
from cardigan.evaluation.report.numbers import percent
from cardigan.evaluation.report.page import bullets
from cardigan.evaluation.report.tables import body, row, table
from cardigan.evaluation.result import ClassShare, Subject

_SHARES = (
    "The bar is the share among generated samples, corrected for the mistakes of the classifier that counted them; the "
    "thin line its 95% interval; the upright line the share among real samples, by their own labels."
)
_QUALITY = (
    "Precision: share of a group's generated samples that lie among its real ones. Recall: share of its real ones that "
    "lie among the generated. In brackets what as many real samples reach. A group that is drawn worse shows."
)


def write_audit(found: Audit, subject: Subject, path: Path) -> Path:
    """Write the audit of `subject` as one HTML file that loads nothing from elsewhere and runs no script.

    Raises:
        CardiganError: the file cannot be written.
    """
    return write(path, page(found, subject))


def page(found: Audit, subject: Subject) -> str:
    """The HTML of the audit."""
    kind = tag("p", f"Audit of a {subject.kind}", class_="kind")
    counted = (
        f"{found.generated_count:,} generated and {found.real_count:,} real samples. The classifier is right on "
        f"{found.accuracy:.1%} of {found.held_out_count:,} held-out real ones."
    )
    return document(
        f"Audit of {subject.name}",
        tag(
            "header",
            kind,
            tag("h1", subject.name),
            bullets([found.summary(), counted, *(f"{each[:1].upper()}{each[1:]}." for each in found.remarks)]),
        ),
        section(f"Shares by {found.attribute}", _shares(found.groups), about=_SHARES),
        section("Quality by group", _qualities(found.groups), about=_QUALITY),
    )


def _shares(groups: tuple[Group, ...]) -> Markup:
    head = ("Group", "Generated", "Real", "Shares", "As counted", "Verdict")
    most = max([1e-9, *(max(group.high, group.real) for group in groups)])
    rows = []
    for group in groups:
        each = ClassShare(group.name, group.share, group.low, group.high, group.real)
        ends = (
            f"({percent(group.low, group.low, group.high).rstrip('%')} to {percent(group.high, group.low, group.high)})"
        )
        value = tag("span", percent(group.share, group.low, group.high), class_="number")
        mine = joined([value, " ", tag("span", ends, class_="aside")])
        cells = (mine, percent(group.real), share_bar(each, most), percent(group.uncorrected), group.verdict)
        rows.append(row(head, group.name, *cells))
    return table("Share of each group", head, body(*rows), class_="classes")


def _qualities(groups: tuple[Group, ...]) -> Markup:
    head = ("Group", "Precision", "Recall", "Samples of each side")
    rows = [
        row(
            head,
            group.name,
            f"{group.quality.precision:.2f} ({group.quality.floor_precision:.2f})",
            f"{group.quality.recall:.2f} ({group.quality.floor_recall:.2f})",
            f"{group.quality.count:,}",
        )
        for group in groups
        if group.quality is not None
    ]
    return table("Precision and recall of each group", head, body(*rows)) if rows else Markup()
