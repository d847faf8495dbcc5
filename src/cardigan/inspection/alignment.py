"""Are two pictures one, but for brightness, contrast and a slight crop? Least squares on small versions of them.

b is explained as gain * a(moved) + offset, where a is moved and stretched along each axis by a few per cent. The six
unknowns come from linearised registration (Lucas and Kanade 1981), repeated; what is left unexplained is compared with
the contrast of the picture. A true copy leaves noise and blurred edges, spread thinly; another picture of the same kind
(a face with another mouth) leaves a spot, so the largest local difference counts as well as the mean one.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cardigan.inspection.thumbs import LUMA

Floats = NDArray[np.float32]
_STEPS = 3
_FLATTEST = 6.0
"""Levels of contrast below which a picture counts as having this much: noise is no content."""
_STIFFNESS = 1e-3
"""Of the least squares, against unknowns that a flat picture does not determine."""


@dataclass(frozen=True)
class Fit:
    """How well each of n pairs agrees.

    Attributes:
        mean: (n,) root mean square of what is left unexplained, in units of the contrast (standard deviation of luma).
        peak: (n,) the largest of it, over 3x3 cells and colours.
        gain: (n,) factor of contrast from the first to the second.
        offset: (n,) levels of brightness between them.
        move: (n,) the largest displacement of a point, as a share of the side.
    """

    mean: Floats
    peak: Floats
    gain: Floats
    offset: Floats
    move: Floats


def fit(first: Floats, second: Floats) -> Fit:
    """Align each of (n, s, s, 3) pictures `first` with its partner in `second`; values 0 to 255."""
    one, two = first @ LUMA, second @ LUMA
    level_one, level_two = one.mean((1, 2)), two.mean((1, 2))
    contrast = np.maximum(np.maximum(one.std((1, 2)), two.std((1, 2))), _FLATTEST)[:, None, None]
    goal = (two - level_two[:, None, None]) / contrast
    motion: Floats = np.zeros((len(one), 4), np.float32)
    gain: Floats = np.ones(len(one), np.float32)
    shift: Floats = np.zeros(len(one), np.float32)
    for _ in range(_STEPS):
        moved = (_moved(one[..., None], motion)[..., 0] - level_one[:, None, None]) / contrast
        solved = _solve(moved, goal)
        motion, gain, shift = motion + solved[:, :4], 1 + solved[:, 4], solved[:, 5]
        motion = np.clip(motion, -0.2, 0.2)
    moved = (_moved(first, motion) - level_one[:, None, None, None]) / contrast[..., None]
    aim = (second - level_two[:, None, None, None]) / contrast[..., None]
    left = aim - gain[:, None, None, None] * moved - shift[:, None, None, None]
    reach = np.abs(motion[:, :2]) + np.abs(motion[:, 2:]) / 2
    offset = level_two - level_one
    return Fit(np.sqrt((left**2).mean((1, 2, 3))), _peak(left), gain, offset, reach.max(1))


def _solve(moved: Floats, goal: Floats) -> Floats:
    """One step: (n, 6) changes of the shift and stretch along x and y, the gain and the offset."""
    side = moved.shape[1]
    down, across = np.gradient((moved + goal) / 2, 1 / side, axis=(1, 2))
    place = ((np.arange(side) + 0.5) / side - 0.5).astype(np.float32)
    columns = [across, down, place * across, place[:, None] * down, moved, np.ones_like(moved)]
    design = np.stack(columns, -1).reshape(len(moved), side * side, 6)
    normal = design.transpose(0, 2, 1) @ design + _STIFFNESS * side**2 * np.eye(6, dtype=np.float32)
    wanted = design.transpose(0, 2, 1) @ (goal - moved).reshape(len(moved), -1, 1)
    return np.linalg.solve(normal, wanted)[..., 0]


def _moved(pictures: Floats, motion: Floats) -> Floats:
    """(n, s, s, C) sampled at x + shift + stretch * x, linearly between pixels; x from -1/2 to 1/2."""
    rows = _sampling(pictures.shape[1], motion[:, 1], motion[:, 3])
    columns = _sampling(pictures.shape[2], motion[:, 0], motion[:, 2])
    count, side = len(pictures), pictures.shape[1]
    down = (rows @ pictures.reshape(count, side, -1)).reshape(pictures.shape)
    return np.matmul(columns[:, None], down)


def _sampling(side: int, shift: Floats, stretch: Floats) -> Floats:
    """(n, s, s) matrices of linear interpolation; what lies outside repeats the edge."""
    place = (np.arange(side) + 0.5) / side - 0.5
    wanted = (place * (1 + stretch[:, None]) + shift[:, None] + 0.5) * side - 0.5
    wanted = np.clip(wanted, 0, side - 1)
    return np.maximum(0, 1 - np.abs(wanted[..., None] - np.arange(side))).astype(np.float32)


def _peak(left: Floats) -> Floats:
    """(n, s, s, C) -> (n,) the largest mean over 3x3 cells, of either sign."""
    across = left[:, :-2] + left[:, 1:-1] + left[:, 2:]
    cells = (across[:, :, :-2] + across[:, :, 1:-1] + across[:, :, 2:]) / 9
    return np.abs(cells).max((1, 2, 3))
