"""Tables of texts: CSV and TSV with a header, and JSON lines."""

import csv
import io
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cardigan.data.sources.source import shown
from cardigan.data.text.reading import lines_of, read_text
from cardigan.errors import CardiganError
from cardigan.settings import allowed

_LOOK = 200
"""Rows that tell what a column holds."""
_DELIMITERS = ",;\t|"
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Table:
    """A table of a file.

    Attributes:
        path: of the file.
        columns: name -> value of each row, None where it is missing.
        lines: of each row, the line of the file that it ends on, from 1.
    """

    path: Path
    columns: dict[str, list[Any]]
    lines: Sequence[int]

    def texts(self, column: str) -> list[str]:
        """The strings of `column`; "" where one is missing.

        Raises:
            CardiganError: no such column, or something else than strings in it.
        """
        return [self._string(value, column, row) for row, value in enumerate(self._column(column))]

    def lists(self, column: str) -> list[list[str]]:
        """The lists of strings of `column`.

        Raises:
            CardiganError: no such column, or something else than lists of strings in it.
        """
        found = []
        for row, value in enumerate(self._column(column)):
            if not isinstance(value, list):
                raise CardiganError(f"{self._place(row)}: {column!r} is no list of strings")
            found.append([self._string(each, column, row) for each in value])
        return found

    def holds_lists(self, column: str) -> bool:
        """Whether `column` holds lists."""
        return any(isinstance(value, list) for value in self.columns.get(column, [])[:_LOOK])

    def only(self, lists: bool = False) -> str:
        """The one column that holds texts (or lists of them).

        Raises:
            CardiganError: none or several, and their names.
        """
        names = [name for name, values in self.columns.items() if _fits(values[:_LOOK], lists)]
        if len(names) == 1:
            return names[0]
        what = "lists of strings" if lists else "texts"
        if not names:
            raise CardiganError(f"{shown(self.path)}: no column holds {what}; there are: {self._names()}")
        raise CardiganError(
            f"{shown(self.path)}: several columns hold {what}; choose data.column, one of: {', '.join(names)}"
        )

    def _column(self, name: str) -> list[Any]:
        if name not in self.columns:
            raise CardiganError(f"{shown(self.path)} has no column {name!r}; {allowed(name, self.columns)}")
        return self.columns[name]

    def _string(self, value: Any, column: str, row: int) -> str:
        if value is None:
            return ""
        if not isinstance(value, str):
            raise CardiganError(f"{self._place(row)}: {column!r} is no string but {str(value)[:40]!r}")
        if _SURROGATE.search(value):
            raise CardiganError(f"{self._place(row)}: {column!r} holds half a character (a lone surrogate)")
        return value

    def _place(self, row: int) -> str:
        return f"{shown(self.path)}, line {self.lines[row]:,}"

    def _names(self) -> str:
        return ", ".join(map(shown, self.columns)) or "none"


def _fits(values: list[Any], lists: bool) -> bool:
    there = [value for value in values if value is not None and value != ""]
    if lists:
        return bool(there) and all(isinstance(value, list) for value in there)
    return bool(there) and all(isinstance(value, (str, list)) for value in there) and not all(map(_is_number, there))


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


def read_table(path: Path) -> Table:
    """The table in the file `path`, by its ending: .jsonl, .csv, .tsv, each gzipped or not.

    Raises:
        CardiganError: it is none, and the line that shows it.
    """
    return _read_json(path) if form_of(path) == "jsonl" else _read_csv(path)


def form_of(path: Path) -> str:
    """ "jsonl", "csv", "tsv", or "lines" of whatever else.

    Raises:
        CardiganError: one JSON document.
    """
    name = path.name.lower().removesuffix(".gz")
    for ending, form in ((".jsonl", "jsonl"), (".ndjson", "jsonl"), (".csv", "csv"), (".tsv", "tsv")):
        if name.endswith(ending):
            return form
    if name.endswith(".json"):
        raise CardiganError(f"{shown(path)}: one JSON document; allowed: JSON lines, an object a line (.jsonl)")
    return "lines"


def _read_json(path: Path) -> Table:
    rows, places = list[dict[str, Any]](), list[int]()
    for number, line in enumerate(lines_of(path, read_text(path)), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise CardiganError(f"{shown(path)}, line {number:,}: broken JSON: {error}") from None
        if not isinstance(row, dict):
            raise CardiganError(f'{shown(path)}, line {number:,}: no JSON object; allowed: such as {{"text": "..."}}')
        rows.append(row)
        places.append(number)
    names = list(dict.fromkeys(name for row in rows for name in row))
    return Table(path, {name: [row.get(name) for row in rows] for name in names}, places)


def _read_csv(path: Path) -> Table:
    text = read_text(path)
    header = text.partition("\n")[0]
    delimiter = "\t" if form_of(path) == "tsv" else max(_DELIMITERS, key=header.count)
    rows, places = list[list[str]](), list[int]()
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        for row in reader:
            if row:
                rows.append(row)
                places.append(reader.line_num)
    except csv.Error as error:
        raise CardiganError(f"{shown(path)}, line {reader.line_num:,}: {error}") from None
    if not rows:
        return Table(path, {}, ())
    names = rows[0]
    if len(set(names)) != len(names):
        raise CardiganError(f"{shown(path)}: columns of equal name; allowed: a header of different names, then rows")
    for row, line in zip(rows, places, strict=True):
        if len(row) != len(names):
            there = ", ".join(map(shown, names))
            raise CardiganError(
                f"{shown(path)}, line {line:,}: {len(row)} values, but the header names {len(names)}: {there}"
            )
    return Table(path, {name: [row[at] for row in rows[1:]] for at, name in enumerate(names)}, places[1:])
