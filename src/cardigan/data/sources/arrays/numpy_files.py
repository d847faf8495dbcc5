"""Arrays that NumPy saved: .npy, mapped into memory, and .npz."""

from collections.abc import Mapping
from functools import cache, partial
from pathlib import Path

import numpy as np

from cardigan.data.sources.arrays.npy import Array, archived, mapped
from cardigan.data.sources.arrays.values import Scale, as_bytes, check_kind, scale_of
from cardigan.data.sources.source import Labels, Pixels, Source, Split, Stack, number_names, shown
from cardigan.data.sources.trees.layout import SPLIT_FOLDERS
from cardigan.errors import CardiganError

_PICTURES = ("images", "image", "x", "data", "pictures", "pixels", "imgs", "arr_0")
_LABELS = ("labels", "label", "y", "targets", "target", "arr_1")
_BESIDE = ("-labels.npy", "_labels.npy")
_LAYOUTS = "(N, H, W), (N, H, W, C) with 1 to 4 channels, or (N, C, H, W) with 1, 3 or 4"


def open_array(name: str, path: Path) -> Source:
    """The pictures in the .npy or .npz file `path`.

    Shapes are (N, H, W), (N, H, W, C) with C in 1 to 4, or (N, C, H, W) with C in 1, 3, 4 where that is unambiguous.
    Values are uint8; bool, False for black; uint16, rounded to 8 bits; or floats, all in 0..1 or all in -1..1.

    Labels of images.npy are those in images-labels.npy or images_labels.npy. In an .npz pictures are called images, x,
    data or arr_0 and labels labels, label, y or arr_1, with the name of a split before or after them where there are
    several: x_train, train_images, y_test.

    Raises:
        CardiganError: a damaged file, one of Python objects, too large to unpack, or of another shape or type.
    """
    found = _single(path) if path.suffix.lower() == ".npy" else _members(path)
    pictures, marks, remarks = {split: each[0] for split, each in found.items()}, dict[Split, Labels](), list[str]()
    for split, (array, beside) in found.items():
        check_kind(array)
        remarks += _layout(array)[1]
        if beside is not None and (labels := _labels(beside, array)) is not None:
            marks[split] = labels
    scale = scale_of(list(pictures.values()))
    remarks += [scale.remark] if scale.remark else []
    parts = {
        split: cache(partial(_part, array, scale, marks.get(split) if "train" in marks else None))
        for split, array in pictures.items()
    }
    classes = number_names(list(marks.values()), shown(path)) if "train" in marks else ()
    files = dict.fromkeys(each.path for pair in found.values() for each in pair if each is not None)
    return Source(name, parts, classes, tuple(files), tuple(dict.fromkeys(remarks)))


Found = dict[Split, tuple[Array, Array | None]]
"""The pictures of each split, and their labels where there are any."""


def _single(path: Path) -> Found:
    beside = next((each for end in _BESIDE if (each := path.with_name(path.stem + end)).is_file()), None)
    return {"train": (mapped(path), mapped(beside) if beside else None)}


def _members(path: Path) -> Found:
    arrays = archived(path)
    pictures, labels = _by_split(arrays, _PICTURES), _by_split(arrays, _LABELS)
    if not pictures:
        likely = [array for array in arrays.values() if len(array.shape) in (3, 4)]
        pictures = {"train": likely[0]} if len(likely) == 1 else {}
    if "train" not in pictures:
        keys = ", ".join(map(shown, list(arrays)[:12])) or "none"
        raise CardiganError(
            f"{shown(path)}: no pictures to train on; allowed: images, x, data, x_train ...; keys: {keys}"
        )
    return {split: (array, labels.get(split)) for split, array in pictures.items()}


def _by_split(arrays: Mapping[str, Array], wanted: tuple[str, ...]) -> dict[Split, Array]:
    """Those of `arrays` whose key is in `wanted`, alone or with the name of a split."""
    found: dict[Split, tuple[int, Array]] = {}
    for key, array in arrays.items():
        split, rest = _read_key(key.lower())
        if rest in wanted and (split not in found or wanted.index(rest) < found[split][0]):
            found[split] = (wanted.index(rest), array)
    return {split: array for split, (_, array) in found.items()}


def _read_key(key: str) -> tuple[Split, str]:
    """x_train -> train, x; train_images -> train, images; x -> train, x."""
    for word, split in SPLIT_FOLDERS.items():
        for sign in "_-":
            if key.startswith(word + sign):
                return split, key[len(word) + 1 :]
            if key.endswith(sign + word):
                return split, key[: -len(word) - 1]
    return "train", key


def _layout(array: Array) -> tuple[int | None, tuple[str, ...]]:
    """The axis of channels, None where there is none, and a remark if it is the second.

    Raises:
        CardiganError: a shape that is no stack of pictures, or may be two kinds of them.
    """
    shape, where = array.shape, array.name
    text = "x".join(map(str, shape))
    if len(shape) not in (3, 4) or 0 in shape:
        raise CardiganError(
            f"{where}: an array of shape {text or 'one number'}; allowed: {_LAYOUTS}, none of them empty"
        )
    if len(shape) == 3:
        if shape[2] <= 4:
            raise CardiganError(f"{where}: shape {text} may be one colour picture; allowed: {_LAYOUTS}")
        return None, ()
    last, second = shape[3] <= 4, shape[1] in (1, 3, 4)
    if last and second:
        raise CardiganError(
            f"{where}: shape {text} may be (N, H, W, C) or (N, C, H, W); allowed: pictures larger than 4x4, or uint8 "
            f"arrays of shape (N, H, W)"
        )
    if not last and not second:
        raise CardiganError(f"{where}: an array of shape {text}; allowed: {_LAYOUTS}")
    if last:
        return 3, ()
    return 1, (f"{where}: shape {text} is read as (N, C, H, W)",)


def _part(array: Array, scale: Scale, labels: Labels | None) -> Stack:
    axis, _ = _layout(array)
    values: Pixels = as_bytes(array.values(), scale)
    if axis is not None:
        values = np.moveaxis(values, axis, 3)
        values = values[..., 0] if values.shape[3] == 1 else values
    return Stack(values, labels)


def _labels(array: Array, pictures: Array) -> Labels | None:
    """Class indices, (N,) or (N, 1) as Keras writes them; None for a second array that is called nothing better."""
    shape, kind = array.shape, array.dtype.kind
    flat = len(shape) == 1 or (len(shape) == 2 and shape[1] == 1)
    if not flat or kind not in "iub":
        if array.key == "arr_1":
            return None
        text = "x".join(map(str, shape))
        raise CardiganError(f"{array.name}: labels of shape {text} and type {array.dtype}; allowed: integers, (N,)")
    if shape[0] != pictures.shape[0]:
        raise CardiganError(f"{array.name}: {shape[0]} labels, but {pictures.shape[0]} pictures in {pictures.name}")
    return np.asarray(array.values(), dtype=np.int64).reshape(-1)
