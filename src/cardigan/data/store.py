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
from cardigan.files import is_held, read_json, write_text

VARIABLE = "CARDIGAN_CACHE"
"""Environment variable: the cache folder, where it should not be the user's usual one."""
KINDS = ("pictures", "looks", "index", "packed", "extractors", "features", "tokens", "engines")
"""Kinds of entries; whatever else lies in the folder is not ours."""
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
    """Whether the entry `key` is there, complete or begun: then its room is taken already."""
    folder = place() / kind / key
    return _partial(folder).is_dir() or (folder / ABOUT).is_file()


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
        raise StoreError(_failed(folder, error)) from None
    return folder


def _failed(folder: Path, error: OSError) -> str:
    reason = error.strerror or str(error)
    if error.filename is not None and not Path(error.filename).is_relative_to(place()):
        return f"{error.filename}: {reason}, while the cache entry {folder} was made"
    advice = (
        f"make room (cardigan cache clear), let {VARIABLE} name another folder, or set data.storage=memory"
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.ENOTDIR)
        else "see the file system"
    )
    return f"the cache {folder.parent} cannot be written: {reason}; {advice}"


def _make(folder: Path, make: Callable[[Path], None], about: Mapping[str, Any]) -> None:
    partial = _partial(folder)
    try:
        partial.mkdir(exist_ok=True)
        make(partial)
        write_text(partial / ABOUT, json.dumps({**about, "made": time.time()}, indent=1))
    except OSError as error:
        if error.errno == errno.ENOSPC:  # what is half made would keep the disk full
            shutil.rmtree(partial, ignore_errors=True)
        raise
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
                fcntl.flock(file, fcntl.LOCK_UN)  # forked readers may still hold the file open
            return


def _is_still(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def hashed(*parts: object) -> str:
    """A key that depends on all `parts`."""
    return hashlib.blake2b(repr(parts).encode(), digest_size=16).hexdigest()


def content_key(files: Sequence[Path], watch: Callable[[str, int, int], None] | None = None) -> str:
    """Hash of the names and the bytes of `files`, wherever their common folder lies.

    Remembered under their sizes and times, so that files that did not change are not read again. A file that cannot be
    read counts as one of its own kind.

    Args:
        watch: told how many files have been read, and how many there are.
    """
    memory = _memory(files)
    try:
        return memory.read_text("ascii")
    except (OSError, ValueError):
        pass
    key = _content(files, watch)
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
    """
    whole = hashlib.blake2b(digest_size=16)
    for path in files:
        try:
            stat = path.stat()
            state = f"{stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns} {stat.st_ino}"
        except OSError as error:  # a broken link is one unreadable picture, no reason to stop
            state = f"error {error.errno}"
        whole.update(f"{path.absolute()}\0{state}\n".encode(errors="surrogateescape"))
    return whole.hexdigest()


def _content(files: Sequence[Path], watch: Callable[[str, int, int], None] | None) -> str:
    whole = hashlib.blake2b(digest_size=16)
    root = os.path.commonpath([path.absolute().parent for path in files]) if files else ""
    for number, path in enumerate(files):
        whole.update(os.path.relpath(path, root).encode(errors="surrogateescape") + b"\0")
        whole.update(_digest(path))
        if watch:
            watch("reading files to know them again", number + 1, len(files))
    return whole.hexdigest()


def _digest(path: Path) -> bytes:
    each = hashlib.blake2b(digest_size=16)
    try:
        with path.open("rb") as file:
            while block := file.read(_CHUNK):
                each.update(block)
    except OSError as error:
        return f"error {error.errno}".encode()
    return each.digest()


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
    folders = [folder for kind in KINDS for folder in (place() / kind).glob("*") if _is_ours(folder)]
    return sorted(map(_entry, folders), key=lambda entry: -entry.size)


def _is_ours(folder: Path) -> bool:
    begun = folder.name.startswith(".") and folder.name.endswith(".partial")
    return folder.is_dir() and (begun or (folder / ABOUT).is_file())


def _entry(folder: Path) -> Entry:
    try:
        about = read_json(folder / ABOUT)
    except CardiganError:
        about = {}
    key = folder.name.removeprefix(".").removesuffix(".partial")
    made = about.get("made")
    made = float(made) if isinstance(made, (int, float)) else _status(folder)[1]
    state = "complete" if about else "being made" if is_held(folder.with_name(f".{key}.lock")) else "partial"
    return Entry(folder.parent.name, key, str(about.get("source", "?")), _size(folder), made, state, folder)


def _size(folder: Path) -> int:
    return sum(_status(path)[0] for path in folder.rglob("*") if path.is_file())


def _status(path: Path) -> tuple[int, float]:
    """Bytes on disk and time of change; nothing where it was removed a moment ago."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return 0, 0.0
    return status.st_blocks * 512, status.st_mtime


def clear(key: str | None = None) -> list[Entry]:
    """Remove the entry `key` (its first letters are enough), or all of them; what is being made stays.

    Returns:
        What was removed. Runs that use an entry at this moment go on undisturbed, since they hold its files open.

    Raises:
        CardiganError: there is no entry of this key, or several.
    """
    chosen = [each for each in entries() if key is None or each.key.startswith(key)]
    if key is not None and len(chosen) != 1:
        several = f"{len(chosen)} entries that begin with" if chosen else "no entry"
        raise CardiganError(f"the cache {place()} has {several} {key!r}; cardigan cache lists them")
    removed = [each for each in chosen if each.state != "being made"]
    for each in removed:
        shutil.rmtree(each.folder, ignore_errors=True)
    if key is None:
        shutil.rmtree(place() / "contents", ignore_errors=True)
    return removed
