"""What the names of the files in a folder or an archive say: which are pictures, their splits and their classes."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from cardigan.data.sources.decoding import SUFFIXES
from cardigan.data.sources.source import Labels, Sentences, Split, shown
from cardigan.data.sources.trees.strings import packed_sentences, shown_many

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
_YEAR = re.compile(r"(?:19|20)[0-9]{2}\Z")
_NUMBER = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True)
class Layout:
    """Which pictures belong to which split, their labels and what is said of them.

    Attributes:
        members: split -> indices into the list of pictures.
        labels: split -> (N,) class indices; a split without labels is not in it.
        classes: names of the classes in the order of their indices; those of folders in natural order.
        sentences: split -> what is said of each picture.
        used: names of the members, other than pictures, that were read for it.
        remarks: what the user should know about how it was understood, a line each.
    """

    members: Mapping[Split, Sequence[int]]
    labels: Mapping[Split, Labels]
    classes: tuple[str, ...]
    sentences: Mapping[Split, Sentences] = field(default_factory=dict)
    used: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


def natural(name: str) -> str:
    """A sorting key by which "10" follows "9": each number is padded, and comes before whatever is no number."""
    return _NUMBER.sub(_padded, name)


def _padded(number: re.Match[str]) -> str:
    return f"\0{number[0].zfill(18)}{chr(64 - len(number[0]))}"


def is_hidden(name: str) -> bool:
    """Whether a part of `name` (with slashes) starts with a dot, or is what a Mac leaves in archives."""
    return name.startswith((".", "__MACOSX")) or "/." in name or "/__MACOSX" in name


def suffix(name: str) -> str:
    """The ending of `name`, with its dot, in lower case; empty where there is none."""
    stem, dot, ending = name.rpartition("/")[2].rpartition(".")
    return f".{ending.lower()}" if dot and stem else ""


def is_picture(name: str) -> bool:
    """Whether `name` (with slashes) ends like a picture and no part of it is hidden."""
    return suffix(name) in SUFFIXES and not is_hidden(name)


def split_of(folder: str) -> Split | None:
    """The split that a folder of this name holds: train, Val, test2017 ..., or None."""
    return SPLIT_FOLDERS.get(_YEAR.sub("", folder.lower()))


def top(names: Sequence[str]) -> str:
    """The folder that holds all of `names` (with slashes): "" or "photos/2024/"."""
    if not names:
        return ""
    first, last = min(names), max(names)  # what these two share, all share
    count = next((index for index, pair in enumerate(zip(first, last, strict=False)) if pair[0] != pair[1]), len(first))
    folder, slash, _ = first[:count].rpartition("/")
    return folder + slash


def upwards(folder: str) -> list[str]:
    """`folder` and those around it: "a/b/" -> "a/b/", "a/", ""."""
    return [folder[: place + 1] for place in range(len(folder) - 1, -1, -1) if folder[place] == "/"] + [""]


def split_folders(names: Sequence[str]) -> dict[str, Split]:
    """Folder below the top -> split, or nothing where the folders are no splits.

    They are if one of them is the train folder and all of them have such names; anything else, for instance the
    classes bus, car and train, is no split.
    """
    start = len(top(names))
    tops, flat = set[str](), False
    for name in names:
        folder, slash, _ = name[start:].partition("/")
        tops.add(folder)
        flat = flat or not slash
    found = {folder: split for folder in tops if (split := split_of(folder))}
    distinct = len(set(found.values())) == len(tops)
    return found if distinct and "train" in found.values() and not flat else {}


def lay_out(names: Sequence[str]) -> Layout:
    """Read splits and classes off `names`, relative paths with slashes.

    A folder that holds everything is passed through. Labels are the first folders below that and below the splits,
    where every picture of the train split lies in one and there are two or more. Another split has labels where its
    pictures lie in folders of these names; those in other folders are left out, unless all are.
    """
    names = [_plain(name) for name in names]
    splits, start = split_folders(names), len(top(names))
    members: dict[Split, list[int]] = {}
    folders: list[str | None] = []
    for index, name in enumerate(names):
        key: Split = "train"
        rest = name[start:]
        if splits:
            first, _, rest = rest.partition("/")
            key = splits[first]
        members.setdefault(key, []).append(index)
        folder, slash, _ = rest.partition("/")
        folders.append(folder if slash else None)
    return _with_classes(members, folders)


def _plain(name: str) -> str:
    """`name` without empty parts and single dots."""
    if "//" not in name and "/./" not in name and not name.startswith(("./", "/")):
        return name
    return "/".join(part for part in name.split("/") if part not in ("", "."))


def _with_classes(members: Mapping[Split, list[int]], folders: Sequence[str | None]) -> Layout:
    found = {folders[index] for index in members.get("train", [])}
    if None in found or len(found) < 2:
        return Layout(members, {}, ())
    classes = tuple(sorted((each for each in found if each is not None), key=natural))
    number = {name: index for index, name in enumerate(classes)}
    values = [-1 if folder is None else number.get(folder, -1) for folder in folders]
    return relabelled(Layout(members, {}, ()), values, classes, "in folders that are no classes of its train split")


def relabelled(layout: Layout, values: Sequence[int], classes: tuple[str, ...], why: str = "without a label") -> Layout:
    """`layout` with the label `values[i]` for picture i, -1 for none.

    Where some pictures of a split have a label, those without are left out, which is remarked on with `why`; where
    none has, the split stays whole, without labels.
    """
    members: dict[Split, Sequence[int]] = {}
    labels: dict[Split, Labels] = {}
    remarks = []
    for split, indices in layout.members.items():
        kept = [index for index in indices if values[index] >= 0]
        members[split] = kept or indices
        if kept:
            labels[split] = np.fromiter((values[index] for index in kept), np.int64, len(kept))
        if kept and len(kept) < len(indices):
            remarks.append(f"{counted(len(indices) - len(kept), 'picture')} {why} left out ({split})")
    return replace(layout, members=members, labels=labels, classes=classes, remarks=(*layout.remarks, *remarks))


def said(layout: Layout, sentences: Sequence[Sequence[str]]) -> Layout:
    """`layout` with `sentences[i]` said of picture i, in the splits where anything is said at all."""
    chosen = {split: [sentences[index] for index in indices] for split, indices in layout.members.items()}
    remarks = [
        f"{counted(missing, 'picture')} without a sentence ({split})"
        for split, each in chosen.items()
        if 0 < (missing := sum(not one for one in each)) < len(each)
    ]
    kept = {split: packed_sentences(each) for split, each in chosen.items() if any(each)}
    return replace(layout, sentences=kept, remarks=(*layout.remarks, *remarks))


def counted(number: int, what: str) -> str:
    """ "1 picture", "2,000 pictures"."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def unique_names(names: Sequence[str], marks: Sequence[str]) -> tuple[str, ...]:
    """`names`, those that occur twice told apart by their `marks`: "crane (n02012849)"."""
    often = Counter(names)
    return tuple(f"{name} ({mark})" if often[name] > 1 else name for name, mark in zip(names, marks, strict=True))


def such_as(names: Sequence[str]) -> str:
    """A few of `names` as a message shows them."""
    return shown_many(shown(name)[:80] for name in names[:4])
