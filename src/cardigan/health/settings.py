"""How a run is watched."""

from typing import Annotated, Literal

from pydantic import Field

from cardigan.settings import Count, Settings

USUAL = 5_000
"""Samples between two readings, unless they are asked for."""
BATCHES = 150
"""The least then, in batches: a reading takes the time of one or two."""


class Health(Settings):
    """Readings of a game's health while it trains: health.jsonl, `cardigan doctor`."""

    interval: Literal["auto"] | Count | None = "auto"
    """Samples between two readings; the first ones come sooner, each 1.5 times later than the last. auto: 5,000, or 150
    batches if those are more, so that readings take little of the time; null: none."""
    samples: Annotated[int, Field(ge=16, le=4096)] = 128
    """Of each kind (real, held out, generated) that a reading looks at, at most; fewer where batches are small."""

    def spacing(self, batch: int) -> int:
        """Samples between two readings of training with batches of `batch`, where there are readings."""
        return max(USUAL, BATCHES * batch) if self.interval == "auto" else self.interval or 1


class Guard(Settings):
    """Whether something is done when training goes wrong: guard.jsonl, `cardigan doctor`."""

    enabled: bool = True
    """Whether to act: lower rates, stronger penalties, back to an earlier checkpoint, afresh with safer settings."""
    most: Annotated[int, Field(ge=1, le=20)] = 4
    """Interventions in one run, at most; then a run that is still critical is ended rather than trained on."""
