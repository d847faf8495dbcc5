"""Colourfulness by hand and by NumPy on bytes."""

import math

import numpy as np
import pytest
import torch

from cardigan.errors import CardiganError
from cardigan.metrics.colourfulness import colourfulness


def test_equals_the_formula_on_bytes() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (4, 3, 9, 14))
    found = colourfulness(torch.from_numpy(pixels).float() / 127.5 - 1)
    for picture, value in zip(pixels.astype(float), found, strict=True):
        red, green, blue = picture
        rg, yb = red - green, 0.5 * (red + green) - blue
        expected = np.hypot(rg.std(), yb.std()) + 0.3 * np.hypot(rg.mean(), yb.mean())
        assert float(value) == pytest.approx(expected, rel=1e-9)


def test_one_colour_by_hand() -> None:
    red = torch.tensor([1.0, -1, -1]).view(1, 3, 1, 1).expand(1, 3, 5, 5)
    assert colourfulness(red).item() == pytest.approx(0.3 * math.hypot(255, 127.5))


def test_halves_by_hand() -> None:
    picture = -torch.ones(1, 3, 4, 4)
    picture[:, 0, :, :2], picture[:, 1, :, 2:] = 1, 1  # red beside green
    assert colourfulness(picture).item() == pytest.approx(255 + 0.3 * 127.5)


def test_grey_has_none_and_faded_less() -> None:
    grey = torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    assert colourfulness(grey).tolist() == colourfulness(grey.expand(-1, 3, -1, -1)).tolist() == [0, 0, 0]
    colour = torch.rand(3, 3, 8, 8, generator=torch.Generator().manual_seed(1)) * 2 - 1
    assert (colourfulness(0.5 * colour) < 0.55 * colourfulness(colour)).all()
    opaque = torch.cat([colour, torch.ones(3, 1, 8, 8)], 1)
    assert torch.equal(colourfulness(opaque), colourfulness(colour))


def test_unfit_pictures_are_refused() -> None:
    with pytest.raises(CardiganError, match="a shape of"):
        colourfulness(torch.zeros(3, 8, 8))
    with pytest.raises(CardiganError, match="hold NaN"):
        colourfulness(torch.full((1, 3, 8, 8), torch.nan))
