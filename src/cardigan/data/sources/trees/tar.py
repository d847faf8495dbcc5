"""A tar of a folder of pictures, plain or compressed, read in place by what one look through its headers found."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from cardigan.data import store
from cardigan.data.sources.source import Source, UnreadableError, shown
from cardigan.data.sources.trees import tree as trees
from cardigan.data.sources.trees.annotations import open_tree
from cardigan.data.sources.trees.layout import natural
from cardigan.data.sources.trees.strings import Strings
from cardigan.data.sources.trees.tar_headers import members
from cardigan.data.sources.trees.tar_packed import plain_tar
from cardigan.data.sources.trees.tree import Tree, Window, is_wanted, tidy, too_large
from cardigan.errors import CardiganError

VERSION = 1
"""Of the index; counts up when the same tar gives another one."""
T = TypeVar("T")


def open_tar(name: str, path: Path, labels: str | Path | None = None) -> Source:
    """The pictures in the tar `path` (.tar, .tar.gz, .tar.zst, .tar.bz2, .tar.xz), laid out as in a folder.

    Raises:
        CardiganError: no tar, damaged, truncated, without pictures, a bomb, or refused for one of its members.
    """
    return open_tree(name, tar_tree(path), labels)


def tar_tree(path: Path) -> Tree:
    """Every file in the tar `path` that is not hidden.

    Raises:
        CardiganError: see `open_tar`.
    """
    where, plain = shown(path), plain_tar(path)
    names, places = kept_index([plain], "tree", partial(_write_index, plain, where), _load_index, str(path))
    window = opened(plain)

    def show(name: str) -> str:
        return f"{where}: {shown(name)}"

    def read(index: int, most: int | None = None) -> bytes:
        offset, size = places[index].tolist()
        return read_member(window, offset, size, lambda: show(names[index]), trees.LARGEST if most is None else most)

    return Tree(where, names, read, show, lambda _: (path,))


def opened(path: Path) -> Window:
    """A tar, to be read at given places.

    Raises:
        CardiganError: it cannot be opened.
    """
    try:
        return Window(path)
    except OSError as error:
        raise CardiganError(f"{shown(path)}: cannot be read: {error.strerror}") from None


def read_member(window: Window, offset: int, size: int, name: Callable[[], str], most: int) -> bytes:
    """The content of one member of a tar.

    Raises:
        UnreadableError: larger than `most` bytes, or not there any more.
    """
    if size > most:
        raise too_large(name(), size, most)
    try:
        data = window.read(offset, size)
    except OSError as error:
        raise UnreadableError(name(), error.strerror or "cannot be read") from None
    if len(data) < size:
        raise UnreadableError(name(), "the archive has become shorter")
    return data


def kept_index(
    files: list[Path], kind: str, write: Callable[[Path], None], load: Callable[[Path], T], source: str
) -> T:
    """The index of `files` that `write` leaves in a folder of the cache, as `load` reads it; made once for each state.

    Where the cache cannot be written, in a folder that goes as soon as it is loaded.

    Raises:
        CardiganError: what `write` raises.
    """
    import shutil
    import tempfile

    try:
        key = f"{store.stamp([path.absolute() for path in files])}-{kind}{VERSION}"
    except OSError as error:
        raise CardiganError(f"{shown(error.filename)}: cannot be read: {error.strerror}") from None
    try:
        folder = store.keep("index", key, write, {"source": source})
        try:
            return load(folder)
        except (OSError, ValueError, KeyError, EOFError, TypeError):  # damaged: made again
            shutil.rmtree(folder, ignore_errors=True)
            return load(store.keep("index", key, write, {"source": source}))
    except store.StoreError:
        try:
            with tempfile.TemporaryDirectory(prefix="cardigan-") as place:
                write(Path(place))
                return load(Path(place))  # what is mapped stays until it is let go
        except OSError as error:
            raise CardiganError(f"{source}: no room for its index, in the cache or elsewhere: {error}") from None


def _write_index(path: Path, where: str, folder: Path) -> None:
    names, places = list[str](), list[tuple[int, int]]()
    try:
        with path.open("rb", buffering=2**16) as file:
            for member in members(file, where):
                if is_wanted(member.name):
                    names.append(tidy(member.name))
                    places.append((member.offset, member.size))
    except OSError as error:
        raise CardiganError(f"{where}: cannot be read: {error.strerror}") from None
    order = sorted(range(len(names)), key=lambda index: natural(names[index]))
    packed = Strings.of(names[index] for index in order)
    np.save(folder / "names.npy", packed.data)
    np.save(folder / "ends.npy", packed.ends)
    np.save(folder / "places.npy", np.asarray([places[index] for index in order], np.int64).reshape(-1, 2))


def _load_index(folder: Path) -> tuple[Strings, NDArray[np.int64]]:
    names, ends, places = (mapped(folder / f"{each}.npy") for each in ("names", "ends", "places"))
    if len(ends) != len(places) or (len(ends) and ends[-1] != len(names)):
        raise ValueError("the parts of the index do not belong together")
    return Strings(names, ends), places


def mapped(path: Path) -> NDArray[Any]:
    """The array in the .npy file at `path`, mapped into memory."""
    return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))  # the bare array: its items come quicker
