"""A round costs no more than it did: counts of what it asks of the machine, which are the same on every machine.

Seconds are measured in benchmarks; a change that makes every round slower mostly shows here first.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pytest
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

import cardigan
from cardigan.training.engine import EngineChoice, start_fabric
from cardigan.training.loop import Loop

SYNCHRONISING = {"aten._local_scalar_dense.default", "aten.nonzero.default", "aten.is_nonzero.default"}
"""Operators that on a GPU wait for all that was asked of it before."""
DIGITS = "data={kind: pictures, source: digits, size: %d, channels: %d, flip: false}"
BOUNDS = {
    "digits": ((), 1_170, 573),
    "mnist-dcgan": ((DIGITS % (28, 1),), 1_012, 445),
    "mnist-wgan-gp": ((DIGITS % (28, 1),), 5_018, 2_510),
    "cifar10-resnet": ((DIGITS % (32, 3),), 3_072, 1_411),
    "toy-ring": ((), 1_793, 932),
}
"""Overrides, operators of four rounds, and how many of them make new tensors: as measured, and a twentieth more."""


@dataclass
class Asked(TorchDispatchMode):
    """Counts operators, by name, and tensors that are made."""

    calls: Counter[str] = field(default_factory=Counter)
    made: int = 0

    def __post_init__(self) -> None:
        super().__init__()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Count one call."""
        result = func(*args, **(kwargs or {}))
        self.calls[str(func)] += 1
        given = {each.untyped_storage().data_ptr() for each in args if isinstance(each, Tensor)}
        self.made += isinstance(result, Tensor) and result.untyped_storage().data_ptr() not in given
        return result


def asked(recipe_name: str) -> Asked:
    """What four rounds ask for, once all has been set up: lazy penalties come due in one of them."""
    recipe = cardigan.load_recipe(recipe_name, ["engine.device=cpu", *BOUNDS[recipe_name][0]])
    dataset = recipe.data.load("train", 0)
    loop = Loop(recipe, dataset, EngineChoice(), start_fabric(recipe.engine))
    for _ in range(4):
        loop.round()
    with Asked() as counted:
        for _ in range(4):
            loop.round()
    return counted


@pytest.mark.parametrize("name", BOUNDS)
def test_a_round_asks_for_no_more_than_it_did(name: str) -> None:
    counted = asked(name)
    _, operators, tensors = BOUNDS[name]
    assert sum(counted.calls.values()) <= operators
    assert counted.made <= tensors


@pytest.mark.parametrize("name", BOUNDS)
def test_no_round_waits_for_the_device(name: str) -> None:
    waits = {name: count for name, count in asked(name).calls.items() if name in SYNCHRONISING}
    assert waits == {}
