"""Files written whole or not at all, who holds a lock, and what a full or read-only disk says, in one line."""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cardigan.errors import CardiganError


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path`, whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in the file at `path`.

    Raises:
        CardiganError: it is missing or damaged.
    """
    try:
        content = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise CardiganError(f"{path} is missing") from None
    except (OSError, ValueError, RecursionError):
        raise CardiganError(f"{path} is damaged: not JSON") from None
    if not isinstance(content, dict):
        raise CardiganError(f"{path} is damaged: not a JSON object")
    return content


@contextlib.contextmanager
def writable(folder: Path) -> Iterator[None]:
    """Turn what the operating system says of a full or read-only disk into one line that names `folder`.

    Raises:
        CardiganError: something in it could not be written.
    """
    try:
        yield
    except OSError as error:
        raise CardiganError(f"{folder} cannot be written: {error.strerror or error}") from None


def check_folder(folder: Path) -> None:
    """Refuse a folder that could not be written to, before any work is done.

    Raises:
        CardiganError: something else is there, or one may not write there.
    """
    there = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    if not there.is_dir():
        raise CardiganError(f"{folder} cannot be written: {there} is no folder")
    if not os.access(there, os.W_OK):
        raise CardiganError(f"{folder} cannot be written: Permission denied")


def is_held(lock: Path) -> bool:
    """Whether a process holds the lock file `lock` now."""
    try:
        with lock.open("r") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False
