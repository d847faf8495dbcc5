"""Where pictures come from: a name, or a path whose form is told by looking at it."""

import os
import zipfile
from dataclasses import dataclass
from pathlib import Path

from cardigan.data.sources.decoding import SUFFIXES
from cardigan.data.sources.selection import only
from cardigan.data.sources.source import Encoded, Part, Source, Stack, UnreadableError, shown
from cardigan.errors import CardiganError
from cardigan.settings import allowed

__all__ = ["NAMES", "Encoded", "Part", "Source", "Stack", "UnreadableError", "absolute", "open_source"]

VARIABLE = "CARDIGAN_DATA"
"""Environment variable: the folder in which named data sets are found."""


@dataclass(frozen=True)
class Named:
    """A data set known by name.

    Attributes:
        path: below the folder of named data sets.
        classes: the part of it that the name stands for; empty: all of it.
        hub: where else it is to be had, on the Hugging Face hub; empty: nowhere.
    """

    path: str
    classes: tuple[str, ...] = ()
    hub: str = ""


_NAMED = {
    "mnist": Named("mnist", hub="ylecun/mnist"),
    "cifar10": Named("cifar10", hub="uoft-cs/cifar10"),
    "emoji": Named("emoji/line-to-colour.zip", ("colour",)),
    "yosemite": Named("summer-winter/yosemite-128.zip"),
    "photos": Named("photo-monet/photo-monet.zip", ("photo",)),
    "monet": Named("photo-monet/photo-monet.zip", ("monet",)),
    "bsds300": Named("super-resolution/bsds300-train.zip"),
    "set5": Named("super-resolution/set5.zip"),
    "set14": Named("super-resolution/set14.zip"),
    "emoji-pairs": Named("emoji/line-to-colour.zip"),
    "photo-monet": Named("photo-monet/photo-monet.zip"),
}

NAMES = ("digits", *_NAMED)
"""Sources known by name."""
FORMS = "a folder, a zip or tar archive, a parquet, Arrow, npy or npz file, or OWNER/NAME on the Hugging Face hub"


def open_source(name: str, labels: str | None = None) -> Source:
    """The source called `name`: one of `NAMES`, a path, or OWNER/NAME on the Hugging Face hub.

    A known name is that data set even if there is a folder of this name; write ./mnist for the folder.

    Args:
        labels: a CSV file that gives labels by file name, for folders and archives.

    Raises:
        CardiganError: in one line, what was looked for and what there is.
    """
    if name == "digits":
        from cardigan.data.sources.arrays.digits import open_digits

        return _unlabelled(open_digits(name), labels)
    if name in _NAMED:
        return _open_named(name, labels)
    path = Path(name).expanduser() if name.startswith("~/") else Path(name)
    if name and _exists(path):
        return _open_path(name, path, labels)
    from cardigan.data.sources.tables.hub import looks_like_hub, open_hub

    if looks_like_hub(name):
        return _unlabelled(open_hub(name), labels)
    raise CardiganError(_unknown(name))


def absolute(name: str) -> str:
    """The path `name` from the root, if there is such a file or folder; else `name`, to be complained about later."""
    path = Path(name).expanduser() if name.startswith("~/") else Path(name)
    return str(path.resolve()) if name and _exists(path) else name


def _open_named(name: str, labels: str | None) -> Source:
    named = _NAMED[name]
    hub = f", or take it from the hub: --data {named.hub}" if named.hub else ""
    if not os.environ.get(VARIABLE):
        raise CardiganError(
            f"data source {name!r} is looked for in the folder that the environment variable {VARIABLE} names, which "
            f"is not set; set it so that ${VARIABLE}/{named.path} is there, or give a path{hub}"
        )
    path = Path(os.environ[VARIABLE]) / named.path
    if not _exists(path):
        raise CardiganError(f"data source {name!r}: there is no {shown(path)} (from {VARIABLE}){hub}")
    source = _open_path(name, path, labels)
    return only(source, named.classes) if named.classes else source


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name too long, or of impossible characters
        return False


def _unknown(name: str) -> str:
    wanted = f"data source {shown(name)[:80]!r}: no such name, file or folder; {allowed(name, NAMES)}"
    unset = "" if os.environ.get(VARIABLE) else f" ({VARIABLE}, the folder of named data sets, is not set)"
    return f"{wanted}, or the path of {FORMS} (--data SOURCE){unset}"


def _open_path(name: str, path: Path, labels: str | None) -> Source:
    try:
        return _open_folder(name, path, labels) if path.is_dir() else _open_file(name, path, labels)
    except OSError as error:
        raise CardiganError(f"{shown(error.filename or path)}: cannot be read: {error.strerror or error}") from None


def _open_folder(name: str, folder: Path, labels: str | None) -> Source:
    from cardigan.data.sources.arrays.idx import holds_idx, open_idx
    from cardigan.data.sources.tables.arrow import holds_arrow, open_arrow
    from cardigan.data.sources.tables.parquet import holds_parquet, open_parquet
    from cardigan.data.sources.trees.folder import open_folder
    from cardigan.data.sources.trees.webdataset import holds_shards, open_shards

    if holds_idx(folder):
        return _unlabelled(open_idx(name, folder), labels)
    if holds_parquet(folder):
        return _unlabelled(open_parquet(name, folder), labels)
    if holds_arrow(folder):
        return _unlabelled(open_arrow(name, folder), labels)
    if shards := holds_shards(folder):
        return open_shards(name, shards, labels)
    return open_folder(name, folder, labels)


def _open_file(name: str, path: Path, labels: str | None) -> Source:
    """By what the file begins with; its ending decides only between forms that begin alike."""
    from cardigan.data.sources.arrays.numpy_files import open_array
    from cardigan.data.sources.tables.arrow import open_arrow
    from cardigan.data.sources.tables.parquet import open_parquet
    from cardigan.data.sources.trees.archive import open_archive
    from cardigan.data.sources.trees.tar import open_tar
    from cardigan.data.sources.trees.webdataset import are_shards, is_tar, open_shards

    ending = path.suffix.lower()
    start = _start(path)
    if start.startswith(b"PAR1") or ending == ".parquet":
        return _unlabelled(open_parquet(name, path), labels)
    if start.startswith(b"ARROW1") or ending in (".arrow", ".feather"):
        return _unlabelled(open_arrow(name, path), labels)
    if start.startswith(b"\x93NUMPY") or ending in (".npy", ".npz"):
        return _unlabelled(open_array(name, path), labels)
    if start.startswith(b"PK") or ending == ".zip" or zipfile.is_zipfile(path):
        return open_archive(name, path, labels)
    if start[257:262] == b"ustar" or is_tar(path.name):
        return open_shards(name, [path], labels) if are_shards([path]) else open_tar(name, path, labels)
    raise CardiganError(f"{shown(path)} is {_other(path, start)}; allowed: {', '.join(NAMES)}, {FORMS}")


def _other(path: Path, start: bytes) -> str:
    if path.suffix.lower() in SUFFIXES:
        return "one picture"
    if start.startswith((b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")) or path.suffix in (".pt", ".pth", ".pkl"):
        return "a pickle, which may hold code and is never read"
    if start.startswith((b"7z\xbc\xaf", b"Rar!")):
        return "an archive of a kind that is not read"
    return "none of the forms that pictures come in"


def _start(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(262)


def _unlabelled(source: Source, labels: str | None) -> Source:
    if labels is not None:
        raise CardiganError(f"data.labels: only for folders and archives of pictures; {shown(source.name)} is none")
    return source
