"""Power spectra: white noise is flat, a wave is a peak, upsampling shows; pictures of any shape."""

import math

import pytest
import torch
from torch import Tensor

from cardigan.errors import CardiganError
from cardigan.metrics.spectrum import ROUNDING, power_spectrum, spectrum_distance


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    "shape", [(400, 1, 32, 32), (400, 3, 33, 33), (400, 4, 20, 45), (400, 2, 31, 64), (600, 1, 8, 9)]
)
def test_white_noise_is_flat_at_its_variance(shape: tuple[int, ...]) -> None:
    frequencies, power = power_spectrum(0.5 * noise(*shape))
    assert len(frequencies) == min(shape[2:]) // 2 + 1
    assert frequencies[0] == 0 and 0.4 < frequencies[-1] <= 0.5
    assert (power[1:] - 10 * math.log10(0.25)).abs().max() < 0.6


@pytest.mark.parametrize(("height", "width"), [(32, 32), (33, 33), (32, 64), (48, 32)])
@pytest.mark.parametrize("cycles", [1, 5, 11])
def test_a_wave_is_a_peak_at_its_frequency(height: int, width: int, cycles: int) -> None:
    side = min(height, width)
    turn = 2 * math.pi * cycles / side
    along = torch.arange(width) if side == width else torch.arange(height)[:, None]
    frequencies, power = power_spectrum((turn * along).cos().expand(2, 3, height, width))
    assert float(frequencies[power.argmax()]) == pytest.approx(cycles / side)
    assert float(power.max() - power.sort().values[-2]) > 20


def test_all_power_is_counted_once() -> None:
    pictures = noise(3, 2, 15, 12).double()
    total = pictures.square().sum((2, 3)).mean()
    full = torch.fft.fft2(pictures, norm="ortho").abs().square().mean((0, 1))
    assert full.sum() == pytest.approx(float(total))
    frequency = (torch.fft.fftfreq(15)[:, None].square() + torch.fft.fftfreq(12).square()).sqrt()
    ring = (frequency * 12).round() == 3
    expected = 10 * (full[ring].mean() + ROUNDING).log10()
    assert float(power_spectrum(pictures)[1][3]) == pytest.approx(float(expected), abs=1e-4)


def test_the_distance_is_in_decibels() -> None:
    pictures = noise(50, 3, 32, 32)
    assert spectrum_distance(pictures, pictures) == 0
    assert spectrum_distance(10 * pictures, pictures) == pytest.approx(20, abs=0.01)
    assert spectrum_distance(noise(50, 3, 32, 32, seed=1), pictures) < 0.5


def test_doubled_pictures_lack_high_frequencies() -> None:
    small = noise(100, 1, 16, 16)
    doubled = torch.nn.functional.interpolate(small, scale_factor=2, mode="bilinear")
    assert spectrum_distance(doubled, noise(100, 1, 32, 32, seed=1)) > 5


def test_flat_pictures_have_the_power_of_rounding() -> None:
    power = power_spectrum(torch.full((2, 1, 8, 8), 0.5))[1]
    assert power[1:].tolist() == pytest.approx([10 * math.log10(ROUNDING)] * 4)


@pytest.mark.parametrize(
    ("pictures", "message"),
    [
        (torch.zeros(0, 3, 8, 8), "pictures: 0 samples"),
        (torch.zeros(3, 8, 8), "a shape of"),
        (torch.zeros(2, 3, 3, 8), "pictures of 3x8"),
        (torch.full((2, 3, 8, 8), torch.nan), "2 of 2 samples hold NaN"),
    ],
)
def test_unfit_pictures_are_refused(pictures: Tensor, message: str) -> None:
    with pytest.raises(CardiganError, match=message):
        power_spectrum(pictures)


def test_pictures_of_different_sizes_are_refused() -> None:
    with pytest.raises(CardiganError, match="allowed: the same channels, height and width"):
        spectrum_distance(torch.zeros(2, 3, 8, 8), torch.zeros(2, 1, 8, 8))
