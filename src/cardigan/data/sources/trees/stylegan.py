"""The zip of StyleGAN and EDM: pictures in folders of five digits, labels in dataset.json.

https://github.com/NVlabs/stylegan3/blob/main/dataset_tool.py
"""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from cardigan.data.sources.trees.label_matching import by_tables, folders_forgotten, foreign
from cardigan.data.sources.trees.label_tables import Table
from cardigan.data.sources.trees.layout import Layout, top, upwards
from cardigan.data.sources.trees.tree import Tree
from cardigan.errors import CardiganError

_EDM = re.compile(r"(?:.*/)?[0-9]{5}/img[0-9]{8}\.[a-z]+")


def edm(tree: Tree, pictures: Sequence[str], layout: Layout) -> Layout | None:
    """dataset.json of StyleGAN and EDM: {"labels": [[name, class], ...]} or null; its folders are no classes."""
    names = [folder + "dataset.json" for folder in upwards(top(pictures))]
    name = next((each for each in names if each in tree.texts), "dataset.json")
    bare = all(map(_EDM.fullmatch, pictures))
    if name not in tree.texts:
        remark = "folders of five digits are no classes (StyleGAN's form without labels)"
        return replace(folders_forgotten(layout), remarks=(remark,)) if bare and layout.labels else None
    where = tree.show(name)
    try:
        content = json.loads(tree.text(name))
    except (ValueError, RecursionError):
        raise CardiganError(f"{where}: damaged: not JSON") from None
    if not isinstance(content, dict) or "labels" not in content:
        return None if not bare else folders_forgotten(layout)
    if content["labels"] is None or content["labels"] == []:
        remark = f"no labels in {name}, and its folders are no classes"
        return replace(folders_forgotten(layout), used=(name,), remarks=(remark,))
    labels = _edm_labels(content["labels"], where)
    table = Table(where, {each: row for row, each in enumerate(labels)}, list(map(str, labels.values())))
    table.lines = list(range(1, len(labels) + 1))
    found = by_tables([(name.removesuffix("dataset.json"), table)], pictures, folders_forgotten(layout))
    if found is None:
        raise foreign(table, pictures)
    return replace(found, used=(name,), remarks=(f"labels from {name}", *found.remarks))


def _edm_labels(entries: Any, where: str) -> dict[str, int]:
    pairs = list(entries.items()) if isinstance(entries, dict) else entries
    if not isinstance(pairs, list):
        raise CardiganError(f'{where}: "labels" is no list of [name, class]')
    found: dict[str, int] = {}
    for number, pair in enumerate(pairs):
        if not isinstance(pair, (list, tuple)) or len(pair) != 2 or not isinstance(pair[0], str):
            raise CardiganError(f'{where}: "labels", entry {number}: {str(pair)[:60]}; allowed: [name, class]')
        if isinstance(pair[1], list):
            raise CardiganError(
                f'{where}: "labels", entry {number}: a vector of {len(pair[1])} numbers is not supported; '
                "allowed: one class index for each picture"
            )
        if type(pair[1]) is not int or not 0 <= pair[1] < max(256, len(pairs)):
            raise CardiganError(
                f'{where}: "labels", entry {number}: label {str(pair[1])[:40]}; allowed: class indices counted from 0'
            )
        found[pair[0].replace("\\", "/")] = pair[1]
    return found
