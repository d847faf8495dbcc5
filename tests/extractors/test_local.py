"""The local extractor: trained once, kept, and never judge and trainer at once."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cardigan.data.pictures import Pictures
from cardigan.data.stacked import StackedPictures
from cardigan.data.toys import Toy
from cardigan.errors import CardiganError
from cardigan.extractors import fitting, local, open_extractor
from cardigan.extractors.local import belongs
from cardigan.sample import Form

DIGITS = Pictures(source="digits", size=8)


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "MOST", 12_000)


def test_the_judge_knows_the_digits_and_says_how_well() -> None:
    judge = local.local(DIGITS)
    assert judge.facts["accuracy"] > 0.85
    assert judge.facts["measured on"] == "test"
    test = DIGITS.load("test").take(torch.arange(100))
    found = judge(test.sample)
    assert found.values.shape == (100, judge.dimension)
    assert found.logits is not None
    assert float((found.logits.argmax(1) == test.label).float().mean()) > 0.8
    assert judge.classes == tuple("0123456789")


def test_it_is_trained_once(monkeypatch: pytest.MonkeyPatch) -> None:
    first = local.local(DIGITS)
    monkeypatch.setattr(fitting, "fit", lambda *_: pytest.fail("trained again"))
    assert local.local(DIGITS).digest == first.digest
    assert (
        local.local(DIGITS.model_copy(update={"flip": True})).digest == first.digest
    )  # mirrored data are the same data


def test_judge_and_guide_see_different_halves() -> None:
    ids = torch.arange(10_000)
    judge, guide = belongs(ids, "judge"), belongs(ids, "guide")
    assert not (judge & guide).any()
    assert (judge | guide).all()
    assert 4_800 < int(judge.sum()) < 5_200
    seen = {role: {int(each) for step in range(3) for each in _ids(role, step)} for role in ("judge", "guide")}
    assert not seen["judge"] & seen["guide"]


def _ids(role: str, step: int) -> list[int]:
    train = DIGITS.samples().load("train", 5)
    half = local.Half(train, role)  # type: ignore[arg-type]
    samples = half.draw(step).sample
    everything = train.take(torch.arange(len(train)))
    assert everything.id is not None
    index = {row.numpy().tobytes(): int(number) for row, number in zip(everything.sample, everything.id, strict=True)}
    return [index[row.numpy().tobytes()] for row in samples]


def test_judge_and_guide_share_no_part_of_what_is_stacked(monkeypatch: pytest.MonkeyPatch) -> None:
    stacked = StackedPictures(source="digits", size=8)
    train = stacked.load("train", 5)
    seen = {}
    for role in ("judge", "guide"):
        half = local.Half(train, role)  # type: ignore[arg-type]
        planes = half.draw(0).sample.flatten(2).transpose(0, 1)
        assert planes.shape == (3, fitting.BATCH, 64)
        seen[role] = {row.numpy().tobytes() for plane in planes for row in plane}
    assert len(seen["judge"] & seen["guide"]) <= 2  # equal pictures at two places
    monkeypatch.setattr(local, "MOST", 1_000)
    judge = local.local(stacked)
    assert judge.facts["labelled"] is (len(train) // 2 >= local.FEWEST * 1000)
    assert judge(stacked.load("test").take(torch.arange(5)).sample).values.shape == (5, judge.dimension)


def test_a_split_that_keeps_its_labels_secret_is_said_to(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for folder, low, high, count in (
        ("train/dark", 0, 128, 60),
        ("train/light", 128, 256, 60),
        ("test", 0, 256, 20),
    ):
        (tmp_path / folder).mkdir(parents=True)
        for index in range(count):
            pixels = random.integers(low, high, (8, 8), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / folder / f"{index}.png")
    judge = local.local(Pictures(source=str(tmp_path)))
    assert judge.classes == ("dark", "light")
    assert judge.facts["accuracy"] == "unknown: no labels"


def test_the_guide_is_another_network_measured_on_validation() -> None:
    guide, judge = local.local(DIGITS, "guide"), local.local(DIGITS)
    assert guide.digest != judge.digest
    assert guide.facts["measured on"] == "validation"


def test_without_labels_it_learns_to_recognise(tmp_path: Path) -> None:
    digits = DIGITS.load("train").take(torch.arange(600)).sample
    for index, each in enumerate(digits):
        Image.fromarray(((each[0] + 1) * 127.5).byte().numpy()).save(tmp_path / f"{index}.png")
    judge = local.local(Pictures(source=str(tmp_path)))
    assert judge.classes == ()
    assert judge.facts["recognition"] > 5 / judge.facts["of"]  # chance is 1 of them
    assert judge(digits[:5]).logits is None


def test_training_leaves_the_global_random_numbers_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CARDIGAN_CACHE", str(tmp_path))
    monkeypatch.setattr(local, "MOST", 500)
    torch.manual_seed(3)
    before = torch.get_rng_state()
    local.local(DIGITS)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_damaged_entry_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CARDIGAN_CACHE", str(tmp_path))
    monkeypatch.setattr(local, "MOST", 500)
    local.local(DIGITS)
    weights = next(tmp_path.glob("extractors/*/weights.safetensors"))
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(CardiganError, match=r"is damaged.*cardigan cache clear"):
        local.local(DIGITS)


def test_its_activations_carry_gradients() -> None:
    judge = local.local(DIGITS)
    samples = torch.randn(2, 1, 8, 8, requires_grad=True)
    maps = judge.maps(samples)
    assert len(maps) == 5
    sum(each.square().mean() for each in maps).backward()  # type: ignore[union-attr]
    assert samples.grad is not None
    assert float(samples.grad.abs().sum()) > 0


def test_points_are_their_own_features() -> None:
    toy = Toy(source="ring")
    form = Form((2,), 0)
    raw = open_extractor("raw", toy, form, lambda *_: None)
    points = torch.randn(7, 2)
    assert torch.equal(raw(points).values, points)
    with pytest.raises(CardiganError, match="up to 4,096"):
        open_extractor("raw", toy, Form((3, 64, 64)), lambda *_: None)


@pytest.mark.parametrize(("name", "needle"), [("inceptoin", "did you mean 'inception'"), ("dinov2", "pictures only")])
def test_wrong_names_are_answered_in_one_line(name: str, needle: str) -> None:
    with pytest.raises(CardiganError, match=needle):
        open_extractor(name, DIGITS, Form((2,), 0), lambda *_: None)
