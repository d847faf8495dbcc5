"""One row of a table: its encoded picture, and what is said of it."""

from collections.abc import Callable, Sequence
from pathlib import Path

from cardigan.data.sources.source import UnreadableError, shown
from cardigan.data.sources.tables.columnar import Columnar, Rows, faults, short
from cardigan.errors import CardiganError

LARGEST = 2**28
"""Bytes of one encoded picture: 256 MiB."""


def picture_reader(
    table: Columnar, column: str, nested: bool, names: Sequence[str], roots: Sequence[Path]
) -> Callable[[int], bytes]:
    """index -> the encoded picture of that row: its bytes, or where there are none, the file that its path names.

    Args:
        nested: whether the column is a struct of bytes and path.
        roots: folders that such files may lie in; the table's own if there are none.
    """

    has_paths = nested and table.schema.field(column).type.get_field_index("path") >= 0

    def read(index: int) -> bytes:
        try:
            value = table.value(index, (column,))
            data = (value["bytes"] if value.is_valid else None) if nested else value
            data = data.as_py() if data is not None else None
            path = value["path"].as_py() if has_paths and value.is_valid else None
        except CardiganError as error:
            raise UnreadableError(names[index], str(error)) from None
        except faults() as error:
            raise UnreadableError(names[index], short(error)) from None
        if data is None and isinstance(path, str) and path:
            return _linked_bytes(table.where(index)[0], path, roots, names[index])
        if not data or len(data) > LARGEST:
            size = f"more than {LARGEST >> 20} MiB" if data else "no bytes in this row"
            raise UnreadableError(names[index], size)
        return bytes(data)

    return read


def linked_files(table: Columnar, column: str, roots: Sequence[Path]) -> list[Path]:
    """The files that the paths in a column of bytes and path name, whether their rows have bytes or not.

    Raises:
        CardiganError: the column cannot be read.
    """
    if table.schema.field(column).type.get_field_index("path") < 0:
        return []
    found, beside = dict[Path, None](), {path.parent: _names(path.parent) for path in table.files}
    for number, block in enumerate(table.blocks((column, "path"))):
        owner = table.files[table.owners[number]]
        try:
            paths = block.to_pylist()
        except faults():
            continue  # is told of each picture that is read
        for path in paths:
            # Of a table that holds its pictures, paths name nothing on this machine: there may be millions of them.
            if isinstance(path, str) and (path.split("/", 1)[0] in beside[owner.parent] or (roots and path[:1] == "/")):
                target = _linked(owner, path, roots)
                found.update({target: None} if target else {})
    return list(found)


def _names(folder: Path) -> frozenset[str]:
    """What lies in `folder`, and the ways to write it."""
    return frozenset(("", ".", "..", *(path.name for path in folder.iterdir())))


def _linked(table: Path, path: str, roots: Sequence[Path]) -> Path | None:
    """The file `path`, relative to the folder of the file `table`; None where there is none or it lies elsewhere."""
    try:
        target = (table.parent / path).resolve()
        allowed = [root.resolve() for root in (roots or (table.parent,))]
        inside = any(target.is_relative_to(root) for root in allowed)
        return target if inside and target.is_file() else None
    except (OSError, ValueError, RuntimeError):
        return None


def _linked_bytes(table: Path, path: str, roots: Sequence[Path], name: str) -> bytes:
    target = _linked(table, path, roots)
    if target is None:
        raise UnreadableError(
            name, f"no bytes in this row, and no file {shown(path)[:80]!r} in the folder of its table"
        )
    try:
        if target.stat().st_size > LARGEST:
            raise UnreadableError(name, f"more than {LARGEST >> 20} MiB")
        return target.read_bytes()
    except OSError as error:
        raise UnreadableError(name, error.strerror or "cannot be read") from None


def spoken(table: Columnar, column: str) -> Rows[tuple[str, ...]]:
    """What a column of strings, or of lists of strings, says of each row; nothing where a value is missing."""

    def get(index: int) -> tuple[str, ...]:
        try:
            value = table.value(index, (column,)).as_py()
        except faults() as error:
            raise CardiganError(f"{shown(table.where(index)[0])}: column {column!r}: {short(error)}") from None
        values = value if isinstance(value, list) else [value]
        return tuple(each for each in values if each is not None)

    return Rows(len(table), get)
