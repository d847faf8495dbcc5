"""Union-find over numbered things: which of them hang together, however large the clusters."""

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]


class Groups:
    """The numbers 0 to `count` - 1, each in a group of its own until joined."""

    def __init__(self, count: int) -> None:
        self._parents = list(range(count))

    def root(self, member: int) -> int:
        """The number that stands for the group of `member`."""
        parents = self._parents
        while parents[member] != member:
            parents[member] = parents[parents[member]]
            member = parents[member]
        return member

    def join(self, one: int, other: int) -> None:
        """Make one group of two; its smallest number stands for it."""
        one, other = self.root(one), self.root(other)
        self._parents[max(one, other)] = min(one, other)

    def roots(self) -> Integers:
        """(count,) the number that stands for the group of each."""
        return np.asarray([self.root(member) for member in range(len(self._parents))], np.int64)


def grouped(keys: NDArray[np.generic]) -> list[Integers]:
    """The positions of equal `keys` (N,), for every key that stands there twice or more; ordered by first position."""
    if not len(keys):
        return []
    order = np.argsort(keys, kind="stable")
    changes = np.flatnonzero(keys[order][1:] != keys[order][:-1]) + 1
    pieces = np.split(order, changes)
    return sorted((piece for piece in pieces if len(piece) > 1), key=lambda piece: int(piece[0]))
