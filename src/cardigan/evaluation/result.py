"""What an evaluation found: scores, classes, exhibits; saved as evaluation.json beside the report."""

from dataclasses import dataclass, field
from typing import Any

from cardigan.evaluation.protocol import Score
from cardigan.health.checkup import Checkup


@dataclass(frozen=True)
class Subject:
    """What was judged.

    Attributes:
        name: for headings: the run's or folder's name.
        kind: "run" or "folder".
        recipe: name of the recipe; empty for a folder.
        clock: real samples that the checkpoint was trained on; None for a folder.
        minutes: of training until then; None if unknown.
        checkpoint: "best", "last" or "chosen"; empty for a folder.
        sampling: how the tokens of sentences were chosen; empty where none are written.
    """

    name: str
    kind: str
    recipe: str = ""
    clock: int | None = None
    minutes: float | None = None
    checkpoint: str = ""
    sampling: str = ""


@dataclass(frozen=True)
class ClassShare:
    """One class among generated and real samples, as the extractor's classifier sees both; 0..1.

    Attributes:
        name: of the class.
        generated: share among the generated samples.
        low: lower end of its 95% interval.
        high: upper end.
        real: share among the reference samples, seen by the same classifier.
        fd: Fréchet distance of this class alone; None where it was not asked for or has too few samples.
        asked: share of the samples generated with this label in which the classifier sees it; None: unconditional.
    """

    name: str
    generated: float
    low: float
    high: float
    real: float
    fd: float | None = None
    asked: float | None = None


@dataclass(frozen=True)
class Exhibit:
    """Something to look at: a picture for the report, or sentences.

    Attributes:
        title: heading.
        caption: a sentence that says what is seen, and how it was chosen.
        png: the picture, encoded; empty for sentences.
        columns: what stands in each column of a row.
        texts: rows of sentences.
    """

    title: str
    caption: str
    png: bytes = field(default=b"", repr=False)
    columns: tuple[str, ...] = ()
    texts: tuple[tuple[str, ...], ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class Curve:
    """A scalar of the run over its clock.

    Attributes:
        name: as recorded: "score/fd", "generator/adversarial".
        samples: clock of each point.
        minutes: of training at each point.
        values: at each point.
    """

    name: str
    samples: tuple[int, ...]
    minutes: tuple[float, ...]
    values: tuple[float, ...]


@dataclass(frozen=True)
class Rival:
    """Another way to samples, from the same sources where there are such, judged alike: a baseline.

    Attributes:
        name: of the way.
        scores: those of the evaluation that apply.
    """

    name: str
    scores: tuple[Score, ...]


@dataclass(frozen=True)
class Evaluation:
    """Everything that was found about one subject.

    Attributes:
        subject: what was judged.
        scores: in the order of the report.
        classes: share of each class; empty without classes.
        summary: what it means, in sentences.
        remarks: what could not be measured and why, what should be known; a sentence each.
        rivals: baselines; empty unless they were asked for.
        exhibits: sample grid, nearest neighbours, best and worst samples ...
        curves: of the run; empty for a folder.
        health: of the run's training; None for a folder, and where nobody watched.
    """

    subject: Subject
    scores: tuple[Score, ...]
    classes: tuple[ClassShare, ...] = ()
    summary: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    exhibits: tuple[Exhibit, ...] = ()
    curves: tuple[Curve, ...] = ()
    rivals: tuple[Rival, ...] = ()
    health: Checkup | None = None

    def plain(self) -> dict[str, Any]:
        """As JSON values, without the exhibits, the curves and the health (`cardigan doctor --json` has it)."""
        return {
            "format": 1,
            "subject": vars(self.subject),
            "scores": [score.plain() for score in self.scores],
            "classes": [vars(each) for each in self.classes],
            "summary": list(self.summary),
            "remarks": list(self.remarks),
            "rivals": [{"name": each.name, "scores": [score.plain() for score in each.scores]} for each in self.rivals],
        }
