"""One look through shards of WebDataset: where each sample's picture lies, its label, and where its sentences lie.

The index is a column of numbers in a file for each thing that is known of a sample, written shard by shard and mapped
into memory afterwards: its size in memory does not grow with the number of samples. Names are not kept; they are read
from the headers again when somebody asks.
"""

import json
from array import array
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from cardigan.data.sources.decoding import SUFFIXES
from cardigan.data.sources.source import shown
from cardigan.data.sources.trees.layout import suffix
from cardigan.data.sources.trees.tar_headers import Member, members
from cardigan.data.sources.trees.tree import is_wanted
from cardigan.errors import CardiganError
from cardigan.files import read_json, write_text

COLUMNS = ("start", "offset", "size", "label", "text", "length")
"""What is kept of a sample, int64 each: its picture's header, content and bytes; its label (-1: none); where the file
with its sentences lies and how many bytes it has, negative for JSON (0: there is none)."""
LABELS = ("label", "cls")
SENTENCES = ("caption", "text", "txt")
_LARGEST = 2**24
"""Bytes that a file of text or JSON of one sample may have."""


@dataclass(frozen=True)
class ShardIndex:
    """What is known of the samples of some shards, in the order of the files.

    Attributes:
        columns: name, of `COLUMNS` -> (N,) int64, memory maps.
        ends: (shards,) how many samples there are up to the end of each shard.
        skipped: samples without a picture.
    """

    columns: dict[str, NDArray[np.int64]]
    ends: NDArray[np.int64]
    skipped: int


@dataclass
class _Sample:
    """Members that share a name up to the first dot."""

    key: str
    picture: Member | None = None
    others: dict[str, Member] = field(default_factory=dict)


def split_name(name: str) -> tuple[str, str]:
    """Name up to the first dot of its last part, and the rest in lower case: a/1.left.PNG -> ("a/1", "left.png")."""
    folder, slash, base = name.rpartition("/")
    stem, _, ending = base.partition(".")
    return folder + slash + stem, ending.lower()


def samples(file: BinaryIO, where: str) -> Iterator[_Sample]:
    """The samples of the shard `file`: members that follow one another and share a name up to the first dot."""
    sample: _Sample | None = None
    for member in members(file, where):
        if not is_wanted(member.name):
            continue
        key, ending = split_name(member.name)
        if sample is None or sample.key != key:
            if sample:
                yield sample
            sample = _Sample(key)
        if suffix(member.name) in SUFFIXES:
            sample.picture = sample.picture or member
        else:
            sample.others.setdefault(ending, member)
    if sample:
        yield sample


def write_index(shards: Sequence[Path], where: Sequence[str], folder: Path) -> None:
    """Look through `shards`, which messages call `where`, and leave their index in `folder`.

    Raises:
        CardiganError: a damaged shard, or a label that is no class index.
    """
    ends, skipped = list[int](), 0
    with ExitStack() as stack:
        out = [stack.enter_context((folder / name).open("wb")) for name in COLUMNS]
        for path, each in zip(shards, where, strict=True):
            columns, without = _scan(path, each)
            for file, values in zip(out, columns, strict=True):
                values.tofile(file)
            ends.append(len(columns[0]) + (ends[-1] if ends else 0))
            skipped += without
    write_text(folder / "shards.json", json.dumps({"ends": ends, "skipped": skipped}))


def read_index(folder: Path) -> ShardIndex:
    """The index that `write_index` left in `folder`.

    Raises:
        ValueError: it is damaged.
    """
    try:
        content = read_json(folder / "shards.json")
    except CardiganError as error:
        raise ValueError(str(error)) from None
    ends = np.asarray(content["ends"], np.int64)
    count = int(ends[-1])
    columns = {
        name: np.memmap(folder / name, np.int64, "r", shape=(count,)) if count else np.empty(0, np.int64)
        for name in COLUMNS
    }
    return ShardIndex(columns, ends, int(content["skipped"]))


def _scan(path: Path, where: str) -> tuple[list["array[int]"], int]:
    """The columns of one shard, and how many samples have no picture."""
    columns, without = [array("q") for _ in COLUMNS], 0
    try:
        with path.open("rb", buffering=2**16) as file, path.open("rb", buffering=0) as beside:
            for sample in samples(file, where):
                picture = sample.picture
                if picture is None:
                    without += 1
                    continue
                label, text, length = _told_of(sample, beside, f"{where}: {shown(sample.key)[:100]}")
                row = (picture.start, picture.offset, picture.size, label, text, length)
                for column, value in zip(columns, row, strict=True):
                    column.append(value)
    except OSError as error:
        raise CardiganError(f"{where}: cannot be read: {error.strerror}") from None
    return columns, without


def _told_of(sample: _Sample, file: BinaryIO, where: str) -> tuple[int, int, int]:
    """Label, and place and length of the sentences, of one sample."""
    label, text, length = -1, 0, 0
    others = sample.others
    if "cls" in others:
        label = _index(_read(file, others["cls"], where).decode("utf-8", "replace").strip(), where)
    if "txt" in others:
        _check_size(others["txt"], where)
        text, length = others["txt"].offset, others["txt"].size
    if "json" in others:
        content = parsed(_read(file, others["json"], where), where)
        value = next((content[key] for key in LABELS if content.get(key) is not None), None)
        if "cls" not in others and value is not None:
            label = _index(value, where)
        if "txt" not in others and any(content.get(key) for key in SENTENCES):
            text, length = others["json"].offset, -others["json"].size
    return label, text, length


def _check_size(member: Member, where: str) -> None:
    if member.size > _LARGEST:
        raise CardiganError(f"{where}: {member.size:,} bytes of text for one sample; allowed: {_LARGEST >> 20} MiB")


def _read(file: BinaryIO, member: Member, where: str) -> bytes:
    _check_size(member, where)
    file.seek(member.offset)
    return file.read(member.size)


def _index(value: Any, where: str) -> int:
    """A class index, from a number or its digits."""
    digits = str(value) if isinstance(value, (str, int)) and not isinstance(value, bool) else ""
    if not digits.isascii() or not digits.isdigit() or len(digits) > 9:
        raise CardiganError(f"{where}: label {str(value)[:40]!r}; allowed: class indices counted from 0")
    return int(digits)


def parsed(data: bytes, where: str) -> dict[str, Any]:
    """The JSON object of one sample.

    Raises:
        CardiganError: it is none.
    """
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        raise CardiganError(f"{where}: damaged: its .json is not JSON") from None
    if not isinstance(content, dict):
        raise CardiganError(f"{where}: its .json is not a JSON object")
    return content


def sentences(data: bytes, is_json: bool) -> tuple[str, ...]:
    """What a .txt or a .json says of its sample."""
    if not is_json:
        text = data.decode("utf-8-sig", "replace").strip()
        return (text,) if text else ()
    content = parsed(data, "")
    value = next((content[key] for key in SENTENCES if content.get(key)), ())
    values = value if isinstance(value, list) else [value]
    return tuple(each.strip() for each in values if isinstance(each, str) and each.strip())
