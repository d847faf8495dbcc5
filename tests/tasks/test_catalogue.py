"""Staged failures are called by their names in time, and healthy runs are left alone: benchmarks/catalogue.py, once."""

import argparse
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

SEED = 31
"""One of those that docs/stability.md reports."""
MISSED_AT_TIMES = ("learning rate x30", "no normalisation")
"""Kinds that are named late or not at all with some seeds: docs/stability.md."""


def load() -> ModuleType:
    """The benchmark as a module, without being installed."""
    path = Path(__file__).parents[2] / "benchmarks" / "catalogue.py"
    spec = importlib.util.spec_from_file_location("catalogue", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["catalogue"] = module
    spec.loader.exec_module(module)
    return module


catalogue = load()


def stages() -> list[object]:
    missed = pytest.mark.xfail(reason="not named in time with every seed", strict=False)
    return [pytest.param(name, marks=missed if name in MISSED_AT_TIMES else ()) for name in catalogue.FAILURES]


@pytest.mark.slow
@pytest.mark.parametrize("name", stages())
def test_a_failure_is_named_before_half_of_its_budget(name: str, tmp_path: Path) -> None:
    row = catalogue.staged(name, SEED, argparse.Namespace(folder=tmp_path))
    assert row["named"], f"said: {row['said']}"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["toy-ring", "digits", "mnist-relativistic"])
def test_a_healthy_run_is_left_alone(name: str, tmp_path: Path) -> None:
    row = catalogue.healthy(name, SEED, argparse.Namespace(folder=tmp_path, guard=False))
    assert row["alarms"] == {}
