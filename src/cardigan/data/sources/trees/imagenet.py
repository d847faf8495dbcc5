"""ImageNet's ways: synsets (n01440764) as folders, their names in a list, labels of the validation split in a table."""

import csv
import io
import json
import re
from collections.abc import Sequence
from dataclasses import replace

from cardigan.data.sources.source import Split
from cardigan.data.sources.trees.layout import Layout, relabelled, unique_names
from cardigan.data.sources.trees.tree import Tree

_SYNSET = re.compile(r"n[0-9]{8}")
_LINE = re.compile(r"(n[0-9]{8})[\s,]+(\S.*)")
_NAMES = ("loc_synset_mapping.txt", "synset_words.txt", "words.txt", "imagenet_class_index.json", "classes.txt")
_TINY, _KAGGLE, _PLAIN = "val_annotations.txt", "loc_val_solution.csv", "ilsvrc2012_validation_ground_truth.txt"


def imagenet(tree: Tree, pictures: Sequence[str], layout: Layout) -> Layout | None:
    """Names of synsets instead of their numbers, in the order of the numbers; labels of a flat validation split."""
    if not layout.classes or not all(map(_SYNSET.fullmatch, layout.classes)):
        return None
    synsets = layout.classes
    layout = _named(tree, layout)
    if "validation" not in layout.members or "validation" in layout.labels:
        return layout
    found = _validation(tree)
    if found:
        name, synset_of = found
        layout = _noted(layout, f"labels of validation from {name}", name)
        return _label(layout, "validation", pictures, synset_of, synsets)
    if name := _find(tree, _PLAIN):
        return _noted(layout, f"{name} passed over: its numbers need meta.mat; no labels of validation")
    return layout


def _noted(layout: Layout, remark: str, *used: str) -> Layout:
    return replace(layout, remarks=(*layout.remarks, remark), used=(*layout.used, *used))


def _find(tree: Tree, wanted: str) -> str:
    """The member of this base name (case does not matter) that lies nearest to the top; "" if there is none."""
    found = [name for name in tree.texts if name.lower().rpartition("/")[2] == wanted]
    return min(found, key=lambda name: (name.count("/"), name), default="")


def _named(tree: Tree, layout: Layout) -> Layout:
    """`layout` with words for its synsets, the first of each, from the first list that has any."""
    for name in filter(None, (_find(tree, wanted) for wanted in _NAMES)):
        words = _words(tree.text(name), name.endswith(".json"))
        if any(synset in words for synset in layout.classes):
            first = [words.get(synset, synset).split(",")[0].strip() or synset for synset in layout.classes]
            named = replace(layout, classes=unique_names(first, layout.classes))
            return _noted(named, f"names of classes from {name}", name)
    return layout


def _words(data: bytes, is_json: bool) -> dict[str, str]:
    """Synset -> its words; a list in another form says nothing."""
    if is_json:
        try:
            entries = json.loads(data)
        except (ValueError, RecursionError):
            return {}
        pairs = entries.values() if isinstance(entries, dict) else entries if isinstance(entries, list) else ()
        texts = [pair for pair in pairs if isinstance(pair, list) and len(pair) == 2]
        return {str(synset): str(word).replace("_", " ") for synset, word in texts}
    lines = data.decode("utf-8-sig", "replace").splitlines()
    return {match[1]: match[2] for line in lines if (match := _LINE.fullmatch(line.strip()))}


def _validation(tree: Tree) -> tuple[str, dict[str, str]] | None:
    """Where the labels of the validation split stand, and base name without its ending -> synset."""
    if name := _find(tree, _TINY):
        lines = tree.text(name).decode("utf-8-sig", "replace").splitlines()
        rows = [line.split("\t") for line in lines]
        return name, {_stem(row[0]): row[1].strip() for row in rows if len(row) > 1}
    if name := _find(tree, _KAGGLE):
        text = tree.text(name).decode("utf-8-sig", "replace")
        try:
            table = list(csv.reader(io.StringIO(text, newline="")))[1:]
        except csv.Error:
            return None
        return name, {_stem(row[0]): row[1].split()[0] for row in table if len(row) > 1 and row[1].strip()}
    return None


def _stem(name: str) -> str:
    base = name.rpartition("/")[2]
    return base.rpartition(".")[0] or base


def _label(
    layout: Layout, split: Split, pictures: Sequence[str], synset_of: dict[str, str], synsets: Sequence[str]
) -> Layout:
    number = {synset: index for index, synset in enumerate(synsets)}
    values = [-1] * len(pictures)
    for each, labels in layout.labels.items():
        for index, label in zip(layout.members[each], labels, strict=True):
            values[index] = int(label)
    for index in layout.members[split]:
        values[index] = number.get(synset_of.get(_stem(pictures[index]), ""), -1)
    return relabelled(layout, values, layout.classes)
