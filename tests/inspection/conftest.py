"""A folder with one of every fault that the data check knows, and the same as a zip."""

import io
import os
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARDIGAN_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def real() -> Path:
    """The folder of real data; the test is skipped where there is none."""
    if not os.environ.get("CARDIGAN_DATA"):
        pytest.skip("needs real data: CARDIGAN_DATA is not set")
    return Path(os.environ["CARDIGAN_DATA"])


def scene(seed: int, size: tuple[int, int] = (48, 64)) -> NDArray[np.uint8]:
    """(H, W, 3): blurred noise and some rectangles, as different from others as photographs are."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (5, 6, 3), dtype=np.uint8))
    pixels = np.array(coarse.resize(size[::-1], Image.Resampling.BICUBIC))
    for _ in range(4):
        top, left = rng.integers(0, size[0] - 8), rng.integers(0, size[1] - 8)
        pixels[top : top + rng.integers(4, 16), left : left + rng.integers(4, 16)] = rng.integers(0, 256, 3)
    return pixels


def encoded(pixels: NDArray[np.uint8], kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def bomb(side: int = 50_000) -> bytes:
    """A PNG of some dozen bytes whose header claims side x side pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


def planted() -> dict[str, bytes]:
    """Name -> bytes: 30 sound pictures to train on, 8 to test on, and the faults."""
    files = {f"train/{number}.png": encoded(scene(number)) for number in range(30)}
    files |= {f"test/{number}.jpg": encoded(scene(100 + number), "JPEG", quality=95) for number in range(8)}
    for number, kind in enumerate(("PNG", "JPEG", "PNG", "JPEG", "WEBP")):
        whole = encoded(scene(200 + number), kind)
        files[f"train/cut{number}.{kind.lower()}"] = whole[: len(whole) * 2 // 3]
    for number in range(3):
        files[f"train/copy{number}.bmp"] = encoded(scene(number), "BMP")
    for number in range(2):
        files[f"test/leak{number}.png"] = files[f"train/{10 + number}.png"]
    files["train/bomb.png"], files["train/empty.png"] = bomb(), b""
    files["train/text.png"] = b"Dear reader,\nthis is a letter and no picture.\n"
    return files


def _folder(place: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return place


def _archive(place: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(place.with_suffix(".zip"), "w") as file:
        for name, data in files.items():
            file.writestr(name, data)
    return place.with_suffix(".zip")


@pytest.fixture(params=[_folder, _archive], ids=["folder", "zip"])
def write(request: pytest.FixtureRequest) -> Callable[[Path, dict[str, bytes]], Path]:
    """Writes files as a folder, and as a zip."""
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def faults() -> dict[str, bytes]:
    """See `planted`."""
    return planted()


@pytest.fixture
def picture() -> Callable[..., NDArray[np.uint8]]:
    """See `scene`."""
    return scene


@pytest.fixture
def encode() -> Callable[..., bytes]:
    """Pixels -> the bytes of a file."""
    return encoded
