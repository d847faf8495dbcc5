"""A score and everything that determines it; which scores may be compared."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

Better = Literal["lower", "higher", "neither"]


@dataclass(frozen=True)
class Protocol:
    """How a score was measured.

    Attributes:
        metric: key of the metric: "fd", "precision" ...
        version: of its definition here; counted up whenever its value for the same input changes.
        extractor: name of the extractor, or "none".
        extractor_hash: of its weights.
        resizing: what was done to samples before the extractor saw them.
        reference: the real data, as it was named.
        reference_hash: of its content and of the settings that shaped it.
        split: of the reference.
        reference_count: real samples used.
        generated_count: generated samples used.
        weights: "average" or "raw"; None where it is not known how samples were made (a folder of pictures).
        truncation: of the latents; 1: none; None where it is not known.
        subject: what was judged: a run's folder, or a folder of pictures.
        checkpoint: clock of the run's checkpoint; None for a folder.
        seed: of the generated samples.
        date: ISO, of the measurement.
        libraries: name -> version.
        extractor_facts: such as its accuracy on the test split.
        sampling: how the tokens of sentences were chosen; None where none are written.
    """

    metric: str
    version: int
    extractor: str
    extractor_hash: str
    resizing: str
    reference: str
    reference_hash: str
    split: str
    reference_count: int
    generated_count: int
    weights: str | None
    truncation: float | None
    subject: str
    checkpoint: int | None
    seed: int
    date: str
    libraries: Mapping[str, str] = field(default_factory=dict)
    extractor_facts: Mapping[str, Any] = field(default_factory=dict)
    sampling: str | None = None


MUST_AGREE = (
    "metric",
    "version",
    "extractor",
    "extractor_hash",
    "resizing",
    "reference_hash",
    "split",
    "reference_count",
    "generated_count",
    "weights",
    "truncation",
)
"""Fields in which two scores must agree before one can be called better than the other."""


def differences(one: Protocol, other: Protocol) -> list[str]:
    """The fields of `MUST_AGREE` in which two protocols differ; what is not known of one differs from nothing."""
    pairs = ((name, getattr(one, name), getattr(other, name)) for name in MUST_AGREE)
    return [name for name, mine, theirs in pairs if mine != theirs and None not in (mine, theirs)]


@dataclass(frozen=True)
class Score:
    """One number with what is needed to believe it.

    Attributes:
        name: for people: "local-FD", "FID", "precision".
        value: the number.
        low: lower end of its 95% interval; None where there is none.
        high: upper end.
        floor: what real samples of another split reach by the same protocol: the best that can be hoped for.
        ceiling: what a trivial generator reaches.
        better: which direction is better.
        protocol: how it was measured.
        note: what should be known when reading it, a sentence; or empty.
        alarm: whether the measure's own test says that something is wrong; None: it has none.
    """

    name: str
    value: float
    low: float | None
    high: float | None
    floor: float | None
    ceiling: float | None
    better: Better
    protocol: Protocol
    note: str = ""
    alarm: bool | None = None

    def plain(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


def score_from(plain: Mapping[str, Any]) -> Score:
    """The score that `Score.plain` described.

    Raises:
        TypeError, KeyError: it is not one.
    """
    known = {each.name for each in fields(Protocol)}
    protocol = Protocol(**{key: value for key, value in plain["protocol"].items() if key in known})
    return Score(**{**plain, "protocol": protocol})
