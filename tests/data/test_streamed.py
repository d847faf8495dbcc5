"""Streamed pictures: the order is a function of seed and position, whoever asks and whenever."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import forms
import numpy as np
import pytest
import torch

from cardigan import CardiganError, resume, train
from cardigan.data import streamed
from cardigan.data.picture_codec import PictureCodec
from cardigan.data.pictures import Pictures
from cardigan.data.sources import Encoded
from cardigan.data.sources.fitting import Wanted
from cardigan.data.streamed import Streamed
from cardigan.sample import Form

COUNT = 230
STACK = forms.pictures(COUNT)
ENGINE = [
    "engine.device=cpu",
    "engine.precision=fp32",
    "engine.threads=1",
    "engine.memory_format=contiguous",
    "engine.matmul=highest",
]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of 16 samples, buffers of 4 chunks: three full buffers and one of 38 samples in a pass."""
    monkeypatch.setattr(streamed, "CHUNK", 16)
    monkeypatch.setattr(streamed, "BUFFER_BYTES", 4 * 16 * 30)


def data(bad: tuple[int, ...] = (), **fields: Any) -> Streamed:
    def read(index: int) -> bytes:
        return b"no picture" if index in bad else forms.png(STACK[index])

    part = Encoded([f"{index}.png" for index in range(COUNT)], read, np.arange(COUNT) % 3)
    settings = {"form": Form((1, 6, 5), 3), "codec": PictureCodec(channels=1, size=(6, 5)), "fingerprint": ""}
    return Streamed(part, np.arange(COUNT), Wanted(1, (6, 5)), workers=1, **{**settings, **fields})


@pytest.fixture(scope="module")
def stream() -> Iterator[Streamed]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streamed, "CHUNK", 16)
        patch.setattr(streamed, "BUFFER_BYTES", 4 * 16 * 30)
        yield data()


