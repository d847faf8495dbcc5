"""Where pictures come from: a name, or a path whose form is told by looking at it."""

import os
import zipfile
from collections.abc import Callable
from pathlib import Path

from cardigan.data.sources.archive import open_archive
from cardigan.data.sources.decoding import SUFFIXES
from cardigan.data.sources.digits import open_digits
from cardigan.data.sources.folder import open_folder
from cardigan.data.sources.idx import holds_idx, open_idx
from cardigan.data.sources.parquet import holds_parquet, open_parquet
from cardigan.data.sources.source import Encoded, Part, Source, Stack, UnreadableError, shown
from cardigan.errors import CardiganError
from cardigan.settings import allowed

__all__ = ["NAMES", "Encoded", "Part", "Source", "Stack", "UnreadableError", "absolute", "open_source"]

VARIABLE = "CARDIGAN_DATA"
"""Environment variable: the folder in which named data sets are found."""

_FORMS: dict[str, tuple[Callable[[str, Path], Source], str]] = {
    "mnist": (open_idx, "*-ubyte.gz"),
    "cifar10": (open_parquet, "train.parquet and test.parquet"),
}

NAMES = ("digits", *_FORMS)
"""Sources known by name."""


def open_source(name: str, labels: str | None = None) -> Source:
    """The source called `name`: digits, mnist, cifar10, or the path of a folder, a zip archive or a parquet file.

    A known name is that data set even if there is a folder of this name; write ./mnist for the folder.

    Raises:
        CardiganError: in one line, what was looked for and what there is.
    """
    if name == "digits":
        return open_digits(name)
    if name in _FORMS:
        return _named(name)
    path = Path(name).expanduser() if name.startswith("~/") else Path(name)
    if not name or not _exists(path):
        raise CardiganError(_unknown(name))
    return _opened_folder(name, path) if path.is_dir() else _opened_file(name, path)


def absolute(name: str) -> str:
    """The path `name` from the root, if there is such a file or folder; else `name`, to be complained about later."""
    path = Path(name).expanduser() if name.startswith("~/") else Path(name)
    return str(path.resolve()) if name and _exists(path) else name


def _named(name: str) -> Source:
    opener, files = _FORMS[name]
    if not os.environ.get(VARIABLE):
        raise CardiganError(
            f"data source {name!r} is looked for in the folder that the environment variable {VARIABLE} names, which "
            f"is not set; set it so that ${VARIABLE}/{name} holds {files}, or give a path"
        )
    folder = Path(os.environ[VARIABLE]) / name
    if not folder.is_dir():
        raise CardiganError(
            f"data source {name!r}: no folder {shown(folder)} (from {VARIABLE}); it should hold {files}"
        )
    return opener(name, folder)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name too long, or of impossible characters
        return False


def _unknown(name: str) -> str:
    wanted = f"data source {shown(name)[:80]!r}: no such name, file or folder; {allowed(name, NAMES)}"
    unset = "" if os.environ.get(VARIABLE) else f" ({VARIABLE}, the folder of named data sets, is not set)"
    return f"{wanted}, or the path of a folder, a zip archive or a parquet file of pictures (--data PATH){unset}"


def _opened_folder(name: str, folder: Path) -> Source:
    try:
        if holds_idx(folder):
            return open_idx(name, folder)
        if holds_parquet(folder):
            return open_parquet(name, folder)
    except OSError as error:
        raise CardiganError(f"{shown(folder)}: cannot be read: {error.strerror}") from None
    return open_folder(name, folder)


def _opened_file(name: str, path: Path) -> Source:
    if path.suffix.lower() == ".parquet":
        return open_parquet(name, path)
    if path.suffix.lower() == ".zip" or zipfile.is_zipfile(path):
        return open_archive(name, path)
    what = "is one picture" if path.suffix.lower() in SUFFIXES else "is neither a zip archive nor a parquet file"
    raise CardiganError(f"{shown(path)} {what}; allowed: {', '.join(NAMES)}, a folder, a zip archive or a parquet file")
