"""How a run is watched."""

from typing import Annotated

from pydantic import Field

from cardigan.settings import Count, Settings


class Health(Settings):
    """Readings of a game's health while it trains: health.jsonl, `cardigan doctor`."""

    interval: Count | None = 5_000
    """Samples between two readings; the first ones come sooner, each 1.5 times later than the last. null: none."""
    samples: Annotated[int, Field(ge=16, le=4096)] = 128
    """Of each kind (real, held out, generated) that a reading looks at, at most; fewer where batches are small."""
