"""The same pictures written in every form that a source may have."""

import bz2
import gzip
import io
import json
import lzma
import struct
import tarfile
import zipfile
import zlib
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


def claiming(data: bytes, width: int, height: int) -> bytes:
    """A PNG whose header claims another size than its pixels have."""
    header = data[12:16] + struct.pack(">II", width, height) + data[24:29]
    return data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:]


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


SENTENCES = [("a cat", "an animal"), (), ("two\nlines",)]


def table(stack: NDArray[np.uint8], marks: NDArray[np.int64] | None = None, plain: bool = False) -> pa.Table:
    """Columns image (a struct, or bytes where `plain`), label and captions, without any note about them."""
    data = [png(pixels) for pixels in stack]
    kind = pa.binary() if plain else pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    images = data if plain else [{"bytes": each, "path": f"{index}.png"} for index, each in enumerate(data)]
    columns = {"image": pa.array(images, kind)}
    if marks is not None:
        columns["label"] = pa.array(marks, pa.int64())
    captions = [list(SENTENCES[index % len(SENTENCES)]) for index in range(len(stack))]
    return pa.table({**columns, "captions": pa.array(captions, pa.list_(pa.string()))})


def noted(columns: pa.Table) -> pa.Table:
    """With the names of the classes, as `datasets` notes them."""
    features = {"image": {"_type": "Image"}, "label": {"names": list(CLASSES), "_type": "ClassLabel"}}
    return columns.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})


def arrow(path: Path, columns: pa.Table, stream: bool = True, compression: str | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    options = pa.ipc.IpcWriteOptions(compression=compression)
    new = pa.ipc.new_stream if stream else pa.ipc.new_file
    with new(str(path), columns.schema, options=options) as writer:
        writer.write_table(columns, max_chunksize=7)
    return path


def saved(path: Path, splits: dict[str, pa.Table]) -> Path:
    """As save_to_disk of `datasets` writes a dictionary of splits, two files each."""
    path.mkdir(parents=True)
    (path / "dataset_dict.json").write_text(json.dumps({"splits": list(splits)}))
    for name, columns in splits.items():
        half = len(columns) // 2
        files = [f"data-0000{number}-of-00002.arrow" for number in range(2)]
        for file, piece in zip(files, (columns.slice(0, half), columns.slice(half)), strict=True):
            arrow(path / name / file, piece)
        state = {"_data_files": [{"filename": file} for file in files], "_split": name}
        (path / name / "state.json").write_text(json.dumps(state))
        (path / name / "dataset_info.json").write_text(json.dumps({"features": {}}))
    return path


def npy_bytes(values: NDArray[np.generic], header: bytes | None = None) -> bytes:
    """A .npy file; with another header text, where one is given, than its values call for."""
    buffer = io.BytesIO()
    np.save(buffer, values)
    if header is None:
        return buffer.getvalue()
    return b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header + values.tobytes()


def files(path: Path, content: dict[str, bytes | str]) -> Path:
    """A folder with these files."""
    for name, data in content.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def zipped(path: Path, content: dict[str, bytes | str]) -> Path:
    """A zip with these files."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in content.items():
            file.writestr(name, data)
    return path


def tar_bytes(content: dict[str, bytes | str], kind: int = tarfile.USTAR_FORMAT) -> bytes:
    """A tar with these files, in this order."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=kind) as file:
        for name, data in content.items():
            data = data if isinstance(data, bytes) else data.encode()
            info = tarfile.TarInfo(name)
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def compressed(data: bytes, ending: str) -> bytes:
    """`data` as a file that ends .gz, .zst, .bz2 or .xz has it; as it is for any other ending."""
    if ending == ".zst":
        return bytes(pa.Codec("zstd").compress(data, asbytes=True))
    packers = {".gz": gzip.compress, ".tgz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}
    return packers.get(ending, bytes)(data)


def tarred(path: Path, content: dict[str, bytes | str], kind: int = tarfile.USTAR_FORMAT) -> Path:
    """A tar with these files, compressed as the ending of `path` says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(compressed(tar_bytes(content, kind), path.suffix))
    return path
