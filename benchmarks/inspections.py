"""What `cardigan inspect` says of real data, and of landscapes with planted faults: docs/inspections/*.txt and *.png.

    CARDIGAN_DATA=... python benchmarks/inspections.py [NAME ...]

The planted set: 200 training and 40 test pictures of `yosemite` as files, and among them 5 truncated, 3 duplicated, 2
that stand in both splits, a bomb (a PNG that claims 50,000 x 50,000 pixels), a text named .png and an empty file.
"""

import io
import struct
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

from PIL import Image

from cardigan.data.sources import open_source

DOCS = Path(__file__).parents[1] / "docs" / "inspections"
NAMES = ("mnist", "cifar10", "emoji", "yosemite", "bsds300")
KEPT = {"emoji": ("contact-sheet",), "bsds300": ("crop",)}
"""Sheets that the documents show."""


def main() -> None:
    wanted = sys.argv[1:] or [*NAMES, "planted"]
    DOCS.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        for name in wanted:
            source = name if name != "planted" else str(plant(Path(place) / "planted"))
            command = [sys.executable, "-m", "cardigan", "inspect", source, "--out", f"{place}/{name}-check"]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            said = done.stdout.replace(f"{place}/{name}-check", f"inspections/{name}").replace(f"{place}/", "")
            (DOCS / f"{name}.txt").write_text(f"$ cardigan inspect {Path(source).name}\n\n{said}")
            for sheet in KEPT.get(name, ()):
                image = Image.open(Path(place) / f"{name}-check" / f"{sheet}.png").convert("RGB")
                image.thumbnail((700, 700))
                image.save(DOCS / f"{name}-{sheet}.png", optimize=True)
            print(f"{name}: {DOCS / name}.txt")


def plant(folder: Path) -> Path:
    source = open_source("yosemite")
    for split, count in (("train", 200), ("test", 40)):
        part = source.parts[split]()
        (folder / split).mkdir(parents=True)
        for index in range(0, 4 * count, 4):
            (folder / split / f"{index:04d}.jpg").write_bytes(part.read(index))
    train, test = folder / "train", folder / "test"
    for number in range(5):
        whole = (train / f"{4 * number:04d}.jpg").read_bytes()
        (train / f"cut-{number}.jpg").write_bytes(whole[: len(whole) // 2])
    for number in range(5, 8):
        image = Image.open(train / f"{4 * number:04d}.jpg")
        image.save(train / f"copy-{number}.png")
    for number in range(10, 12):
        (test / f"leak-{number}.jpg").write_bytes((train / f"{4 * number:04d}.jpg").read_bytes())
    (train / "bomb.png").write_bytes(bomb(50_000))
    (train / "letter.png").write_text("Dear reader, this is a letter and no picture.\n")
    (train / "empty.jpg").touch()
    return folder


def bomb(side: int) -> bytes:
    """A small PNG whose header claims side x side pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    buffer = io.BytesIO(b"\x89PNG\r\n\x1a\n")
    buffer.seek(0, 2)
    buffer.write(chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b""))
    return buffer.getvalue()


if __name__ == "__main__":
    main()
