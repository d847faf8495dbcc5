"""Which files of a folder are tables, and of which split: train-00000-of-00002.parquet, train/0000.parquet ..."""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from cardigan.data.sources.source import Split, shown
from cardigan.data.sources.trees.layout import SPLIT_FOLDERS, is_picture, natural
from cardigan.errors import CardiganError

_NAME = re.compile(rf"(?:.*?[-_])??({'|'.join(SPLIT_FOLDERS)})(?:[-_.].*)?", re.IGNORECASE | re.DOTALL)
"""The name, without its suffix, of a file that says its split."""
_METADATA = "metadata"
"""What a table beside loose pictures is called: it holds no pictures itself."""
_LOOK = 16
"""How many entries of a subfolder are looked at to see whether it holds tables: there may be millions of pictures."""


@dataclass(frozen=True)
class Shards:
    """The tables of each split, in natural order; empty where there are none."""

    files: dict[Split, list[Path]] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()


def shards(folder: Path, suffixes: tuple[str, ...]) -> Shards:
    """The files in `folder` that end in one of `suffixes`, by split.

    Looked for in `folder`, then in `data` within it, then in `default` or the only other subfolder that holds some:
    files whose names say their split, or folders that are called like one. Lastly, files without either, in a folder
    of nothing but files and without pictures.

    Raises:
        CardiganError: several subfolders hold tables of their own.
    """
    for place in (folder, folder / "data"):
        if found := _by_name(place, suffixes) or _by_folder(place, suffixes):
            return Shards(found)
    if inner := _configuration(folder, suffixes):
        return Shards(
            _by_name(inner, suffixes) or _by_folder(inner, suffixes), (f"tables are read from {shown(inner)}",)
        )
    if files := _unnamed(folder, suffixes):
        return Shards({"train": files}, ("no split in the names of the tables: all of them are read as one",))
    return Shards()


def holds_shards(folder: Path, suffixes: tuple[str, ...]) -> bool:
    """Whether `shards` finds any, or too many to choose from."""
    try:
        return bool(shards(folder, suffixes).files)
    except CardiganError:
        return True


def named_splits(names: Sequence[str]) -> tuple[dict[Split, str], tuple[str, ...]]:
    """Our splits -> those of `names` that are meant, and remarks. The first is for training if none is called so."""
    found: dict[Split, str] = {}
    for name in names:
        match = _NAME.fullmatch(name)
        split = SPLIT_FOLDERS.get(name.lower()) or (SPLIT_FOLDERS[match[1].lower()] if match else None)
        if split:
            found.setdefault(split, name)
    remarks = list[str]()
    if "train" not in found and names:
        rest = [name for name in names if name not in found.values()]
        first = (rest or list(names))[0]
        found = {"train": first, **{split: name for split, name in found.items() if name != first}}
        remarks.append(f"no split is called train: {shown(first)!r} is trained on")
    unused = [shown(name) for name in names if name not in found.values()]
    if unused:
        remarks.append(f"splits that are not used: {', '.join(unused[:8])}")
    return found, tuple(remarks)


def _tables(place: Path, suffixes: tuple[str, ...]) -> list[Path]:
    found = (Path(place, name) for name in _entries(place) if name.lower().endswith(suffixes) and name[0] != ".")
    return sorted((path for path in found if path.is_file()), key=lambda each: natural(each.name))


def _by_name(place: Path, suffixes: tuple[str, ...]) -> dict[Split, list[Path]]:
    found: dict[Split, list[Path]] = {}
    for path in _tables(place, suffixes):
        if match := _NAME.fullmatch(path.stem):
            found.setdefault(SPLIT_FOLDERS[match[1].lower()], []).append(path)
    return found


def _by_folder(place: Path, suffixes: tuple[str, ...]) -> dict[Split, list[Path]]:
    tops = sorted((name for name in _entries(place) if name.lower() in SPLIT_FOLDERS), key=natural)
    found: dict[Split, list[Path]] = {}
    for top in tops:
        if files := _tables(place / top, suffixes):
            found.setdefault(SPLIT_FOLDERS[top.lower()], []).extend(files)
    return found


def _unnamed(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    if any(is_picture(name) or (folder / name).is_dir() for name in _entries(folder) if name[0] != "."):
        return []
    return [path for path in _tables(folder, suffixes) if path.stem.lower() != _METADATA]


def _configuration(folder: Path, suffixes: tuple[str, ...]) -> Path | None:
    """The subfolder of the one configuration that the data set has, or of the one called default."""
    names = [name for name in _entries(folder) if name[0] != "." and (folder / name).is_dir()]
    holding = [name for name in sorted(names, key=natural) if _looks_holding(folder / name, suffixes)]
    if "default" in holding:
        return folder / "default"
    if len(holding) > 1:
        choices = ", ".join(map(shown, holding[:8]))
        raise CardiganError(f"{shown(folder)}: several configurations, {choices}; give the path of one of them")
    return folder / holding[0] if holding else None


def _looks_holding(folder: Path, suffixes: tuple[str, ...]) -> bool:
    first = list(islice(_entries(folder), _LOOK))
    likely = any(name.lower().endswith(suffixes) or name.lower() in SPLIT_FOLDERS for name in first)
    return likely and bool(_by_name(folder, suffixes) or _by_folder(folder, suffixes))


def _entries(folder: Path) -> Iterator[str]:
    """The names in `folder`; none where it is no folder."""
    try:
        with os.scandir(folder) as entries:
            yield from (entry.name for entry in entries)
    except (FileNotFoundError, NotADirectoryError):
        return
