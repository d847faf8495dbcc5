"""What a degradation is: a clean picture spoiled on the fly, so that a network learns the way back."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from cardigan.settings import Settings

Shape = tuple[int, int, int]
"""(C, H, W)."""
Restorer = Callable[[Tensor], Tensor]
"""A classical way back, without training: spoiled (N, C', h, w) -> restored (N, C, H, W), both in [-1, 1]."""


class Degradation(Settings, ABC):
    """One step that spoils pictures; a function of the picture and of that picture's own random numbers alone."""

    kind: str

    @property
    def one_size(self) -> bool:
        """Whether it can be done to pictures of a single size alone."""
        return False

    def shape(self, shape: Shape) -> Shape:
        """What (C, H, W) becomes.

        Raises:
            CardiganError: pictures that it cannot spoil (a side that the factor does not divide).
        """
        return shape

    @abstractmethod
    def apply(self, pictures: Tensor, randoms: Sequence[torch.Generator]) -> Tensor:
        """(N, C, H, W) in [-1, 1], any sides that `shape` allows -> (N, C', h, w) in [-1, 1].

        Args:
            randoms: one CPU generator for each picture: what happens to it depends on nothing else.
        """

    def identity(self) -> str:
        """Changes with all that decides what becomes of a picture, wherever files lie."""
        return repr(self)

    def anchored(self) -> dict[str, Any]:
        """All of its fields, with files named in words that mean the same from any working folder."""
        return self.model_dump(mode="json")

    def restorers(self) -> Mapping[str, Restorer]:
        """Classical ways back, by the name that tables give them: the baselines a network must beat."""
        return {}


def check_read(step: Degradation, choice: str, readers: Mapping[str, Sequence[str]]) -> None:
    """Refuse values of fields that are not read; their defaults stand in every saved recipe and are let pass.

    Args:
        choice: the field that chooses what is read.
        readers: value of `choice` -> fields that are read with it, and not with every other.

    Raises:
        ValueError: which field, and what is allowed.
    """
    chosen = getattr(step, choice)
    others = {field for fields in readers.values() for field in fields} - {*readers.get(chosen, ())}
    for field in (each for each in type(step).model_fields if each in others):
        if getattr(step, field) != type(step).model_fields[field].default:
            fitting = " or ".join(value for value, fields in readers.items() if field in fields)
            raise ValueError(f"{choice}={chosen} does not read {field}; allowed: {choice}={fitting}")
