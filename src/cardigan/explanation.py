"""A recipe in full with what each field means and allows: YAML with comments, a beginning for recipes of one's own."""

import textwrap
import types
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from cardigan.recipe import Recipe
from cardigan.recipes.yaml import write_yaml
from cardigan.settings import Choice, Settings

WIDTH = 120
INDENT = "  "


def explained(recipe: Recipe) -> str:
    """`recipe` as YAML text, every field filled in, behind comments that say what it is; loads as the same recipe."""
    return "".join(f"{line}\n" for line in _section(recipe, recipe.plain(), ""))


def _section(settings: Settings, plain: dict[str, Any], indent: str) -> Iterator[str]:
    for name, field in type(settings).model_fields.items():
        value, content = getattr(settings, name), plain[name]
        yield from _comment(" ".join(each for each in (_meaning(field, value), _allowed(field, value)) if each), indent)
        if isinstance(value, Settings) and content:
            yield f"{indent}{name}:"
            yield from _section(value, content, indent + INDENT)
        else:
            yield from (f"{indent}{line}" for line in write_yaml({name: content}).splitlines())


def _comment(text: str, indent: str) -> Iterator[str]:
    yield from textwrap.wrap(text, WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ")


def _meaning(field: FieldInfo, value: Any) -> str:
    """What the field's docstring says; of a section without one, what its class says of itself."""
    if field.description:
        return " ".join(field.description.split())
    if isinstance(value, Settings):
        return " ".join((type(value).__doc__ or "").split("\n\n")[0].split())
    return ""


def _allowed(field: FieldInfo, value: Any) -> str:
    """What else could stand here: names, kinds, or the fields of what is not used."""
    for choice in (*_choices(field.metadata), *_choices(get_args(field.annotation))):
        return f"Allowed {choice.tag}: {', '.join(choice.table)}."
    found = list(_parts(field.annotation))
    names = [str(name) for each in found if get_origin(each) is Literal for name in get_args(each)]
    if len(names) > 1:
        return f"Allowed: {', '.join(names)}."
    unused = [each for each in found if isinstance(each, type) and issubclass(each, Settings)]
    if value is None and unused:
        return f"Fields: {', '.join(unused[0].model_fields)}."
    return ""


def _choices(parts: Iterable[Any]) -> Iterator[Choice]:
    """Those in the metadata of a field, or in what it holds many of."""
    for each in parts:
        if isinstance(each, Choice):
            yield each
        yield from _choices(get_args(each))


def _parts(annotation: Any) -> Iterator[Any]:
    """The types that `annotation` is a union of."""
    if get_origin(annotation) in (Union, types.UnionType):
        for each in get_args(annotation):
            yield from _parts(each)
    elif get_origin(annotation) is Annotated:
        yield from _parts(get_args(annotation)[0])
    else:
        yield annotation
