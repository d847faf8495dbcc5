"""A folder of pictures, nested as it may be."""

import os
import stat
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cardigan.data.sources.source import Source, UnreadableError, shown
from cardigan.data.sources.trees import tree as trees
from cardigan.data.sources.trees.annotations import open_tree
from cardigan.data.sources.trees.layout import is_hidden, natural
from cardigan.data.sources.trees.strings import Made, Strings
from cardigan.data.sources.trees.tree import Tree, too_large
from cardigan.errors import CardiganError


def open_folder(name: str, path: Path, labels: str | Path | None = None) -> Source:
    """The pictures below the folder `path`; see `open_tree`. Hidden and other files are passed over.

    Links are followed wherever they point, each folder once; a broken one is an unreadable picture.

    Raises:
        CardiganError: a folder without pictures, one that may not be read, or wrong files of labels in it.
    """
    return open_tree(name, folder_tree(path), labels)


def folder_tree(path: Path) -> Tree:
    """Every file below the folder `path` that is not hidden."""
    root = os.fspath(path)
    names = Strings.of(sorted(_walk(root), key=natural))

    def read(index: int, most: int | None = None) -> bytes:
        return _read(f"{root}/{names[index]}", trees.LARGEST if most is None else most)

    def files(indices: NDArray[np.int64]) -> Sequence[Path]:
        return Made(len(indices), lambda each: path / names[int(indices[each])])

    return Tree(shown(path), names, read, lambda name: shown(f"{root}/{name}"), files)


def _walk(root: str) -> list[str]:
    """Every file below `root` that is not hidden, as a relative path with slashes."""
    found, seen = list[str](), set[str]()
    for place, folders, files in os.walk(root, onerror=_refused, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        if place != root and _is_made_by_us(files):
            folders.clear()
            continue
        folders[:] = sorted(folder for folder in folders if not is_hidden(folder))
        below = os.path.relpath(place, root).replace(os.sep, "/") + "/" if place != root else ""
        found += [below + file for file in files if not is_hidden(file)]
    return found


def _is_made_by_us(files: Sequence[str]) -> bool:
    """Whether a folder with these files is a run or a data check: its pictures are no data, wherever it was put."""
    return "recipe.yaml" in files and ("environment.json" in files or "report.json" in files)


def _refused(error: OSError) -> None:
    raise CardiganError(f"{shown(error.filename)}: cannot be read: {error.strerror}")


def _read(path: str, most: int) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a pipe would wait for a writer
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise UnreadableError(shown(path), "no regular file")
            if status.st_size > most:
                raise too_large(shown(path), status.st_size, most)
            return file.read(most)
    except OSError as error:
        raise UnreadableError(shown(path), error.strerror or "cannot be read") from None
