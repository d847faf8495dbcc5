"""What lies beside the pictures of a tree and says their labels and sentences: one place for every container."""

from array import array
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cardigan.data.sources.source import Encoded, Labels, Sentences, Source, Split, shown
from cardigan.data.sources.trees.coco import coco
from cardigan.data.sources.trees.imagenet import imagenet
from cardigan.data.sources.trees.label_matching import by_tables, foreign
from cardigan.data.sources.trees.label_tables import NoTableError, Table, read_table
from cardigan.data.sources.trees.layout import (
    Layout,
    is_picture,
    lay_out,
    split_folders,
    such_as,
    suffix,
    top,
    upwards,
)
from cardigan.data.sources.trees.strings import Made
from cardigan.data.sources.trees.stylegan import edm
from cardigan.data.sources.trees.tree import LARGEST_TEXT, Tree
from cardigan.errors import CardiganError

TABLES = (
    *("labels.csv", "labels.tsv", "metadata.csv", "metadata.tsv", "metadata.jsonl"),
    *("captions.csv", "captions.tsv", "captions.txt"),
)
"""Tables that are found by themselves, at the top or in the folders of the splits; case does not matter."""


def open_tree(name: str, tree: Tree, labels: str | Path | None = None) -> Source:
    """The pictures of `tree`, with what its folders, tables and annotations say of them.

    Args:
        labels: a table of labels (see `read_table`): a member of the tree, or a file elsewhere. None: what the tree
            itself says, by the first convention of `CONVENTIONS` that it follows, else its folders.

    Raises:
        CardiganError: no pictures, or annotations that are damaged.
    """
    indices, pictures = array("q"), list[str]()
    for index, each in enumerate(tree.names):
        if is_picture(each):
            indices.append(index)
            pictures.append(each)
    if not pictures:
        raise CardiganError(f"{tree.where}: no pictures in it or below it; looked for .png, .jpg, .webp and others")
    chosen = np.frombuffer(indices, np.int64)
    layout, outside = understood(tree, pictures, labels)
    if "train" not in layout.labels:
        layout = replace(layout, labels={}, classes=())
    order: list[Split] = [split for split in layout.members if layout.members[split]]
    members = {split: chosen[np.asarray(layout.members[split], np.int64)] for split in order}
    parts: dict[Split, Callable[[], Encoded]] = {}
    for split in order:
        labels_of, sentences_of = layout.labels.get(split), layout.sentences.get(split)
        parts[split] = partial(_part, tree, members[split], labels_of, sentences_of)
    used = np.asarray([tree.texts[each] for each in layout.used], np.int64)
    everything = np.unique(np.concatenate([used, *members.values()]))
    files: Any = Made(len(tree.files(everything)) + len(outside), partial(_file, tree.files(everything), outside))
    # A tuple would cost a thousand bytes for each picture of a folder; few archives make a tuple of one.
    files = tuple(files) if len(files) < 1000 else files
    selection = () if labels is None else ("labels", Path(labels).name)
    return Source(name, parts, layout.classes, files, layout.remarks, selection)


def _file(members: Sequence[Path], outside: Sequence[Path], index: int) -> Path:
    return members[index] if index < len(members) else outside[index - len(members)]


def _part(tree: Tree, members: NDArray[np.int64], labels: Labels | None, sentences: Sentences | None) -> Encoded:
    names = Made(len(members), lambda index: tree.show(tree.names[int(members[index])]))

    def read(index: int) -> bytes:
        return tree.read(int(members[index]), None)

    return Encoded(names, read, labels, sentences)


def understood(
    tree: Tree, pictures: Sequence[str], labels: str | Path | None = None
) -> tuple[Layout, tuple[Path, ...]]:
    """What is known of `pictures`, and the files outside the tree that were read for it."""
    layout = lay_out(pictures)
    if labels is not None:
        return _given(tree, pictures, layout, str(labels))
    found = (convention(tree, pictures, layout) for convention in CONVENTIONS)
    layout = next((each for each in found if each is not None), layout)
    return imagenet(tree, pictures, layout) or layout, ()


