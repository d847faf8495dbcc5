"""Pictures of every mode, size, orientation and alpha come out as Pillow, used plainly, would give them."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps

from cardigan.data.pictures import Pictures, parse_colour
from cardigan.data.sources.decoding import decode, look
from cardigan.errors import CardiganError

SIZE = (9, 14)
RANDOM = np.random.default_rng(0)


def noise(channels: int, dtype: Any = np.uint8) -> NDArray[Any]:
    shape = SIZE if channels == 1 else (*SIZE, channels)
    return RANDOM.integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)


def picture(mode: str) -> Image.Image:
    channels = {"1": 1, "L": 1, "LA": 2, "P": 3, "RGB": 3, "RGBA": 4, "CMYK": 4, "I;16": 1, "LAB": 3, "HSV": 3}
    if mode == "I;16":
        return Image.fromarray(noise(1, np.uint16))
    if mode in ("1", "P"):
        return Image.fromarray(noise(channels[mode])).convert(mode)
    return Image.frombytes(mode, SIZE[::-1], noise(channels[mode]).tobytes())


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


PALETTE = picture("P")
FILES = {
    "bits.png": saved(picture("1"), "PNG"),
    "bits-seen-through.png": saved(picture("1"), "PNG", transparency=0),
    "grey.png": saved(picture("L"), "PNG"),
    "grey-seen-through.png": saved(picture("L"), "PNG", transparency=int(noise(1)[0, 0])),
    "grey-alpha.png": saved(picture("LA"), "PNG"),
    "grey-alpha.tif": saved(picture("LA"), "TIFF"),
    "grey-16.png": saved(picture("I;16"), "PNG"),
    "grey-16.tif": saved(picture("I;16"), "TIFF"),
    "grey.jpg": saved(picture("L"), "JPEG"),
    "grey.pgm": saved(picture("L"), "PPM"),
    "grey.bmp": saved(picture("L"), "BMP"),
    "palette.png": saved(picture("P"), "PNG"),
    "palette-seen-through.png": saved(picture("P"), "PNG", transparency=bytes(range(256))),
    "palette.gif": saved(picture("P"), "GIF"),
    "palette-seen-through.gif": saved(PALETTE, "GIF", transparency=int(np.asarray(PALETTE)[0, 0])),
    "palette.bmp": saved(picture("P"), "BMP"),
    "colour.png": saved(picture("RGB"), "PNG"),
    "colour-seen-through.png": saved(picture("RGB"), "PNG", transparency=(1, 2, 3)),
    "colour.jpg": saved(picture("RGB"), "JPEG"),
    "colour.webp": saved(picture("RGB"), "WEBP", lossless=True),
    "colour.ppm": saved(picture("RGB"), "PPM"),
    "colour.tif": saved(picture("RGB"), "TIFF", compression="tiff_lzw"),
    "colour-alpha.png": saved(picture("RGBA"), "PNG"),
    "colour-alpha.webp": saved(picture("RGBA"), "WEBP", lossless=True, exact=True),
    "colour-alpha.tif": saved(picture("RGBA"), "TIFF"),
    "print.jpg": saved(picture("CMYK"), "JPEG"),
    "print.tif": saved(picture("CMYK"), "TIFF"),
    "lab.tif": saved(picture("LAB"), "TIFF"),
}
"""Every mode that a format of ours can hold."""

BACKGROUNDS = {"white": (255, 255, 255), "black": (0, 0, 0), "#ff8000": (255, 128, 0)}


def reference(data: bytes, channels: int, background: str) -> NDArray[np.uint8]:
    """(H, W, C), by the plainest use of Pillow."""
    image = Image.open(io.BytesIO(data))
    if image.mode == "I;16":  # Pillow's own conversion cuts off at 255
        image = Image.fromarray(np.rint(np.asarray(image).astype(np.float64) / 257).astype(np.uint8))
    grey = image.mode in ("1", "L", "LA")
    full = image.convert("RGBA")
    if channels == 4:
        values = np.array(full)
        values[values[..., 3] == 0] = (*BACKGROUNDS[background], 0)
        return values
    laid = Image.alpha_composite(Image.new("RGBA", full.size, background), full)
    stored = laid.convert("L" if grey else "RGB")
    return np.asarray(stored.convert("L" if channels == 1 else "RGB")).reshape(*full.size[::-1], channels)


def loaded(place: Path, **fields: Any) -> torch.Tensor:
    """(C, H, W) bytes of the picture in `place` beside another one."""
    dataset = Pictures(source=str(place), test=0, validation=0, **fields).load()
    (row,) = (dataset.ids == 0).nonzero().flatten().tolist()
    return ((dataset.take(torch.tensor([row])).sample[0] + 1) * 127.5).round().to(torch.uint8)


@pytest.mark.parametrize("background", BACKGROUNDS)
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("name", FILES)
def test_every_mode_is_what_pillow_gives(name: str, channels: int, background: str, tmp_path: Path) -> None:
    (tmp_path / f"1-{name}").write_bytes(FILES[name])
    (tmp_path / "2.png").write_bytes(saved(picture("L"), "PNG"))
    pixels = loaded(tmp_path, channels=channels, background=background)
    assert torch.equal(pixels.permute(1, 2, 0), torch.from_numpy(reference(FILES[name], channels, background).copy()))


def test_what_the_header_says() -> None:
    looks = {name: look(data, name) for name, data in FILES.items()}
    assert all(each.size == SIZE and each.orientation == 1 and not each.animated for each in looks.values())
    assert {name for name, each in looks.items() if each.grey} == {
        name for name in FILES if name.startswith(("bits", "grey"))
    }
    assert {name for name, each in looks.items() if each.alpha} == {
        name for name in FILES if "alpha" in name or "seen-through" in name
    }


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_what_pillow_makes_upright(orientation: int, kind: str, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(picture("RGB"), kind, exif=exif.tobytes() if kind != "TIFF" else exif)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    assert upright is not None
    image, header = decode(data, "x")
    assert header.orientation == orientation and header.size == upright.size[::-1]
    assert np.array_equal(np.asarray(image), np.asarray(upright))
    (tmp_path / f"1.{kind.lower()}").write_bytes(data)
    (tmp_path / "2.png").write_bytes(saved(picture("RGB"), "PNG"))
    fitted = ImageOps.fit(upright, (6, 8), Image.Resampling.BICUBIC)
    pixels = loaded(tmp_path, size="8x6", channels=3)
    assert torch.equal(pixels.permute(1, 2, 0), torch.from_numpy(np.array(fitted)))


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
@pytest.mark.parametrize("size", [(5, 5), (4, 13), (30, 7), (9, 14), (40, 40), (1, 1)])
def test_crop_pad_and_stretch_are_pillows(size: tuple[int, int], mode: str, tmp_path: Path) -> None:
    image = picture(mode)
    if mode == "RGBA":  # all of it can be seen, if only a little
        image.putalpha(Image.fromarray(np.maximum(np.asarray(image)[..., 3], 1)))
    (tmp_path / "1.png").write_bytes(saved(image, "PNG"))
    (tmp_path / "2.png").write_bytes(saved(image.rotate(180), "PNG"))
    channels, wanted, cubic = {"L": 1, "RGB": 3, "RGBA": 4}[mode], f"{size[0]}x{size[1]}", Image.Resampling.BICUBIC
    turned = size[::-1]
    references = {
        "crop": ImageOps.fit(image, turned, cubic),
        "stretch": image.resize(turned, cubic),
        "pad": ImageOps.pad(image, turned, cubic, (0, 0, 0, 0) if mode == "RGBA" else "white"),
    }
    for fit, expected in references.items():
        values = np.array(expected).reshape(*size, channels)
        if mode == "RGBA":
            values[values[..., 3] == 0] = (255, 255, 255, 0)
        pixels = loaded(tmp_path, size=wanted, channels=channels, fit=fit)
        difference = (pixels.permute(1, 2, 0).int() - torch.from_numpy(values).int()).abs()
        assert difference.max() == 0, fit


def test_an_animation_gives_its_first_frame_and_says_so(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (6, 5), colour) for colour in ("red", "lime", "blue")]
    for kind in ("GIF", "PNG", "WEBP"):
        (tmp_path / f"moving.{kind.lower()}").write_bytes(
            saved(frames[0], kind, save_all=True, append_images=frames[1:], lossless=True)
        )
    (tmp_path / "still.png").write_bytes(saved(frames[2], "PNG"))
    dataset = Pictures(source=str(tmp_path), test=0, validation=0).load()
    assert "3 of 4 pictures are animations: their first frame is taken" in dataset.remarks
    colours = [(each[:, 0, 0] > 0).tolist() for each in dataset.take(torch.arange(4)).sample]
    assert colours == [[True, False, False]] * 3 + [[False, False, True]]


def test_pixels_without_an_agreed_range_are_no_pictures(tmp_path: Path) -> None:
    (tmp_path / "heights.tif").write_bytes(saved(Image.fromarray(RANDOM.normal(size=SIZE).astype(np.float32)), "TIFF"))
    with pytest.raises(CardiganError, match=r"heights\.tif: its pixels have no agreed range; allowed: 8 or 16 bits"):
        Pictures(source=str(tmp_path)).load()


def test_alpha_weighs_colours_when_pictures_shrink(tmp_path: Path) -> None:
    """The colour of what cannot be seen must not bleed into what can."""
    pixels = np.zeros((16, 16, 4), np.uint8)
    pixels[:, :7] = (255, 0, 0, 255)
    pixels[:, 7:] = (0, 255, 0, 0)  # green that nobody sees
    (tmp_path / "1.png").write_bytes(saved(Image.fromarray(pixels), "PNG"))
    (tmp_path / "2.png").write_bytes(saved(Image.fromarray(pixels[::-1, ::-1]), "PNG"))
    small = loaded(tmp_path, size=8, channels=4)
    seen = small[3] > 0
    assert seen.any() and (small[1][seen] < 3).all()
    assert (small[:3, ~seen] == 255).all()


@pytest.mark.parametrize("colour", ["mauve-ish", "#12", "", 7, "#00000000", ["white"]])
def test_what_is_no_colour_is_one_line(colour: object) -> None:
    with pytest.raises(ValueError, match=r"is not a colour; allowed: a name such as white"):
        parse_colour(colour)
