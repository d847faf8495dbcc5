"""Strict YAML: plain data only, no aliases (which can grow without bound), one line for every error."""

from pathlib import Path
from typing import Any

import yaml

from cardigan.errors import CardiganError

LARGEST = 1_000_000
"""Bytes in the largest file that is taken for a recipe."""


class _Loader(yaml.SafeLoader):
    """The safe loader, without aliases and with an error for a key given twice.

    In Python, not C: the C loader composes nodes out of reach of the overrides below.
    """

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.events.AliasEvent):
            mark = self.peek_event().start_mark
            raise yaml.composer.ComposerError(None, None, "aliases are not allowed in recipes", mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        keys = [key.value for key, _ in node.value] if isinstance(node, yaml.MappingNode) else []
        for key, _ in node.value if keys else ():
            if isinstance(key.value, str) and keys.count(key.value) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"key {key.value!r} stands twice", key.start_mark)
        return super().construct_mapping(node, deep)


def parse_yaml(text: str, origin: str) -> Any:
    """The plain data in `text`.

    Raises:
        CardiganError: in one line, naming `origin` and the place.
    """
    try:
        return yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as error:
        place = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise CardiganError(f"{origin}{place}: {' '.join(str(error.problem).split())}") from None
    except (yaml.YAMLError, ValueError, TypeError, RecursionError, OverflowError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else " ".join(str(error).split())[:120]
        raise CardiganError(f"{origin}: not YAML: {reason}") from None


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in the YAML file at `path`.

    Raises:
        CardiganError: no such file, not text, too large, not YAML, not a mapping.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise CardiganError(f"{path}: larger than {LARGEST:,} bytes, so not a recipe")
        content = parse_yaml(path.read_text("utf-8"), str(path))
    except UnicodeDecodeError:
        raise CardiganError(f"{path}: not UTF-8 text, so not a recipe") from None
    except OSError as error:
        raise CardiganError(f"{path}: {error.strerror}") from None
    if not isinstance(content, dict):
        raise CardiganError(f"{path}: a recipe is a mapping of keys to values, not {type(content).__name__}")
    return content


def write_yaml(content: dict[str, Any]) -> str:
    """`content` as YAML text, in its own order."""
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120)
