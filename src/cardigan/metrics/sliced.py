"""The sliced Wasserstein distance, of samples themselves: no network decides what is seen.

Pictures are compared patch by patch at every level of a Laplacian pyramid, from the finest details to 16 pixels: Karras
et al. 2018, "Progressive growing of GANs", section 5. Vectors are compared as they are.
"""

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from cardigan.errors import CardiganError
from cardigan.metrics.features import both, same_dimension

PATCH = 7
"""Side of a patch in pixels."""
SMALLEST = 16
"""Shorter side of the coarsest level in pixels, at least; smaller pictures have one level."""
PATCHES = 128
"""Patches of one picture, at most."""
DESCRIPTORS = 2**16
"""Patches of one set, unless it has more pictures than that: one of each is the least."""
PROJECTIONS = 128
_BLOCK = 16
_BLUR = (1.0, 4.0, 6.0, 4.0, 1.0)

Sorted = NDArray[np.float32]


def sliced_wasserstein(generated: Tensor, reference: Tensor, projections: int = PROJECTIONS, seed: int = 0) -> float:
    """Wasserstein-1 distance along random directions, averaged; of pictures also over the levels of a pyramid.

    Args:
        generated: (N, C, H, W) pictures, or (N, ...) anything else.
        reference: (M, ...), samples of the same shape; N and M may differ.
        projections: random directions.
        seed: of directions and patches.

    Raises:
        CardiganError: no samples, different shapes, numbers that are not finite, or pictures smaller than a patch.
    """
    if generated.dim() == 4:
        levels = sliced_by_level(generated, reference, projections, seed)
        return sum(levels.values()) / len(levels)
    generated, reference = both(generated, reference)
    return _sliced(generated, reference, projections, torch.Generator().manual_seed(seed))


def sliced_by_level(
    generated: Tensor, reference: Tensor, projections: int = PROJECTIONS, seed: int = 0
) -> dict[int, float]:
    """The same of pictures, level by level: shorter side in pixels -> distance, the finest first.

    Each set's patches are normalised per channel to mean 0 and deviation 1, as in the paper: a difference in brightness
    or contrast alone is not seen here. (The paper's numbers are these times 1000.)
    """
    _check_pictures(generated, reference)
    random = torch.Generator().manual_seed(seed)
    pyramids = zip(pyramid(generated.float()), pyramid(reference.float()), strict=True)
    return {
        min(mine.shape[2:]): _sliced(_descriptors(mine, random), _descriptors(theirs, random), projections, random)
        for mine, theirs in pyramids
    }


def pyramid(pictures: Tensor) -> list[Tensor]:
    """The Laplacian pyramid of (N, C, H, W): what each halving loses, finest first, and the coarsest picture itself.

    Burt & Adelson 1983, "The Laplacian pyramid as a compact image code".
    """
    levels = []
    while (min(pictures.shape[2:]) + 1) // 2 >= SMALLEST:
        coarse = _halved(pictures)
        levels.append(pictures - _doubled(coarse, pictures.shape[2:]))
        pictures = coarse
    return [*levels, pictures]


def wasserstein(one: Sorted, other: Sorted) -> NDArray[np.float64]:
    """Wasserstein-1 distances (P,) of P pairs of samples on a line: (P, N) and (P, M), each sorted along its row."""
    n, m = one.shape[1], other.shape[1]
    if n == m:
        return np.abs(one - other).mean(1, dtype=np.float64)
    # The integral of |F^-1 - G^-1|: both inverses are constant between neighbouring steps of either, in units of 1/nm.
    steps = np.union1d(np.arange(n + 1, dtype=np.int64) * m, np.arange(m + 1, dtype=np.int64) * n)
    start, width = steps[:-1], np.diff(steps) / (n * m)
    return np.abs(one[:, start // m] - other[:, start // n]) @ width


def _sliced(one: Tensor, other: Tensor, projections: int, random: torch.Generator) -> float:
    directions = torch.randn(projections, one.shape[1], generator=random)
    directions = F.normalize(directions, dim=1)
    found = [wasserstein(_projected(one, some), _projected(other, some)) for some in directions.split(_BLOCK)]
    return float(np.concatenate(found).mean())


def _projected(values: Tensor, directions: Tensor) -> Sorted:
    lines = (directions @ values.cpu().float().T).numpy()
    lines.sort(axis=1)  # numpy's: five times faster than torch's
    return lines


def _descriptors(level: Tensor, random: torch.Generator) -> Tensor:
    """Random patches (N * patches, C * 49) of (N, C, H, W), normalised per channel over the set."""
    count, channels, height, width = level.shape
    each = max(1, min(PATCHES, DESCRIPTORS // count))
    rows = torch.randint(height - PATCH + 1, (count, each, 1, 1), generator=random) + torch.arange(PATCH)[:, None]
    columns = torch.randint(width - PATCH + 1, (count, each, 1, 1), generator=random) + torch.arange(PATCH)
    places = (rows * width + columns).to(level.device).reshape(count, 1, -1).expand(-1, channels, -1)
    patches = level.flatten(2).gather(2, places).reshape(count, channels, each, PATCH * PATCH)
    deviation, mean = torch.std_mean(patches.double(), dim=(0, 2, 3), keepdim=True, correction=0)
    patches = (patches - mean.float()) / deviation.float().clamp_min(1e-8)
    return patches.transpose(1, 2).reshape(count * each, channels * PATCH * PATCH)


def _halved(pictures: Tensor) -> Tensor:
    return _blurred(F.pad(pictures, (2, 2, 2, 2), mode="reflect"), stride=2)


def _doubled(pictures: Tensor, size: torch.Size) -> Tensor:
    """At twice the size (H, W), odd or even: zeros between the pixels, then a blur."""
    count, channels = pictures.shape[:2]
    spread = torch.zeros(count, channels, *size).to(pictures)
    spread[:, :, ::2, ::2] = pictures
    return _blurred(F.pad(spread, (2, 2, 2, 2), mode="reflect")) * 4


def _blurred(pictures: Tensor, stride: int = 1) -> Tensor:
    blur = torch.tensor(_BLUR).to(pictures) / sum(_BLUR)
    channels = pictures.shape[1]
    across, down = (blur.view(shape).expand(channels, 1, -1, -1) for shape in ((1, 1, 1, -1), (1, 1, -1, 1)))
    pictures = F.conv2d(pictures, across, stride=(1, stride), groups=channels)
    return F.conv2d(pictures, down, stride=(stride, 1), groups=channels)


def _check_pictures(generated: Tensor, reference: Tensor) -> None:
    if generated.shape[1:] != reference.shape[1:]:
        raise CardiganError(
            f"generated pictures of {tuple(generated.shape[1:])}, reference pictures of {tuple(reference.shape[1:])}; "
            "allowed: the same channels, height and width"
        )
    same_dimension(*both(generated, reference))
    if min(generated.shape[2:]) < PATCH:
        raise CardiganError(
            f"pictures of {generated.shape[2]}x{generated.shape[3]}; the sliced Wasserstein distance looks at patches "
            f"of {PATCH}x{PATCH}"
        )
