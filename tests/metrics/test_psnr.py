"""PSNR by hand, the luma of the literature, and its numbers for bicubic enlargement of Set5 and Set14."""

import io
import math
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from cardigan.errors import CardiganError
from cardigan.metrics.psnr import luma, psnr, psnr_hole, psnr_luma


@pytest.fixture
def real() -> Path:
    """The folder of real data; the test is skipped where there is none."""
    if not os.environ.get("CARDIGAN_DATA"):
        pytest.skip("needs real data: CARDIGAN_DATA is not set")
    return Path(os.environ["CARDIGAN_DATA"])


def grey(*values: float) -> Tensor:
    """Pictures of one colour, of these grey levels."""
    return torch.tensor(values).view(-1, 1, 1, 1).expand(-1, 3, 8, 9) / 127.5 - 1


def test_by_hand() -> None:
    found = psnr(grey(10, 100, 0), grey(20, 97, 255))
    assert found.tolist() == pytest.approx([20 * math.log10(255 / 10), 20 * math.log10(255 / 3), 0])
    assert psnr(grey(10), grey(20), peak=100).item() == pytest.approx(20)
    corner = grey(0).clone()
    corner[0, 0, 0, 0] = 1
    assert psnr(corner, grey(0)).item() == pytest.approx(10 * math.log10(3 * 72))


def test_equal_pictures_have_the_most_there_is() -> None:
    most = 20 * math.log10(255)
    assert psnr(grey(3, 200), grey(3, 200)).tolist() == pytest.approx([most, most])
    assert psnr(grey(3), grey(3.4)).item() == pytest.approx(most), "the same once rounded to 8 bits"
    assert psnr(grey(3), grey(4)).item() == pytest.approx(most), "one grey level is the least"
    assert psnr_luma(grey(3), grey(3), border=2).item() == pytest.approx(most) == pytest.approx(48.13, abs=0.001)


def test_values_beyond_are_cut_off() -> None:
    assert psnr(torch.full((1, 1, 4, 4), 1.7), torch.ones(1, 1, 4, 4)).item() == pytest.approx(20 * math.log10(255))


def test_luma_spans_16_to_235() -> None:
    colours = torch.tensor([[0.0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255], [51, 102, 204]])
    found = luma(colours[:, :, None, None] / 127.5 - 1).flatten()
    mixed = 16 + 0.2 * 65.481 + 0.4 * 128.553 + 0.8 * 24.966
    assert found.tolist() == pytest.approx([16, 235, 81.481, 144.553, 40.966, mixed])
    assert luma(torch.zeros(2, 1, 4, 5)).shape == (2, 1, 4, 5)
    assert luma(torch.full((1, 1, 1, 1), 1.7)).item() == pytest.approx(235), "cut off"
    assert torch.equal(luma(grey(10.4)), luma(grey(10))), "of the 8-bit picture"
    clear = torch.cat([torch.zeros(1, 3, 1, 1), -torch.ones(1, 1, 1, 1)], 1)
    assert luma(clear).item() == pytest.approx(235), "alpha lies on white"


def test_luma_of_grey_is_compressed() -> None:
    assert psnr_luma(grey(10), grey(20)).item() == pytest.approx(20 * math.log10(255 / (10 * 219 / 255)))


def test_the_border_is_left_out() -> None:
    framed = grey(100).clone()
    framed[:, :, :2], framed[:, :, -2:], framed[..., :2], framed[..., -2:] = 1, 1, 1, 1
    assert psnr_luma(framed, grey(100), border=2).item() == pytest.approx(48.13, abs=0.001)
    assert psnr_luma(framed, grey(100), border=1).item() < 15


def test_of_the_hole_alone() -> None:
    spoiled, hole = grey(10, 10, 10).clone(), torch.zeros(3, 1, 8, 9, dtype=torch.bool)
    spoiled[:, :, :4], hole[0, :, 3:5], hole[1, :, :4] = grey(30)[:, :, :4], True, True
    found = psnr_hole(spoiled, grey(10, 10, 10), hole)
    half, whole = 20 * math.log10(255 / 20) + 10 * math.log10(2), 20 * math.log10(255 / 20)
    assert found.tolist() == pytest.approx([half, whole, 20 * math.log10(255)])
    everywhere = torch.ones_like(hole)
    torch.testing.assert_close(psnr_hole(spoiled, grey(7, 8, 9), everywhere), psnr(spoiled, grey(7, 8, 9)))


@pytest.mark.parametrize(
    ("one", "other", "message"),
    [
        (torch.zeros(2, 3, 8, 8), torch.zeros(2, 3, 8, 9), "twice the same"),
        (torch.zeros(2, 8), torch.zeros(2, 8), "twice the same"),
        (torch.zeros(0, 3, 8, 8), torch.zeros(0, 3, 8, 8), "pictures: 0 samples"),
        (torch.zeros(1, 3, 8, 8), torch.full((1, 3, 8, 8), torch.nan), "wanted pictures: 1 of 1 sample hold NaN"),
    ],
)
def test_unfit_pictures_are_refused(one: Tensor, other: Tensor, message: str) -> None:
    for metric in (psnr, psnr_luma):
        with pytest.raises(CardiganError, match=message):
            metric(one, other)


def test_a_border_that_leaves_nothing_is_refused() -> None:
    with pytest.raises(CardiganError, match="border of 4 pixels around pictures of 8x9"):
        psnr_luma(grey(0), grey(0), border=4)


@pytest.mark.parametrize(
    ("name", "scale", "published"),
    [("set5", 2, 33.67), ("set5", 4, 28.43), ("set14", 2, 30.32), ("set14", 4, 26.09)],
)
def test_bicubic_enlargement_of_the_standard_sets(real: Path, name: str, scale: int, published: float) -> None:
    found = []
    with zipfile.ZipFile(real / "super-resolution" / f"{name}.zip") as archive:
        for member in sorted(archive.namelist()):
            picture = Image.open(io.BytesIO(archive.read(member))).convert("RGB")
            width, height = (side - side % scale for side in picture.size)
            picture = picture.crop((0, 0, width, height))
            small = picture.resize((width // scale, height // scale), Image.Resampling.BICUBIC)
            large = small.resize((width, height), Image.Resampling.BICUBIC)
            found.append(float(psnr_luma(as_tensor(large), as_tensor(picture), border=scale)))
    assert len(found) == {"set5": 5, "set14": 14}[name]
    assert sum(found) / len(found) == pytest.approx(published, abs=0.02)


def as_tensor(picture: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float() / 127.5 - 1