def _given(tree: Tree, pictures: Sequence[str], layout: Layout, labels: str) -> tuple[Layout, tuple[Path, ...]]:
    """Labels from the table that the user names."""
    name = labels.replace("\\", "/").removeprefix("./")
    member = next((each for folder in upwards(top(pictures)) if (each := folder + name) in tree.texts), None)
    outside: tuple[Path, ...] = ()
    if member is not None:
        folder, data, where = member.rpartition("/")[0], tree.text(member), tree.show(member)
    else:
        path = Path(labels).expanduser()
        folder, where, outside = "", shown(path), (path,)
        data = _outside(path, tree)
    table = read_table(data, where, suffix(labels), True)
    folder = folder + "/" if folder else top(pictures)
    found = by_tables([(folder, table)], pictures, layout)
    if found is None:
        raise foreign(table, pictures)
    used = () if member is None else (member,)
    return replace(found, used=used, remarks=(_origin(found, layout, shown(labels)), *found.remarks)), outside


def _outside(path: Path, tree: Tree) -> bytes:
    try:
        if not path.is_file():
            raise CardiganError(f"labels {shown(path)}: neither a file nor a table in {tree.where}")
        if path.stat().st_size > LARGEST_TEXT:
            raise CardiganError(f"labels {shown(path)}: larger than {LARGEST_TEXT >> 30} GiB")
        return path.read_bytes()
    except (OSError, ValueError) as error:
        raise CardiganError(f"labels {shown(path)}: cannot be read: {error}") from None


def tables(tree: Tree, pictures: Sequence[str], layout: Layout) -> Layout | None:
    """labels.csv, metadata.csv, metadata.jsonl (imagefolder of Hugging Face) and their like."""
    root = top(pictures)
    outer = upwards(root)
    inner = {f"{root}{folder}/" for folder in split_folders(pictures)}
    result, remarks = layout, list[str]()
    used = list[str]()
    for wanted in TABLES:
        names = [name for name in tree.texts if name.lower().rpartition("/")[2] == wanted]
        here = [name for name in names if name[: -len(wanted)] in outer]
        there = [name for name in names if name[: -len(wanted)] in inner]
        chosen = sorted(here, key=len)[-1:] or sorted(there)
        required = wanted.startswith("labels")
        try:
            read = [(name[: -len(wanted)], _table(tree, name, required)) for name in chosen]
        except NoTableError as error:
            if required:
                raise
            remarks.append(f"passed over: {error}")
            continue
        news = [(folder, _news(table, result, layout)) for folder, table in read]
        found = by_tables(news, pictures, result) if any(each.labels or each.sentences for _, each in news) else None
        if found is None:
            if any(each.labels for _, each in news) and required:
                raise foreign(read[0][1], pictures)
            continue
        remarks.append(_origin(found, result, such_as(chosen)))
        result, used = found, [*used, *chosen]
    result = replace(result, used=tuple(used), remarks=(*remarks, *result.remarks))
    return result if used or remarks else None


def _news(table: Table, known: Layout, before: Layout) -> Table:
    """`table` without what an earlier one has said already."""
    labels = [] if known.labels is not before.labels else table.labels
    return replace(table, labels=labels, sentences=[] if known.sentences else table.sentences)


def _table(tree: Tree, name: str, required: bool) -> Table:
    return read_table(tree.text(name), tree.show(name), suffix(name), required)


def _origin(found: Layout, before: Layout, where: str) -> str:
    what = ["labels"] * (found.labels is not before.labels) + ["sentences"] * (found.sentences is not before.sentences)
    return f"{' and '.join(what) or 'nothing'} from {where}"


Convention = Callable[[Tree, Sequence[str], Layout], Layout | None]
CONVENTIONS: tuple[Convention, ...] = (edm, coco, tables)
"""Each gives what it understands of a tree (tree, its pictures, what the folders say), or None; the first counts."""
