"""The power spectrum of pictures: upsampling leaves traces at high frequencies that an extractor may not see."""

import torch
from torch import Tensor

from cardigan.errors import CardiganError
from cardigan.metrics.features import checked

CHUNK = 500
"""Pictures transformed at once."""
ROUNDING = (2 / 255) ** 2 / 12
"""Power of what rounding to 8 bits does to pictures in [-1, 1]: added to all powers, since less cannot be seen."""


def power_spectrum(pictures: Tensor) -> tuple[Tensor, Tensor]:
    """How strongly pictures vary at each frequency, whatever its direction.

    |FFT|^2 / (H W), averaged over rings of equal frequency (azimuthally), over channels and over pictures: Durall et
    al. 2020, "Watch your up-convolution: CNN based generative deep neural networks are failing to reproduce spectral
    distributions". White noise of variance v has power v at all frequencies.

    Args:
        pictures: (N, C, H, W) in [-1, 1], any number of channels.

    Returns:
        Frequencies (K,) in cycles a pixel, 0 to 0.5 in steps of one cycle over the shorter side, and the power (K,) in
        decibels, float64. The corners beyond 0.5, where only diagonals reach, are left out.

    Raises:
        CardiganError: no pictures, numbers that are not finite, or a side of less than 4 pixels.
    """
    if pictures.dim() != 4:
        raise CardiganError(f"pictures: a shape of {tuple(pictures.shape)}; allowed: (N, C, H, W)")
    checked(pictures, "pictures")
    height, width = pictures.shape[2:]
    if min(height, width) < 4:
        raise CardiganError(f"pictures of {height}x{width}; a power spectrum needs sides of at least 4 pixels")
    power = torch.zeros(height, width // 2 + 1, dtype=torch.float64, device=pictures.device)
    for chunk in pictures.detach().split(CHUNK):
        power += torch.fft.rfft2(chunk.float(), norm="ortho").abs().square().double().sum((0, 1))
    power = power.cpu() / (len(pictures) * pictures.shape[1])
    return _rings(power, height, width)


def spectrum_distance(generated: Tensor, reference: Tensor) -> float:
    """Root mean square difference of two power spectra in decibels, over all frequencies but 0.

    Args:
        generated: (N, C, H, W) in [-1, 1].
        reference: (M, C, H, W).

    Raises:
        CardiganError: pictures of different sizes or channels, or unfit for `power_spectrum`.
    """
    if generated.shape[1:] != reference.shape[1:]:
        raise CardiganError(
            f"generated pictures of {tuple(generated.shape[1:])}, reference pictures of {tuple(reference.shape[1:])}; "
            "allowed: the same channels, height and width"
        )
    (_, mine), (_, theirs) = power_spectrum(generated), power_spectrum(reference)
    return float((mine - theirs)[1:].square().mean().sqrt())


def _rings(power: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Averages of (H, W // 2 + 1) power over rings of frequency, in decibels."""
    down, across = torch.fft.fftfreq(height).double(), torch.fft.rfftfreq(width).double()
    side = min(height, width)
    ring = ((down[:, None].square() + across.square()).sqrt() * side).round().long()
    # The real transform leaves out one half of the plane: columns that have a mirror image count twice.
    weight = torch.full((height, width // 2 + 1), 2.0, dtype=torch.float64)
    weight[:, 0] = 1.0
    if width % 2 == 0:
        weight[:, -1] = 1.0
    rings = side // 2 + 1
    inside = ring < rings
    total, count = (
        torch.bincount(ring[inside], weights=each[inside], minlength=rings) for each in (power * weight, weight)
    )
    return torch.arange(rings, dtype=torch.float64) / side, 10 * (total / count + ROUNDING).log10()
