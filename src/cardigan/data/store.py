"""The cache folder: what is costly to make from data, may be thrown away at any time, and is made only once.

KIND/KEY/entry.json      what it was made from and when; written last
KIND/KEY/...             whatever the maker left there
KIND/.KEY.partial/       being made, or what a killed maker left: the next one goes on from it
KIND/.KEY.lock           held by the process that makes it
"""

import errno
import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cardigan.errors import CardiganError
from cardigan.files import read_json, write_text

VARIABLE = "CARDIGAN_CACHE"
"""Environment variable: the cache folder, where it should not be the user's usual one."""
ABOUT = "entry.json"
_CHUNK = 2**22
"""Bytes read at once for hashing."""


class StoreError(CardiganError):
    """The cache folder cannot be written: full, read-only, or not there."""


def place() -> Path:
    """The cache folder: what CARDIGAN_CACHE names, else the platform's usual place (~/.cache/cardigan on Linux)."""
    from platformdirs import user_cache_path

    chosen = os.environ.get(VARIABLE)
    return Path(chosen).expanduser().absolute() if chosen else user_cache_path("cardigan", appauthor=False)


def room() -> int:
    """Bytes free where the cache lies, or 0 where nothing can be written."""
    folder = place()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return shutil.disk_usage(folder).free if os.access(folder, os.W_OK) else 0
    except OSError:
        return 0


def has(kind: str, key: str) -> bool:
    """Whether the entry `key` is there, complete."""
    return (place() / kind / key / ABOUT).is_file()


def keep(
    kind: str,
    key: str,
    make: Callable[[Path], None],
    about: Mapping[str, Any],
    waiting: Callable[[], None] | None = None,
) -> Path:
    """The folder of the entry `key`, made by `make` if it is not there yet.

    Args:
        make: given a folder, leaves the content there; raises what it will. The folder may hold what an earlier maker
            that was killed has left.
        about: what `cardigan cache` says of the entry: "source" and whatever else is JSON.
        waiting: called once if another process is making the same entry.

    Raises:
        StoreError: the cache cannot be written.
    """
    folder = place() / kind / key
    if (folder / ABOUT).is_file():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _locked(folder.with_name(f".{key}.lock"), waiting):
            if not (folder / ABOUT).is_file():
                _make(folder, make, about)
    except OSError as error:
        if error.errno == errno.ENOSPC:  # what is half made would keep the disk full
            shutil.rmtree(_partial(folder), ignore_errors=True)
        raise StoreError(
            f"the cache {folder.parent} cannot be written: {error.strerror or error}; make room "
            f"(cardigan cache clear), let {VARIABLE} name another folder, or set data.storage=memory"
        ) from None
    return folder


def _make(folder: Path, make: Callable[[Path], None], about: Mapping[str, Any]) -> None:
    partial = _partial(folder)
    partial.mkdir(exist_ok=True)
    make(partial)
    write_text(partial / ABOUT, json.dumps({**about, "made": time.time()}, indent=1))
    shutil.rmtree(folder, ignore_errors=True)  # an entry without its entry.json is none
    partial.rename(folder)


def _partial(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.partial")


@contextmanager
def _locked(path: Path, waiting: Callable[[], None] | None) -> Iterator[None]:
    """Hold the lock file `path`; it goes with the process, however it ends."""
    while True:
        with path.open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if waiting:
                    waiting()
                    waiting = None
                fcntl.flock(file, fcntl.LOCK_EX)
            if not _is_still(path, file.fileno()):  # whoever held it has removed it
                continue
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
            return


def _is_still(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def content_key(files: Sequence[Path]) -> str:
    """Hash of the names and the bytes of `files`, wherever their common folder lies.

    Remembered under their sizes and times, so that files that did not change are not read again.

    Raises:
        OSError: a file cannot be read.
    """
    memory = _memory(files)
    try:
        return memory.read_text("ascii")
    except (OSError, ValueError):
        pass
    key = _content(files)
    try:
        memory.parent.mkdir(parents=True, exist_ok=True)
        write_text(memory, key)
    except OSError:  # only a convenience
        pass
    return key


def remembers(files: Sequence[Path]) -> bool:
    """Whether `content_key` of `files` is known without reading them."""
    return _memory(files).is_file()


def _memory(files: Sequence[Path]) -> Path:
    return place() / "contents" / stamp(files)


def stamp(files: Sequence[Path]) -> str:
    """Hash of the places, sizes and times of `files`: changes with every change of one, and is quick.

    Even where size and modification time are kept, a file's change time is not.

    Raises:
        OSError: there is no such file.
    """
    whole = hashlib.blake2b(digest_size=16)
    for path in files:
        stat = path.stat()
        line = f"{path}\0{stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns} {stat.st_ino}\n"
        whole.update(line.encode(errors="surrogateescape"))
    return whole.hexdigest()


def _content(files: Sequence[Path]) -> str:
    whole = hashlib.blake2b(digest_size=16)
    root = os.path.commonpath([path.parent for path in files]) if files else ""
    for path in files:
        whole.update(os.path.relpath(path, root).encode(errors="surrogateescape") + b"\0")
        each = hashlib.blake2b(digest_size=16)
        with path.open("rb") as file:
            while block := file.read(_CHUNK):
                each.update(block)
        whole.update(each.digest())
    return whole.hexdigest()


@dataclass(frozen=True)
class Entry:
    """One entry of the cache.

    Attributes:
        kind: "pictures", "index" ...
        key: its name within the kind.
        source: what it was made from.
        size: bytes on disk.
        made: seconds since 1970; of a partial entry, when it was last written to.
        state: "complete", "partial" (its maker was killed; the next one goes on) or "being made".
        folder: where it lies.
    """

    kind: str
    key: str
    source: str
    size: int
    made: float
    state: str
    folder: Path


def entries() -> list[Entry]:
    """Everything in the cache, largest first."""
    folders = [folder for folder in place().glob("*/*") if folder.is_dir()] if place().is_dir() else []
    return sorted(map(_entry, folders), key=lambda entry: -entry.size)


def _entry(folder: Path) -> Entry:
    try:
        about = read_json(folder / ABOUT)
    except CardiganError:
        about = {}
    key = folder.name.removeprefix(".").removesuffix(".partial")
    made = about.get("made")
    made = float(made) if isinstance(made, (int, float)) else folder.stat().st_mtime
    state = "complete" if about else "being made" if _is_held(folder.with_name(f".{key}.lock")) else "partial"
    return Entry(folder.parent.name, key, str(about.get("source", "?")), _size(folder), made, state, folder)


def _is_held(lock: Path) -> bool:
    try:
        with lock.open("r") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def _size(folder: Path) -> int:
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())


def clear(key: str | None = None) -> list[Entry]:
    """Remove the entry `key` (its first letters are enough), or all of them; what is being made stays.

    Returns:
        What was removed. Runs that use an entry at this moment go on undisturbed, since they hold its files open.

    Raises:
        CardiganError: there is no entry of this key.
    """
    chosen = [each for each in entries() if key is None or each.key.startswith(key)]
    if key is not None and not chosen:
        raise CardiganError(f"the cache {place()} has no entry {key!r}; cardigan cache lists them")
    removed = [each for each in chosen if each.state != "being made"]
    for each in removed:
        shutil.rmtree(each.folder, ignore_errors=True)
    if key is None:
        shutil.rmtree(place() / "contents", ignore_errors=True)
    return removed
