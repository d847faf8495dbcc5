"""Classical ways to fill holes, without training: by the mean, by what surrounds them, by the smoothest surface."""

from collections.abc import Callable
from functools import partial
from itertools import product
from math import sqrt
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cardigan.data.degradations.base import Restorer

Picture = NDArray[np.float64]
"""(C, H, W) in [-1, 1]."""
Hole = NDArray[np.bool_]
"""(H, W), True where the picture is unknown."""


def fillers() -> dict[str, Restorer]:
    """Ways to fill the holes of pictures whose last channel is above 0 there; what is known stays to the bit."""
    ways = {"mean fill": mean_fill, "telea": telea, "biharmonic": biharmonic}
    return {name: partial(_each, fill=fill) for name, fill in ways.items()}


def _each(pictures: Tensor, fill: Callable[[Picture, Hole], Picture]) -> Tensor:
    known, holes = pictures[:, :-1], pictures[:, -1] > 0
    filled = known.clone()
    for picture, hole, result in zip(known, holes, filled, strict=True):
        if hole.any() and not hole.all():  # of a picture that is all hole nothing is known: it stays mid-grey
            values = fill(picture.detach().cpu().numpy().astype(np.float64), hole.cpu().numpy())
            result[:, hole] = torch.from_numpy(values).to(result).clamp(-1, 1)
    return filled


def mean_fill(picture: Picture, hole: Hole) -> Picture:
    """The mean of the known pixels, channel by channel: (C, number of unknown pixels)."""
    means: Picture = picture[:, ~hole].mean(1, keepdims=True)
    return means.repeat(int(hole.sum()), 1)


def biharmonic(picture: Picture, hole: Hole) -> Picture:
    """The surface that bends least and meets the known pixels: (C, number of unknown pixels).

    Damelin & Hoang 2018, "On surface completion and image inpainting by biharmonic functions": the discrete Laplacian
    of the Laplacian is 0 in the hole. As scikit-image has it, the picture is reflected beyond its borders, and values
    outside of the range of the known ones are cut off.
    """
    from scipy import sparse
    from scipy.sparse.linalg import splu

    height, width = hole.shape
    laplacian = sparse.kron(_bends(height), sparse.identity(width)) + sparse.kron(
        sparse.identity(height), _bends(width)
    )
    unknown, known = np.flatnonzero(hole), np.flatnonzero(~hole)
    rows = (laplacian @ laplacian).tocsr()[unknown].tocsc()
    solved: Picture = splu(rows[:, unknown]).solve(-(rows[:, known] @ picture[:, ~hole].T)).T
    return solved.clip(picture[:, ~hole].min(), picture[:, ~hole].max())


def _bends(side: int) -> Any:
    """(side, side) sparse: second differences along a line, reflected beyond its ends."""
    from scipy import sparse

    middle = np.full(side, -2.0)
    middle[0] += 1
    middle[-1] += 1
    return sparse.diags([np.ones(side - 1), middle, np.ones(side - 1)], [-1, 0, 1])


_STEEPEST = sqrt(2) / 127.5
"""Most by which gradients may move a pixel, as in the author's code: unbounded, what is continued soon runs wild."""


def telea(picture: Picture, hole: Hole, radius: int = 3) -> Picture:
    """Filled from the rim inwards, each pixel from those known by then: (C, number of unknown pixels).

    Telea 2004, "An image inpainting technique based on the fast marching method": a pixel is the mean, over the known
    pixels up to `radius` away, of their value continued by their gradient (equation 2); weights favour those near,
    those along the direction of filling, and those as far from the rim. Fast marching gives each pixel's
    distance from the rim approximately; here it is exact, and pixels equally far in are filled at once.
    """
    from scipy import ndimage

    depth = np.where(hole, ndimage.distance_transform_edt(hole), 1 - ndimage.distance_transform_edt(~hole))
    frame = radius + 1
    depths = np.pad(depth, frame, constant_values=np.inf)  # what lies beyond the picture is never known
    places = np.flatnonzero(np.pad(hole, frame))
    order = np.argsort(depth[hole], kind="stable")
    across = np.stack([np.gradient(depth, axis=axis) if hole.shape[axis] > 1 else 0 * depth for axis in (0, 1)])
    weights = _weights(depths, places[order], across[:, hole][:, order], radius)
    values = np.pad(picture, ((0, 0), (frame, frame), (frame, frame))).reshape(len(picture), -1).T.copy()
    window = _window(frame, depths.shape[1]).ravel()
    starts = np.flatnonzero(np.diff(depth[hole][order], prepend=0))
    for start, stop in zip(starts, [*starts[1:], len(order)], strict=True):
        wave = places[order[start:stop]]
        mean, slope = np.einsum("pik,pkc->ipc", weights[start:stop], values[wave[:, None] + window])
        values[wave] = (mean + slope.clip(-_STEEPEST, _STEEPEST)).clip(-1, 1)
    return values[places].T


def _window(frame: int, stride: int) -> NDArray[np.int64]:
    """(2 frame + 1, 2 frame + 1) from a place in a flattened picture to the places around it."""
    reach = np.arange(-frame, frame + 1)
    return reach[:, None] * stride + reach


def _weights(depths: Picture, places: NDArray[np.int64], across: Picture, radius: int) -> Picture:
    """How much each pixel of a window counts for the pixel in its middle: (n, 2, (2 radius + 3)^2).

    The first of the two gives the mean of known values, the second the mean of what their gradients add. Both are sums
    of values: which pixels are known when, and so every weight, is settled before any pixel is filled.

    Args:
        depths: distance from the rim, framed by infinity.
        places: (n,) indices into the flattened `depths`.
        across: (2, n) the gradient of the depth at `places`, down and right.
    """
    frame, now = radius + 1, depths.ravel()[places]
    around = depths.ravel()[places + _window(frame, depths.shape[1])[:, :, None]]
    known = around < now
    means, slopes, total = np.zeros(around.shape), np.zeros(around.shape), np.zeros(len(places))
    for down, right in product(range(-radius, radius + 1), repeat=2):
        squared = down * down + right * right
        if not 0 < squared <= radius * radius:
            continue
        row, column = down + frame, right + frame
        along = np.abs(down * across[0] + right * across[1]).clip(min=1e-6) / sqrt(squared)
        weight = known[row, column] * along / squared / (1 + np.abs(around[row, column] - now))
        total += weight
        means[row, column] = weight
        for step, (y, x) in ((-down, (1, 0)), (-right, (0, 1))):
            ahead, behind = known[row + y, column + x], known[row - y, column - x]
            scale = step * weight / np.maximum(1, ahead.astype(np.int64) + behind)  # per pixel that it spans
            slopes[row + y, column + x] += scale * ahead
            slopes[row - y, column - x] -= scale * behind
            slopes[row, column] += scale * behind - scale * ahead
    return (np.stack([means, slopes]) / total).reshape(2, -1, len(places)).transpose(2, 0, 1).copy()
