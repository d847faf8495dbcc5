"""The real data sets against an independent reading of their files."""

import gzip
import io
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from cardigan.data.pictures import Pictures


def test_digits_are_those_of_scikit_learn() -> None:
    from sklearn.datasets import load_digits

    digits = load_digits()
    data = Pictures(source="digits")
    parts = [data.load(split) for split in ("train", "validation", "test")]
    assert sorted(torch.cat([part.ids for part in parts]).tolist()) == list(range(1797))
    for part in parts:
        assert np.allclose(part.samples[:, 0].numpy(), digits.images[part.ids.numpy()] * 15.9375, atol=0.5)
        assert np.array_equal(part.labels.numpy(), digits.target[part.ids.numpy()])
    assert data.load().codec.classes == tuple("0123456789") and parts[0].form.shape == (1, 8, 8)
    assert Pictures(source="digits", size=32).load("test").form.shape == (1, 32, 32)


def test_mnist(real: Path) -> None:
    data = Pictures(source="mnist")
    train, validation, test = (data.load(split) for split in ("train", "validation", "test"))
    assert len(train) + len(validation) == 60_000 and len(test) == 10_000 and 2_700 < len(validation) < 3_300
    for parts, name in (((train, validation), "train"), ((test,), "t10k")):
        pixels = gzip.decompress((real / "mnist" / f"{name}-images-idx3-ubyte.gz").read_bytes())[16:]
        labels = gzip.decompress((real / "mnist" / f"{name}-labels-idx1-ubyte.gz").read_bytes())[8:]
        assert sum(int(part.samples.sum(dtype=torch.int64)) for part in parts) == np.frombuffer(pixels, np.uint8).sum()
        for part in parts:
            for index in range(0, len(part), 997):
                at = int(part.ids[index])
                assert part.samples[index].numpy().tobytes() == pixels[784 * at : 784 * (at + 1)]
                assert int(part.labels[index]) == labels[at]
    assert test.labels.bincount().tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert test.labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]


@pytest.mark.slow
def test_cifar10(real: Path) -> None:
    data = Pictures(source="cifar10")
    train, test = data.load(), data.load("test")
    assert 47_000 < len(train) < 48_000 and len(test) == 10_000
    assert train.form.shape == (3, 32, 32) and train.codec.classes[:2] == ("airplane", "automobile")
    assert test.labels.bincount().tolist() == [1000] * 10
    for part, name in ((train, "train"), (test, "test")):
        table = pq.read_table(real / "cifar10" / f"{name}.parquet").to_pydict()
        for index in range(0, len(part), 499):
            at = int(part.ids[index])
            pixels = np.asarray(Image.open(io.BytesIO(table["img"][at]["bytes"])).convert("RGB"))
            given = part.take(torch.tensor([index])).sample[0].add(1).mul(127.5).round().permute(1, 2, 0)
            assert np.array_equal(given.numpy(), pixels)
            assert int(part.labels[index]) == table["label"][at]
