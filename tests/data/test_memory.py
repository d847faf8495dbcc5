import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cardigan.data.memory import InMemory, to_unit
from cardigan.data.picture_codec import PictureCodec
from cardigan.sample import Batch, Form


def dataset(count: int = 7, seed: int = 3, flip: bool = False) -> InMemory:
    """Sample number i is the row [i, 0, 255]; its label is i, its id 100 + i."""
    samples = torch.zeros(count, 1, 1, 3, dtype=torch.uint8)
    samples[:, 0, 0, 0], samples[:, 0, 0, 2] = torch.arange(count), 255
    codec = PictureCodec(channels=1, size=(1, 3))
    form = Form((1, 1, 3), count)
    numbers = torch.arange(count)
    return InMemory(samples, numbers, form=form, codec=codec, fingerprint="", seed=seed, flip=flip, ids=numbers + 100)


def equal(one: Batch, other: Batch) -> bool:
    return all(torch.equal(getattr(one, part), getattr(other, part)) for part in ("sample", "label", "id"))


def joined(batches: list[Batch]) -> Batch:
    return Batch(
        *(torch.cat([getattr(each, part) for each in batches]) for part in ("sample", "label")),
        id=torch.cat([each.id for each in batches if each.id is not None]),
    )


@given(st.integers(0, 100), st.lists(st.integers(0, 20), min_size=1, max_size=5), st.booleans())
def test_a_draw_equals_its_smaller_draws_one_after_another(start: int, counts: list[int], flip: bool) -> None:
    data, position, parts = dataset(flip=flip), start, []
    for count in counts:
        parts.append(data.draw(position, count))
        position += count
    assert equal(joined(parts), dataset(flip=flip).draw(start, sum(counts)))


@given(st.integers(0, 10))
def test_every_pass_holds_every_sample_once_in_another_order(number: int) -> None:
    data = dataset(40)
    orders = [data.draw(40 * each, 40).label for each in (number, number + 1)]
    assert all(sorted(order.tolist()) == list(range(40)) for order in orders if order is not None)
    assert orders[0].tolist() != orders[1].tolist()


def test_a_draw_depends_on_nothing_but_its_arguments() -> None:
    data = dataset()
    first = data.draw(5, 9)
    data.draw(1000, 3)
    assert equal(data.draw(5, 9), first)
    assert equal(data.to("cpu").draw(5, 9), first)
    assert not equal(dataset(seed=4).draw(0, 7), dataset(seed=3).draw(0, 7))


def test_sample_label_and_id_belong_together() -> None:
    batch = dataset(50).draw(20, 70)
    assert torch.equal(((batch.sample[:, 0, 0, 0] + 1) * 127.5).round().long(), batch.label)
    assert torch.equal(batch.id, batch.label + 100)


def test_flips_mirror_half_follow_the_position_and_change_with_the_pass() -> None:
    plain, mirrored = dataset(200).draw(0, 400), dataset(200, flip=True).draw(0, 400)
    assert torch.equal(plain.label, mirrored.label)
    flipped = mirrored.sample[:, 0, 0, 0] == 1
    assert 150 < flipped.sum() < 250
    assert torch.equal(mirrored.sample[flipped], plain.sample[flipped].flip(-1))
    assert torch.equal(mirrored.sample[~flipped], plain.sample[~flipped])
    assert not torch.equal(flipped[:200][plain.label[:200].argsort()], flipped[200:][plain.label[200:].argsort()])
    assert equal(dataset(200, flip=True).take(torch.arange(200)), dataset(200).take(torch.arange(200)))


def test_bytes_survive_the_way_to_floats_and_back() -> None:
    every = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    floats = to_unit(every)
    assert floats.min() == -1 and floats.max() == 1 and floats.dtype == torch.float32
    image = PictureCodec(channels=1, size=(16, 16)).decode(floats)[0]
    assert list(image.tobytes()) == list(range(256))


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="position -1"):
        dataset().draw(-1, 2)
    with pytest.raises(ValueError, match="not one or more"):
        dataset(0)
