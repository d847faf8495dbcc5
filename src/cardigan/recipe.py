"""A recipe: everything a run is made from, typed and frozen; read from shipped names, YAML files and overrides."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import ValidationError

from cardigan.data import DATA
from cardigan.data.base import Data
from cardigan.errors import CardiganError
from cardigan.games import GAMES
from cardigan.games.base import GameSettings
from cardigan.health.settings import Guard, Health
from cardigan.recipes import parents, shipped
from cardigan.recipes.yaml import parse_yaml, write_yaml
from cardigan.settings import Choice, Settings, allowed, explain
from cardigan.training.settings import Engine, Records, Scoring, Training

TAGS = ("kind", "family")
"""Keys that choose the type of the mapping they stand in."""
AUTO = "auto"
"""What `cardigan train` calls the recipe that is proposed for a user's own pictures."""
BUDGETS = ("samples", "minutes")
"""Keys of `training` of which a later layer replaces all."""


class Recipe(Settings):
    """What to train, on what, for how long: printable, saved in the run folder, reloaded without loss."""

    name: str
    about: str = ""
    """One line for the list of recipes."""
    data: Annotated[Data, Choice("kind", DATA)]
    game: Annotated[GameSettings, Choice("kind", GAMES)]
    training: Training = Training()
    engine: Engine = Engine()
    records: Records = Records()
    scoring: Scoring = Scoring()
    health: Health = Health()
    guard: Guard = Guard()

    def but(self, *overrides: str, **sections: Any) -> "Recipe":
        """This recipe with some fields changed: `recipe.but("training.samples=200k", data={"size": 32})`."""
        return build(self.plain(), *layers(overrides), sections)

    def plain(self) -> dict[str, Any]:
        """The recipe as plain data, every field filled in."""
        return self.model_dump(mode="json")

    def yaml(self) -> str:
        """The recipe as YAML text, every field filled in."""
        return write_yaml(self.plain())

    def differences(self, other: "Recipe") -> list[str]:
        """Dotted keys whose values differ between the two."""
        mine, theirs = flatten(self.plain()), flatten(other.plain())
        return sorted(key for key in mine.keys() | theirs.keys() if mine.get(key) != theirs.get(key))


def load_recipe(source: "str | Path | Recipe", overrides: Iterable[str] = (), data: str | None = None) -> Recipe:
    """The recipe called `source` (a shipped name, a YAML file), with `overrides` like "training.samples=200k".

    Args:
        data: replaces the recipe's data source; a path is made absolute, so that a run finds its data again.

    Raises:
        CardiganError: in one line, the key, what is wrong with it and what is allowed.
    """
    base = [source.plain()] if isinstance(source, Recipe) else _contents(source)
    chosen = [{"data": {"source": data}}] if data is not None else []
    recipe = build(*base, *chosen, *layers(overrides))
    return recipe.but(data=recipe.data.anchored())


def _contents(source: str | Path) -> list[dict[str, Any]]:
    if str(source) == AUTO:
        raise CardiganError(
            f"{AUTO} is chosen by looking at pictures: cardigan train {AUTO} --data SOURCE (cardigan inspect SOURCE "
            "shows what it would choose)"
        )
    if str(source) in shipped():
        return [{"name": str(source)}, *parents(shipped()[str(source)]), {"name": str(source)}]
    path = Path(source).expanduser()
    if path.suffix in (".yaml", ".yml"):
        contents = parents(path.resolve())
        return [*contents, {"name": path.stem} | {key: contents[-1][key] for key in ("name",) if key in contents[-1]}]
    if path.exists():
        raise CardiganError(f"{source} is data, not a recipe; try: cardigan train auto --data {source}")
    raise CardiganError(f"unknown recipe {str(source)!r}; {allowed(str(source), [*shipped(), AUTO])} (or a YAML file)")


def build(*contents: Mapping[str, Any]) -> Recipe:
    """The recipe that plain `contents` describe, later layers over earlier ones.

    Raises:
        CardiganError: in one line, the key, what is wrong with it and what is allowed.
    """
    raw: dict[str, Any] = {}
    for content in contents:
        raw = merge(raw, _one_budget(content))
    try:
        return Recipe.model_validate(raw)
    except ValidationError as error:
        raise explain(error, Recipe, raw) from None
    except RecursionError:
        raise CardiganError("the recipe is nested too deeply") from None


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the values of `over`; a mapping whose tag changes starts afresh."""
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        if isinstance(value, str) and isinstance(old, Mapping):
            tag = next((tag for tag in TAGS if tag in old), None)
            value = {tag: value} if tag else value
        if isinstance(value, Mapping) and isinstance(old, Mapping) and _same_type(old, value):
            value = merge(old, value)
        merged[key] = value
    return merged


def _same_type(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    return all(tag not in new or new[tag] == old.get(tag) for tag in TAGS)


def _one_budget(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """A layer that sets one budget clears the other: `training.minutes=5` means five minutes."""
    training = content.get("training")
    if not isinstance(training, Mapping) or not any(training.get(key) is not None for key in BUDGETS):
        return content
    return {**content, "training": {**dict.fromkeys(BUDGETS), **training}}


def layers(overrides: Iterable[str]) -> list[dict[str, Any]]:
    """Overrides such as "training.samples=200k" as layers of plain data, one as a rule.

    A field of something that another override has chosen by its name (game.generator=rrdb game.generator.width=8) comes
    in a layer after it.

    Raises:
        CardiganError: an override without a key or an equals sign, or whose value is not YAML.
    """
    layer: dict[str, Any] = {}
    later: dict[str, Any] = {}
    for override in overrides:
        key, equals, text = override.partition("=")
        parts = key.strip().split(".")
        if not equals or not all(parts):
            raise CardiganError(f"{override!r} is no override; write KEY=VALUE, such as training.samples=200k")
        value = _value(text, key)
        behind = _is_behind_a_name(layer, parts)
        for part in reversed(parts):
            value = {part: value}
        if behind:
            later = merge(later, value)
        else:
            layer = merge(layer, value)
    return [each for each in (layer, later) if each]


def _value(text: str, key: str) -> Any:
    """What an override says behind its equals sign."""
    if text.lstrip().startswith("#"):  # a colour, not a comment
        return text.strip()
    try:
        return parse_yaml(text, key)
    except CardiganError:
        opened, closed = (sum(map(text.count, each)) for each in ("[{", "]}"))
        if opened <= closed or text.lstrip()[:1] not in ("[", "{"):
            raise
    raise CardiganError(f"{key}: {text!r} is cut off; where there are spaces, quote it for the shell: '{key}=...'")


def _is_behind_a_name(layer: Mapping[str, Any], parts: list[str]) -> bool:
    """Whether what holds the key `parts` stands in `layer` as a bare name."""
    inner: Any = layer
    for part in parts[:-1]:
        inner = inner.get(part) if isinstance(inner, Mapping) else inner
    return isinstance(inner, str)


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Dotted key -> value of every leaf."""
    leaves: dict[str, Any] = {}
    for key, value in tree.items():
        leaves |= flatten(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return leaves
