"""Batches that are made ahead: the same ones, whoever asks and in whatever order."""

import threading

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor

from cardigan import CardiganError, load_recipe
from cardigan.data.base import Dataset
from cardigan.data.moved import Moved
from cardigan.data.pictures import Pictures
from cardigan.sample import Batch
from cardigan.training.engine import EngineChoice
from cardigan.training.loop import Loop

CPU = torch.device("cpu")


class Noted(Dataset):
    """Another data set, that notes who asks it for what."""

    def __init__(self) -> None:
        self.dataset = Pictures(source="digits").load("train", 1)
        self.form, self.codec, self.fingerprint = self.dataset.form, self.dataset.codec, self.dataset.fingerprint
        self.drawn, self.threads = list[tuple[int, int]](), set[int]()

    def __len__(self) -> int:
        return len(self.dataset)

    def draw(self, start: int, count: int) -> Batch:
        self.drawn.append((start, count))
        self.threads.add(threading.get_ident())
        if start >= 1000:
            raise CardiganError("picture 1000 cannot be read")
        return self.dataset.draw(start, count)

    def take(self, indices: Tensor) -> Batch:
        self.threads.add(threading.get_ident())
        return self.dataset.take(indices)


@pytest.fixture
def noted() -> Noted:
    return Noted()


def test_what_is_expected_is_made_once_and_is_the_same(noted: Noted) -> None:
    moved = Moved(noted, CPU)
    for start in range(0, 320, 32):
        batch = moved.draw(start, 32)
        moved.expect(start + 32, 32)
        expected = noted.dataset.draw(start, 32)
        assert batch.sample.equal(expected.sample)
        assert batch.label is not None
        assert batch.label.equal(expected.label)
    moved.close()
    assert noted.drawn[:10] == [(start, 32) for start in range(0, 320, 32)]


def test_others_than_expected_are_the_same_too(noted: Noted) -> None:
    moved = Moved(noted, CPU)
    moved.expect(0, 16)
    moved.expect(16, 16)
    for start in (48, 16, 0, 400):
        assert moved.draw(start, 16).sample.equal(noted.dataset.draw(start, 16).sample)
        moved.expect(start + 16, 16)
    some = torch.tensor([3, 1])
    assert moved.take(some).sample.equal(noted.dataset.take(some).sample)


def test_a_loop_expects_what_it_draws(noted: Noted) -> None:
    recipe = load_recipe("digits", ["data.size=null", "training.batch=16", "training.accumulate=2"])
    loop = Loop(recipe, Moved(noted, CPU), EngineChoice(), Fabric(accelerator="cpu", devices=1))
    loop.reads_ahead = True
    for _ in range(4):
        loop.round()
    loop.dataset.close()
    assert noted.drawn[:8] == [(start, 8) for start in range(0, 64, 8)]
    assert len(noted.drawn) <= 10


def test_one_thread_makes_everything(noted: Noted) -> None:
    moved = Moved(noted, CPU)
    moved.draw(0, 16)
    moved.take(torch.tensor([0]))
    moved.expect(5, 16)
    moved.draw(100, 16)
    assert len(noted.threads) == 1
    assert threading.get_ident() not in noted.threads


def test_what_cannot_be_made_is_told_where_it_is_asked_for(noted: Noted) -> None:
    moved = Moved(noted, CPU)
    moved.expect(1000, 16)
    moved.draw(0, 16)
    with pytest.raises(CardiganError, match="picture 1000"):
        moved.draw(1000, 16)
    assert len(moved.draw(16, 16)) == 16  # and can be gone on after
