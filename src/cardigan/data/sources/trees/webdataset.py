"""WebDataset: pictures, labels and sentences in shards, tars whose members share a name up to the first dot.

https://github.com/webdataset/webdataset
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cardigan.data.sources.source import Encoded, Labels, Source, Split, UnreadableError, number_names, shown
from cardigan.data.sources.trees.layout import SPLIT_FOLDERS, counted, is_picture, natural, such_as
from cardigan.data.sources.trees.strings import Made
from cardigan.data.sources.trees.tar import kept_index, open_tar, opened, read_member
from cardigan.data.sources.trees.tar_headers import members
from cardigan.data.sources.trees.tar_packed import plain_tar
from cardigan.data.sources.trees.tree import LARGEST, Window
from cardigan.data.sources.trees.webdataset_index import ShardIndex, read_index, samples, sentences, write_index
from cardigan.errors import CardiganError

ENDINGS = (".tar", ".tar.gz", ".tgz", ".tar.zst", ".tar.bz2", ".tar.xz")
_ORDER: tuple[Split, ...] = ("train", "validation", "test")
_COMPANIONS = frozenset(("cls", "json", "txt"))
_LOOKED_AT = 64
"""Samples that decide whether a tar is a shard."""
_OPEN = 256
"""Files that may stay open at once: a process may have a thousand or so."""
_LARGEST_NAMES = 2**24


def holds_shards(folder: Path) -> list[Path]:
    """The tars of which `folder` consists, in natural order: in it, or in its folders train, val, test; else [].

    A folder with pictures of its own, or with other folders beside a tar that is no numbered shard, consists of those.

    Raises:
        OSError: it cannot be read.
    """
    entries = [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
    if any(is_picture(entry.name) for entry in entries):
        return []
    tars = [entry for entry in entries if is_tar(entry.name)]
    folders = [entry for entry in entries if entry.is_dir()]
    if tars:
        numbered = all(re.search(r"[0-9]{2}", tar.name) for tar in tars)
        return _sorted(tars) if numbered or not folders else []
    if not folders or any(each.name.lower() not in SPLIT_FOLDERS for each in folders):
        return []
    return _sorted([entry for each in folders for entry in each.iterdir() if is_tar(entry.name)])


def is_tar(name: str) -> bool:
    """Whether a file of this name should be a tar, plain or compressed."""
    return name.lower().endswith(ENDINGS) and not name.startswith(".")


def _sorted(paths: Sequence[Path]) -> list[Path]:
    return sorted(paths, key=lambda path: natural(str(path)))


def are_shards(paths: Sequence[Path]) -> bool:
    """Whether tars are shards of samples rather than a folder in a tar: several, or one with labels beside pictures.

    Raises:
        CardiganError: the one is no tar, or damaged at its beginning.
    """
    if len(paths) != 1:
        return True
    plain = plain_tar(paths[0])
    try:
        with plain.open("rb") as file:
            return any(
                sample.picture and _COMPANIONS & sample.others.keys()
                for sample in islice(samples(file, shown(paths[0])), _LOOKED_AT)
            )
    except OSError as error:
        raise CardiganError(f"{shown(paths[0])}: cannot be read: {error.strerror}") from None


def open_shards(name: str, paths: Sequence[Path], labels: str | Path | None = None) -> Source:
    """The samples of the tars `paths`, in natural order of the shards and in their files' order.

    A picture is a .png, .jpg, .webp or the like; its label the integer in .cls, or "label" or "cls" in .json; its
    sentences .txt, or "caption" or "text" in .json. The split of a shard is read off its name or its folder:
    train-000000.tar, val-0001.tar; where no shard is of the train split, all are. Classes are named by a classes.txt or
    classes.json beside the shards. One tar that is no shard (see `are_shards`) is a folder in a tar.

    Args:
        labels: a table of labels, for one tar that is a folder only.

    Raises:
        CardiganError: a damaged shard, no pictures, or labels that are no class indices.
    """
    if not are_shards(paths):
        return open_tar(name, paths[0], labels)
    where = shown(paths[0]) if len(paths) == 1 else shown(paths[0].parent) if paths else shown(name)
    if labels is not None or not paths:
        raise CardiganError(f"{where}: {'a table of labels cannot be given for shards' if paths else 'no shards'}")
    groups = _groups(paths)
    opened_splits = {split: _Shards(tuple(group)) for split, group in groups.items()}
    found = {split: shards for split, shards in opened_splits.items() if len(shards)}
    if "train" not in found:
        raise CardiganError(f"{where}: no pictures in the shards of its train split, {such_as(_names(paths))}")
    classes, beside = _classes(found, paths, where) if found["train"].labels is not None else ((), ())
    remarks = [remark for split, shards in found.items() for remark in shards.remarks(split)]
    parts = {split: partial(shards.part, bool(classes)) for split, shards in found.items()}
    return Source(
        name, parts, classes, (*(path for group in groups.values() for path in group), *beside), tuple(remarks)
    )


def _names(paths: Sequence[Path]) -> list[str]:
    return [path.name for path in paths[:4]]


def _groups(paths: Sequence[Path]) -> dict[Split, list[Path]]:
    """Split -> its shards, in natural order."""
    groups: dict[Split, list[Path]] = {}
    for path in _sorted(paths):
        groups.setdefault(_split(path), []).append(path)
    return (
        {split: groups[split] for split in _ORDER if split in groups}
        if "train" in groups
        else {"train": _sorted(paths)}
    )


def _split(path: Path) -> Split:
    """The split that a shard's name, or else its folder's, speaks of; train if neither does."""
    words = [*re.split(r"[^a-z]+", path.name.lower().partition(".")[0]), path.parent.name.lower()]
    return next((SPLIT_FOLDERS[word] for word in words if word in SPLIT_FOLDERS), "train")


def _classes(
    found: dict[Split, "_Shards"], paths: Sequence[Path], where: str
) -> tuple[tuple[str, ...], tuple[Path, ...]]:
    """Names of the classes, and the file that they are from."""
    labels = [shards.labels for shards in found.values() if shards.labels is not None]
    for folder in dict.fromkeys([paths[0].parent, paths[0].parent.parent]):
        for file in (folder / "classes.txt", folder / "classes.json"):
            if file.is_file():
                names = _class_names(file)
                highest = max(int(each.max()) for each in labels)
                if highest >= len(names):
                    raise CardiganError(f"{where}: label {highest}, but {shown(file)} names {len(names)} classes")
                return names, (file,)
    return number_names(labels, where), ()


def _class_names(file: Path) -> tuple[str, ...]:
    try:
        data = file.read_bytes()[:_LARGEST_NAMES].decode("utf-8-sig")
        content: Any = json.loads(data) if file.suffix == ".json" else data.splitlines()
    except (OSError, ValueError, RecursionError) as error:
        raise CardiganError(f"{shown(file)}: cannot be read: {error}") from None
    if isinstance(content, dict) and all(isinstance(value, int) for value in content.values()):  # name -> index
        content = [key for key, _ in sorted(content.items(), key=lambda pair: pair[1])]
    elif isinstance(content, dict):  # index -> name
        content = [content.get(str(index)) for index in range(len(content))]
    if not isinstance(content, list) or not all(isinstance(each, str) for each in content):
        raise CardiganError(f"{shown(file)}: allowed: a name of a class in each line, or a list of names")
    names = [" ".join(each.split()) for each in content]
    while names and not names[-1]:
        names.pop()
    return tuple(names)


@dataclass
class _Shards:
    """The samples of one split."""

    paths: tuple[Path, ...]

    def __post_init__(self) -> None:
        self.plain = [plain_tar(path) for path in self.paths]
        where = [shown(path) for path in self.paths]
        source = str(self.paths[0] if len(self.paths) == 1 else self.paths[0].parent)
        write = partial(write_index, self.plain, where)
        self.index: ShardIndex = kept_index(self.plain, "shards", write, read_index, source)
        self.windows = [opened(path) for path in self.plain] if len(self.plain) <= _OPEN else None
        label = self.index.columns["label"]
        count = sum(int((label[start : start + 2**20] >= 0).sum()) for start in range(0, len(label), 2**20))
        self.unlabelled = len(label) - count
        self.labels: Labels | None = None
        self.kept: NDArray[np.int64] | None = None
        if count and self.unlabelled:  # some have a label: the others are left out
            self.kept = np.flatnonzero(label >= 0)
            self.labels = label[self.kept]
        elif count:
            self.labels = label

    def __len__(self) -> int:
        return len(self.index.columns["size"]) if self.kept is None else len(self.kept)

    def remarks(self, split: Split) -> list[str]:
        """What the user should know."""
        found = []
        if self.index.skipped:
            found.append(f"{counted(self.index.skipped, 'sample')} without a picture left out ({split})")
        if self.labels is not None and self.unlabelled:
            found.append(f"{counted(self.unlabelled, 'picture')} without a label left out ({split})")
        return found

    def part(self, labelled: bool) -> Encoded:
        """The pictures, with labels where the source has any."""
        said = None
        if any(self.index.columns["length"][start : start + 2**20].any() for start in range(0, self._count(), 2**20)):
            said = Made(len(self), self.sentences)
        return Encoded(Made(len(self), self.name), self.read, self.labels if labelled else None, said)

    def _count(self) -> int:
        return len(self.index.columns["size"])

    def _row(self, index: int) -> tuple[int, int]:
        """Where sample `index` stands in the columns, and its shard."""
        row = index if self.kept is None else int(self.kept[index])
        return row, int(np.searchsorted(self.index.ends, row, "right"))

    def _window(self, shard: int) -> Window:
        return self.windows[shard] if self.windows else opened(self.plain[shard])

    def name(self, index: int) -> str:
        """Picture `index` as messages name it, from its header."""
        row, shard = self._row(index)
        stream = _At(self._window(shard))
        try:
            member = next(members(stream, "", int(self.index.columns["start"][row])))
        except (CardiganError, StopIteration, OSError):
            return f"{shown(self.paths[shard])}: sample {row}"
        return f"{shown(self.paths[shard])}: {shown(member.name)}"

    def read(self, index: int) -> bytes:
        """The encoded picture `index`."""
        row, shard = self._row(index)
        offset, size = int(self.index.columns["offset"][row]), int(self.index.columns["size"][row])
        return read_member(self._window(shard), offset, size, lambda: self.name(index), LARGEST)

    def sentences(self, index: int) -> tuple[str, ...]:
        """What is said of picture `index`.

        Raises:
            UnreadableError: the shard has changed.
        """
        row, shard = self._row(index)
        offset, length = int(self.index.columns["text"][row]), int(self.index.columns["length"][row])
        if not length:
            return ()
        data = read_member(self._window(shard), offset, abs(length), lambda: self.name(index), LARGEST)
        try:
            return sentences(data, length < 0)
        except CardiganError as error:
            raise UnreadableError(self.name(index), str(error)) from None


class _At:
    """A window as a stream."""

    def __init__(self, window: Window) -> None:
        self._window, self._place = window, 0

    def seek(self, place: int, /) -> int:
        """Go to `place`."""
        self._place = place
        return place

    def read(self, count: int, /) -> bytes:
        """The next `count` bytes."""
        data = self._window.read(self._place, count)
        self._place += len(data)
        return data
