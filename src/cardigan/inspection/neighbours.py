"""Which pictures of a survey look most like each other, in near-linear time.

The distance of two pictures is the root mean square difference of their 16x16 luma, each brought to mean 0 and contrast
1, together with that of their 4x4 colours in units of 20 levels. 0 is the same picture, about 1.4 an unrelated one.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cardigan.data.workers import usable_cores
from cardigan.inspection.groups import Integers
from cardigan.inspection.measure import Rows

COUNT = 12
"""Neighbours that are looked at for each picture."""
REACH = 0.6
"""Distance beyond which a neighbour is none."""
_DIMENSIONS = 12
"""Principal components in which neighbours are looked for: distances there are never larger than in full."""
_FLATTEST = 6.0
_COLOUR = 20.0
_BLOCK = 4096
_FITTED = 20_000
"""Pictures from which the principal components are computed."""


@dataclass(frozen=True)
class Neighbours:
    """For each of n pictures its nearest, nearest first.

    Attributes:
        indices: (n, COUNT) which they are; the number of all pictures where there are fewer within reach.
        distances: (n, COUNT), REACH where there are fewer.
    """

    indices: Integers
    distances: NDArray[np.float32]


def neighbours(rows: Rows, asked: Integers) -> Neighbours:
    """The nearest among `rows` of each of those at the positions `asked`."""
    from scipy.spatial import cKDTree

    axes = _principal_axes(rows)
    points = np.concatenate([described(rows[at : at + _BLOCK]) @ axes for at in range(0, len(rows), _BLOCK)])
    tree, many = cKDTree(points), COUNT + 1  # the nearest of all is the picture itself
    indices, distances = np.empty((len(asked), COUNT), np.int64), np.empty((len(asked), COUNT), np.float32)
    for start in range(0, len(asked), _BLOCK):
        mine = asked[start : start + _BLOCK]
        _, found = tree.query(points[mine], many, distance_upper_bound=REACH, workers=usable_cores())
        block = slice(start, start + len(mine))
        indices[block], distances[block] = _in_full(rows, mine, np.asarray(found, np.int64).reshape(len(mine), many))
    return Neighbours(indices, distances)


def described(rows: Rows) -> NDArray[np.float32]:
    """(n, 288): Euclidean distances between these are the distances of this module."""
    luma = rows["luma"].reshape(len(rows), -1).astype(np.float32)
    luma -= luma.mean(1, keepdims=True)
    luma /= np.maximum(luma.std(1, keepdims=True), _FLATTEST) * np.float32(np.sqrt(luma.shape[1]))
    colours = rows["chroma"].reshape(len(rows), -1).astype(np.float32)
    return np.concatenate([luma, colours / np.float32(_COLOUR * np.sqrt(colours.shape[1]))], 1)


def _principal_axes(rows: Rows) -> NDArray[np.float32]:
    """(288, _DIMENSIONS), orthonormal."""
    sample = described(rows[:: max(1, len(rows) // _FITTED)])
    centred = sample - sample.mean(0)
    _, vectors = np.linalg.eigh(centred.T @ centred)
    return np.ascontiguousarray(vectors[:, ::-1][:, :_DIMENSIONS])


def _in_full(rows: Rows, mine: Integers, found: Integers) -> tuple[Integers, NDArray[np.float32]]:
    """Without the pictures themselves, by their distance in all dimensions; (m, COUNT) indices and distances."""
    absent = (found == len(rows)) | (found == mine[:, None])
    one, other = np.nonzero(~absent)
    exact = np.full(found.shape, np.inf, np.float32)
    for at in range(0, len(one), _BLOCK):
        left, right = one[at : at + _BLOCK], other[at : at + _BLOCK]
        difference = described(rows[mine[left]]) - described(rows[found[left, right]])
        exact[left, right] = np.sqrt((difference**2).sum(1))
    found = np.where(exact < REACH, found, len(rows))
    order = np.argsort(exact, axis=1, kind="stable")[:, :COUNT]
    return np.take_along_axis(found, order, 1), np.minimum(np.take_along_axis(exact, order, 1), REACH)
