"""Ranges that recipes give, and draws from them: each picture's own, from that picture's own random numbers."""

from collections.abc import Sequence
from typing import Annotated, Any, Self

import torch
from pydantic import AfterValidator, Field, model_validator

from cardigan.settings import Settings

Probability = Annotated[float, Field(ge=0, le=1)]


class Range(Settings):
    """From where to where something is drawn for each picture, evenly; a bare number is short for both ends."""

    low: float
    """Least value, in the unit of the field."""
    high: float
    """Greatest value, in the unit of the field."""

    @model_validator(mode="before")
    @classmethod
    def _of_a_number(cls, value: Any) -> Any:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return {"low": value, "high": value}
        if not isinstance(value, dict | Range):
            raise ValueError(f"needs a number, or low and high, not {value!r}")
        return value

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"low {self.low:g} lies above high {self.high:g}")
        return self

    def draw(self, random: torch.Generator) -> float:
        """A number from low to high, all alike."""
        return uniform(random, self.low, self.high)


class WholeRange(Range):
    """A range of whole numbers."""

    low: int
    """Least value, in the unit of the field."""
    high: int
    """Greatest value, in the unit of the field."""

    def draw(self, random: torch.Generator) -> int:
        """A whole number from low to high, both included, all alike."""
        return self.low + below(random, self.high - self.low + 1)


def within(least: float, most: float) -> AfterValidator:
    """Annotation of a field that holds a `Range`: both ends from `least` to `most`."""

    def check(value: Range) -> Range:
        if value.low < least or value.high > most:
            shown = f"{value.low:g}" if value.low == value.high else f"{value.low:g} to {value.high:g}"
            raise ValueError(f"{shown} is out of range; allowed: {least:g} to {most:g}")
        return value

    return AfterValidator(check)


def uniform(random: torch.Generator, low: float, high: float) -> float:
    """A number from low to high, all alike."""
    return low + (high - low) * torch.rand((), generator=random).item()


def below(random: torch.Generator, count: int) -> int:
    """A whole number from 0 to count - 1, all alike."""
    return int(torch.randint(count, (), generator=random).item())


def coin(random: torch.Generator, probability: float) -> bool:
    """True with this probability."""
    return torch.rand((), generator=random).item() < probability


def choose(random: torch.Generator, weights: Sequence[float]) -> int:
    """An index, with a probability in proportion to its weight."""
    left = uniform(random, 0, sum(weights))
    for index, weight in enumerate(weights):
        if left < weight:
            return index
        left -= weight
    return max(index for index, weight in enumerate(weights) if weight)  # rounding ate the last of the sum
