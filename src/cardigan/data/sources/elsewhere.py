"""What stands beside a source: the name of one of its folders, or the path of another source."""

from collections.abc import Sequence

from cardigan.data.sources import NAMES, absolute
from cardigan.data.sources.source import shown
from cardigan.errors import CardiganError
from cardigan.settings import allowed


def is_path(name: str) -> bool:
    """Whether `name` is written as a path: with a slash, or beginning with a dot or a tilde."""
    return "/" in name or name.startswith((".", "~"))


def anchored_folder(name: str) -> str:
    """A path in words that mean the same from any working folder; the name of a folder stays."""
    return absolute(name) if is_path(name) else name


def check_folder(name: str, folders: Sequence[str], source: str) -> None:
    """Refuse what is neither a folder of `source` nor written as a path nor known by name.

    Raises:
        CardiganError: naming what there is.
    """
    if name not in folders and not is_path(name) and name not in NAMES:
        raise CardiganError(
            f"data.inputs: {shown(source)} has no folder {name!r}; {allowed(name, folders)}, or the path of another "
            f"source with a slash in it, such as ./{name}"
        )
