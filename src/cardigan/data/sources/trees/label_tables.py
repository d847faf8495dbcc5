"""Tables of labels and sentences: CSV, TSV and JSON lines, one row for a picture."""

import csv
import io
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from cardigan.data.sources.source import shown
from cardigan.data.sources.trees.layout import is_picture, natural, such_as
from cardigan.errors import CardiganError

FILES = (
    *("file_name", "filename", "file", "image", "image_name", "image_id", "imageid", "img", "path", "filepath"),
    *("file_path", "image_path", "name", "id"),
)
"""Columns that name pictures, the likeliest first; lower case, blanks and hyphens as underscores."""
LABELS = ("label", "labels", "class", "class_name", "category", "target", "species", "breed")
SENTENCES = ("text", "caption", "captions", "sentence", "description", "comment")
_INTEGER = re.compile(r"0|[1-9][0-9]{0,17}")


class NoTableError(CardiganError):
    """A file that is no table about pictures; where nobody said that it is, it is passed over."""


@dataclass
class Table:
    """What a table says.

    Attributes:
        where: the file, as messages name it.
        rows: name of a picture as written, with slashes -> number of its row; further rows of the same name are one
            with the first.
        labels: of each row, "" for none; empty where there is no such column.
        sentences: of each row; empty where there is no such column.
        lines: where in the file each row stands, counted from 1.
    """

    where: str
    rows: dict[str, int] = field(default_factory=dict)
    labels: list[str] = field(default_factory=list)
    sentences: list[tuple[str, ...]] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)


def read_table(data: bytes, where: str, form: str, only_other: bool) -> Table:
    """The table in `data`.

    Args:
        form: ".jsonl" for JSON lines; anything else is separated by commas, semicolons or tabs, with a header (without
            one, where the first cell is the name of a picture: file, label).
        only_other: take the only column beside names and sentences for the labels, whatever its name.

    Raises:
        NoTableError: no column of names, or nothing else that is of use.
        CardiganError: damaged; names `where` and the line.
    """
    text = _decoded(data, where)
    records = _json_lines(text, where) if form == ".jsonl" else _cells(text, where)
    header = next(records, (0, []))[1]
    columns = _columns(header, where, only_other)
    table = Table(where)
    for line, cells in records:
        _add(table, line, cells, columns)
    if not table.rows:
        raise NoTableError(f"{where}: no rows")
    return table


@dataclass(frozen=True)
class _Columns:
    """Where in a row each thing stands; None: nowhere."""

    file: int
    label: int | None
    sentence: int | None


def _decoded(data: bytes, where: str) -> str:
    wide = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        return data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise CardiganError(f"{where}: line {line}: not UTF-8 text") from None


