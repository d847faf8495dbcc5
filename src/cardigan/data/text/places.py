"""Where texts lie: a name or a path -> the files of each split."""

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cardigan.data.sources import VARIABLE
from cardigan.data.sources.source import Split, shown
from cardigan.data.text.reading import is_binary
from cardigan.errors import CardiganError
from cardigan.settings import allowed

FORMS = "a text file (.txt, .jsonl, .csv, .tsv, each also .gz), or a folder of them"


@dataclass(frozen=True)
class Named:
    """Texts known by name.

    Attributes:
        paths: below the folder of named data sets: a folder, or files told apart by the split in their names.
        column: that holds the texts; None: they are lines.
    """

    paths: tuple[str, ...]
    column: str | None = None


NAMED = {
    "captions": Named(("text/coco-captions-train.txt", "text/coco-captions-test.txt")),
    "poems": Named(("text/tang-poems.txt",)),
    "shakespeare": Named(("text/shakespeare.txt",)),
    "multi30k": Named(("text/multi30k",)),
    "dialogue": Named(("text/dialogue.jsonl.gz",), "turns"),
    "qm9": Named(("molecules/qm9-smiles.csv.gz",), "smiles"),
}
NAMES = tuple(NAMED)
"""Texts known by name."""

Files = Mapping[Split, tuple[Path, ...]]
"""The files of each split; "train" is always there, and is everything where it is alone."""

ORDER: tuple[Split, ...] = ("train", "validation", "test")

_SPLITS: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "valid": "validation",
    "validation": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
}
_LANGUAGE = re.compile(r"^[a-zA-Z]{2,3}([-_][a-zA-Z]{2,4})?$")
_WORD = re.compile(r"[a-zA-Z]+")
_IGNORED = re.compile(r"(?i)^(readme|licen[cs]e|copying|changelog|sha\d+sums|\..*)")


def locate(source: str) -> tuple[Path, ...]:
    """What the name or path `source` stands for: one file, one folder, or the files of one data set.

    Raises:
        CardiganError: in one line, what was looked for and what there is.
    """
    if source in NAMED:
        return _locate_named(source)
    path = Path(source).expanduser() if source.startswith("~/") else Path(source)
    if source and _exists(path):
        return (path,)
    unset = "" if os.environ.get(VARIABLE) else f" ({VARIABLE}, the folder of named data sets, is not set)"
    raise CardiganError(
        f"data source {shown(source)[:80]!r}: no such name, file or folder; {allowed(source, NAMES)}, or the path of "
        f"{FORMS} (--data SOURCE){unset}"
    )


def _locate_named(name: str) -> tuple[Path, ...]:
    first = NAMED[name].paths[0]
    if not os.environ.get(VARIABLE):
        raise CardiganError(
            f"data source {name!r} is looked for in the folder that the environment variable {VARIABLE} names, which "
            f"is not set; set it so that ${VARIABLE}/{first} is there, or give a path"
        )
    paths = tuple(Path(os.environ[VARIABLE]) / path for path in NAMED[name].paths)
    for path in paths:
        if not _exists(path):
            raise CardiganError(f"data source {name!r}: there is no {shown(path)} (from {VARIABLE})")
    return paths


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name too long, or of impossible characters
        return False


def is_folder(source: str) -> bool:
    """Whether `source` is a folder of files."""
    paths = locate(source)
    return len(paths) == 1 and paths[0].is_dir()


def files_of(source: str) -> Files:
    """The files of each split of `source`.

    Of a folder whose files name splits (train.txt, val.txt, coco-train.txt) those alone count; else all texts in it.

    Raises:
        CardiganError: see `locate`; a folder without texts.
    """
    paths = locate(source)
    if len(paths) == 1 and not paths[0].is_dir():
        return {"train": paths}
    if len(paths) > 1:
        return _by_split(paths)
    found = texts_in(paths[0])
    if not found:
        raise CardiganError(f"{shown(paths[0])}: holds no text; allowed: {FORMS}")
    return _by_split(found)


def texts_in(folder: Path) -> list[Path]:
    """The files of text that lie in `folder` itself, in order."""
    try:
        there = sorted(path for path in folder.iterdir() if path.is_file() and not _IGNORED.match(path.name))
    except OSError as error:
        raise CardiganError(f"{shown(folder)}: cannot be read: {error.strerror or error}") from None
    return [path for path in there if not is_binary(path)]


def endings(paths: Iterable[Path]) -> tuple[str, ...]:
    """Languages that tell parallel files apart: "de" and "en" of train.de.gz and train.en.gz; empty: there are none."""
    stems: dict[str, list[str]] = {}
    for path in paths:
        stem, _, ending = bare(path).rpartition(".")
        if stem and _LANGUAGE.match(ending):
            stems.setdefault(stem, []).append(ending)
    several = [frozenset(each) for each in stems.values() if len(each) > 1]
    return tuple(sorted(frozenset.union(*several))) if several else ()


def bare(path: Path) -> str:
    """A file's name without .gz and .txt: train.de of train.de.txt.gz."""
    return path.name.removesuffix(".gz").removesuffix(".txt")


def parallel(source: str, ending: str) -> Files:
    """The files of each split of the folder `source` whose names end in .`ending`.

    Raises:
        CardiganError: there are none, and which endings there are.
    """
    found = texts_in(locate(source)[0])
    chosen = [path for path in found if bare(path).endswith(f".{ending}") or ending in (path.name, bare(path))]
    if not chosen:
        there = endings(found) or [path.name for path in found[:8]]
        raise CardiganError(f"{shown(source)} holds no file that ends in .{ending}; {allowed(ending, there)}")
    return _by_split(chosen)


def _by_split(paths: Iterable[Path]) -> Files:
    """Files whose names say their split; where none says so, all are "train"."""
    paths, found = list(paths), dict[Split, list[Path]]()
    for path in paths:
        if split := split_of(path):
            found.setdefault(split, []).append(path)
    if "train" not in found:
        if found:
            names = ", ".join(shown(path.name) for path in paths[:6])
            raise CardiganError(
                f"{shown(paths[0].parent)}: no file of a train split; allowed: train.txt; there are: {names}"
            )
        return {"train": tuple(paths)}
    return {split: tuple(found[split]) for split in ORDER if split in found}


def split_of(path: Path) -> Split | None:
    """The split that a file's name begins or ends with: test_2016.de.gz, coco-captions-train.txt."""
    for part in bare(path).lower().split("."):
        words = _WORD.findall(part)
        for word in (*words[:1], *words[-1:]):
            if word in _SPLITS:
                return _SPLITS[word]
    return None
