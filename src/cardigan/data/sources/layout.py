"""What the names of the files in a folder or an archive say: which are pictures, their splits and their classes."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np

from cardigan.data.sources.decoding import SUFFIXES
from cardigan.data.sources.source import Labels, Split

SPLIT_FOLDERS: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}
"""Folders at the top that are a split of the source; lower case, their case does not matter."""


@dataclass(frozen=True)
class Layout:
    """Which pictures belong to which split, and their labels.

    Attributes:
        members: split -> indices into the list of names.
        labels: split -> (N,) class indices; empty where there are no classes.
        classes: names of the classes, in natural order.
    """

    members: dict[Split, list[int]]
    labels: dict[Split, Labels]
    classes: tuple[str, ...]


def natural(name: str) -> list[tuple[bool, int, str]]:
    """A sorting key by which "10" follows "9"."""
    parts = re.split(r"([0-9]{1,18})", name)
    return [(not part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts if part]


def is_picture(name: str) -> bool:
    """Whether `name` (with slashes) ends like a picture and no part of it is hidden."""
    path = PurePosixPath(name)
    hidden = any(part.startswith((".", "__MACOSX")) for part in path.parts)
    return not hidden and path.suffix.lower() in SUFFIXES


def lay_out(names: Sequence[str]) -> Layout:
    """Read splits and classes off `names`, relative paths with slashes.

    A folder that holds everything is passed through. The top folders are splits if one of them is the train folder and
    all of them have such names; anything else, for instance the classes bus, car and train, is no split. Labels are
    the first folders below, where every picture lies in one and there are two or more.
    """
    paths = _unwrapped([PurePosixPath(name).parts for name in names])
    splits = _splits(paths)
    if splits:
        keys = [splits[path[0]] for path in paths]
        paths = [path[1:] for path in paths]
    else:
        keys = ["train"] * len(paths)
    members: dict[Split, list[int]] = {}
    for index, key in enumerate(keys):
        members.setdefault(key, []).append(index)
    classes = _classes(paths)
    number = {name: index for index, name in enumerate(classes)}
    found = {key: [number[paths[index][0]] for index in indices] if classes else [] for key, indices in members.items()}
    labels = {key: np.asarray(values, dtype=np.int64) for key, values in found.items()}
    return Layout(members, labels if classes else {}, classes)


def _unwrapped(paths: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    while paths and all(len(path) > 1 and path[0] == paths[0][0] for path in paths):
        paths = [path[1:] for path in paths]
    return paths


def _splits(paths: list[tuple[str, ...]]) -> dict[str, Split]:
    """Top folder -> split, or nothing where the top folders are no splits."""
    tops = {path[0] for path in paths}
    found = {top: SPLIT_FOLDERS[top.lower()] for top in tops if top.lower() in SPLIT_FOLDERS}
    distinct = len(set(found.values())) == len(tops)
    return found if distinct and "train" in found.values() and all(len(path) > 1 for path in paths) else {}


def _classes(paths: list[tuple[str, ...]]) -> tuple[str, ...]:
    if any(len(path) < 2 for path in paths):
        return ()
    names = sorted({path[0] for path in paths}, key=natural)
    return tuple(names) if len(names) > 1 else ()