def _cells(text: str, where: str) -> Iterator[tuple[int, list[Any]]]:
    """(line, cells) of each row that is not empty, the header first."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text))
    width = 0
    try:
        for cells in reader:
            if not any(cells):
                continue
            if not width:
                width = len(cells)
                if is_picture(cells[0].strip()):  # no header
                    yield 0, ["file_name", "label"] if width == 2 else [f"column {each + 1}" for each in range(width)]
            if len(cells) != width:
                raise CardiganError(f"{where}: line {reader.line_num}: {len(cells)} cells, not {width} as at the top")
            yield reader.line_num, cells
    except csv.Error as error:
        raise CardiganError(f"{where}: line {reader.line_num}: damaged: {error}") from None


def _delimiter(text: str) -> str:
    """Whichever of comma, semicolon and tab parts the first line into most cells."""
    first = next((line for line in text.splitlines()[:100] if line.strip()), "") if len(text) < 2**20 else ""
    first = first or text[: text.find("\n", 0, 2**16)]
    return max(",;\t", key=first.count)


def _json_lines(text: str, where: str) -> Iterator[tuple[int, list[Any]]]:
    keys: list[str] = []
    for line, each in enumerate(text.split("\n"), 1):
        if not each.strip():
            continue
        try:
            record = json.loads(each)
        except (ValueError, RecursionError):
            raise CardiganError(f"{where}: line {line}: not JSON") from None
        if not isinstance(record, dict):
            raise CardiganError(f"{where}: line {line}: not a JSON object")
        if not keys:
            keys = list(record)
            yield 0, keys
        yield line, [record.get(key) for key in keys]


def _columns(header: Sequence[Any], where: str, only_other: bool) -> _Columns:
    names = [re.sub(r"[\s-]+", "_", str(each).strip().lower()) for each in header]

    def first(known: Sequence[str]) -> int | None:
        return next((names.index(name) for name in known if name in names), None)

    file, label, sentence = first(FILES), first(LABELS), first(SENTENCES)
    listed = such_as([str(each) for each in header]) or "none"
    if file is None:
        raise NoTableError(f"{where}: no column of file names among {listed}; allowed: {', '.join(FILES[:6])} ...")
    others = [index for index in range(len(names)) if index not in (file, sentence)]
    if label is None and only_other and len(others) == 1:
        label = others[0]
    if label is None and sentence is None:
        raise NoTableError(
            f"{where}: no column of labels or sentences among {listed}; allowed: {', '.join(LABELS[:5])}, "
            f"{', '.join(SENTENCES[:3])} ..."
        )
    return _Columns(file, label, sentence)


def _add(table: Table, line: int, cells: Sequence[Any], columns: _Columns) -> None:
    file = cells[columns.file]
    if isinstance(file, int) and not isinstance(file, bool):
        file = str(file)
    if not isinstance(file, str) or not file.strip():
        raise CardiganError(f"{table.where}: line {line}: no file name")
    name = file.strip().replace("\\", "/").removeprefix("./")
    row = table.rows.setdefault(name, len(table.lines))
    if row == len(table.lines):
        table.lines.append(line)
    if columns.label is not None:
        label = _label(cells[columns.label], f"{table.where}: line {line}")
        if row == len(table.labels):
            table.labels.append(label)
        elif table.labels[row] != label:
            raise CardiganError(
                f"{table.where}: line {line}: {shown(name)[:80]} is {label[:40]!r} here and "
                f"{table.labels[row][:40]!r} in line {table.lines[row]}; allowed: one label for each picture"
            )
    if columns.sentence is not None:
        sentences = _sentences(cells[columns.sentence], f"{table.where}: line {line}")
        if row == len(table.sentences):
            table.sentences.append(sentences)
        else:
            table.sentences[row] += sentences


def _label(value: Any, where: str) -> str:
    if value is None:
        return ""
    if isinstance(value, (str, int)):  # True and False are names like any other
        return " ".join(str(value).split())
    raise CardiganError(f"{where}: label {str(value)[:40]!r}; allowed: text or an integer")


def _sentences(value: Any, where: str) -> tuple[str, ...]:
    values = value if isinstance(value, list) else [] if value is None else [value]
    if not all(isinstance(each, str) for each in values):
        raise CardiganError(f"{where}: {str(value)[:40]!r} is no sentence; allowed: text, or a list of texts")
    return tuple(each.strip() for each in values if each.strip())


def numbered(labels: Sequence[str]) -> tuple[tuple[str, ...], list[int]]:
    """Names of the classes, and the index of each of `labels`; -1 for "".

    Integers that can be class indices are taken for such; anything else is a name, in natural order.
    """
    distinct = sorted({label for label in labels if label}, key=natural)
    if all(_INTEGER.fullmatch(label) for label in distinct):
        highest = max(map(int, distinct), default=-1)
        if highest < max(256, 2 * len(distinct)):
            distinct = [str(index) for index in range(highest + 1)]
    number = {label: index for index, label in enumerate(distinct)}
    return tuple(distinct), [number.get(label, -1) for label in labels]
