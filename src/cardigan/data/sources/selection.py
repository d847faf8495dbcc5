"""A source reduced to some of its classes."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cardigan.data.sources.source import Encoded, Part, Source, Stack, shown
from cardigan.errors import CardiganError
from cardigan.settings import allowed


class Picked(Sequence[Any]):
    """The items of `whole` at `indices`, fetched when asked for."""

    def __init__(self, whole: Sequence[Any], indices: NDArray[np.int64]) -> None:
        self.whole, self.indices = whole, indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: Any) -> Any:
        return Picked(self.whole, self.indices[index]) if isinstance(index, slice) else self.whole[self.indices[index]]


def only(source: Source, classes: Sequence[str], key: str = "data.classes") -> Source:
    """The pictures of `classes`, in this order of labels; of one class alone, without labels.

    Args:
        key: what asked for them, as an error names it.

    Raises:
        CardiganError: a class that the source does not have.
    """
    classes = tuple(dict.fromkeys(classes))
    for name in classes:
        if name not in source.classes:
            has = allowed(name, source.classes) if source.classes else "its pictures carry no labels"
            raise CardiganError(f"{key}: {shown(source.name)} has no class {name!r}; {has}")
    number = np.full(len(source.classes), -1, dtype=np.int64)
    for place, name in enumerate(classes):
        number[source.classes.index(name)] = place
    parts = {split: _reader(read, number, len(classes) > 1) for split, read in source.parts.items()}
    selection = (*source.selection, "classes", *classes)
    return replace(source, parts=parts, classes=classes if len(classes) > 1 else (), selection=selection)


def _reader(read: Callable[[], Part], number: NDArray[np.int64], labelled: bool) -> Callable[[], Part]:
    return cache(lambda: _reduced(read(), number, labelled))


def _reduced(part: Part, number: NDArray[np.int64], labelled: bool) -> Part:
    """The pictures whose label has a number of its own; a part without labels has none of them."""
    labels = number[part.labels] if part.labels is not None else np.full(len(part), -1, dtype=np.int64)
    indices = np.flatnonzero(labels >= 0)
    kept = labels[indices] if labelled else None
    sentences = None if part.sentences is None else Picked(part.sentences, indices)
    if isinstance(part, Stack):
        return Stack(part.pixels[indices], kept, sentences)
    return Encoded(Picked(part.names, indices), lambda index: part.read(int(indices[index])), kept, sentences)
