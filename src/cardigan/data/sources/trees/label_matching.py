"""Which row of a table is about which picture, however the table writes its names."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from cardigan.data.sources.source import Split, shown
from cardigan.data.sources.trees.label_tables import Table, numbered
from cardigan.data.sources.trees.layout import Layout, counted, relabelled, said, such_as
from cardigan.errors import CardiganError


def _stem(name: str) -> str:
    folder, slash, base = name.rpartition("/")
    stem, dot, _ = base.rpartition(".")
    return folder + slash + (stem if dot else base)


def _base(name: str) -> str:
    return name.rpartition("/")[2]


def _same(name: str) -> str:
    return name


_WAYS: tuple[tuple[Callable[[str], str], Callable[[str], str]], ...] = (
    (_same, _same),
    (_same, _stem),
    (_same, _base),
    (_same, lambda name: _stem(_base(name))),
    (_base, _base),
)
"""How a name in a table may mean a picture, strictest first: what is compared of the row, what of the picture."""


def matched(table: Table, pictures: Sequence[str], layout: Layout, folder: str) -> NDArray[np.int64]:
    """The row of each picture, -1 for none.

    Args:
        folder: where the table lies ("", "train/"); names are relative to it, and only pictures below it are meant.
            Where pictures of two splits share a name without its folder, that of the train split is meant.

    Raises:
        CardiganError: a row that may mean several pictures of one split.
    """
    found = np.full(len(pictures), -1, np.int64)
    taken: dict[int, int] = {}  # row -> picture
    order: tuple[Split, ...] = ("train", "validation", "test")
    below = {
        split: [index for index in layout.members.get(split, ()) if pictures[index].startswith(folder)]
        for split in order
    }
    for of_row, of_picture in _WAYS:
        wanted = _wanted(table, of_row, taken)
        if not wanted:
            break
        for split in order:
            new: dict[int, int] = {}
            for index in below[split]:
                if found[index] >= 0:
                    continue
                row = wanted.get(of_picture(pictures[index][len(folder) :]))
                if row is None or row in taken:
                    continue
                if row in new:
                    raise _ambiguous(table, row, [pictures[new[row]], pictures[index]])
                new[row] = index
                found[index] = row
            taken.update(new)
    return found


def _wanted(table: Table, of_row: Callable[[str], str], taken: dict[int, int]) -> dict[str, int]:
    """What is looked for -> row, for rows that have no picture yet; what two rows would be is none."""
    if not taken and of_row is _same:
        return table.rows
    found: dict[str, int] = {}
    for name, row in table.rows.items():
        if row not in taken:
            key = of_row(name)
            found[key] = -1 if key in found else row
    return {key: row for key, row in found.items() if row >= 0}


def _ambiguous(table: Table, row: int, both: list[str]) -> CardiganError:
    name = next(name for name, number in table.rows.items() if number == row)
    return CardiganError(
        f"{table.where}: line {table.lines[row]}: {shown(name)[:80]!r} may be {such_as(both)}; "
        "allowed: names that are clear, with their folder"
    )


def by_tables(read: Sequence[tuple[str, Table]], pictures: Sequence[str], layout: Layout) -> Layout | None:
    """`layout` with what the tables (folder, table) say; None where no row names a picture."""
    labels = [""] * len(pictures)
    sentences: list[tuple[str, ...]] = [()] * len(pictures)
    remarks, any_found = list[str](), False
    for folder, table in read:
        rows = matched(table, pictures, layout, folder)
        found = np.flatnonzero(rows >= 0)
        any_found = any_found or len(found) > 0
        for index in found:
            if table.labels:
                labels[index] = table.labels[rows[index]]
            if table.sentences:
                sentences[index] = table.sentences[rows[index]]
        if missing := len(table.lines) - len(found):
            remarks.append(f"{counted(missing, 'row')} of {table.where} without a picture")
    if not any_found:
        return None
    result = replace(layout, remarks=(*layout.remarks, *remarks))
    if any(labels):
        classes, values = numbered(labels)
        result = relabelled(folders_forgotten(result), values, classes)
    return said(result, sentences) if any(sentences) else result


def folders_forgotten(layout: Layout) -> Layout:
    """`layout` without labels."""
    return replace(layout, labels={}, classes=())


def foreign(table: Table, pictures: Sequence[str]) -> CardiganError:
    """What is said of a table that is not about these pictures."""
    return CardiganError(
        f"{table.where}: no row names a picture; it names {such_as(list(table.rows)[:4])}, and there are "
        f"{such_as(pictures)}"
    )
