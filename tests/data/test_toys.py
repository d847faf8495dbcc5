from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError

from cardigan.data.toys import PointCodec, Toy, centres, modes_reached
from cardigan.errors import CardiganError


@pytest.mark.parametrize(("source", "modes"), [("ring", 8), ("grid", 25), ("spiral", 20)])
def test_points_are_the_mixture_they_claim_to_be(source: str, modes: int) -> None:
    data = Toy(source=source, count=20_000).load()
    batch = data.take(torch.arange(len(data)))
    assert data.form.shape == (2,) and data.form.classes == modes == len(data.codec.classes)
    for mode, centre in enumerate(data.codec.centres):
        own = batch.sample[batch.label == mode]
        assert abs(len(own) - 20_000 / modes) <= 1
        assert torch.allclose(own.mean(0), torch.tensor(centre), atol=0.004)
        assert torch.allclose(own.std(0), torch.tensor(0.02), atol=0.002)
    found = modes_reached(batch.sample, data.codec.centres, data.codec.spread)
    assert found.reached == modes and abs(found.share - (1 - np.exp(-4.5))) < 0.004


def test_places() -> None:
    assert all(abs(x * x + y * y - 1) < 1e-8 for x, y in centres("ring", 8))
    assert set(centres("grid", 9)) == {(x, y) for x in (-1, 0, 1) for y in (-1, 0, 1)}
    assert centres("grid", 1) == ((0, 0),) and len(centres("spiral", 1)) == 1
    with pytest.raises(ValidationError, match="not square"):
        Toy(source="grid", modes=8)


def test_the_points_do_not_depend_on_the_seed_and_splits_differ() -> None:
    data = Toy(count=500)
    one, other, test = data.load(seed=1), data.load(seed=2), data.load("test")
    assert torch.equal(one.samples, other.samples) and one.fingerprint == other.fingerprint != test.fingerprint
    assert not torch.equal(one.draw(0, 9).sample, other.draw(0, 9).sample)
    assert len(test) == 50 and not set(map(tuple, test.samples.tolist())) & set(map(tuple, one.samples.tolist()))


def test_modes_reached_by_hand() -> None:
    points = torch.tensor([[0.0, 0.0], [0.29, 0.0], [0.31, 0.0], [1.0, 0.0], [5.0, 5.0], [float("nan"), 0.0]])
    found = modes_reached(points, ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0)), 0.1)
    assert found.counts == (2, 1, 0) and found.reached == 2 and found.share == 0.5
    assert modes_reached(points, ((0.0, 0.0),), 0.1, within=4).counts == (3,)
    assert modes_reached(torch.empty(0, 2), ((0.0, 0.0),), 0.1).share == 0


def test_the_codec_is_enough_to_judge_a_run(tmp_path: Path) -> None:
    data = Toy(source="grid").load("test")
    codec = PointCodec.model_validate_json(data.codec.model_dump_json())
    assert codec == data.codec
    samples = data.draw(0, 500).sample
    codec.render(samples, tmp_path / "points.png")
    assert Image.open(tmp_path / "points.png").size == (600, 600)
    codec.render(samples, tmp_path / "points.csv")
    read = np.loadtxt(tmp_path / "points.csv", delimiter=",", skiprows=1)
    assert np.allclose(read, samples.numpy(), atol=1e-6)
    assert np.array_equal(np.stack(codec.decode(samples)), samples.numpy())
    codec.write(samples[0], tmp_path / "one.csv")
    assert (tmp_path / "one.csv").read_text().startswith("x,y\n")
    with pytest.raises(CardiganError, match="points are written as"):
        codec.write(samples[0], tmp_path / "one.txt")