def pixels(ids: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(STACK)[ids][:, None].float() / 127.5 - 1


def test_every_pass_gives_every_sample_once(stream: Streamed) -> None:
    passes = [stream.draw(number * COUNT, COUNT) for number in range(3)]
    for batch in passes:
        assert sorted(batch.id.tolist()) == list(range(COUNT))
        torch.testing.assert_close(batch.sample, pixels(batch.id))
        assert torch.equal(batch.label, batch.id % 3)
    assert not torch.equal(passes[0].id, passes[1].id)


@pytest.mark.parametrize("start", [0, 1, 63, 64, 100, 191, 192, 229, 230, 500, 10_000])
def test_a_draw_is_a_function_of_its_position(start: int, stream: Streamed) -> None:
    whole = stream.draw(start, 150)
    assert torch.equal(data().draw(start, 150).id, whole.id)  # nothing drawn before: as after resuming
    again = [stream.draw(position, 10) for position in range(start, start + 150, 10)]
    assert torch.equal(torch.cat([each.id for each in again]), whole.id)
    assert torch.equal(torch.cat([each.sample for each in again]), whole.sample)


def test_a_draw_may_be_empty_or_larger_than_the_data(stream: Streamed) -> None:
    assert len(stream.draw(64, 0)) == 0
    assert len(stream.draw(7, 2 * COUNT + 1)) == 2 * COUNT + 1
    with pytest.raises(ValueError, match="cannot draw"):
        stream.draw(-1, 1)


def test_the_seed_decides_the_order() -> None:
    orders = [data(seed=seed).draw(0, COUNT).id for seed in (0, 0, 1)]
    assert torch.equal(orders[0], orders[1]) and not torch.equal(orders[0], orders[2])


def test_neighbours_are_torn_apart(stream: Streamed) -> None:
    """A batch holds samples from all over the source, not a run of one chunk."""
    for start in range(0, 192, 64):
        chunks = stream.draw(start, 16).id // 16
        assert len(chunks.unique()) >= 3
    seen = {int(each) // 16 for start in range(0, 10 * COUNT, COUNT) for each in stream.draw(start, 8).id}
    assert len(seen) > 10


def test_half_is_mirrored_and_take_is_not(stream: Streamed) -> None:
    batch = data(flip=True).draw(0, 3 * COUNT)
    straight = pixels(batch.id)
    turned = (batch.sample == straight.flip(-1)).flatten(1).all(1)
    assert ((batch.sample == straight).flatten(1).all(1) ^ turned).all()
    assert 0.4 < turned.float().mean() < 0.6
    taken = stream.take(torch.tensor([5, 3, 200]))
    assert taken.id.tolist() == [5, 3, 200] and torch.equal(taken.sample, pixels(taken.id))


def test_what_cannot_be_read_is_replaced_named_and_counted() -> None:
    bad = (3, 77, 78, 150)
    broken = data(bad)
    batch = broken.draw(0, COUNT)
    assert len(batch) == COUNT and not set(bad) & set(batch.id.tolist())
    torch.testing.assert_close(batch.sample, pixels(batch.id))
    assert torch.equal(data(bad).draw(100, 60).id, batch.id[100:160])
    (remark,) = broken.remarks
    assert remark.startswith("4 of 230 pictures cannot be read and are left out: ") and ".png: none of PNG" in remark
    taken, fresh = broken.take(torch.tensor([150, 5, 77])), data(bad)
    assert taken.id[1] == 5 and not set(bad) & set(taken.id.tolist()) and taken.id[0] != taken.id[2]
    assert torch.equal(taken.sample, pixels(taken.id)) and torch.equal(taken.label, taken.id % 3)
    assert torch.equal(fresh.take(torch.tensor([77])).id, taken.id[2:])
    assert fresh.remarks[-1].startswith("1 of 230 pictures")


def test_more_than_a_twentieth_bad_ends_it() -> None:
    with pytest.raises(CardiganError, match=r"pictures cannot be read, more than 5%: .*; and \d+ more") as error:
        data(tuple(range(0, COUNT, 10))).draw(0, COUNT)
    with pytest.raises(CardiganError, match="cannot be read, more than 5%"):
        data(tuple(range(0, COUNT, 10))).take(torch.arange(COUNT))
    assert "\n" not in str(error.value)


def test_neighbours_that_are_bad_do_not_end_it() -> None:
    """A damaged stretch of one shard is few among all, wherever the order puts it."""
    for seed in range(6):
        stream = data(tuple(range(64, 74)), seed=seed)
        assert len(stream.draw(0, COUNT)) == COUNT and "10 of 230" in stream.remarks[-1]


def test_large_pictures_make_small_chunks() -> None:
    large = Streamed(
        Encoded([f"{index}" for index in range(99)], lambda index: b""),
        np.arange(99),
        Wanted(3, (40, 40)),
        form=Form((3, 40, 40)),
        codec=PictureCodec(size=(40, 40)),
        fingerprint="",
        workers=1,
    )
    assert (large.chunk, large.pool) == (16, 1)


def test_what_happens_elsewhere_is_told_here_too() -> None:
    """On another device the data set is wrapped: its remarks grow all the same."""
    broken = data((3, 77))
    moved = broken.to(torch.device("meta"))
    assert moved.codec == broken.codec and moved.form == broken.form and moved.remarks == ()
    assert moved.draw(0, COUNT).sample.device.type == "meta"
    assert "2 of 230" in moved.remarks[-1]
    moved.close()


def test_a_killed_reader_is_one_line() -> None:
    stream = data()
    stream.draw(0, 10)
    (process,) = stream._workers._executor._processes.values()  # type: ignore[attr-defined]
    process.kill()
    process.join()
    with pytest.raises(CardiganError, match="a process that reads pictures was killed"):
        for start in range(0, 10 * COUNT, COUNT):
            stream.draw(start, COUNT)


def test_splits_of_a_stream_are_disjoint_and_complete(tmp_path: Path) -> None:
    place = forms.folder(tmp_path / "photos", STACK)
    splits = [Pictures(source=str(place), storage="stream").load(split) for split in ("train", "validation", "test")]
    ids = [set(each.draw(0, len(each)).id.tolist()) for each in splits]
    assert sum(map(len, ids)) == COUNT and set.union(*ids) == set(range(COUNT))
    assert 10 <= len(ids[2]) <= 40 and 2 <= len(ids[1]) <= 25


@pytest.mark.slow
def test_a_streamed_run_resumes_bit_for_bit(tmp_path: Path) -> None:
    place = forms.folder(tmp_path / "photos", forms.pictures(COUNT, (16, 16)))
    options = [
        "data.storage=stream",
        "data.size=16",
        "data.flip=true",
        "game.networks.width=8",
        "game.networks.discriminator.depth=2",
        "game.networks.generator.depth=2",
        "training.batch=24",
        "records.grid=4",
        *ENGINE,
    ]
    straight = train("pictures", [*options, "training.samples=480"], data=str(place), out=tmp_path / "straight")
    parted = train("pictures", [*options, "training.samples=216"], data=str(place), out=tmp_path / "parted")
    assert parted.recipe.data.storage == "stream"
    resume(parted, ["training.samples=480"])
    for name in ("players.safetensors", "average.safetensors", "optimizers.safetensors"):
        left, right = (run.checkpoint_folder / "000000480" / name for run in (straight, parted))
        assert left.read_bytes() == right.read_bytes()


def test_a_stream_that_the_machine_chose_is_written_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a resumed run on a larger machine would find other data, in another order."""
    monkeypatch.setattr("cardigan.data.storage.FEW", 10)
    monkeypatch.setattr("cardigan.data.store.room", lambda: 0)
    monkeypatch.setattr("cardigan.data.storage.machine_memory", lambda: 100)
    place = forms.folder(tmp_path / "photos", forms.pictures(COUNT, (16, 16)))
    options = ["data.size=16", "game.networks.width=8", "training.samples=64", "records.grid=1", *ENGINE]
    run = train("pictures", options, data=str(place), out=tmp_path / "run")
    assert run.recipe.data.storage == "stream"
    monkeypatch.undo()
    resume(run, ["training.samples=128"])
    assert run.clocks()[-1] == 128
