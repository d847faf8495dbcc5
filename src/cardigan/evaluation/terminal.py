"""An evaluation as lines of text."""

from collections.abc import Sequence
from pathlib import Path

from cardigan.evaluation.protocol import Protocol
from cardigan.evaluation.report.numbers import beside, interval_of, value_of
from cardigan.evaluation.report.rivals import beside_rivals
from cardigan.evaluation.result import Evaluation

HEAD = ("score", "value", "95% interval", "real samples", "trivial", "better")


def lines(evaluation: Evaluation, page: Path) -> list[str]:
    """Summary in words, the table of scores, what it was measured with, and where the report is."""
    rows = [HEAD]
    for score in evaluation.scores:
        bounds = (beside(score, score.floor), beside(score, score.ceiling))
        rows.append((score.name, value_of(score), interval_of(score) or "–", *bounds, score.better))
    said = [*evaluation.summary, *evaluation.remarks]
    rivals = [*_aligned(beside_rivals(evaluation)), ""] if evaluation.rivals else []
    return [*_aligned(rows), "", *rivals, *said, "", *_protocol(evaluation), f"report: {page}"]


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _protocol(evaluation: Evaluation) -> list[str]:
    """What all scores share, and who looked, in one line."""
    if not evaluation.scores:
        return []
    protocols = [score.protocol for score in evaluation.scores]
    eyes = dict[str, Protocol]()
    for each in protocols:
        if each.extractor != "none":
            eyes.setdefault(each.extractor, each)
    eyes = eyes or {"none": protocols[0]}
    one, looked = next(iter(eyes.values())), " and ".join(map(_eye, eyes.values()))
    which = "" if one.checkpoint is None else f", checkpoint {one.checkpoint:,} ({evaluation.subject.checkpoint})"
    which += f", {one.sampling}" if one.sampling else ""
    return [
        f"against the {one.split} split of {one.reference} ({one.reference_count:,} samples; {one.generated_count:,} "
        f"generated{which}); extractor {looked}"
    ]


def _eye(protocol: Protocol) -> str:
    facts = ", ".join(f"{name} {value}" for name, value in protocol.extractor_facts.items())
    return f"{protocol.extractor} {protocol.extractor_hash}{f' ({facts})' if facts else ''}"
