"""How fast pictures are read, and in how much memory: figures of docs/data.md.

    python benchmarks/data.py [FOLDER] [--pictures 1000000]

Makes, in FOLDER (default: build/data-benchmark), PNG files of MNIST's digits and shards of a million shifted digits,
unless they are there already; then measures, each in a fresh process: MNIST from 60,000 PNG files to the first batch,
cold and from the cache; one pass over the shards, streamed, with the memory of all processes. Needs CARDIGAN_DATA with
mnist. Writes docs/results/data.json.
"""

import argparse
import io
import json
import os
import platform
import subprocess
import sys
import tarfile
import time
from datetime import date
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "docs" / "results" / "data.json"
SHARD = 10_000
"""Pictures in one shard."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "build" / "data-benchmark")
    parser.add_argument("--pictures", type=int, default=1_000_000)
    parser.add_argument("--measure", nargs=2, metavar=("WHAT", "SOURCE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(MEASURES[options.measure[0]](options.measure[1])))
        return
    folder = options.folder.absolute()
    make_files(folder / "mnist-png")
    make_shards(folder / "shards", options.pictures)
    make_shards(folder / "shards-tenth", options.pictures // 10)
    os.environ["CARDIGAN_CACHE"] = str(folder / "cache")
    subprocess.run(["rm", "-rf", str(folder / "cache")], check=True)
    found = {
        "date": str(date.today()),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "files, cold": measure("first_batch", folder / "mnist-png"),
        "files, cached": measure("first_batch", folder / "mnist-png"),
        "idx": measure("first_batch", "mnist"),
        "shards, a tenth": measure("stream", folder / "shards-tenth"),
        "shards": measure("stream", folder / "shards"),
        "shards, indexed": measure("first_stream_batch", folder / "shards"),
    }
    RESULT.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))


def measure(what: str, source: Path | str) -> dict[str, float]:
    command = [sys.executable, __file__, "--measure", what, str(source)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def first_batch(source: str) -> dict[str, float]:
    """Seconds from opening the source to the first batch of 64; importing torch is not counted."""
    from cardigan.data.pictures import Pictures

    start = time.perf_counter()
    dataset = Pictures(source=source).load()
    dataset.draw(0, 64)
    return {"seconds": time.perf_counter() - start, "pictures": len(dataset)}


def first_stream_batch(source: str) -> dict[str, float]:
    from cardigan.data.pictures import Pictures

    start = time.perf_counter()
    dataset = Pictures(source=source, storage="stream", size=28, channels=1).load()
    opened = time.perf_counter() - start
    dataset.draw(0, 64)
    return {"seconds to open": opened, "seconds to first batch": time.perf_counter() - start}


def stream(source: str) -> dict[str, object]:
    """One pass in batches of 256; memory of this process and its readers, after every tenth."""
    from cardigan.data.pictures import Pictures

    start, before = time.perf_counter(), resident()
    dataset = Pictures(source=source, storage="stream", size=28, channels=1).load()
    opened = time.perf_counter() - start
    seen, memory, checksum = 0, [], 0
    start = time.perf_counter()
    while seen < len(dataset):
        count = min(256, len(dataset) - seen)
        checksum += int(dataset.draw(seen, count).id.sum())
        seen += count
        if seen * 10 // len(dataset) > len(memory):
            memory.append(resident())
    seconds = time.perf_counter() - start
    ids = set(range(len(dataset)))
    assert len(ids) == len(dataset)
    return {
        "pictures": len(dataset),
        "seconds to open": opened,
        "pictures per second": seen / seconds,
        "MiB before": before,
        "MiB after each tenth": memory,
    }


def resident() -> float:
    """MiB of memory of their own (not shared, not mapped files) that this process and its readers hold."""
    me = os.getpid()
    readers = Path(f"/proc/{me}/task/{me}/children").read_text().split()
    total = 0.0
    for process in (me, *readers):
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
            if line.startswith(("Private_Dirty:", "Private_Clean:")):
                total += int(line.split()[1]) / 1024
    return round(total, 1)


MEASURES = {"first_batch": first_batch, "stream": stream, "first_stream_batch": first_stream_batch}


def digits() -> tuple[np.ndarray, np.ndarray]:
    from cardigan.data.sources import open_source

    part = open_source("mnist").parts["train"]()
    return part.pixels, part.labels


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def make_files(folder: Path) -> None:
    """A PNG file for each training digit, in a folder for each class."""
    if (folder / "made").exists():
        return
    for index, (pixels, label) in enumerate(zip(*digits(), strict=True)):
        place = folder / str(label)
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{index}.png").write_bytes(png(pixels))
    (folder / "made").touch()


def make_shards(folder: Path, count: int) -> None:
    """WebDataset shards of `count` digits with labels, shifted so that no two are equal."""
    folder.mkdir(parents=True, exist_ok=True)
    pixels, labels = digits()
    for first in range(0, count, SHARD):
        path = folder / f"train-{first // SHARD:05d}.tar"
        if path.exists():
            continue
        with tarfile.open(path.with_suffix(".tmp"), "w") as shard:
            for index in range(first, min(first + SHARD, count)):
                turn, which = divmod(index, len(pixels))
                moved = np.roll(pixels[which], (turn % 5 - 2, turn // 5 - 2), axis=(0, 1))
                for name, data in (("png", png(moved)), ("cls", str(labels[which]).encode())):
                    member = tarfile.TarInfo(f"{index:08d}.{name}")
                    member.size = len(data)
                    shard.addfile(member, io.BytesIO(data))
        path.with_suffix(".tmp").rename(path)


if __name__ == "__main__":
    main()
