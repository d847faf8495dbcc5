"""The same 200 pictures come back from every form of a source as identical tensors, with their labels."""

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import forms
import hubserver
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from cardigan.data.base import Dataset
from cardigan.data.pictures import Pictures

COUNT = 200
MARKS = forms.labels(COUNT)
STACKS = {channels: forms.pictures(COUNT, channels=channels) for channels in (1, 3, 4)}
Stack = NDArray[np.uint8]


def files(stack: Stack, ending: str = "png") -> dict[str, bytes | str]:
    """Class folders."""
    return {f"{forms.CLASSES[mark]}/{index:03d}.{ending}": forms.png(stack[index]) for index, mark in enumerate(MARKS)}


def flat(stack: Stack) -> dict[str, bytes | str]:
    return {f"{index:03d}.png": forms.png(pixels) for index, pixels in enumerate(stack)}


def names() -> list[str]:
    return [forms.CLASSES[mark] for mark in MARKS]


def stylegan(path: Path, stack: Stack) -> Path:
    content = {f"00000/img{name}": data for name, data in flat(stack).items()}
    labels = [[name, int(mark)] for name, mark in zip(content, MARKS, strict=True)]
    return forms.zipped(path / "stylegan.zip", {**content, "dataset.json": json.dumps({"labels": labels})})


def csv(path: Path, stack: Stack) -> Path:
    rows = "".join(f"{name},{label}\n" for name, label in zip(flat(stack), names(), strict=True))
    return forms.files(path / "csv", {**flat(stack), "labels.csv": "file_name,label\n" + rows})


def imagenet(path: Path, stack: Stack) -> Path:
    synsets = [f"n0000000{index}" for index in range(3)]
    content: dict[str, bytes | str] = {
        f"ILSVRC/Data/CLS-LOC/train/{synsets[mark]}/{synsets[mark]}_{index:03d}.JPEG": forms.png(stack[index])
        for index, mark in enumerate(MARKS)
    }
    named = "".join(f"{synset} {name}, something else\n" for synset, name in zip(synsets, forms.CLASSES, strict=True))
    return forms.files(path / "imagenet", {**content, "LOC_synset_mapping.txt": named})


def coco(path: Path, stack: Stack) -> Path:
    content = {f"train2017/{name}": data for name, data in flat(stack).items()}
    instances = {
        "images": [{"id": index, "file_name": f"{index:03d}.png"} for index in range(COUNT)],
        "annotations": [
            {"id": index, "image_id": index, "category_id": int(mark) + 1, "area": 5.0, "iscrowd": 0}
            for index, mark in enumerate(MARKS)
        ],
        "categories": [{"id": number + 1, "name": name} for number, name in enumerate(forms.CLASSES)],
    }
    return forms.files(path / "coco", {**content, "annotations/instances_train2017.json": json.dumps(instances)})


def shards(path: Path, stack: Stack) -> Path:
    for shard in range(4):
        content: dict[str, bytes | str] = {}
        for index in range(50 * shard, 50 * shard + 50):
            content |= {f"{index:03d}.png": forms.png(stack[index]), f"{index:03d}.cls": str(MARKS[index])}
        (path / "shards").mkdir(exist_ok=True)
        forms.tarred(path / "shards" / f"train-{shard:04d}.tar", content)
    return path / "shards"


def npz(path: Path, stack: Stack) -> Path:
    np.savez_compressed(path / "pictures.npz", images=stack, labels=MARKS)
    return path / "pictures.npz"


def npy(path: Path, stack: Stack) -> Path:
    np.save(path / "pictures.npy", stack)
    np.save(path / "pictures-labels.npy", MARKS)
    return path / "pictures.npy"


def noted(stack: Stack) -> Any:
    return forms.noted(forms.table(stack, MARKS))


