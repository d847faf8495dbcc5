"""`cardigan doctor`: what is, or was, wrong with a run, in plain words. Works while the run trains; changes nothing."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import isfinite, log10
from pathlib import Path
from typing import Any

from cardigan.errors import CardiganError
from cardigan.health.checkup import Checkup, Period, check_up
from cardigan.health.diagnosis import samples
from cardigan.health.history import read
from cardigan.health.interventions import Intervention, read_interventions
from cardigan.health.signals import Series, telling
from cardigan.run import Run, open_run

RAMP = "_.:-=+*#"
"""From the lowest to the highest of a sparkline."""
COLUMNS = 24
"""Of a sparkline."""
FACTOR = 100
"""From which on a sparkline counts in factors: largest by smallest."""
PERIODS = 3
"""Of one diagnosis that the timeline shows, the newest."""
POLL = 1.0
"""Seconds between two looks at a run that trains."""
TRAINING = "training"
"""The state of a run that a process trains now."""


@dataclass(frozen=True)
class Report:
    """A run's health as people and programs are told it.

    Attributes:
        place: the run's folder.
        recipe: its name.
        state: training, finished, interrupted or not begun.
        clock: samples drawn so far.
        checkup: what was found.
    """

    place: Path
    recipe: str
    state: str
    clock: int
    checkup: Checkup

    def lines(self) -> list[str]:
        """Verdict, timeline, signals, interventions and advice, for a terminal."""
        parts = (self._head(), self._timeline(), self._signals(), self._interventions(), self._advice())
        return [printable(line) for part in parts for line in part]

    def plain(self) -> dict[str, Any]:
        """As JSON values."""
        found = self.checkup
        return {
            "format": 1,
            "run": str(self.place),
            "recipe": self.recipe,
            "state": self.state,
            "samples": self.clock,
            "verdict": found.verdict(),
            "level": found.level or "healthy",
            "readings": len(found.readings),
            "last_reading": found.readings[-1].clock,
            "timeline": [each.plain() for each in found.periods],
            "signals": [_plain(each) for each in telling(found.readings)],
            "interventions": [each.plain() for each in found.interventions],
            "advice": [text for text, _ in found.advice()],
        }

    def _head(self) -> list[str]:
        count, last = len(self.checkup.readings), self.checkup.readings[-1].clock
        several = f"{count} readings, the last" if count > 1 else "1 reading,"
        where = f"{self.place} ({self.recipe}), {self.state} at {samples(self.clock)} samples"
        return [self.checkup.verdict(), f"{where}; {several} at {samples(last)}"]

    def _timeline(self) -> list[str]:
        if not self.checkup.periods:
            return []
        shown, before = _newest(self.checkup.periods)
        levels = [each.told.level if each.holds else each.level for each in shown]
        times = [_when(each) for each in shown]
        first, second = (max(map(len, column)) for column in (levels, times))
        found = ["", "timeline, in samples"]
        for each, level, when in zip(shown, levels, times, strict=True):
            more = before.pop(each.name, 0)
            often = f" (and {more} time{'s' if more > 1 else ''} before)" if more else ""
            found.append(f"  {level:<{first}}  {when:<{second}}  {each.title}{often}")
            found.append(f"{'':<{first + second + 6}}{each.told.evidence}")
        return found

    def _signals(self) -> list[str]:
        found = telling(self.checkup.readings)
        if not found:
            return []
        rows = [(each.label, _now(each), sparkline(each.values), _range(each)) for each in found]
        wide = [max(len(row[column]) for row in rows) for column in range(3)]
        lines = ["", f"signals at {samples(self.checkup.readings[-1].clock)} samples, and over all readings"]
        for group, members in groupby(zip(found, rows, strict=True), key=lambda each: each[0].group):
            lines.append(f"  {group}")
            for _, (label, now, line, ends) in members:
                lines.append(f"    {label:<{wide[0]}}  {now:<{wide[1]}}  {line:<{wide[2]}}  {ends}".rstrip())
        return lines

    def _interventions(self) -> list[str]:
        done = self.checkup.interventions
        return ["", "interventions", *(line for each in done for line in _done(each))] if done else []

    def _advice(self) -> list[str]:
        given = self.checkup.advice()
        now, passed = ([text for text, holds in given if holds == wanted] for wanted in (True, False))
        found = ["", "advice", *(f"  {text}" for text in now)] if now else []
        return found + (["", "advice on what has passed", *(f"  {text}" for text in passed)] if passed else [])


def examine(run: str | Path | Run) -> Report:
    """The health of `run` (a folder, a name, "last"): finished, interrupted, or training now.

    Raises:
        CardiganError: there is no such run, or nothing to be read of its health.
    """
    run = run if isinstance(run, Run) else open_run(run)
    summary = run.summary()
    readings = [entry.reading for entry in read(run.health_file)]
    if not readings:
        raise CardiganError(_why_not(run, summary.state))
    interventions = read_interventions(run.guard_file)
    clock = max(summary.clock, max(each.clock for each in readings))
    return Report(run.folder, summary.recipe, summary.state, clock, check_up(readings, interventions))


def watch(run: str | Path | Run, wait: Callable[[float], None] = time.sleep) -> Iterator[Report]:
    """The health of `run` now, again after every new reading or intervention, and when it has ended; then no more.

    Args:
        wait: is called with a number of seconds, between two looks.

    Raises:
        CardiganError: there is no such run, or it does not train and has no reading.
    """
    run = run if isinstance(run, Run) else open_run(run)
    seen: tuple[Any, ...] | None = None
    while True:
        trains = run.is_held()  # looked at before the files: what is written last is not missed
        if not trains or read(run.health_file):
            found = examine(run)
            state = (len(found.checkup.readings), found.checkup.readings[-1].clock, found.checkup.interventions, trains)
            if state != seen:
                seen = state
                yield found
        if not trains:
            return
        wait(POLL)


def sparkline(values: Sequence[float]) -> str:
    """Values over time in at most `COLUMNS` letters: each the mean of a stretch; a gap where nothing is known.

    Positive values that span more than a factor of 100 are drawn by their logarithm.
    """
    known = [value for value in values if isfinite(value)]
    if not known:
        return ""
    if min(known) > 0 and max(known) / min(known) > FACTOR:
        values = [log10(value) if isfinite(value) else value for value in values]
    count = min(COLUMNS, len(values))
    stretches = (values[at * len(values) // count : (at + 1) * len(values) // count] for at in range(count))
    means = [_mean([value for value in stretch if isfinite(value)]) for stretch in stretches]
    low, high = (limit(value for value in means if value is not None) for limit in (min, max))
    return "".join(_letter(value, low, high) for value in means)


def _letter(value: float | None, low: float, high: float) -> str:
    if value is None:
        return " "
    if high <= low:
        return RAMP[len(RAMP) // 2]
    return RAMP[round((value - low) / (high - low) * (len(RAMP) - 1))]


def _mean(values: Sequence[float]) -> float | None:
    return sum(value / len(values) for value in values) if values else None


def printable(text: str) -> str:
    """`text` with what is no letter (controls, marks that turn the direction of writing) as escapes: files may lie."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def _newest(periods: Sequence[Period]) -> tuple[list[Period], dict[str, int]]:
    """At most `PERIODS` of each diagnosis, and by its name how many earlier ones are left out."""
    of = {name: [each for each in periods if each.name == name] for name in dict.fromkeys(p.name for p in periods)}
    kept = {id(each) for members in of.values() for each in members[-PERIODS:]}
    return [each for each in periods if id(each) in kept], {name: max(0, len(of[name]) - PERIODS) for name in of}


