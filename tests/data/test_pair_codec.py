"""Pictures of a user as a network takes them, what it makes as pictures again, and the sheet that shows both."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageColor

from cardigan.data.codec import load_codec, save_codec
from cardigan.data.pair_codec import THIN, WIDE, PairCodec, hatched, sheet
from cardigan.data.toys import PointCodec
from cardigan.errors import CardiganError
from cardigan.sample import Form

RANDOM = np.random.default_rng(0)


def picture(mode: str, size: tuple[int, int] = (7, 5)) -> Image.Image:
    channels = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4}[mode]
    return Image.frombytes(mode, size[::-1], RANDOM.integers(0, 256, (*size, channels), dtype=np.uint8).tobytes())


def codec(**fields: Any) -> PairCodec:
    return PairCodec(**{"size": (8, 8), **fields})


def as_bytes(prepared: torch.Tensor) -> NDArray[np.uint8]:
    return ((prepared + 1) * 127.5).round().to(torch.uint8).numpy()


def test_it_lies_in_the_run_folder(tmp_path: Path) -> None:
    saved = codec(channels=1, source_channels=3, scale=4, background="#102030", classes=("a", "b"))
    save_codec(saved, Form((1, 32, 32), 0, (3, 8, 8)), tmp_path / "codec")
    assert load_codec(tmp_path / "codec") == (saved, Form((1, 32, 32), 0, (3, 8, 8)))


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_picture_becomes_what_the_data_give(mode: str, channels: int) -> None:
    image = picture(mode)
    prepared = codec(source_channels=channels, background="navy").prepare(image)
    assert prepared.shape == (channels, 7, 5) and prepared.dtype == torch.float32
    if channels == 4:
        expected = np.array(image.convert("RGBA"))
        expected[expected[..., 3] == 0] = (*ImageColor.getrgb("navy"), 0)
    else:
        flat = Image.alpha_composite(Image.new("RGBA", image.size, "navy"), image.convert("RGBA"))
        flat = flat if mode in ("LA", "RGBA") else image
        flat = flat.convert("L") if mode in ("L", "LA") else flat.convert("RGB")
        expected = np.asarray(flat.convert("L" if channels == 1 else "RGB"))
    assert np.array_equal(as_bytes(prepared), expected[None] if expected.ndim == 2 else expected.transpose(2, 0, 1))


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_a_picture_may_be_prepared_in_parts(mode: str) -> None:
    image, mask = picture(mode, (9, 6)), torch.rand(1, 9, 6) < 0.5
    each = codec(masked=True)
    parts = [each.prepare(image.crop((0, top, 6, top + 3)), mask[:, top : top + 3]) for top in (0, 3, 6)]
    assert torch.equal(torch.cat(parts, dim=1), each.prepare(image, mask))


def test_the_mask_stands_behind_the_picture() -> None:
    image, mask = picture("RGB"), torch.zeros(1, 7, 5, dtype=torch.bool)
    mask[:, 2:4, 1:3] = True
    prepared = codec(masked=True).prepare(image, mask)
    assert prepared.shape == (4, 7, 5)
    assert torch.equal(prepared[3:], mask.float() * 2 - 1)
    plain = codec().prepare(image)
    assert torch.equal(prepared[:3][:, ~mask[0]], plain[:, ~mask[0]])
    assert prepared[:3][:, mask[0]].unique().numel() <= 3, "nothing of the picture shines through the hole"


def test_transparent_pixels_are_the_hole_where_no_mask_is_given() -> None:
    image = picture("RGBA")
    assert torch.equal(codec(masked=True).hole(image)[0], torch.from_numpy(np.asarray(image)[..., 3] < 255))
    assert codec().hole(image) is None


@pytest.mark.parametrize("made", ["L", "RGB", "RGBA"])
@pytest.mark.parametrize("given", ["L", "LA", "RGB", "RGBA"])
@pytest.mark.parametrize("scale", [1, 4])
def test_alpha_comes_back(given: str, made: str, scale: int) -> None:
    channels = {"L": 1, "RGB": 3, "RGBA": 4}[made]
    image = picture(given)
    pixels = RANDOM.integers(0, 256, (7 * scale, 5 * scale, channels), dtype=np.uint8)
    found = codec(channels=channels, scale=scale).finish(image, pixels)
    assert found.size == (5 * scale, 7 * scale)
    assert np.array_equal(np.asarray(found).reshape(7 * scale, 5 * scale, -1)[..., :channels], pixels)
    if given in ("LA", "RGBA") and channels < 4:
        assert found.mode == {"L": "LA", "RGB": "RGBA"}[made]
        alpha = image.getchannel("A").resize(found.size, Image.Resampling.BICUBIC)
        assert np.array_equal(np.asarray(found.getchannel("A")), np.asarray(alpha))
    else:
        assert found.mode == made


def test_alpha_that_the_network_saw_does_not_come_back() -> None:
    found = codec(source_channels=4, channels=3).finish(picture("RGBA"), np.zeros((7, 5, 3), np.uint8))
    assert found.mode == "RGB"


def test_backward_the_two_change_places() -> None:
    each = codec(channels=1, source_channels=3)
    assert each.prepare(picture("RGB"), direction="backward").shape == (1, 7, 5)
    assert each.finish(picture("L"), np.zeros((7, 5, 3), np.uint8), "backward").mode == "RGB"


@pytest.mark.parametrize(
    ("fields", "mode", "mask", "direction", "needle"),
    [
        ({"masked": True}, "RGB", None, "forward", "--mask FILE, or transparent pixels"),
        ({"masked": True}, "RGB", (7, 6), "forward", "--mask: 7x6 pixels (height x width), but the picture has 7x5"),
        ({}, "RGB", (7, 5), "forward", "--mask: this run fills no holes"),
        ({"masked": True}, "RGB", (7, 5), "backward", "--direction: this run fills holes"),
        ({"scale": 4}, "RGB", None, "backward", "--direction: this run makes pictures 4 times as large"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    fields: dict[str, Any], mode: str, mask: tuple[int, int] | None, direction: Any, needle: str
) -> None:
    hole = None if mask is None else torch.ones(1, *mask, dtype=torch.bool)
    with pytest.raises(CardiganError) as refused:
        codec(**fields).prepare(picture(mode), hole, direction)
    assert needle in str(refused.value)


def test_a_hole_is_hatched_and_opaque() -> None:
    hole = torch.zeros(1, 1, 20, 20, dtype=torch.bool)
    hole[..., 5:15, 5:15] = True
    for channels in (1, 2, 3, 4):
        painted = hatched(torch.full((2, channels, 20, 20), 7, dtype=torch.uint8), hole)
        assert (painted[..., :5, :] == 7).all() and not (painted[..., 5:15, 5:15] == 7).any()
        assert {128, 255} >= set(painted[:, 0, 5:15, 5:15].unique().tolist())
        assert channels % 2 or (painted[:, -1, 5:15, 5:15] == 255).all()


def test_panels_of_a_sample_stand_side_by_side(tmp_path: Path) -> None:
    each = codec(channels=3, source_channels=1, scale=4, masked=False)
    panels = {
        "input": torch.linspace(-1, 1, 5)[:, None, None, None].expand(5, 1, 30, 30),
        "output": torch.zeros(5, 3, 120, 120),
        "truth": torch.ones(5, 3, 120, 120) * torch.tensor([1.0, -1.0, -1.0])[:, None, None],
    }
    each.exhibit(panels, tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as found:
        pixels = np.asarray(found)
        assert found.mode == "RGB"
    columns, rows = 2, 3
    assert pixels.shape == (rows * (120 + WIDE) - WIDE, columns * (3 * 120 + 2 * THIN + WIDE) - WIDE, 3)
    assert (pixels[:120, :120] == 0).all() and (pixels[:120, 120 : 120 + THIN] == 255).all()
    assert (pixels[:120, 122:242] == 128).all() and (pixels[:120, 244:364] == [255, 0, 0]).all()
    second = pixels[:120, 364 + WIDE :]
    assert (second[:, :120] == second[0, 0]).all() and second[0, 0, 0] == 64


def test_small_panels_are_magnified_and_a_mask_is_painted(tmp_path: Path) -> None:
    source = torch.cat([torch.full((1, 3, 8, 8), -1.0), torch.full((1, 1, 8, 8), -1.0)], dim=1)
    source[:, 3, 2:6, 2:6] = 1
    codec(masked=True).exhibit({"input": source, "output": torch.full((1, 3, 8, 8), -1.0)}, tmp_path / "sheet.png")
    pixels = np.asarray(Image.open(tmp_path / "sheet.png"))
    factor = (pixels.shape[1] - THIN) // 16
    assert factor == 50 and pixels.shape == (8 * factor, 16 * factor + THIN, 3)
    left, right = pixels[:, : 8 * factor], pixels[:, 8 * factor + THIN :]
    assert (right == 0).all() and (left[: 2 * factor] == 0).all()
    assert (left[2 * factor : 6 * factor, 2 * factor : 6 * factor] >= 128).all()


@pytest.mark.parametrize("count", [1, 2, 7, 64])
@pytest.mark.parametrize("panels", [1, 2, 6])
def test_a_sheet_is_near_square(count: int, panels: int) -> None:
    found = sheet(np.zeros((count, panels, 32, 32, 1), np.uint8))
    assert found.ndim == 2
    if count >= panels * 2:
        assert 0.3 < found.shape[0] / found.shape[1] < 3


def test_grey_becomes_opaque_colour_beside_rgba(tmp_path: Path) -> None:
    panels = {"input": torch.zeros(1, 1, 4, 4), "output": -torch.ones(1, 4, 4, 4)}
    codec(channels=4, source_channels=1).exhibit(panels, tmp_path / "sheet.png")
    pixels = np.asarray(Image.open(tmp_path / "sheet.png"))
    assert pixels.shape[2] == 4 and (pixels[0, 0] == [128, 128, 128, 255]).all() and pixels[0, -1, 3] == 0


def test_samples_without_panels_are_rendered(tmp_path: Path) -> None:
    points = PointCodec()
    points.exhibit({"sample": torch.zeros(4, 2)}, tmp_path / "points.png")
    assert (tmp_path / "points.png").is_file()
