"""The signals that tell most, over time: what people are shown of the many numbers of a reading."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import isfinite, nan

from cardigan.health.diagnosis import Reading
from cardigan.health.rules import PENALTIES, words

BY_PLAYER = (
    ("Accuracy", "accuracy", "{}, train", True),
    ("Accuracy", "accuracy_held_out", "{}, held out", True),
    ("Gap of logits", "gap", "{}, train", False),
    ("Gap of logits", "gap_held_out", "{}, held out", False),
    ("Overfitting", "overfit", "{}", True),
    ("Gradient norm", "gradient_norm", "{}", False),
    ("Update to weight", "step", "{}", False),
)
"""Group, what follows the player's name and a slash, label, whether it is a share."""
OF_SAMPLES = (
    ("Variety", "samples/diversity", "diversity beside real", "", True),
    ("Variety", "samples/coverage", "coverage", "", True),
    ("Variety", "samples/classes", "classes", "data/classes", False),
    ("Variety", "samples/duplicates", "duplicates", "data/duplicates", True),
    ("Distance to real", "samples/distance", "samples", "data/distance", False),
    ("Labels", "samples/obeyed", "obeyed", "data/obeyed", True),
    ("Saturation", "samples/full", "black or white", "data/full", True),
    ("Units", "rectifiers/dead", "dead", "", True),
    ("Time", "data/waiting", "waiting for data", "", True),
    ("fp16", "loss_scale", "scale of the loss", "", False),
)
"""Group, signal, label, the same signal of real samples, whether it is a share."""
LIMITS = {"overfit": (-1.0, 2.0)}
"""Where a signal is cut off: a quotient of small differences, of which only 0 to 1 means something."""
OWN = "game/"
"""How signals begin that only one kind of game has."""


@dataclass(frozen=True)
class Series:
    """One signal over the readings of a run.

    Attributes:
        group: what it is one of.
        label: which one.
        clocks: of the readings.
        values: at each; NaN where it was not measured, or was no finite number.
        share: whether 1 means all.
        real: what real samples have at the last reading that tells; None: there is no such thing.
    """

    group: str
    label: str
    clocks: tuple[int, ...]
    values: tuple[float, ...]
    share: bool = False
    real: float | None = None

    @property
    def finite(self) -> tuple[float, ...]:
        """The values that are known; never empty."""
        return tuple(value for value in self.values if isfinite(value))


def telling(readings: Sequence[Reading]) -> list[Series]:
    """The most telling signals that occur in `readings`, by group."""
    names = list(dict.fromkeys(name for reading in readings for name in reading.signals))
    return [*_by_player(readings, names), *_of_samples(readings), *_penalties(readings, names), *_own(readings, names)]


def _by_player(readings: Sequence[Reading], names: Sequence[str]) -> Iterator[Series]:
    for group, signal, label, share in BY_PLAYER:
        for player in _owners(names, signal):
            found = _series(readings, group, label.format(words(player)), f"{player}/{signal}", share)
            yield from (_cut(each, *LIMITS[signal]) if signal in LIMITS else each for each in found)
        if signal == "gradient_norm":
            yield from _ratio(readings, names)


def _cut(series: Series, low: float, high: float) -> Series:
    return replace(
        series, values=tuple(max(low, min(high, value)) if value == value else nan for value in series.values)
    )


def _ratio(readings: Sequence[Reading], names: Sequence[str]) -> Iterator[Series]:
    """Gradient norm of the first player that is averaged, beside that of the first that judges."""
    made, judged = (next(iter(_owners(names, each)), None) for each in ("from_average", "accuracy"))
    if made is None or judged is None or made == judged:
        return
    values = [
        reading.get(f"{made}/gradient_norm", nan) / (reading.get(f"{judged}/gradient_norm", nan) or nan)
        for reading in readings
    ]
    if any(map(isfinite, values)):
        yield Series("Gradient norm", f"{words(made)} / {words(judged)}", _clocks(readings), tuple(values))


def _of_samples(readings: Sequence[Reading]) -> Iterator[Series]:
    for group, signal, label, real, share in OF_SAMPLES:
        yield from _series(readings, group, label, signal, share, real)


def _penalties(readings: Sequence[Reading], names: Sequence[str]) -> Iterator[Series]:
    for penalty in PENALTIES:
        for turn in _owners(names, penalty):
            yield from _series(readings, "Penalty", f"{words(turn)} {penalty}", f"{turn}/{penalty}", False)


def _own(readings: Sequence[Reading], names: Sequence[str]) -> Iterator[Series]:
    for name in names:
        if name.startswith(OWN):
            yield from _series(readings, "The game's own", words(name.removeprefix(OWN)), name, False)


def _series(
    readings: Sequence[Reading], group: str, label: str, name: str, share: bool, real: str = ""
) -> Iterator[Series]:
    values = tuple(reading.get(name, nan) for reading in readings)
    theirs = [reading.signals[real] for reading in readings if real in reading.signals]
    if any(map(isfinite, values)):
        yield Series(group, label, _clocks(readings), values, share, theirs[-1] if theirs else None)


def _clocks(readings: Sequence[Reading]) -> tuple[int, ...]:
    return tuple(reading.clock for reading in readings)


def _owners(names: Sequence[str], signal: str) -> list[str]:
    """Players and turns that have this signal."""
    ending = f"/{signal}"
    return [name.removesuffix(ending) for name in names if name.endswith(ending)]
