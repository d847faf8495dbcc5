"""The shipped recipes, one YAML file each, grouped by kind of sample: a parent and what differs from it."""

from functools import cache
from pathlib import Path
from typing import Any

from cardigan.errors import CardiganError
from cardigan.recipes.yaml import read_yaml


@cache
def shipped() -> dict[str, Path]:
    """Name -> file of every shipped recipe, in alphabetical order."""
    return {path.stem: path for path in sorted(Path(__file__).parent.glob("*/*.yaml"), key=lambda path: path.stem)}


def summaries() -> dict[str, str]:
    """Name -> one line about every shipped recipe."""
    return {name: str(read_yaml(path).get("about", "")) for name, path in shipped().items()}


def parents(path: Path) -> list[dict[str, Any]]:
    """The contents of the recipe file at `path` and of its parents, eldest first.

    Raises:
        CardiganError: an unreadable file, an unknown parent, a circle of parents.
    """
    seen: list[Path] = []
    contents: list[dict[str, Any]] = []
    following: Path | None = path
    while following is not None:
        if following in seen:
            raise CardiganError(f"{path}: its parents form a circle through {following.stem!r}")
        seen.append(following)
        content = read_yaml(following)
        contents.insert(0, content)
        parent = content.pop("parent", None)
        following = None if parent is None else _parent_file(parent, following)
    return contents


def _parent_file(parent: Any, child: Path) -> Path:
    if isinstance(parent, str):
        if parent in shipped():
            return shipped()[parent]
        beside = child.parent / parent
        if beside.suffix in (".yaml", ".yml") and beside.is_file():
            return beside.resolve()
    raise CardiganError(f"{child}: parent {parent!r} is neither a shipped recipe nor a YAML file beside this one")
