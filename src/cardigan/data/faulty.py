"""Pictures that cannot be read: a few are named and left out, too many end the run."""

from collections.abc import Sequence

from cardigan.data.sources.source import UnreadableError
from cardigan.errors import CardiganError

MOST_BAD = 0.05
"""Share of unreadable pictures beyond which there is no run."""


def too_many(failures: Sequence[UnreadableError], read: int) -> CardiganError:
    """The line that ends a run for want of readable pictures."""
    return CardiganError(
        f"{len(failures):,} of {read:,} pictures cannot be read, more than {MOST_BAD:.0%}: {_some(failures)} "
        "(cardigan inspect names all)"
    )


def skipped(failures: Sequence[UnreadableError], read: int) -> tuple[str, ...]:
    """The remark that some pictures are left out; none where there are none."""
    if not failures:
        return ()
    return (f"{len(failures):,} of {read:,} pictures cannot be read and are left out: {_some(failures)}",)


def torn(failures: Sequence[UnreadableError], missing: int, pairs: int) -> tuple[str, ...]:
    """The remark that `missing` of some pairs are left out, by the pictures that cannot be read; none without."""
    if not failures:
        return ()
    return (f"{missing:,} of {pairs:,} pairs are left out, since one of the two cannot be read: {_some(failures)}",)


def _some(failures: Sequence[UnreadableError]) -> str:
    named = "; ".join(f"{each.name}: {each.reason}" for each in failures[:3])
    return named + (f"; and {len(failures) - 3:,} more" if len(failures) > 3 else "")
