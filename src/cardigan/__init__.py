"""Cardigan trains, judges and ships generative adversarial networks.

    import cardigan

    run = cardigan.train("digits", ["training.samples=200k"])
    model = cardigan.load(run)
    pictures = model.decode(model.generate(16, seed=1))

    translator = cardigan.load_translator("sketch-to-colour-0001")
    coloured = translator.translate_picture(PIL.Image.open("sketch.png"))

    verses = cardigan.load_writer("poems-0001").generate(20, prompt="春")

Names are imported when they are first used, so that `import cardigan` is immediate.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cardigan.errors import CardiganError
    from cardigan.generate import Model, load
    from cardigan.recipe import Recipe, load_recipe
    from cardigan.run import Run, all_runs, open_run
    from cardigan.settings import trusting
    from cardigan.training.session import Interrupted, resume, train
    from cardigan.translate import Translation, load_translator
    from cardigan.writing import Writing, load_writer

__version__ = "0.1.0"

_HOMES = {
    "CardiganError": "cardigan.errors",
    "Interrupted": "cardigan.training.session",
    "Model": "cardigan.generate",
    "Recipe": "cardigan.recipe",
    "Run": "cardigan.run",
    "Translation": "cardigan.translate",
    "Writing": "cardigan.writing",
    "all_runs": "cardigan.run",
    "load": "cardigan.generate",
    "load_recipe": "cardigan.recipe",
    "load_translator": "cardigan.translate",
    "load_writer": "cardigan.writing",
    "open_run": "cardigan.run",
    "resume": "cardigan.training.session",
    "train": "cardigan.training.session",
    "trusting": "cardigan.settings",
}

__all__ = [  # noqa: RUF022 - in the order of use
    "train",
    "resume",
    "load",
    "Model",
    "load_translator",
    "Translation",
    "load_writer",
    "Writing",
    "Recipe",
    "load_recipe",
    "Run",
    "open_run",
    "all_runs",
    "trusting",
    "CardiganError",
    "Interrupted",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'cardigan' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
