"""The labels of a table: integers with or without names, or words that are the names themselves."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from cardigan.data.sources.source import Labels, Split, number_names, shown
from cardigan.data.sources.tables.columnar import Columnar, faults, short
from cardigan.data.sources.tables.columns import Columns, kind_of
from cardigan.data.sources.trees.layout import natural
from cardigan.errors import CardiganError

Named = tuple[dict[Split, Labels], tuple[str, ...]]
"""The labels of each split that has any, and the names of their classes."""


def read_labels(tables: Mapping[Split, Columnar], columns: Columns, where: str) -> Named:
    """The labels of all `tables`, counted alike in each.

    A split whose labels are all missing, or all -1 as in test splits that keep theirs secret, has none.


    Raises:
        CardiganError: labels that cannot be read, are missing in some rows, or out of range.
    """
    labelled = {split: table for split, table in tables.items() if columns.label in table.schema.names}
    if not columns.label or "train" not in labelled:
        return {}, ()
    classes = columns.classes
    if kind_of(tables["train"].schema.field(columns.label).type) == "word":
        names = {name for table in labelled.values() for name in words(table, columns.label)}
        classes = tuple(sorted(names, key=natural))
        read = {split: numbered(table, columns.label, classes) for split, table in labelled.items()}
    else:
        read = {split: integers(table, columns.label) for split, table in labelled.items()}
    labels = {split: values for split, values in read.items() if values is not None}
    if "train" not in labels:
        return {}, ()
    if not classes:
        return labels, number_names(list(labels.values()), where)
    for split, values in labels.items():
        _check(values, classes, shown(tables[split].files[0]))
    return labels, classes


def _check(labels: Labels, classes: tuple[str, ...], where: str) -> None:
    bad = labels[(labels < 0) | (labels >= len(classes))]
    if len(bad):
        raise CardiganError(f"{where}: label {int(bad[0])}; allowed: 0 to {len(classes) - 1}")


def integers(table: Columnar, column: str) -> Labels | None:
    """A column of labels; None where all of them are missing, or -1, as in test splits that keep theirs secret.

    Raises:
        CardiganError: some are missing.
    """
    import pyarrow as pa

    def cast(block: Any) -> Any:
        return block.cast(pa.int64())

    return _labels(table, column, cast)


def words(table: Columnar, column: str) -> list[str]:
    """The different strings of a column, in no particular order; missing ones passed over.

    Raises:
        CardiganError: it cannot be read.
    """
    found = dict[str, None]()
    for block in table.blocks((column,)):
        try:
            found.update(dict.fromkeys(each for each in block.unique().to_pylist() if each is not None))
        except faults() as error:
            raise CardiganError(f"{shown(table.files[0])}: column {column!r}: {short(error)}") from None
    return list(found)


def numbered(table: Columnar, column: str, classes: Sequence[str]) -> Labels | None:
    """The positions in `classes` of a column of strings; None where all are missing.

    Raises:
        CardiganError: some are missing.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    known = pa.array(list(classes), pa.large_string())

    def cast(block: Any) -> Any:
        return pc.index_in(block.cast(pa.large_string()), known).cast(pa.int64())

    return _labels(table, column, cast)


def _labels(table: Columnar, column: str, cast: Callable[[Any], Any]) -> Labels | None:
    found, missing = list[Labels](), 0
    for block in table.blocks((column,)):
        try:
            missing += block.null_count
            found.append(np.asarray(cast(block).fill_null(-1), dtype=np.int64))
        except faults() as error:
            raise CardiganError(f"{shown(table.files[0])}: column {column!r}: {short(error)}") from None
    labels = np.concatenate(found) if found else np.zeros(0, np.int64)
    if len(labels) and (labels == -1).all():
        return None
    if missing:
        where = shown(table.files[0])
        raise CardiganError(f"{where}: {missing} rows without a label; allowed: a label in each or in none")
    return labels
