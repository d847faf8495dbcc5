from pathlib import Path
from typing import Literal

import forms
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError

from cardigan.data.picture_codec import PictureCodec
from cardigan.data.pictures import Pictures, parse_size
from cardigan.data.sources.split import assign, digest, digests
from cardigan.errors import CardiganError

SPLITS = ("train", "validation", "test")


@given(st.integers(2, 60), st.integers(0, 5))
def test_splits_are_stable_as_a_collection_grows(count: int, seed: int) -> None:
    marks = digests(forms.pictures(400, (2, 2), seed=seed))
    whole = assign(marks, 0.3, 0.3)
    order = np.random.default_rng(seed).permutation(400)
    assert np.array_equal(assign(marks[order], 0.3, 0.3), whole[order])
    part = assign(marks[: count + 40], 0.3, 0.3)  # large enough that no split is empty by chance
    assert np.array_equal(part, whole[: count + 40])


@given(st.integers(2, 12), st.floats(0.001, 0.999), st.floats(0, 0.999), st.integers(0, 99))
def test_the_smallest_collections_have_train_and_test(count: int, test: float, validation: float, seed: int) -> None:
    found = assign(digests(forms.pictures(count, (8, 8), seed=seed)), test, validation)
    assert "train" in found and "test" in found


def test_shares_are_kept_and_duplicates_stay_together() -> None:
    stack = forms.pictures(4000, (4, 4))
    found = assign(digests(np.concatenate([stack, stack])), 0.1, 0.05)
    assert np.array_equal(found[:4000], found[4000:])
    assert abs((found == "test").mean() - 0.1) < 0.02
    assert abs((found == "validation").sum() / (found != "test").sum() - 0.05) < 0.015
    assert set(assign(digests(stack), 0.0, 0.0)) == {"train"}


def test_a_grey_picture_saved_as_rgb_is_the_same_picture() -> None:
    grey, colour = forms.pictures(1)[0], forms.pictures(1, channels=3)[0]
    assert digest(grey) == digest(np.repeat(grey[..., None], 3, axis=2)) != digest(colour)
    assert digest(grey) != digest(grey.reshape(5, 6))


def test_loaded_splits_are_disjoint_and_complete(tmp_path: Path) -> None:
    stack = forms.pictures(60)
    stack[50:] = stack[:10]
    place = forms.folder(tmp_path / "photos", stack)
    rows = [{bytes(row.numpy()) for row in Pictures(source=str(place)).load(split).samples} for split in SPLITS]
    assert all(rows) and sum(map(len, rows)) == 50 == len(set.union(*rows))
    ids = [Pictures(source=str(place)).load(split).ids.tolist() for split in SPLITS]
    assert sorted(each for part in ids for each in part) == list(range(60))


def test_a_split_of_the_source_is_honoured(tmp_path: Path) -> None:
    stack = forms.pictures(60)
    for name, part in (("train", stack[:40]), ("test", stack[40:])):
        forms.folder(tmp_path / "photos" / name, part)
    data = Pictures(source=str(tmp_path / "photos"), size=8)
    counts = [len(data.load(split)) for split in SPLITS]
    assert counts[2] == 20 and sum(counts) == 60 and counts[1] > 0
    forms.folder(tmp_path / "photos" / "val", forms.pictures(5, seed=1))
    assert [len(data.load(split)) for split in SPLITS] == [40, 5, 20]


def test_form_is_the_same_in_every_split(tmp_path: Path) -> None:
    forms.folder(tmp_path / "p" / "train", forms.pictures(9))
    forms.folder(tmp_path / "p" / "test", forms.pictures(2, channels=3))
    data = Pictures(source=str(tmp_path / "p"))
    assert {data.load(split).form.shape for split in SPLITS} == {(3, 6, 5)}


def test_the_fingerprint_follows_content_and_settings(tmp_path: Path) -> None:
    place = forms.folder(tmp_path / "photos", forms.pictures())
    first = Pictures(source=str(place)).load().fingerprint
    moved = place.rename(tmp_path / "moved")
    assert Pictures(source=str(moved)).load(seed=9).fingerprint == first
    assert Pictures(source=str(moved), flip=True).load().fingerprint != first
    assert Pictures(source=str(moved), size=9).load().fingerprint != first
    forms.folder(moved, forms.pictures(seed=1))
    assert Pictures(source=str(moved)).load().fingerprint != first


