"""Typed, frozen settings with one-line errors: what every recipe is made of."""

import difflib
import importlib
import re
import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SerializeAsAny, ValidationError

from cardigan.errors import CardiganError

S = TypeVar("S", bound="Settings")


class Settings(BaseModel):
    """A frozen group of fields; each field's docstring gives its meaning and unit."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        validate_default=True,
        use_attribute_docstrings=True,
    )


_COUNT = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*([kKmMgG]?)\s*$")
_UNITS = {"": 1, "k": 1_000, "m": 1_000_000, "g": 1_000_000_000}


def parse_count(value: Any) -> Any:
    """`"200k"` -> 200000, `"1.5M"` -> 1500000; anything that is not such text passes unchanged."""
    if isinstance(value, str) and (match := _COUNT.match(value)):
        number = float(match[1]) * _UNITS[match[2].lower()]
        if number != round(number):
            raise ValueError(f"{value!r} is not a whole number")
        return round(number)
    return value


Count = Annotated[int, BeforeValidator(parse_count), Field(ge=1, le=10**15)]
"""A positive number of samples: 200000 or "200k"."""

Clock = Annotated[int, BeforeValidator(parse_count), Field(ge=0, le=10**15)]
"""A point on the clock, in samples: 0, 200000 or "200k"."""

_TRUSTED: ContextVar[frozenset[str]] = ContextVar("modules trusted by the user", default=frozenset())


@contextmanager
def trusting(*modules: str) -> Iterator[None]:
    """Within this context a recipe may name things in `modules`, as "module:Name"; the user vouches for them."""
    token = _TRUSTED.set(_TRUSTED.get() | frozenset(modules))
    try:
        yield
    finally:
        _TRUSTED.reset(token)


def resolve(name: Any, table: Mapping[str, str], what: str) -> Any:
    """The thing called `name`: one of `table` (name -> "module:attribute"), or "module:Name" in a trusted module.

    Raises:
        ValueError: an unknown name, or one in a module that the user has not vouched for.
    """
    if not isinstance(name, str):
        raise ValueError(f"{what} must be one of {', '.join(table)}")
    if name in table:
        module, attribute = table[name].split(":")
        return getattr(importlib.import_module(module), attribute)
    module, colon, attribute = name.partition(":")
    if not colon:
        raise ValueError(f"unknown {what} {name!r}; {allowed(name, table)}")
    if module not in _TRUSTED.get():
        raise ValueError(
            f"{what} {name!r} lies outside the package and is not loaded unless you trust its module by name "
            f"(--trust {module}); {allowed(name, table)}"
        )
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"{what} {name!r} cannot be found: {error}") from None


def allowed(name: str, names: Any) -> str:
    """The nearest match to `name` and the list of what is allowed."""
    names = [str(each) for each in names]
    near = difflib.get_close_matches(name, names, n=1)
    return (f"did you mean {near[0]!r}? " if near else "") + f"allowed: {', '.join(names)}"


class Choice:
    """Annotation of a field that holds one of several settings classes, told apart by the value of a tag.

    `field: Annotated[Family, Choice("family", FAMILIES)]`, where FAMILIES maps a tag to "module:Class". A bare string
    is short for the tag alone. The class is imported only when it is chosen.
    """

    def __init__(self, tag: str, table: Mapping[str, str]) -> None:
        self.tag, self.table = tag, table

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        """Pydantic's hook: validate by the chosen class, serialise all of its fields."""
        annotation = Annotated[SerializeAsAny[source], BeforeValidator(lambda value: self.choose(value, source))]
        return handler.generate_schema(annotation)

    def choose(self, value: Any, base: type[S]) -> S:
        """The settings that `value` describes."""
        if isinstance(value, base):
            return value
        fields = {self.tag: value} if isinstance(value, str) else value
        if not isinstance(fields, Mapping) or self.tag not in fields:
            raise ValueError(f"needs {self.tag!r}; {allowed('', self.table)}")
        chosen = resolve(fields[self.tag], self.table, self.tag)
        if not (isinstance(chosen, type) and issubclass(chosen, base)):
            raise ValueError(f"{self.tag} {fields[self.tag]!r} is not a {base.__name__}")
        return chosen.model_validate(fields)


def explain(error: ValidationError, root: type[Settings], raw: Any, within: str = "") -> CardiganError:
    """The first problem of `error` in one line: the key, what is wrong, what is allowed.

    Args:
        within: the key of what `root` is a part of; empty: it is a recipe.
    """
    first = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in (within, *first["loc"]) if part != "") or "the recipe"
    shown = repr(first["input"])
    shown = shown if len(shown) <= 60 else shown[:57] + "..."
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        message = f"unknown key; {allowed(str(first['loc'][-1]), _fields_at(root, first['loc'][:-1], raw))}"
    elif first["type"] == "literal_error":
        choices = [each.strip("'") for each in re.findall(r"'[^']*'|[^\s,]+", first["ctx"]["expected"]) if each != "or"]
        message = f"{shown} is not one of them; {allowed(str(first['input']), choices)}"
    elif first["type"] == "missing":
        message = "missing"
    elif first["type"] != "value_error":
        message = f"{message[:1].lower() + message[1:]}, not {shown}".replace("a valid tuple", "a list")
    return CardiganError(f"{key}: {message}")


def _fields_at(root: type[Settings], path: tuple[Any, ...], raw: Any) -> list[str]:
    """Names of the fields allowed at `path`, following the classes that `raw` chooses."""
    cls: Any = root
    for part in path:
        if isinstance(part, int):  # one of several
            inner = next((each for each in get_args(cls) if each is not Ellipsis), None)
            raw = raw[part] if isinstance(raw, Sequence) and part < len(raw) else None
            cls = _chosen(getattr(inner, "__metadata__", ()), inner, raw)
            continue
        field = cls.model_fields.get(part) if isinstance(cls, type) and issubclass(cls, BaseModel) else None
        raw = raw.get(part) if isinstance(raw, Mapping) else None
        if field is None:
            return []
        cls = _chosen(field.metadata, field.annotation, raw)
    return list(cls.model_fields) if isinstance(cls, type) and issubclass(cls, BaseModel) else []


def _chosen(metadata: Iterable[Any], annotation: Any, raw: Any) -> Any:
    """The class that `raw` chooses, or what the annotation says."""
    for choice in (each for each in metadata if isinstance(each, Choice)):
        tag = raw.get(choice.tag) if isinstance(raw, Mapping) else raw
        return resolve(tag, choice.table, choice.tag)
    if get_origin(annotation) in (Union, types.UnionType):
        annotation = next((each for each in get_args(annotation) if each is not type(None)), annotation)
    return annotation