def _when(period: Period) -> str:
    start, end = samples(period.start), samples(period.end)
    if period.holds:
        return f"since {start}"
    return f"{start} to {end}" if start != end else f"at {start}"


def _now(series: Series) -> str:
    beside = "" if series.real is None else f" (real {_number(series.real, series.share)})"
    return _number(series.values[-1], series.share) + beside


def _range(series: Series) -> str:
    low, high = (_number(limit(series.finite), series.share) for limit in (min, max))
    return f"{low} to {high}" if low != high else ""


def _number(value: float, share: bool) -> str:
    if not isfinite(value):
        return "-"
    text = f"{value:.0%}" if share and abs(value) < 100 else f"{value:.3g}"
    return text.removeprefix("-") if text == "-0%" else text


def _plain(series: Series) -> dict[str, Any]:
    values = [value if isfinite(value) else None for value in series.values]
    return {
        "group": series.group,
        "label": series.label,
        "now": values[-1],
        "real": series.real,
        "samples": list(series.clocks),
        "values": values,
    }


def _done(each: Intervention) -> list[str]:
    reason = f": {each.reason}" if each.reason else ""
    changed = [f"      {', '.join(each.changes)}"] if each.changes else []
    effect = [f"      {each.effect}"] if each.effect else []
    return [f"  at {samples(each.clock)}  {each.action}{reason}", *changed, *effect]


def _why_not(run: Run, state: str) -> str:
    """Why there is no reading, and what to do."""
    if run.health_file.exists() and run.health_file.stat().st_size:
        return f"{run.health_file} is damaged: it holds no reading"
    if state == TRAINING:
        return (
            f"{run.folder} has no reading of its health yet; wait for the first: cardigan doctor {run.folder} --watch"
        )
    return (
        f"{run.folder} has no reading of its health (health.jsonl): it was trained with health.interval=null, stopped "
        "before the first, or is older than readings are"
    )
