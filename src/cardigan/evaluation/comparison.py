"""Several evaluations side by side: each score ranked where its protocols agree, refused or set apart where not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import isfinite
from typing import Any, Literal

from cardigan.errors import CardiganError
from cardigan.evaluation.protocol import MUST_AGREE, Better, Score, differences, score_from
from cardigan.evaluation.report.numbers import beside, interval_of, value_of

FORMAT = 1
"""Of evaluation.json, as `Evaluation.plain` writes it."""
RULE = (
    "A tie: the 95% intervals overlap with those of the row above, which is cautious (small differences can be real). "
    "Intervals are about the samples drawn; another training seed may change more than they say."
)
"""How ties are decided."""

Against = Literal["", "tie", "worse", "undecided"]
"""A row against the one above it; "undecided" without intervals, empty where there is nothing to say."""


@dataclass(frozen=True)
class Row:
    """One run in one table.

    Attributes:
        run: its name.
        score: what it reached.
        rank: 1 is best; None where no direction is better, or its value is not a number.
        against: the row above.
    """

    run: str
    score: Score
    rank: int | None
    against: Against


@dataclass(frozen=True)
class Table:
    """One score of several runs, all measured by one protocol; best first.

    Attributes:
        name: of the score, for people.
        metric: its key.
        better: which direction is better.
        rows: best first; in the order given where no direction is better.
        missing: runs that do not have this score.
        protocol: what sets it apart from other tables of the same score, field -> value; empty where there are none.
    """

    name: str
    metric: str
    better: Better
    rows: tuple[Row, ...]
    missing: tuple[str, ...] = ()
    protocol: Mapping[str, Any] | None = None

    def plain(self) -> dict[str, Any]:
        """As JSON values."""
        rows = [
            {"run": row.run, "rank": row.rank, "against": row.against, "score": row.score.plain()} for row in self.rows
        ]
        return {**vars(self), "rows": rows, "missing": list(self.missing), "protocol": dict(self.protocol or {})}


@dataclass(frozen=True)
class Comparison:
    """Several runs, score by score.

    Attributes:
        runs: their names, as given.
        tables: one for each score; where protocols differ and that was forced, one for each protocol.
    """

    runs: tuple[str, ...]
    tables: tuple[Table, ...]

    @property
    def remarks(self) -> tuple[str, ...]:
        """What must be known when reading it, a sentence each."""
        apart = list(dict.fromkeys(table.name for table in self.tables if table.protocol))
        said = [f"Measured by different protocols, so not ranked across tables: {', '.join(apart)}."] if apart else []
        return (*said, *_unknown(self.tables), RULE)

    def lines(self) -> list[str]:
        """For a terminal: a block for each table, then the remarks."""
        return [line for table in self.tables for line in (*_lines(table), "")] + list(self.remarks)

    def plain(self) -> dict[str, Any]:
        """As JSON values."""
        tables = [table.plain() for table in self.tables]
        return {"format": 1, "runs": list(self.runs), "tables": tables, "remarks": list(self.remarks)}


def compare(evaluations: Sequence[tuple[str, Mapping[str, Any]]], force: bool = False) -> Comparison:
    """Rank runs by every score that they have.

    Args:
        evaluations: name of the run, content of its evaluation.json.
        force: give scores whose protocols differ in a table for each protocol, instead of refusing.

    Raises:
        CardiganError: protocols differ and `force` is not set; fewer than two runs, or two of one name; no score that
            two runs have; a content that is no evaluation.
    """
    names = tuple(name for name, _ in evaluations)
    if len(names) < 2 or len(set(names)) < len(names):
        raise CardiganError(
            f"cannot compare {', '.join(names) or 'nothing'}: at least two runs of different names are needed"
        )
    found = _by_score([(name, _scores(name, content)) for name, content in evaluations])
    if all(len(scores) < 2 for scores in found.values()):
        raise CardiganError(f"nothing to compare: no score that two of {', '.join(names)} have")
    if not force:
        _same_extractors(found)
        for scores in found.values():
            _must_agree(scores)
    return Comparison(names, tuple(table for scores in found.values() for table in _tables(scores, names)))


def _scores(name: str, content: Mapping[str, Any]) -> list[Score]:
    if content.get("format") != FORMAT:
        raise CardiganError(f"{name}: its evaluation has format {content.get('format')!r}; {FORMAT} can be read")
    try:
        scores = [score_from(each) for each in content["scores"]]
    except (TypeError, KeyError, ValueError, AttributeError):
        raise CardiganError(f"{name}: its evaluation is damaged: scores cannot be read") from None
    for score in scores:
        _checked(name, score)
    return scores


def _checked(name: str, score: Score) -> None:
    """Raise CardiganError where the numbers of a score are none."""
    numbers = [score.value, *(each for each in (score.low, score.high, score.floor, score.ceiling) if each is not None)]
    if not all(isinstance(each, int | float) for each in numbers) or score.better not in ("lower", "higher", "neither"):
        raise CardiganError(f"{name}: its evaluation is damaged: {score.name!r} is no score")


def _by_score(runs: Sequence[tuple[str, Sequence[Score]]]) -> dict[tuple[str, ...], list[tuple[str, Score]]]:
    """Score -> (run, score) of the runs that have it.

    Scores go by their names; where a run has several of one name, by name and extractor.
    """
    names = [[score.name for score in scores] for _, scores in runs]
    ambiguous = {name for each in names for name in each if each.count(name) > 1}
    found: dict[tuple[str, ...], list[tuple[str, Score]]] = {}
    for run, scores in runs:
        for score in scores:
            key = (score.name, score.protocol.extractor) if score.name in ambiguous else (score.name,)
            found.setdefault(key, []).append((run, score))
    return found


def _same_extractors(found: Mapping[tuple[str, ...], Sequence[tuple[str, Score]]]) -> None:
    """Raise CardiganError where two runs have the same metric, but never through the same extractor."""
    seen: dict[str, dict[str, set[str]]] = {}
    for scores in found.values():
        for run, score in scores:
            seen.setdefault(score.protocol.metric, {}).setdefault(run, set()).add(score.protocol.extractor)
    for metric, runs in seen.items():
        for (one, mine), (other, theirs) in combinations(runs.items(), 2):
            if not mine & theirs:
                raise CardiganError(
                    f"{metric} was measured differently: extractor is {min(mine)!r} in {one} and {min(theirs)!r} in "
                    f"{other}; evaluate both alike, or give them apart with --force"
                )


def _must_agree(scores: Sequence[tuple[str, Score]]) -> None:
    for (one, score), (other, another) in combinations(scores, 2):
        fields = _differ(score, another)
        if fields:
            pairs = ((field, getattr(score.protocol, field), getattr(another.protocol, field)) for field in fields)
            told = "; ".join(
                f"{field} is {first!r} in {one} and {second!r} in {other}" for field, first, second in pairs
            )
            raise CardiganError(
                f"{score.name} was measured differently: {told}; evaluate both alike, or give them apart with --force"
            )


def _tables(scores: Sequence[tuple[str, Score]], runs: Sequence[str]) -> list[Table]:
    """One table for each protocol that occurs.

    A run joins a table only if it agrees with every run in it: what is not known of one run agrees with anything, so
    agreeing with one of them says nothing of the others.
    """
    groups: list[list[tuple[str, Score]]] = []
    for run, score in scores:
        fitting = (group for group in groups if not any(_differ(score, other) for _, other in group))
        group = next(fitting, None)
        if group is None:
            groups.append(group := [])
        group.append((run, score))
    fields = list(dict.fromkeys(field for one, other in combinations(scores, 2) for field in _differ(one[1], other[1])))
    having = {run for run, _ in scores}
    missing = tuple(run for run in runs if run not in having)
    return [_table(group, missing, {field: _known(group, field) for field in fields}) for group in groups]


def _differ(one: Score, other: Score) -> list[str]:
    return differences(one.protocol, other.protocol)


def _known(scores: Sequence[tuple[str, Score]], field: str) -> Any:
    """The value of a field on which a table agrees; None where it is not known of any run."""
    values = (getattr(score.protocol, field) for _, score in scores)
    return next((value for value in values if value is not None), None)


def _table(scores: Sequence[tuple[str, Score]], missing: tuple[str, ...], protocol: Mapping[str, Any]) -> Table:
    first = scores[0][1]
    ranked = sorted(scores, key=lambda each: _badness(each[1]))
    above: list[Score | None] = [None, *(score for _, score in ranked)]
    rows = tuple(
        Row(run, score, _rank(score, number), _against(above[number - 1], score))
        for number, (run, score) in enumerate(ranked, 1)
    )
    return Table(first.name, first.protocol.metric, first.better, rows, missing, protocol)


def _badness(score: Score) -> float:
    """Best is least; what is not a number comes last."""
    if score.better == "neither":
        return 0.0
    if score.value != score.value:
        return float("inf")
    return score.value if score.better == "lower" else -score.value


def _rank(score: Score, number: int) -> int | None:
    return number if score.better != "neither" and isfinite(score.value) else None


def _against(above: Score | None, score: Score) -> Against:
    if above is None or score.better == "neither":
        return ""
    if None in (above.low, above.high, score.low, score.high) or not isfinite(score.value):
        return "undecided"
    return "tie" if score.low <= above.high and above.low <= score.high else "worse"  # type: ignore[operator]


TOLD: Mapping[Against, str] = {
    "": "",
    "tie": "tie with the row above",
    "worse": "",
    "undecided": "no interval: undecided",
}
"""A row against the one above, in words."""


def _unknown(tables: Sequence[Table]) -> list[str]:
    """Runs that are ranked although something is not known of them, a sentence each."""
    found: dict[str, dict[str, None]] = {}
    for table in tables:
        for row in table.rows if len(table.rows) > 1 else ():
            fields = [field for field in MUST_AGREE if getattr(row.score.protocol, field) is None]
            found.setdefault(row.run, {}).update(dict.fromkeys(fields))
    return [f"Not known of {run}, and taken to agree: {', '.join(fields)}." for run, fields in found.items() if fields]


def limits(table: Table) -> str:
    """Direction, floor and ceiling of a table in words: "lower is better; real 1.7, trivial 1,410"."""
    first = table.rows[0].score
    told = [
        {"lower": "lower is better", "higher": "higher is better", "neither": "no direction is better"}[table.better]
    ]
    for word, limit in (("real", first.floor), ("trivial", first.ceiling)):
        if limit is not None:
            told.append(f"{word} {beside(first, limit)}")
    return ", ".join(told)


def _lines(table: Table) -> list[str]:
    apart = "; ".join(f"{field} {value}" for field, value in (table.protocol or {}).items())
    longest = max(len(row.run) for row in table.rows)
    values = max(len(value_of(row.score)) for row in table.rows)
    lines = [f"{table.name}  ({limits(table)})", *([f"  {apart}"] if apart else [])]
    for row in table.rows:
        interval = interval_of(row.score)
        rank = "-" if row.rank is None else str(row.rank)
        line = f"  {rank:>2}  {row.run:{longest}}  {value_of(row.score):>{values}}  "
        lines.append((line + f"{f'({interval})' if interval else 'no interval':20}  {TOLD[row.against]}").rstrip())
    if table.missing:
        lines.append(f"      not measured: {', '.join(table.missing)}")
    return lines
