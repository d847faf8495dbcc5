"""What the engine chose is remembered, per machine, network and batch: the probe is made once."""

import json
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from cardigan.data import store
from cardigan.data.workers import usable_cores
from cardigan.errors import CardiganError
from cardigan.files import read_json, write_text
from cardigan.recipe import Recipe
from cardigan.sample import Form
from cardigan.training.engine import EngineChoice, environment

VERSION = 2
"""Of the probe: another one may choose otherwise."""
_FILE = "choice.json"


def remembered(recipe: Recipe, form: Form, probe: Callable[[], EngineChoice]) -> EngineChoice:
    """What `probe` chose for such a recipe on this machine before, or chooses now.

    A cache that cannot be written, or an entry that cannot be read, costs a probe and nothing else.
    """
    key = store.hashed("engine", VERSION, _machine(), form, _asked(recipe))
    chosen = list[EngineChoice]()

    def make(place: Path) -> None:
        chosen.append(probe())
        write_text(place / _FILE, json.dumps(chosen[0].plain()))

    try:
        folder = store.keep("engines", key, make, {"source": f"what the engine chose for {recipe.name}"})
    except store.StoreError:
        return chosen[0] if chosen else probe()
    if chosen:
        return chosen[0]
    try:
        return TypeAdapter(EngineChoice).validate_python(read_json(folder / _FILE))
    except (OSError, ValueError, CardiganError):
        return probe()


def _machine() -> dict[str, Any]:
    """What the answer depends on beside the recipe."""
    return environment() | {"processor": _processor(), "cores": usable_cores()}


def _processor() -> str:
    """Its model, where the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def _asked(recipe: Recipe) -> dict[str, Any]:
    """What is trained, and what of the engine is asked for."""
    plain = recipe.plain()
    training = {key: plain["training"][key] for key in ("batch", "accumulate", "optimizer", "turns", "extragradient")}
    return {"game": plain["game"], "engine": plain["engine"], "training": training}
