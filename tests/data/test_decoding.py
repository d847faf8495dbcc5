"""The limit on pixels is our own, whatever Pillow's is, and Pillow's stays what the user's program made of it."""

import io
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import forms
import numpy as np
import pytest
from PIL import Image

from cardigan.data.sources.decoding import FORMATS, LARGEST_PIXELS, decode, look, stored_as_grey
from cardigan.data.sources.source import UnreadableError

SIDE = 40
WAYS: dict[str, tuple[str, dict[str, Any]]] = {
    "png": ("PNG", {}),
    "jpeg": ("JPEG", {}),
    "gif": ("GIF", {}),
    "bmp": ("BMP", {}),
    "webp": ("WEBP", {}),
    "tiff": ("TIFF", {}),
    "packed tiff": ("TIFF", {"compression": "tiff_deflate"}),
    "ppm": ("PPM", {}),
}


def encoded(kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(forms.pictures(1, (SIDE, SIDE), 3)[0]).save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.fixture(params=[100, SIDE * SIDE // 2 + 1, None])
def pillow_allows(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Pillow's own limit far below the pictures' size, where it only warns, and none."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", request.param)
    yield
    assert request.param == Image.MAX_IMAGE_PIXELS, "Pillow's limit was changed for the whole process"


def test_every_format_is_tried() -> None:
    assert {kind for kind, _ in WAYS.values()} == set(FORMATS)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("way", WAYS)
def test_what_pillow_would_refuse_is_read(way: str, pillow_allows: None) -> None:
    kind, options = WAYS[way]
    data = encoded(kind, **options)
    image, header = decode(data, "large")
    assert image.size == (SIDE, SIDE) and header == look(data, "large") and not stored_as_grey(data, "large")
    if kind not in ("JPEG", "WEBP", "GIF"):
        assert np.array_equal(np.asarray(image), forms.pictures(1, (SIDE, SIDE), 3)[0])


@pytest.mark.parametrize("way", WAYS)
def test_callers_may_want_less(way: str) -> None:
    kind, options = WAYS[way]
    data = encoded(kind, **options)
    assert decode(data, "x", SIDE * SIDE)[0].size == look(data, "x", SIDE * SIDE).size == (SIDE, SIDE)
    for refuse in (decode, look, stored_as_grey):
        with pytest.raises(UnreadableError, match="decompression bomb: more than 1,599 pixels"):
            refuse(data, "x", SIDE * SIDE - 1)


def test_animations_of_any_size_are_seen_as_such(pillow_allows: None) -> None:
    others = [Image.fromarray(each) for each in forms.pictures(3, (SIDE, SIDE), 3, seed=1)]
    for kind, options in (("GIF", {"disposal": 2, "duration": 50}), ("WEBP", {}), ("PNG", {})):
        data = encoded(kind, save_all=True, append_images=others, **options)
        image, header = decode(data, kind)
        assert header.animated and image.size == (SIDE, SIDE)


def test_what_follows_the_first_picture_of_a_telephone_is_no_animation() -> None:
    depth = Image.fromarray(forms.pictures(1, (SIDE, SIDE), 3, seed=1)[0])
    assert not look(encoded("MPO", save_all=True, append_images=[depth]), "photo.jpg").animated


def test_a_bomb_is_refused_before_it_goes_off() -> None:
    data = forms.claiming(forms.png(forms.pictures(1)[0]), 40_000, 30_000)
    for refuse in (decode, look, stored_as_grey):
        with pytest.raises(UnreadableError, match=f"bomb: more than {LARGEST_PIXELS:,} pixels"):
            refuse(data, "x.png")


def test_threads_find_pillow_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    data, failures = encoded("WEBP"), list[BaseException]()

    def work() -> None:
        try:
            for _ in range(50):
                decode(data, "x")
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert not failures and Image.MAX_IMAGE_PIXELS == 100


@pytest.mark.parametrize(
    "data", [b"", b"P", b"P6", b"\x89PNG\r\n\x1a\n", b"II*\0", b"BM", b"RIFF\0\0\0\0WEBPVP8 ", b"GIF89a"]
)
def test_what_only_begins_like_a_picture_is_named(data: bytes) -> None:
    with pytest.raises(UnreadableError, match=r"x\.png: unreadable picture: "):
        decode(data, "x.png")


def test_a_picture_of_192_million_pixels_is_read() -> None:
    """What 4,000 x 3,000 becomes when upscaled four times; Pillow refuses it, which the script makes sure of first."""
    script = """
import io
from PIL import Image
from cardigan.data.sources.decoding import decode
buffer = io.BytesIO()
Image.new("L", (16_000, 12_000), 77).save(buffer, "PNG", compress_level=1)
try:
    Image.open(buffer)
except Image.DecompressionBombError:
    image, _ = decode(buffer.getvalue(), "large")
    print(image.size, image.getpixel((15_999, 11_999)))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("(16000, 12000)"), done.stdout
