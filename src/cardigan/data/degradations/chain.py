"""Degradations one after another, as a recipe lists them."""

from collections.abc import Sequence
from functools import partial
from math import prod
from typing import Annotated

import torch
from pydantic import AfterValidator
from torch import Tensor

from cardigan.data.degradations import DEGRADATIONS
from cardigan.data.degradations.base import Degradation, Restorer, Shape
from cardigan.data.degradations.eightbit import on_grid
from cardigan.data.degradations.mask import Mask
from cardigan.data.degradations.restoring import UNCHANGED
from cardigan.errors import CardiganError
from cardigan.settings import Choice


def _ordered(chain: tuple[Degradation, ...]) -> tuple[Degradation, ...]:
    if any(isinstance(step, Mask) for step in chain[:-1]):
        order = ", ".join(step.kind for step in chain)
        raise ValueError(f"mask must come last, or its channel is spoiled too, not {order}")
    return chain


Chain = Annotated[tuple[Annotated[Degradation, Choice("kind", DEGRADATIONS)], ...], AfterValidator(_ordered)]
"""A field of a recipe: degradations, the first applied first; a mask can only be the last."""


def spoil(chain: Sequence[Degradation], pictures: Tensor, randoms: Sequence[torch.Generator]) -> Tensor:
    """(N, C, H, W) in [-1, 1] -> (N, C', h, w) after every step, on the 8-bit grid; holes alone are 0 exactly.

    Args:
        randoms: one CPU generator for each picture; each step goes on with what the step before left of it.

    Raises:
        CardiganError: pictures that a step cannot spoil, or a mask that is not last.
    """
    _check(chain)
    pictures = on_grid(pictures)
    for step in chain:
        pictures = step.apply(pictures, randoms)
    return pictures


def spoiled_shape(chain: Sequence[Degradation], shape: Shape) -> Shape:
    """What (C, H, W) becomes.

    Raises:
        CardiganError: pictures that a step cannot spoil, or a mask that is not last.
    """
    _check(chain)
    for step in chain:
        shape = step.shape(shape)
    return shape


def factor(chain: Sequence[Degradation]) -> int:
    """Sides of the clean picture over those of the spoiled one: the product of the steps' fields `factor`."""
    return prod(getattr(step, "factor", 1) for step in chain)


def restorers(chain: Sequence[Degradation]) -> dict[str, Restorer]:
    """Ways back from the last step to the first; empty where one of the steps has none.

    The first way of every step together, then the same with one step's way exchanged for each of its others, so that
    tables stay short. Of a step that keeps the shape, the first way is to do nothing, and goes without a name.
    """
    ways = [list(step.restorers().items()) for step in reversed(chain)]
    if not all(ways):
        return {}
    plans = [[each[0] for each in ways]]
    for index, each in enumerate(ways):
        plans += [[*plans[0][:index], other, *plans[0][index + 1 :]] for other in each[1:]]
    return {_name(plan): partial(_one_after_another, steps=[step for _, step in plan]) for plan in plans}


def _name(plan: Sequence[tuple[str, Restorer]]) -> str:
    return " + ".join(name for name, _ in plan if name != UNCHANGED) or UNCHANGED


def _one_after_another(pictures: Tensor, steps: Sequence[Restorer]) -> Tensor:
    for step in steps:
        pictures = step(pictures)
    return pictures


def _check(chain: Sequence[Degradation]) -> None:
    try:
        _ordered(tuple(chain))
    except ValueError as error:
        raise CardiganError(error) from None
