"""Parquet: row groups of pictures, labels and sentences, read when they are asked for."""

import os
import threading
from collections.abc import Sequence
from math import ceil
from pathlib import Path
from typing import Any, NamedTuple

from cardigan.data.sources.source import Source, shown
from cardigan.data.sources.tables.columnar import BUDGET, Columnar, Field, check_names, check_rows, faults, refuse
from cardigan.data.sources.tables.columnar_source import columnar_source
from cardigan.data.sources.tables.shards import holds_shards, shards
from cardigan.errors import CardiganError

_SUFFIXES = (".parquet",)
_WHOLE = 2**24
"""Bytes of a row group up to which it is read as a whole: 16 MiB."""
_PIECE = 2**23
"""Bytes of a larger one that are read at once: 8 MiB."""
_MOST_PIECES = 4096


def holds_parquet(folder: Path) -> bool:
    """Whether `folder`, or `data` or another folder within it, holds parquet files of pictures."""
    return holds_shards(folder, _SUFFIXES)


def open_parquet(name: str, path: Path) -> Source:
    """The parquet file `path`, or the parquet files of the folder `path`; see `shards` for their splits.

    Pictures are a column of {bytes, path}, as Hugging Face writes them, or of bytes; see `choose` for the columns.

    Raises:
        CardiganError: no file of the train split, a damaged file, or no column of pictures.
    """
    if not path.is_dir():
        table = ParquetTable([path])
        return columnar_source(name, {"train": table}, path.parent, slow([table]))
    found = shards(path, _SUFFIXES)
    if "train" not in found.files:
        raise CardiganError(f"{shown(path)}: no train.parquet or train-*.parquet in this folder")
    tables = {split: ParquetTable(files) for split, files in found.files.items()}
    return columnar_source(name, tables, path, found.remarks + slow(list(tables.values())))


def slow(tables: Sequence["ParquetTable"]) -> tuple[str, ...]:
    """A remark if row groups are so large that their pieces do not fit in memory together."""
    largest = max((table.largest for table in tables), default=0)
    if largest <= BUDGET:
        return ()
    size = f"{largest / 2**20:,.0f} MiB"
    return (f"row groups of {size}: reading in another order than the file's is slow; smaller ones would help",)


class _Piece(NamedTuple):
    """Some rows of a row group, or all of them.

    Attributes:
        file: index of the file.
        group: number of the row group.
        number: of this piece within the group.
        rows: of every piece of the group but the last, which may have fewer.
        whole: whether this is all of the group.
    """

    file: int
    group: int
    number: int
    rows: int
    whole: bool


class ParquetTable(Columnar):
    """Parquet files of one split. A block is a row group, or a piece of one that is larger than 16 MiB.

    A file is opened for every block. Pieces come from a reader that goes forward only: each thread has one for every
    column, which starts afresh where an earlier piece is asked for.

    Attributes:
        largest: bytes of the largest row group, unpacked.

    Raises:
        CardiganError: a file is no parquet file, or damaged.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        self._metadata, schemas, self.largest = list[Any](), list[Any](), 0
        self._pieces, shapes = list[_Piece](), list[tuple[int, int]]()
        self._here = threading.local()
        for index, path in enumerate(files):
            metadata, schema = _opened(path)
            self._metadata.append(metadata)
            schemas.append(schema)
            for group in range(metadata.num_row_groups):
                self._add(index, group, shapes)
        super().__init__(files, schemas, shapes, _WHOLE if self.largest > _WHOLE else max(1, self.largest))

    def _add(self, file: int, group: int, shapes: list[tuple[int, int]]) -> None:
        about = self._metadata[file].row_group(group)
        rows, size = about.num_rows, max(0, about.total_byte_size)
        self.largest = max(self.largest, size)
        count = 1 if size <= _WHOLE else max(1, min(ceil(size / _PIECE), rows, _MOST_PIECES))
        each = ceil(rows / count)
        for number, start in enumerate(range(0, rows, max(1, each))):
            self._pieces.append(_Piece(file, group, number, each, count == 1))
            shapes.append((file, min(each, rows - start)))

    def block(self, number: int, field: Field) -> Any:
        """Block `number` of a column as a pyarrow array."""
        piece = self._pieces[number]
        if not piece.whole:
            return _member(self._forward(piece, field), field)
        with self._open(piece.file) as file:
            return _member(file.read_row_group(piece.group, columns=[".".join(field)], use_threads=False), field)

    def _open(self, file: int) -> Any:
        import pyarrow.parquet as pq

        # A column is read page by page and not as a whole only with a buffer, and if nothing is fetched beforehand.
        return pq.ParquetFile(
            self.files[file],
            metadata=self._metadata[file],
            buffer_size=2**20,
            pre_buffer=False,
            page_checksum_verification=True,
        )

    def _forward(self, piece: _Piece, field: Field) -> Any:
        readers = self._here.__dict__.setdefault("readers", {})
        key = (os.getpid(), piece.file, piece.group)
        at, after, batches = readers.get(field, (None, 0, iter(())))
        if at != key or after > piece.number:
            file = self._open(piece.file)
            batches, after = file.iter_batches(piece.rows, [piece.group], [".".join(field)], use_threads=False), 0
        for _ in range(piece.number - after):
            next(batches, None)
        batch = next(batches, None)
        readers[field] = (key, piece.number + 1, batches)
        if batch is None:
            raise ValueError("the row group ends early")
        return batch


def _opened(path: Path) -> tuple[Any, Any]:
    """Metadata and schema of a file."""
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            metadata, schema = file.metadata, file.schema_arrow
        check_names(schema)
        check_rows(path, metadata.num_rows)
        if sum(metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)) != metadata.num_rows:
            raise ValueError("its row groups do not add up")
    except faults() as error:
        refuse(path, "a parquet file", error)
    return metadata, schema


def _member(table: Any, field: Field) -> Any:
    """What `field` names of a table or a batch."""
    import pyarrow.compute as pc

    column = table.column(field[0])
    return pc.struct_field(column, field[1]) if len(field) > 1 else column
