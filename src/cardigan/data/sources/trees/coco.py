"""COCO's annotations: instances_SPLIT.json and captions_SPLIT.json beside folders such as train2017 and val2017."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cardigan.data.sources.source import Split
from cardigan.data.sources.trees.layout import Layout, counted, lay_out, relabelled, said, split_of
from cardigan.data.sources.trees.tree import Tree
from cardigan.errors import CardiganError

NOTHING = "nothing"
"""The class of pictures without objects."""
_NAME = re.compile(r"(?:.*/)?(instances|captions)_([^/]+)\.json")
_UNLABELLED = re.compile(r"(?:.*/)?unlabell?ed[0-9]*/.*")
_KEPT = frozenset(
    ("images", "annotations", "categories", "id", "name", "file_name", "image_id", "category_id", "area", "caption")
)


def coco(tree: Tree, pictures: Sequence[str], layout: Layout) -> Layout | None:
    """Label: the category that covers most of the picture, crowds included. Sentences: its captions.

    Raises:
        CardiganError: annotations that are damaged; names the file.
    """
    names = {(match[1], match[2]): name for name in tree.texts if (match := _NAME.fullmatch(name))}
    if not names:
        return None
    bases = {picture.rpartition("/")[2] for picture in pictures}
    layout = _without_unlabelled(pictures)
    objects: dict[Split, _Objects] = {}
    captions: list[tuple[str, ...]] = [()] * len(pictures)
    remarks, used = list(layout.remarks), list[str]()
    for split in layout.members:
        folder = _folder(pictures, layout.members[split])
        if name := _chosen(names, "instances", folder, split):
            objects[split] = _objects(_parsed(tree, name), tree.show(name), bases)
            remarks.append(f"labels from {name}")
            used.append(name)
        if name := _chosen(names, "captions", folder, split):
            said_of = _captions(_parsed(tree, name), tree.show(name), bases)
            for index in layout.members[split]:
                captions[index] = said_of.get(pictures[index].rpartition("/")[2], ())
            remarks.append(f"captions from {name}")
            used.append(name)
    if not used:
        return None
    layout = replace(layout, labels={}, classes=(), used=tuple(used), remarks=tuple(remarks))
    if "train" in objects:
        layout = _labelled(layout, pictures, objects)
    return said(layout, captions) if any(captions) else layout


def _without_unlabelled(pictures: Sequence[str]) -> Layout:
    kept = [index for index, name in enumerate(pictures) if not _UNLABELLED.fullmatch(name)]
    found = lay_out([pictures[index] for index in kept])
    members = {split: [kept[index] for index in indices] for split, indices in found.members.items()}
    remarks = (
        () if len(kept) == len(pictures) else (f"{counted(len(pictures) - len(kept), 'unlabelled picture')} left out",)
    )
    return Layout(members, {}, (), remarks=remarks)


def _folder(pictures: Sequence[str], members: Sequence[int]) -> str:
    """The folder, such as train2017, in which the first picture of a split lies."""
    parts = pictures[members[0]].split("/")[:-1] if members else []
    return next((part for part in reversed(parts) if split_of(part)), "")


def _chosen(names: Mapping[tuple[str, str], str], kind: str, folder: str, split: Split) -> str | None:
    """The annotations of `kind` for the pictures in `folder`: of the same name, else of the same split."""
    if (kind, folder) in names:
        return names[kind, folder]
    wanted = split_of(folder) or split
    same = [name for (each, ending), name in sorted(names.items()) if each == kind and split_of(ending) == wanted]
    return same[0] if same else None


def _parsed(tree: Tree, name: str) -> dict[str, Any]:
    """The file without what takes most of its room: outlines are dropped while it is read."""
    try:
        content = json.loads(tree.text(name), object_pairs_hook=_kept)
    except (ValueError, RecursionError) as error:
        raise CardiganError(f"{tree.show(name)}: damaged: not JSON: {str(error)[:80]}") from None
    if not isinstance(content, dict) or not all(
        isinstance(content.get(key), list) for key in ("images", "annotations")
    ):
        raise CardiganError(f'{tree.show(name)}: no annotations of COCO: it must hold lists "images" and "annotations"')
    return content


def _kept(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = {key: value for key, value in pairs if key in _KEPT}
    if "category_id" in found and "area" not in found:
        box = next((value for key, value in pairs if key == "bbox"), None)
        found["area"] = (
            box[2] * box[3] if isinstance(box, list) and len(box) == 4 and all(map(_is_number, box)) else None
        )
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e15


@dataclass(frozen=True)
class _Objects:
    """What one file says of objects.

    Attributes:
        where: the file.
        categories: id -> name.
        main: base name of a picture -> id of the category that covers most of it; None for no object.
    """

    where: str
    categories: dict[int, str]
    main: dict[str, int | None]


def _columns(items: Iterable[Any], kinds: Mapping[str, type], where: str) -> list[list[Any]]:
    """The values of each key of `kinds` in `items`, checked."""
    columns: list[list[Any]] = [[] for _ in kinds]
    for number, item in enumerate(items):
        for column, (key, kind) in zip(columns, kinds.items(), strict=True):
            value = item.get(key) if isinstance(item, dict) else None
            right = _is_number(value) if kind is float else type(value) is kind
            if not right or (kind is int and not 0 <= int(value or 0) < 2**62):
                raise CardiganError(
                    f"{where}: entry {number}: {key!r} is {str(value)[:40]!r}; allowed: {kind.__name__}"
                )
            column.append(value)
    return columns


def _images(content: Mapping[str, Any], where: str, bases: set[str]) -> tuple[NDArray[np.int64], list[str]]:
    """Ids in ascending order, and the base names, of the pictures of one file that are there."""
    ids, files = _columns(content["images"], {"id": int, "file_name": str}, f"{where}: images")
    found = {number: file.replace("\\", "/").rpartition("/")[2] for number, file in zip(ids, files, strict=True)}
    there = sorted(number for number, file in found.items() if file in bases)
    return np.asarray(there, np.int64), [found[number] for number in there]


def _positions(ids: NDArray[np.int64], wanted: Sequence[int]) -> NDArray[np.int64]:
    """Where each of `wanted` stands in the sorted `ids`; -1 for nowhere."""
    values = np.asarray(wanted, np.int64)
    if not len(ids):
        return np.full(len(values), -1, np.int64)
    at = np.minimum(np.searchsorted(ids, values), len(ids) - 1)
    return np.where(ids[at] == values, at, -1)


def _objects(content: Mapping[str, Any], where: str, bases: set[str]) -> _Objects:
    if not isinstance(content.get("categories"), list):
        raise CardiganError(f'{where}: no annotations of objects: no list "categories"')
    numbers, names = _columns(content["categories"], {"id": int, "name": str}, f"{where}: categories")
    categories = dict(sorted(zip(numbers, names, strict=True)))
    ids, files = _images(content, where, bases)
    kinds = {"image_id": int, "category_id": int, "area": float}
    images, chosen, areas = _columns(content["annotations"], kinds, f"{where}: annotations")
    kind = _positions(np.asarray(list(categories), np.int64), chosen)
    if (kind < 0).any():
        raise CardiganError(
            f"{where}: category {chosen[int(np.argmin(kind))]} of an annotation is not among categories"
        )
    at = _positions(ids, images)
    kept = at >= 0
    best = _largest(at[kept], kind[kept], np.asarray(areas, np.float64)[kept], len(ids))
    order = list(categories)
    return _Objects(
        where, categories, {file: order[each] if each >= 0 else None for file, each in zip(files, best, strict=True)}
    )


def _largest(
    images: NDArray[np.int64], kinds: NDArray[np.int64], areas: NDArray[np.float64], count: int
) -> NDArray[np.int64]:
    """(count,) the kind with the largest total area in each image, the first of equals; -1 where there is none."""
    best = np.full(count, -1, np.int64)
    pairs, inverse = np.unique(np.stack([images, kinds]), axis=1, return_inverse=True)
    totals = np.bincount(inverse.reshape(-1), areas, pairs.shape[1])
    order = np.lexsort((-pairs[1], totals, pairs[0]))  # within an image the largest comes last and stays
    best[pairs[0][order]] = pairs[1][order]
    return best


def _captions(content: Mapping[str, Any], where: str, bases: set[str]) -> dict[str, tuple[str, ...]]:
    ids, files = _images(content, where, bases)
    images, captions = _columns(content["annotations"], {"image_id": int, "caption": str}, f"{where}: annotations")
    found: dict[str, tuple[str, ...]] = {}
    for at, caption in zip(_positions(ids, images), captions, strict=True):
        if at >= 0 and caption.strip():
            found[files[at]] = (*found.get(files[at], ()), " ".join(caption.split()))
    return found


def _labelled(layout: Layout, pictures: Sequence[str], objects: Mapping[Split, _Objects]) -> Layout:
    categories: dict[int, str] = {}
    for each in objects.values():
        for number, name in each.categories.items():
            if categories.setdefault(number, name) != name:
                raise CardiganError(f"{each.where}: category {number} is {name!r}, elsewhere {categories[number]!r}")
    order = {number: index for index, number in enumerate(sorted(categories))}
    values, nothing = [-1] * len(pictures), False
    for split, each in objects.items():
        for index in layout.members[split]:
            base = pictures[index].rpartition("/")[2]
            if base in each.main:
                main = each.main[base]
                values[index] = len(order) if main is None else order[main]
                nothing = nothing or main is None
    classes = tuple(categories[number] for number in order) + ((NOTHING,) if nothing else ())
    return relabelled(layout, values, classes, "that the annotations do not name")
