"""Edges by hand: ramps, steps, loops; the same edges in other colours, and edges elsewhere."""

import math

import pytest
import torch
from torch import Tensor

from cardigan.errors import CardiganError
from cardigan.metrics.edges import STEEPEST, edge_energy, edge_similarity, edges
from cardigan.metrics.psnr import luma


def shapes(height: int = 40, width: int = 48, down: int = 0) -> Tensor:
    """Dark discs and a bar on a lighter ground."""
    rows, columns = torch.arange(height)[:, None] - down, torch.arange(width)
    picture = torch.full((1, 3, height, width), 0.5)
    for row, column, radius in ((12, 12, 7), (26, 33, 9)):
        picture[:, :, (rows - row) ** 2 + (columns - column) ** 2 < radius**2] = -0.4
    picture[:, :, 34 + down : 37 + down] = -0.8
    return picture


def test_a_ramp_has_the_energy_of_its_slope() -> None:
    levels = torch.arange(20.0) * 10
    across = (levels / 127.5 - 1).expand(1, 1, 12, 20)
    slope = 10 * 219 / 255
    assert edge_energy(across).item() == pytest.approx(slope, rel=1e-6)
    assert edge_energy(across.mT).item() == pytest.approx(slope, rel=1e-6)
    diagonal = (torch.arange(12.0)[:, None] + torch.arange(14.0)) * 10 / 127.5 - 1
    assert edge_energy(diagonal[None, None]).item() == pytest.approx(slope * math.sqrt(2), rel=1e-6)


def test_the_steepest_edge() -> None:
    picture = torch.ones(2, 3, 8, 10)
    picture[..., :5] = -1
    found = edges(picture)
    assert found.shape == (2, 1, 6, 8) and found.max().item() == pytest.approx(STEEPEST)
    assert edge_energy(picture).tolist() == pytest.approx([STEEPEST * 2 / 8] * 2)
    assert edge_energy(torch.zeros(1, 3, 3, 3)).item() == pytest.approx(0, abs=1e-9)


def test_sobel_by_loops() -> None:
    picture = torch.rand(1, 3, 5, 6, generator=torch.Generator().manual_seed(0)) * 2 - 1
    y, found = luma(picture)[0, 0], edges(picture)[0, 0]
    for i in range(1, 4):
        for j in range(1, 5):
            right = sum(w * (y[i + k, j + 1] - y[i + k, j - 1]) for k, w in ((-1, 1), (0, 2), (1, 1))) / 8
            below = sum(w * (y[i + 1, j + k] - y[i - 1, j + k]) for k, w in ((-1, 1), (0, 2), (1, 1))) / 8
            assert float(found[i - 1, j - 1]) == pytest.approx(math.hypot(right, below))


def test_blur_takes_energy_away() -> None:
    noise = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    blurred = torch.nn.functional.avg_pool2d(noise, 3, 1)
    assert (edge_energy(blurred) < 0.6 * edge_energy(noise)).all()


def test_content_kept_in_other_colours_is_told_from_content_moved() -> None:
    picture = shapes()
    inverted, tinted = -picture, picture * torch.tensor([0.9, 1.0, 1.1]).view(3, 1, 1) - 0.05
    moved, other = shapes(down=3), shapes().flip(3)
    assert edge_similarity(picture, picture).item() == pytest.approx(1)
    assert edge_similarity(picture, inverted).item() == pytest.approx(1, abs=1e-3)
    assert edge_similarity(picture, tinted).item() > 0.95
    assert edge_similarity(picture, moved).item() < 0.6
    assert edge_similarity(picture, other).item() < 0.75
    assert edge_similarity(picture, torch.zeros_like(picture)).item() < 0.75


def test_batches_are_pictures_one_by_one() -> None:
    pictures = torch.cat([shapes(), shapes(down=2), shapes().flip(2)])
    others = pictures.flip(0)
    alone = [edge_similarity(pictures[index : index + 1], others[index : index + 1]) for index in range(3)]
    torch.testing.assert_close(edge_similarity(pictures, others), torch.cat(alone))
    grey = pictures.mean(1, keepdim=True)
    assert edge_similarity(grey, grey.expand(-1, 3, -1, -1)[:, :1]).tolist() == pytest.approx([1, 1, 1])


def test_small_or_unequal_pictures_are_refused() -> None:
    with pytest.raises(CardiganError, match="at least 3x3"):
        edge_energy(torch.zeros(1, 3, 2, 8))
    with pytest.raises(CardiganError, match="pictures of 12x20; edges are compared from 13x13 on"):
        edge_similarity(torch.zeros(1, 3, 12, 20), torch.zeros(1, 3, 12, 20))
    with pytest.raises(CardiganError, match="twice the same"):
        edge_similarity(torch.zeros(1, 3, 20, 20), torch.zeros(2, 3, 20, 20))
    with pytest.raises(CardiganError, match="hold NaN"):
        edge_energy(torch.full((1, 3, 8, 8), torch.nan))
