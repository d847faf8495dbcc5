"""Where a score lies between what a trivial generator reaches and what real data reach."""

from dataclasses import dataclass
from math import isfinite, log

from cardigan.evaluation.protocol import Score

RATIO = 20.0
"""Ratio of ceiling to floor from which the way between them is counted in factors rather than in differences.

Only where lower is better: of shares that should be high, factors would make 0.5 look almost like 1.
"""


@dataclass(frozen=True)
class Scale:
    """The way from a trivial generator to real data.

    Attributes:
        trivial: value at position 0, the ceiling.
        real: value at position 1, the floor.
        logarithmic: equal factors are equal distances.
    """

    trivial: float
    real: float
    logarithmic: bool

    def at(self, value: float) -> float:
        """Position of `value`: 0 as a trivial generator, 1 as real data; beyond either is possible."""
        if not self.logarithmic:
            return (value - self.trivial) / (self.real - self.trivial)
        tiniest = min(self.trivial, self.real) * 1e-6
        return log(max(value, tiniest) / self.trivial) / log(self.real / self.trivial)


def scale_of(score: Score) -> Scale | None:
    """The scale of a score; None where an end is not known, or a trivial generator does as well as real data.

    Then the score does not tell them apart, and a place between them means nothing.
    """
    trivial, real = score.ceiling, score.floor
    if trivial is None or real is None or not isfinite(trivial) or not isfinite(real) or trivial == real:
        return None
    if score.better != "neither" and (trivial > real) != (score.better == "lower"):
        return None
    return Scale(trivial, real, real > 0 and trivial / real >= RATIO)


def position_of(score: Score) -> float | None:
    """Position of a score's value on its scale; None where it has no scale or is not finite."""
    scale = scale_of(score)
    return scale.at(score.value) if scale and isfinite(score.value) else None
