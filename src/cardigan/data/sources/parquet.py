"""Parquet in the Hugging Face image layout: a column of {bytes, path} with encoded pictures, and integer labels."""

import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from cardigan.data.sources.layout import natural
from cardigan.data.sources.source import Encoded, Labels, Source, Split, UnreadableError, number_names, shown
from cardigan.errors import CardiganError

_NAME = re.compile(r"(train|test|validation|valid|val)(-.*)?\.parquet$")
_SPLITS: dict[str, Split] = {"train": "train", "test": "test"}
_LABELS = ("label", "labels")


def holds_parquet(folder: Path) -> bool:
    """Whether `folder`, or `data` within it, holds parquet files."""
    return bool(_files(folder))


def open_parquet(name: str, path: Path) -> Source:
    """The parquet file `path`, or train.parquet, test.parquet, train-00000-of-00002.parquet ... in the folder `path`.

    Raises:
        CardiganError: no file of the train split, a damaged file, or no column of pictures.
    """
    files: dict[Split, list[Path]] = _files(path) if path.is_dir() else {"train": [path]}
    if "train" not in files:
        raise CardiganError(f"{shown(path)}: no train.parquet or train-*.parquet in this folder")
    tables = {split: _Table(tuple(paths)) for split, paths in files.items()}
    classes = tables["train"].classes
    if tables["train"].label and not classes:
        classes = number_names([table.labels() for table in tables.values() if table.label], shown(path))
    # One load may ask for a part twice, to look at it and to read it.
    parts = {split: cache(lambda table=table: table.read(classes)) for split, table in tables.items()}
    return Source(name, parts, classes)


def _files(folder: Path) -> dict[Split, list[Path]]:
    found: dict[Split, list[Path]] = {}
    for place in (folder, folder / "data"):
        for path in sorted(place.glob("*.parquet"), key=lambda each: natural(each.name)):
            if match := _NAME.fullmatch(path.name):
                found.setdefault(_SPLITS.get(match[1], "validation"), []).append(path)
        if found:
            break
    return found


class _Table:
    """The files of one split, which share one schema; nothing but the schema is read until it is asked for."""

    def __init__(self, paths: tuple[Path, ...]) -> None:
        self.paths = paths
        schema = _parquet(paths[0]).schema_arrow
        features = _features(schema.metadata or {})
        self.image = _image_column(schema, shown(paths[0]))
        self.label, self.classes = _label_column(schema, features)

    def labels(self) -> Labels:
        return np.concatenate([_integers(_column(path, self.label), shown(path)) for path in self.paths])

    def read(self, classes: tuple[str, ...]) -> Encoded:
        """The pictures; labels where there are `classes`, checked against them."""
        columns = [(path, _column(path, self.image)) for path in self.paths]
        names = [f"{shown(path)}: row {row}" for path, column in columns for row in range(len(column))]
        pictures = [row for _, column in columns for row in column.to_pylist()]
        return Encoded(names, lambda index: _bytes(pictures[index], names[index]), self._checked(classes))

    def _checked(self, classes: tuple[str, ...]) -> Labels | None:
        if not classes or not self.label:
            return None
        labels = self.labels()
        if len(labels) and not 0 <= labels.min() <= labels.max() < len(classes):
            bad = int(labels[(labels < 0) | (labels >= len(classes))][0])
            raise CardiganError(f"{shown(self.paths[0])}: label {bad}; allowed: 0 to {len(classes) - 1}")
        return labels


def _parquet(path: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise CardiganError(f"{shown(path)}: not a parquet file, or damaged: {_short(error)}") from None


def _column(path: Path, name: str) -> Any:
    import pyarrow as pa

    try:
        return _parquet(path).read(columns=[name]).column(name)
    except (pa.ArrowException, OSError, KeyError) as error:
        raise CardiganError(f"{shown(path)}: column {name!r} cannot be read: {_short(error)}") from None


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:120]


def _bytes(row: Mapping[str, Any] | None, name: str) -> bytes:
    if not row or not row["bytes"]:
        raise UnreadableError(name, "no bytes in this row")
    return bytes(row["bytes"])


def _integers(column: Any, where: str) -> Labels:
    if column.null_count:
        raise CardiganError(f"{where}: {column.null_count} rows without a label; allowed: a label in each or in none")
    return np.asarray(column.to_numpy(), dtype=np.int64)


def _features(metadata: Mapping[bytes, bytes]) -> dict[str, Any]:
    """Column -> what the `datasets` library notes about it; nothing where it notes nothing sensible."""
    try:
        features = json.loads(metadata.get(b"huggingface", b"{}"))["info"]["features"]
    except (ValueError, KeyError, TypeError):
        return {}
    return features if isinstance(features, dict) else {}


def _image_column(schema: Any, where: str) -> str:
    import pyarrow as pa

    for field in schema:
        if pa.types.is_struct(field.type) and field.type.get_field_index("bytes") >= 0:
            return str(field.name)
    raise CardiganError(f"{where}: no column of pictures, a struct of bytes and path; it has {', '.join(schema.names)}")


def _label_column(schema: Any, features: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
    """The column of labels and the names of its classes; empty where unknown."""
    import pyarrow as pa

    integers = [field.name for field in schema if pa.types.is_integer(field.type)]
    for name in integers:
        feature = features.get(name)
        if isinstance(feature, dict) and feature.get("_type") == "ClassLabel":
            names = feature.get("names")
            return name, tuple(map(str, names)) if isinstance(names, list) else ()
    return next((name for name in integers if name in _LABELS), ""), ()
