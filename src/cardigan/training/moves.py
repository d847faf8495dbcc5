"""In what order the players of a round move: one after another, or all at once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from cardigan.games.base import Turn

Order = Literal["alternating", "simultaneous"]


@dataclass(frozen=True)
class Move:
    """Turns whose gradients are taken at the same weights, before any of them steps.

    Attributes:
        turns: in the order in which they step.
        draws: whether they play with a new batch, not with that of the move before.
        shared: whether another turn, of this move or of a later one, plays with the batch that is drawn.
    """

    turns: tuple[Turn, ...]
    draws: bool
    shared: bool


def in_turn(due: Sequence[Turn]) -> list[Move]:
    """Every turn answers what the one before it did.

    A repeated turn draws a batch for each repeat; the turn after it plays with the last of them.
    """
    return [
        Move((turn,), draws=repeat > 0 or place == 0, shared=repeat == turn.repeats - 1 and place < len(due) - 1)
        for place, turn in enumerate(due)
        for repeat in range(turn.repeats)
    ]


def at_once(due: Sequence[Turn]) -> list[Move]:
    """No turn knows what the others do: all gradients are taken at the weights that the round finds.

    Repeated turns (n-critic) take all of their repeats but the last ahead, alone; the last they take with the others.
    A round draws as many batches as it does in turn.
    """
    ahead = [Move((turn,), draws=True, shared=False) for turn in due for _ in range(turn.repeats - 1)]
    return [*ahead, Move(tuple(due), draws=True, shared=len(due) > 1)] if due else []


ORDERS: Mapping[Order, Callable[[Sequence[Turn]], list[Move]]] = {"alternating": in_turn, "simultaneous": at_once}
"""Order -> the moves of a round in which some turns are due."""