FORMS: dict[str, Callable[[Path, Stack], Path]] = {
    "folder": lambda path, stack: forms.files(path / "folder", files(stack)),
    "zip": lambda path, stack: forms.zipped(path / "photos.zip", files(stack)),
    "tar": lambda path, stack: forms.tarred(path / "photos.tar", files(stack)),
    "tar.gz": lambda path, stack: forms.tarred(path / "photos.tar.gz", files(stack)),
    "tar.zst": lambda path, stack: forms.tarred(path / "photos.tar.zst", files(stack)),
    "tar.xz": lambda path, stack: forms.tarred(path / "photos.tar.xz", files(stack)),
    "stylegan": stylegan,
    "csv": csv,
    "imagenet": imagenet,
    "coco": coco,
    "webdataset": shards,
    "idx": lambda path, stack: forms.idx(path / "idx", stack, MARKS),
    "parquet": lambda path, stack: forms.parquet(path / "hub" / "data" / "train-00000-of-00001.parquet", stack, MARKS),
    "arrow": lambda path, stack: forms.arrow(path / "pictures.arrow", noted(stack)),
    "feather": lambda path, stack: forms.arrow(path / "pictures.feather", noted(stack), stream=False),
    "saved": lambda path, stack: forms.saved(path / "saved", {"train": noted(stack)}),
    "npy": npy,
    "npz": npz,
}
UNNAMED = {"stylegan", "webdataset", "idx", "npy", "npz"}
"""Forms in which labels are numbers."""


def everything(source: Path, **fields: Any) -> Dataset:
    return Pictures(source=str(source), test=0, validation=0, **fields).load()


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_identical_tensors(form: str, channels: int, tmp_path: Path) -> None:
    stack = STACKS[channels]
    if form == "idx" and channels == 4:
        pytest.skip("IDX pictures are grey or RGB")
    source = FORMS[form](tmp_path, stack)
    expected = torch.from_numpy(stack).reshape(COUNT, 6, 5, channels).permute(0, 3, 1, 2)
    if channels == 4:
        expected = torch.where(expected[:, 3:] == 0, torch.tensor([255, 255, 255, 0]).view(1, 4, 1, 1), expected)
    prints = set()
    for storage in ("memory", "cache", "stream"):
        dataset = everything(source, channels=4 if channels == 4 else None, storage=storage)
        batch = dataset.take(torch.arange(COUNT))
        assert batch.id.tolist() == list(range(COUNT))
        assert torch.equal((batch.sample + 1).mul(127.5).round().int(), expected.int())
        assert torch.equal(batch.label, torch.from_numpy(MARKS))
        assert dataset.codec.classes == (tuple("012") if form in UNNAMED else forms.CLASSES)
        prints |= {dataset.fingerprint} if storage != "stream" else set()
    assert len(prints) == 1


def test_a_gzipped_idx_and_a_plain_one_are_the_same(tmp_path: Path) -> None:
    packed = forms.idx(tmp_path / "packed", STACKS[1], MARKS)
    plain = tmp_path / "plain"
    plain.mkdir()
    for path in packed.iterdir():
        (plain / path.stem).write_bytes(gzip.decompress(path.read_bytes()))
    assert everything(plain).fingerprint == everything(packed).fingerprint


PROGRAM = """
import hashlib, sys, torch
from cardigan.data.pictures import Pictures
dataset = Pictures(source=sys.argv[1], test=0, validation=0).load()
batch = dataset.take(torch.arange(len(dataset)))
pixels = (batch.sample + 1).mul(127.5).round().to(torch.uint8)
labels = batch.label.tolist()
print(hashlib.sha256(pixels.contiguous().numpy().data).hexdigest(), labels == sorted(labels))
"""


@pytest.mark.slow
def test_the_hub_gives_identical_tensors_too(tmp_path: Path) -> None:
    pytest.importorskip("datasets", reason="needs the package datasets: pip install 'cardigan[hub]'")
    place = tmp_path / "tiny" / "data" / "train-00000-of-00001.parquet"
    place.parent.mkdir(parents=True)
    forms.pq.write_table(noted(STACKS[3]), place, row_group_size=7)
    settings = {"HF_HOME": str(tmp_path / "home"), "HF_HUB_DISABLE_TELEMETRY": "1", "NO_PROXY": "127.0.0.1"}
    with hubserver.serving({"owner/tiny": tmp_path / "tiny"}, ()) as (endpoint, _):
        command = [sys.executable, "-c", PROGRAM, "owner/tiny"]
        environment = {**os.environ, **settings, "HF_ENDPOINT": endpoint}
        said = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=True)
    expected = np.ascontiguousarray(STACKS[3].transpose(0, 3, 1, 2))
    assert said.stdout.split() == [sha256(expected.data).hexdigest(), "True"]
