"""What a user names on the command line (pictures, folders, globs) -> files, and where what is made of them goes."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from glob import glob, has_magic
from pathlib import Path

from cardigan.data.sources.decoding import SUFFIXES
from cardigan.data.sources.source import shown
from cardigan.errors import CardiganError


@dataclass(frozen=True)
class Input:
    """One file.

    Attributes:
        path: where it lies.
        place: where it lay within the folder that was named; its name alone where it was named itself.
    """

    path: Path
    place: Path


@dataclass(frozen=True)
class Failure:
    """Something that was named and could not be used.

    Attributes:
        name: as messages name it.
        reason: why, in one line.
    """

    name: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}"


def find(named: Iterable[str | Path], leaving_out: Path) -> tuple[list[Input], list[Failure]]:
    """Every picture that is named, each once, and what names none.

    A folder stands for the pictures in it and below, by their endings, hidden ones not; a name that is no file may be a
    glob, with ** for any folders.

    Args:
        leaving_out: a folder whose pictures do not count as pictures of a folder that it lies in: what was made before.
    """
    found, failures = dict[Path, Input](), list[Failure]()
    for name in named:
        path = Path(name).expanduser()
        try:
            inputs = list(_named(path, leaving_out.resolve()))
            if not inputs:
                failures.append(Failure(shown(name), _nothing(path)))
            for each in inputs:
                found.setdefault(each.path.resolve(), each)
        except OSError as error:
            failures.append(Failure(shown(name), f"cannot be read: {error.strerror or error}"))
    return list(found.values()), failures


def _named(path: Path, leaving_out: Path) -> Iterator[Input]:
    if path.is_dir():
        yield from _within(path, leaving_out)
    elif path.is_file():
        yield Input(path, Path(path.name))
    elif has_magic(str(path)):
        for each in map(Path, sorted(glob(str(path), recursive=True))):  # noqa: PTH207 - it may start at the root
            if each.is_file() and each.suffix.lower() in SUFFIXES:
                yield Input(each, Path(each.name))


def _within(folder: Path, leaving_out: Path) -> Iterator[Input]:
    for place, folders, names in os.walk(folder):
        inside = (name for name in sorted(folders) if not name.startswith("."))
        folders[:] = [name for name in inside if (Path(place) / name).resolve() != leaving_out]
        for name in sorted(names):
            path = Path(place) / name
            if not name.startswith(".") and path.suffix.lower() in SUFFIXES:
                yield Input(path, path.relative_to(folder))


def _nothing(path: Path) -> str:
    if path.is_dir():
        return f"no pictures in this folder; allowed: {', '.join(sorted(SUFFIXES))}"
    return "no picture fits this pattern" if has_magic(str(path)) else "there is no such file or folder"


@dataclass
class Places:
    """Names of files to be written into a folder: no name twice, and none that an input has.

    Attributes:
        folder: where they are written.
        inputs: what is read and must stay.
    """

    folder: Path
    inputs: Iterable[Path]
    _taken: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._kept = {_identity(path) for path in self.inputs if path.exists()}

    def claim(self, place: Path, ending: str) -> Path:
        """Where to write what was made of `place`: there, with this ending; "name-2" and so on for the next of a name.

        Raises:
            CardiganError: an input lies there.
        """
        stem, number = place.with_suffix("") if place.suffix else place, 1
        while (wanted := _numbered(stem, ending, number)).as_posix().casefold() in self._taken:
            number += 1
        path = self.folder / wanted
        if path.exists() and _identity(path) in self._kept:
            raise CardiganError(f"what is made of it would be written over {shown(path)}; name another folder: --out")
        self._taken.add(wanted.as_posix().casefold())
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


def _numbered(stem: Path, ending: str, number: int) -> Path:
    return stem.with_name(f"{stem.name}{f'-{number}' if number > 1 else ''}{ending}")


def _identity(path: Path) -> tuple[int, int]:
    about = path.stat()
    return about.st_dev, about.st_ino
