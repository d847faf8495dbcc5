"""Arrow IPC files and streams, as `datasets` saves them; mapped into memory and read when they are asked for."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cardigan.data.sources.source import Source, Split, shown
from cardigan.data.sources.tables.columnar import Columnar, Field, check_names, check_rows, faults, refuse
from cardigan.data.sources.tables.columnar_source import columnar_source
from cardigan.data.sources.tables.shards import holds_shards, named_splits, shards
from cardigan.errors import CardiganError
from cardigan.files import read_json

_SUFFIXES = (".arrow", ".feather")
_SPLITS, _STATE = "dataset_dict.json", "state.json"
_UNPACKED = 2**30
"""Bytes that a compressed stream, which can only be read in order, may unpack to in memory: 1 GiB."""


def holds_arrow(folder: Path) -> bool:
    """Whether `folder` was written by save_to_disk of `datasets`, or holds Arrow files of pictures."""
    return any((folder / name).is_file() for name in (_SPLITS, _STATE)) or holds_shards(folder, _SUFFIXES)


def open_arrow(name: str, path: Path) -> Source:
    """The Arrow file `path`, or the folder `path` of them: written by save_to_disk, or named after their splits.

    Raises:
        CardiganError: no file of the train split, a damaged file, or no column of pictures.
    """
    if not path.is_dir():
        return columnar_source(name, {"train": ArrowTable([path])}, path.parent)
    files, remarks = _saved(path) if _is_saved(path) else _loose(path)
    return columnar_source(name, {split: ArrowTable(each) for split, each in files.items()}, path, remarks)


def _is_saved(folder: Path) -> bool:
    return (folder / _SPLITS).is_file() or (folder / _STATE).is_file()


def _loose(folder: Path) -> tuple[dict[Split, list[Path]], tuple[str, ...]]:
    found = shards(folder, _SUFFIXES)
    if "train" not in found.files:
        raise CardiganError(f"{shown(folder)}: no train.arrow or train-*.arrow in this folder")
    return found.files, found.remarks


def _saved(folder: Path) -> tuple[dict[Split, list[Path]], tuple[str, ...]]:
    """The files that save_to_disk has noted."""
    if not (folder / _SPLITS).is_file():
        return {"train": _noted(folder)}, ()
    names = read_json(folder / _SPLITS).get("splits")
    if not isinstance(names, list) or not names or not all(_is_plain(name) for name in names):
        raise CardiganError(f"{shown(folder / _SPLITS)}: 'splits' must list the folders beside it")
    splits, remarks = named_splits(names)
    return {split: _noted(folder / name) for split, name in splits.items()}, remarks


def _noted(folder: Path) -> list[Path]:
    state = read_json(folder / _STATE)
    if state.get("_indices_data_files") or state.get("_indices_files"):
        raise CardiganError(
            f"{shown(folder / _STATE)}: rows in another order than their files; save it anew (datasets)"
        )
    listed = state.get("_data_files")
    entries = listed if isinstance(listed, list) else []
    names = [entry.get("filename") if isinstance(entry, dict) else None for entry in entries]
    if not names or not all(_is_plain(name) for name in names):
        raise CardiganError(f"{shown(folder / _STATE)}: '_data_files' must list the Arrow files beside it")
    return [folder / name for name in names if isinstance(name, str)]


def _is_plain(name: object) -> bool:
    """Whether `name` is that of something beside the file that mentions it."""
    return isinstance(name, str) and name not in ("", ".", "..") and not set(name) & set("/\\\0")


class ArrowTable(Columnar):
    """Arrow files or streams of one split. A block is a record batch.

    Raises:
        CardiganError: a file is no Arrow file, or damaged.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        shapes, schemas, largest = list[tuple[int, int]](), list[Any](), 0
        self._batches: list[Any] = []  # the batch where it lies in the mapped file, else its file and its number there
        for index, path in enumerate(files):
            schema, batches, rows, size = _opened(path)
            schemas.append(schema)
            self._batches += batches
            shapes += [(index, each) for each in rows]
            largest = max(largest, size)
        super().__init__(files, schemas, shapes, max(1, largest))

    def block(self, number: int, field: Field) -> Any:
        """Block `number` of a column as a pyarrow array."""
        return _column(self._batch(number), field)

    def _batch(self, number: int) -> Any:
        batch = self._batches[number]
        return _reader(batch[0]).get_batch(batch[1]) if isinstance(batch, tuple) else batch


def _column(batch: Any, field: Field) -> Any:
    column = batch.column(field[0])
    # Arrow believes the offsets in a file; those of a damaged one would lead outside of its memory.
    column.validate(full=True)
    return column.field(field[1]) if len(field) > 1 else column


def _opened(path: Path) -> tuple[Any, list[Any], list[int], int]:
    """Schema, batches, their rows, and the bytes of the largest that does not lie in the mapped file."""
    import pyarrow as pa

    try:
        with pa.memory_map(str(path)) as file:
            region = file.read_buffer()
        if region.size >= 4 and region.slice(0, 4).to_pybytes() == b"FEA1":
            raise ValueError("the first version of Feather, which is no longer written; allowed: version 2")
        is_file = region.size >= 6 and region.slice(0, 6).to_pybytes() == b"ARROW1"
        found = _from_file(region, path) if is_file else _from_stream(region, path)
        check_names(found[0])
        return found
    except faults() as error:
        refuse(path, "an Arrow file", error)


def _reader(region: Any) -> Any:
    import pyarrow as pa

    return pa.ipc.open_file(pa.BufferReader(region))


def _from_file(region: Any, path: Path) -> tuple[Any, list[Any], list[int], int]:
    reader = _reader(region)
    check_rows(path, reader.num_record_batches)
    batches, rows, largest = list[Any](), list[int](), 0
    for number in range(reader.num_record_batches):
        batch = reader.get_batch(number)
        unpacked = _unpacked(batch, region)
        batches.append((region, number) if unpacked else batch)
        rows.append(batch.num_rows)
        largest = max(largest, unpacked)
    check_rows(path, sum(rows))
    return reader.schema, batches, rows, largest


def _from_stream(region: Any, path: Path) -> tuple[Any, list[Any], list[int], int]:
    import pyarrow as pa

    batches, total = list[Any](), 0
    with pa.ipc.open_stream(pa.BufferReader(region)) as reader:
        schema = reader.schema
        for batch in reader:
            total += _unpacked(batch, region)
            if total > _UNPACKED:
                limit = f"{_UNPACKED >> 30} GiB"
                raise ValueError(f"a compressed stream of more than {limit}; allowed: the file format, or parquet")
            batches.append(batch)
    rows = [batch.num_rows for batch in batches]
    check_rows(path, sum(rows))
    return schema, batches, rows, 0


def _unpacked(batch: Any, region: Any) -> int:
    """Bytes that a batch holds in memory of its own: none if all of it is a view of the mapped file.

    Not its nbytes, which follow the offsets in it before anybody has checked them.
    """
    start, end = region.address, region.address + region.size
    buffers = [buffer for column in batch.columns for buffer in column.buffers() if buffer is not None]
    return sum(buffer.size for buffer in buffers if not start <= buffer.address < end)
