"""Two domains without pairs, and the colour transfer that a network for them must beat."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cardigan.data import store
from cardigan.data.domains import Domains
from cardigan.data.recolouring import palette, reinhard
from cardigan.errors import CardiganError


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Dark pictures (50) and bright ones (30)."""
    for name, low, count in (("dark", 0, 50), ("bright", 150, 30)):
        (tmp_path / "two" / name).mkdir(parents=True)
        for number in range(count):
            pixels = np.random.default_rng(number).integers(low, low + 100, (9, 9, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "two" / name / f"{number}.png")
    return tmp_path / "two"


def test_sources_and_samples_are_of_their_domain(folders: Path) -> None:
    data = Domains(source=str(folders), inputs="dark", outputs="bright", size=8, validation=0.1, test=0.2)
    for split, total in (("train", 0), ("validation", 0), ("test", 0)):
        dataset = data.load(split, seed=1)
        batch = dataset.draw(3, 2 * len(dataset))
        assert batch.source is not None
        assert batch.source.max() < 0 < 0.1 < batch.sample.min() and total == 0
    sets = [data.load(split) for split in ("train", "validation", "test")]
    assert sum(map(len, sets)) == 30 and sum(each.sources for each in sets) == 50
    seen = torch.cat([batch.source for batch in sets[0].wholes()])  # type: ignore[misc]
    assert len(seen) == sets[0].sources


def test_the_two_meet_in_ever_new_pairs(folders: Path) -> None:
    data = Domains(source=str(folders), inputs="dark", outputs="bright", size=8).load()
    assert not data.paired
    first = data.draw(0, len(data))
    again = data.draw(len(data) * data.sources, len(data))
    assert first.source is not None and again.source is not None
    order = [first.sample.flatten(1).sum(1).argsort(), again.sample.flatten(1).sum(1).argsort()]
    assert not torch.equal(first.source[order[0]], again.source[order[1]])


def test_the_way_back_and_the_judge(folders: Path) -> None:
    data = Domains(source=str(folders), inputs="dark", outputs="bright", size=8)
    back = data.swapped().load().draw(0, 5)
    assert back.source is not None
    assert back.sample.max() < 0 < back.source.min()
    judged = data.samples().load()
    batch = judged.draw(0, len(judged))
    assert batch.label is not None and judged.form.classes == 2 and judged.codec.classes == ("dark", "bright")
    assert torch.equal(batch.label == 1, batch.sample.mean((1, 2, 3)) > 0)
    assert len(judged) == len(data.load()) + data.load().sources
    assert sorted(judged.draw(0, len(judged)).id.tolist()) == list(range(len(judged)))  # type: ignore[union-attr]


def test_two_sources_are_two_domains(folders: Path) -> None:
    data = Domains(source=str(folders / "bright"), inputs=str(folders / "dark"), size=8)
    batch = data.load().draw(0, 5)
    assert batch.source is not None
    assert batch.source.max() < 0 < batch.sample.min()
    assert data.swapped().load().draw(0, 5).sample.max() < 0
    mixed = Domains(source=str(folders), outputs="bright", inputs=str(folders / "dark"), size=8)
    assert mixed.swapped().load().draw(0, 5).sample.max() < 0
    assert mixed.swapped().swapped() == mixed
    assert mixed.samples().load().codec.classes == ("dark", "bright")
    assert mixed.swapped().samples().load().codec.classes == ("bright", "dark")


def test_what_either_domain_settled_is_settled(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A resumed run must read both as it did at first: from the cache or, where one has to be streamed, as streams."""
    data = Domains(source=str(folders), inputs="dark", outputs="bright", size=8)
    assert data.load().settled == {}
    monkeypatch.setattr("cardigan.data.storage.FEW", 40)  # 30 bright pictures are fewer, 50 dark ones are not
    for each in (data, data.swapped()):
        assert each.load().settled == {"storage": "cache"}
    monkeypatch.setattr("cardigan.data.storage.machine_memory", lambda: 4 * 7000)
    monkeypatch.setattr("cardigan.data.store.room", lambda: 0)
    store.clear()
    for each in (data, data.swapped()):
        first = each.load()
        assert first.settled["storage"] == "stream"
        again = each.model_copy(update=dict(first.settled)).load()
        assert again.fingerprint == first.fingerprint
        batches = first.draw(3, 9), again.draw(3, 9)
        assert torch.equal(batches[0].sample, batches[1].sample)
        assert torch.equal(batches[0].source, batches[1].source)  # type: ignore[arg-type]
        first.close()
        again.close()


def test_domains_of_other_sizes(folders: Path, tmp_path: Path) -> None:
    for number in range(5):
        Image.fromarray(np.random.default_rng(number).integers(0, 256, (7, 7, 3), np.uint8)).save(
            tmp_path / f"{number}.png"
        )
    with pytest.raises(CardiganError, match=r"pictures of 3x7x7 and of 3x9x9 .* data.size=64"):
        other = tmp_path / "other"
        other.mkdir()
        for path in tmp_path.glob("*.png"):
            path.rename(other / path.name)
        Domains(source=str(folders / "bright"), inputs=str(other)).load()


def test_colour_transfer_gives_the_wanted_mean_and_deviation() -> None:
    generator = torch.Generator().manual_seed(0)
    wanted = palette(torch.rand(4, 3, 16, 16, generator=generator) * 0.4 + 0.1)
    pictures = torch.rand(3, 3, 32, 32, generator=generator) * 0.5 - 0.6
    moved = reinhard(wanted)(pictures)
    for index in range(3):  # nothing was cut off at the ends
        torch.testing.assert_close(palette(moved[index : index + 1]), wanted, atol=0.02, rtol=0.02)


def test_colour_transfer_of_what_is_already_right_changes_nothing() -> None:
    pictures = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(1)) * 1.6 - 0.8
    torch.testing.assert_close(reinhard(palette(pictures))(pictures), pictures, atol=1e-3, rtol=0)


def test_baselines_learn_from_the_train_split(folders: Path) -> None:
    data = Domains(source=str(folders), inputs="dark", outputs="bright", size=8)
    baselines = data.load("test").baselines
    assert list(baselines) == ["identity", "Reinhard colour transfer"]
    source = data.load("test").draw(0, 4).source
    assert source is not None
    assert torch.equal(baselines["identity"](source), source)
    assert baselines["Reinhard colour transfer"](source).mean() > 0.3