def test_a_split_with_nothing_in_it_is_named(tmp_path: Path) -> None:
    place = forms.folder(tmp_path / "photos", forms.pictures(2))
    with pytest.raises(CardiganError, match=r"photos: nothing in its validation split: data.validation=0.05"):
        Pictures(source=str(place)).load("validation")
    with pytest.raises(CardiganError, match=r"data.test=0.0"):
        Pictures(source=str(place), test=0).load("test")


@pytest.mark.parametrize("storage", ["memory", "stream"])
def test_a_split_without_the_classes_asked_for_is_named(tmp_path: Path, storage: Literal["memory", "stream"]) -> None:
    """As where the labels of a test split are kept secret."""
    for name in ("cat", "dog", "cow"):
        forms.folder(tmp_path / "pets" / "train" / name, forms.pictures(9))
    forms.folder(tmp_path / "pets" / "test", forms.pictures(6, seed=1))
    data = Pictures(source=str(tmp_path / "pets"), classes=("cat", "dog"), storage=storage)
    assert data.load("train").form.classes == 2
    with pytest.raises(CardiganError, match="nothing in its test split of the classes cat, dog"):
        data.load("test")


@pytest.mark.parametrize(
    ("given_size", "size"),
    [(64, 64), ("64", 64), ("48x64", (48, 64)), (" 48 X 64 ", (48, 64)), ([48, 64], (48, 64)), (None, None)],
)
def test_sizes(given_size: object, size: object) -> None:
    assert parse_size(given_size) == size
    data = Pictures(source="digits", size=given_size)
    assert data.size == size
    assert Pictures.model_validate(data.model_dump()) == data == Pictures.model_validate_json(data.model_dump_json())


@given(
    st.one_of(st.text(), st.integers(), st.floats(), st.booleans(), st.lists(st.integers()), st.from_regex(r"\d+x\d+"))
)
def test_any_size_is_understood_or_refused_in_one_line(value: object) -> None:
    try:
        data = Pictures(source="digits", size=value)
    except ValidationError as error:
        assert "is not a size; allowed" in error.errors()[0]["msg"] and "\n" not in error.errors()[0]["msg"]
    else:
        assert Pictures.model_validate(data.model_dump()) == data


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB"), (4, "RGBA")])
def test_the_codec_writes_and_renders(tmp_path: Path, channels: int, mode: str) -> None:
    codec = PictureCodec(channels=channels, size=(6, 5), classes=("a", "b"))
    assert PictureCodec.model_validate_json(codec.model_dump_json()) == codec
    samples = torch.rand(7, channels, 6, 5) * 2.4 - 1.2
    images = codec.decode(samples)
    assert len(images) == 7 and images[0].mode == mode and images[0].size == (5, 6)
    expected = ((samples[0].clamp(-1, 1) + 1) * 127.5).round().permute(1, 2, 0).squeeze().numpy()
    assert np.array_equal(np.asarray(images[0]), expected)
    for name in ("one.png", "two"):
        codec.write(samples[0], tmp_path / name)
        assert np.array_equal(np.asarray(Image.open(tmp_path / name)), expected)
    codec.write(samples[0], tmp_path / "three.jpg")
    with pytest.raises(CardiganError, match="ending"):
        codec.write(samples[0], tmp_path / "four.xyz")
    codec.render(samples, tmp_path / "grid.png")
    sheet = np.asarray(Image.open(tmp_path / "grid.png"))
    factor = (800 - 4) // 18
    assert sheet.shape[:2] == (3 * 6 * factor + 4, 3 * 5 * factor + 4)
    assert np.array_equal(sheet[: 6 * factor : factor, : 5 * factor : factor], expected)
    assert np.all(sheet[6 * factor : 6 * factor + 2] == 255) and sheet[-1, -1].min() == 255


def test_large_pictures_are_not_magnified(tmp_path: Path) -> None:
    PictureCodec(channels=1, size=(500, 300)).render(torch.zeros(4, 1, 500, 300), tmp_path / "grid.png")
    assert Image.open(tmp_path / "grid.png").size == (602, 1002)


def test_values_that_are_not_numbers_do_not_break_a_picture() -> None:
    image = PictureCodec(channels=1, size=(1, 3)).decode(torch.tensor([[[[float("nan"), 9e9, -9e9]]]]))[0]
    assert list(image.tobytes()) == [128, 255, 0]
