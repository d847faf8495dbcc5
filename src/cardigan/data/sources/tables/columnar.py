"""Rows of pictures, labels and sentences in files of columns, read a block at a time when they are asked for."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Generic, NoReturn, TypeVar

import numpy as np

from cardigan.data.sources.source import shown
from cardigan.errors import CardiganError

BUDGET = 2**26
"""Bytes of blocks that a table keeps in memory, unless a single block is larger: 64 MiB."""
_MOST = 16
"""How many blocks a table keeps: enough for a few threads that read forward, each in its own place."""
Field = tuple[str, ...]
"""A column, or a column of structs and the name of a member: ("image", "bytes")."""
T = TypeVar("T")


class Columnar(ABC):
    """The files of one split, which share one schema, as blocks of rows.

    Safe in forked processes and in threads: no open file is kept that they would share.

    Attributes:
        files: in order.
        schemas: pyarrow's, of each file.
        owners: (B,) int64, of each block, the index of its file.
        starts: (B,) int64, of each block, the number of its first row within its file.
        ends: (B,) int64, of each block, the number of rows up to its end, counted over all files.
    """

    def __init__(
        self, files: Sequence[Path], schemas: Sequence[Any], shapes: Sequence[tuple[int, int]], size: int
    ) -> None:
        """Args are the files, their schemas, (file, rows) of each block, and the bytes of the largest."""
        self.files, self.schemas = tuple(files), tuple(schemas)
        pairs = np.asarray(shapes, dtype=np.int64).reshape(-1, 2)
        self.owners, rows = pairs[:, 0], pairs[:, 1]
        self.ends = np.cumsum(rows)
        firsts = {
            int(owner): int(each) for owner, each in zip(self.owners[::-1], (self.ends - rows)[::-1], strict=True)
        }
        self.starts = self.ends - rows - np.asarray([firsts[int(owner)] for owner in self.owners], dtype=np.int64)
        # Not a lock of our own: one that another thread holds while this process forks would stay locked for ever.
        self._kept = lru_cache(max(1, min(_MOST, BUDGET // size)))(self._read)

    @abstractmethod
    def block(self, number: int, field: Field) -> Any:
        """Block `number` of a column as a pyarrow array. Raises whatever pyarrow raises on damaged files."""

    @property
    def schema(self) -> Any:
        """That of the first file."""
        return self.schemas[0]

    def __len__(self) -> int:
        return int(self.ends[-1]) if len(self.ends) else 0

    def where(self, index: int) -> tuple[Path, int]:
        """The file that row `index` lies in, and its number there."""
        block, row = self._find(index)
        return self.files[self.owners[block]], int(self.starts[block]) + row

    def value(self, index: int, field: Field) -> Any:
        """The value of row `index` as a pyarrow scalar, from a block that is kept for its neighbours.

        Raises:
            CardiganError: its block cannot be read.
        """
        block, row = self._find(index)
        return self._kept(block, field)[row]

    def blocks(self, field: Field) -> Iterator[Any]:
        """All of a column, a pyarrow array at a time.

        Raises:
            CardiganError: it cannot be read.
        """
        return (self._read(number, field) for number in range(len(self.ends)))

    def _read(self, number: int, field: Field) -> Any:
        try:
            block = self.block(number, field)
            rows = int(self.ends[number]) - (int(self.ends[number - 1]) if number else 0)
            if len(block) != rows:
                raise ValueError(f"{len(block)} rows instead of {rows}")
        except faults() as error:
            path = self.files[self.owners[number]]
            raise CardiganError(f"{shown(path)}: column {'.'.join(field)!r} cannot be read: {short(error)}") from None
        return block

    def _find(self, index: int) -> tuple[int, int]:
        if not 0 <= index < len(self):
            raise IndexError(f"row {index} of {len(self)}")
        block = int(np.searchsorted(self.ends, index, side="right"))
        return block, index - (int(self.ends[block - 1]) if block else 0)


class Rows(Sequence[T], Generic[T]):
    """What `get` makes of each row, when it is asked for."""

    def __init__(self, count: int, get: Callable[[int], T]) -> None:
        self._count, self._get = count, get

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self._get(each) for each in range(*index.indices(self._count))]
        position = int(index) + (self._count if index < 0 else 0)
        if not 0 <= position < self._count:
            raise IndexError(f"row {index} of {self._count}")
        return self._get(position)


def faults() -> tuple[type[Exception], ...]:
    """What pyarrow raises on damaged files."""
    import pyarrow as pa

    return (pa.ArrowException, OSError, ValueError, LookupError, TypeError, MemoryError, ArithmeticError, RuntimeError)


def short(error: Exception) -> str:
    """The message of pyarrow's `error`, cut to what fits one line."""
    return " ".join(str(error).split())[:120] or type(error).__name__


def refuse(path: Path, what: str, error: Exception) -> NoReturn:
    """Raise a CardiganError for a file that cannot be opened."""
    raise CardiganError(f"{shown(path)}: not {what}, or damaged: {short(error)}") from None


def check_names(schema: Any) -> None:
    """Raise what `faults` names if a column of pyarrow's `schema` has a name that is no text."""
    list(schema.names)


def check_rows(path: Path, rows: int) -> None:
    """Refuse a file that claims more rows than it has bytes: labels alone would then fill the memory."""
    size = path.stat().st_size
    if not 0 <= rows <= size:
        raise CardiganError(f"{shown(path)}: claims {rows:,} rows in {size:,} bytes; refused")
