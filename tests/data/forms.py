"""The same pictures written in every form that a source may have."""

import gzip
import io
import json
import struct
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image

CLASSES = ("cat", "dog 2", "dog 10")


def pictures(count: int = 40, size: tuple[int, int] = (6, 5), channels: int = 1, seed: int = 0) -> NDArray[np.uint8]:
    shape = (count, *size) if channels == 1 else (count, *size, channels)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def labels(count: int = 40) -> NDArray[np.int64]:
    """In order, because a folder is read class by class."""
    return np.sort(np.arange(count) % len(CLASSES))


def png(pixels: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def folder(path: Path, stack: NDArray[np.uint8], marks: NDArray[np.int64] | None = None) -> Path:
    for index, pixels in enumerate(stack):
        place = path / (CLASSES[marks[index]] if marks is not None else "") / f"{index}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(png(pixels))
    return path


def archive(path: Path, place: Path) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        for each in sorted(place.rglob("*")):
            file.write(each, each.relative_to(place.parent))
    return path


def idx_bytes(values: NDArray[np.uint8]) -> bytes:
    return struct.pack(f">2x2B{values.ndim}I", 8, values.ndim, *values.shape) + values.tobytes()


def idx(path: Path, stack: NDArray[np.uint8], marks: NDArray[np.int64], split: str = "train") -> Path:
    path.mkdir(exist_ok=True)
    (path / f"{split}-images-idx{stack.ndim}-ubyte.gz").write_bytes(gzip.compress(idx_bytes(stack)))
    (path / f"{split}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx_bytes(marks.astype(np.uint8))))
    return path


def parquet(path: Path, stack: NDArray[np.uint8], marks: NDArray[np.int64], named: bool = True) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    images = [{"bytes": png(pixels), "path": None} for pixels in stack]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table({"image": pa.array(images, kind), "label": pa.array(marks, pa.int64())})
    features = {"label": {"names": list(CLASSES), "_type": "ClassLabel"}}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})} if named else None
    pq.write_table(table.replace_schema_metadata(metadata), path, row_group_size=7)
    return path
