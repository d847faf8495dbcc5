"""A folder of pictures, nested as it may be."""

import os
from functools import partial
from pathlib import Path

from cardigan.data.sources.layout import Layout, is_picture, lay_out, natural
from cardigan.data.sources.source import Encoded, Source, Split, UnreadableError, shown
from cardigan.errors import CardiganError


def open_folder(name: str, folder: Path) -> Source:
    """The pictures below `folder`; see `lay_out` for splits and classes. Hidden and other files are passed over.

    Raises:
        CardiganError: a folder without pictures, or one that may not be read.
    """
    names = sorted(filter(is_picture, _walk(folder)), key=natural)
    if not names:
        raise CardiganError(
            f"{shown(folder)}: no pictures in this folder or below it; looked for .png, .jpg, .webp and others"
        )
    layout = lay_out(names)
    parts = {split: partial(_part, folder, names, layout, split) for split in layout.members}
    return Source(name, parts, layout.classes)


def _walk(folder: Path) -> list[str]:
    """Every file below `folder`, as a relative path with slashes. Links to folders are followed, each folder once."""
    found, seen = [], set()
    for place, folders, files in os.walk(folder, onerror=_refused, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders.sort()
        found += [Path(place, file).relative_to(folder).as_posix() for file in files]
    return found


def _refused(error: OSError) -> None:
    raise CardiganError(f"{shown(error.filename)}: cannot be read: {error.strerror}")


def _part(folder: Path, names: list[str], layout: Layout, split: Split) -> Encoded:
    paths = [folder / names[index] for index in layout.members[split]]
    shown_names = [shown(path) for path in paths]

    def read(index: int) -> bytes:
        try:
            return paths[index].read_bytes()
        except OSError as error:
            raise UnreadableError(shown_names[index], error.strerror or "cannot be read") from None

    return Encoded(shown_names, read, layout.labels.get(split))
