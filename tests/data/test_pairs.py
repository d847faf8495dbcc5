"""Pairs: by name, side by side, spoiled on the fly; what cannot be a pair is refused in one line."""

import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError

from cardigan.data.pairs import Pairs
from cardigan.data.pictures import Pictures
from cardigan.errors import CardiganError
from cardigan.resizing import pillow_bicubic, to_bytes
from cardigan.sample import Form

SIZE = (12, 10)
GREY = [{"kind": "grey"}]
HOLE = {"kind": "mask", "holes": "file", "file": "hole.png"}


def picture(seed: int, size: tuple[int, int] = SIZE) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8))


def negative(image: Image.Image) -> Image.Image:
    return Image.fromarray(255 - np.asarray(image))


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Forty pictures and their negatives under equal names, those as JPEG-like other endings."""
    for number in range(40):
        for folder, image in (("positive", picture(number)), ("negative", negative(picture(number)))):
            (tmp_path / "pairs" / folder).mkdir(parents=True, exist_ok=True)
            image.save(tmp_path / "pairs" / folder / f"{number}.{'png' if folder == 'positive' else 'bmp'}")
    return tmp_path / "pairs"


def are_negatives(data: Pairs) -> int:
    seen = 0
    for split in ("train", "validation", "test"):
        dataset = data.load(split, seed=3)
        for batch in (dataset.draw(5, 2 * len(dataset)), dataset.take(torch.arange(len(dataset)))):
            assert batch.source is not None
            torch.testing.assert_close(batch.source, -batch.sample, atol=1e-6, rtol=0)
        seen += len(dataset)
    return seen


@pytest.mark.parametrize("flip", [False, True])
def test_two_folders_of_one_source(folders: Path, flip: bool) -> None:
    data = Pairs(source=str(folders), outputs="positive", inputs="negative", flip=flip, validation=0.2)
    assert are_negatives(data) == 40
    assert data.load().form.source == data.load().form.shape == (3, *SIZE)


def test_two_sources_a_zip_and_split_folders(folders: Path, tmp_path: Path) -> None:
    separate = Pairs(source=str(folders / "positive"), inputs=str(folders / "negative"), validation=0.2)
    assert are_negatives(separate) == 40
    with zipfile.ZipFile(tmp_path / "pairs.zip", "w") as archive:
        for path in sorted(folders.rglob("*.*")):
            split = "test" if int(path.stem) < 10 else "train"
            archive.write(path, f"{split}/{path.parent.name}/{path.name}")
    packed = Pairs(source=str(tmp_path / "pairs.zip"), outputs="positive", inputs="negative", validation=0.2)
    assert len(packed.load("test")) == 10
    assert are_negatives(packed) == 40


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("storage", ["memory", "cache"])
def test_side_by_side(tmp_path: Path, side: str, storage: str) -> None:
    for number in range(30):
        image, other = picture(number), negative(picture(number))
        both = np.concatenate([np.asarray(image), np.asarray(other)][:: 1 if side == "left" else -1], axis=1)
        Image.fromarray(both).save(tmp_path / f"{number}.png")
    data = Pairs(source=str(tmp_path), side_by_side=side, storage=storage, validation=0.2)
    assert are_negatives(data) == 30
    positives = {tuple(np.asarray(picture(number)).ravel()[:6]) for number in range(30)}
    sample = to_bytes(data.load().take(torch.tensor([0])).sample)[0].permute(1, 2, 0).reshape(-1)[:6]
    assert tuple(int(value) for value in sample) in positives


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
def test_halves_of_another_aspect_ratio_stay_together(tmp_path: Path, fit: str) -> None:
    for number in range(12):
        half = np.asarray(picture(number, (20, 34)))
        Image.fromarray(np.concatenate([half, half], axis=1)).save(tmp_path / f"{number}.png")
    data = Pairs(source=str(tmp_path), side_by_side="right", size=16, fit=fit)
    batch = data.load().draw(0, 12)
    assert batch.source is not None
    torch.testing.assert_close(batch.source, batch.sample, atol=0, rtol=0)
    other = Pairs(source=str(tmp_path), side_by_side="left", size=16, fit=fit).load()
    assert other.fingerprint != data.load().fingerprint


def test_the_split_is_that_of_the_outputs_alone(folders: Path) -> None:
    """A judge that is trained on the outputs' train split has seen none of the pairs' test split."""
    data = Pairs(source=str(folders), outputs="positive", inputs="negative")
    for split in ("train", "validation", "test"):
        mine, theirs = data.load(split).take(torch.arange(1)).id, data.samples().load(split).take(torch.arange(1)).id
        assert mine is not None and theirs is not None
        assert mine.tolist() == theirs.tolist()


def test_spoiled_on_the_fly() -> None:
    data = Pairs(source="digits", size=32, channels=3, degradations=[{"kind": "downscale", "factor": 4}])
    train, clean = data.load(seed=1), Pictures(source="digits", size=32, channels=3).load(seed=1)
    batch, same = train.draw(7, 5), clean.draw(7, 5)
    assert torch.equal(batch.sample, same.sample)
    assert batch.source is not None and batch.source.shape == (5, 3, 8, 8) == (5, *train.form.source)  # type: ignore[misc]
    small = pillow_bicubic(to_bytes(batch.sample), 8, 8) / 127.5 - 1
    torch.testing.assert_close(batch.source, small, atol=1e-6, rtol=0)


def test_what_is_random_depends_on_the_position_alone() -> None:
    """Processes and slices draw stretches of their own, and a resumed run draws the same again."""
    data = Pairs(source="digits", size=16, degradations=[{"kind": "noise", "deviation": 20}, {"kind": "mask"}])
    whole = data.load(seed=2).draw(100, 12).source
    parts = [data.load(seed=2).draw(start, 4).source for start in (100, 104, 108)]
    assert whole is not None
    assert torch.equal(whole, torch.cat(parts))  # type: ignore[arg-type]
    assert not torch.equal(whole, data.load(seed=3).draw(100, 12).source)


def test_crops_of_whole_pictures(tmp_path: Path) -> None:
    for number in range(20):
        picture(number, (30 + number, 50 - number)).save(tmp_path / f"{number}.png")
    originals = [np.asarray(picture(number, (30 + number, 50 - number))) for number in range(20)]
    data = Pairs(source=str(tmp_path), crop=24, channels=3, flip=True, degradations=GREY, validation=0.1)
    train = data.load(seed=5)
    batch = train.draw(3, 40)
    assert batch.sample.shape == (40, 3, 24, 24) and batch.source.shape == (40, 1, 24, 24)  # type: ignore[union-attr]
    assert torch.equal(batch.sample, data.load(seed=5).draw(3, 40).sample)
    found = {originals[index].shape for index in train.draw(0, len(train)).id.tolist()}  # type: ignore[union-attr]
    wholes = [(each.sample.shape, each.source.shape) for each in train.wholes()]  # type: ignore[union-attr]
    assert {(sample[2], sample[3], 3) for sample, _ in wholes} == found
    held_out = [data.load(split) for split in ("validation", "test")]
    ids = [int(each.id) for dataset in (train, *held_out) for each in dataset.wholes()]  # type: ignore[arg-type]
    assert sorted(ids) == list(range(20))
    crop = to_bytes(train.take(torch.tensor([0])).sample)[0].permute(1, 2, 0).numpy()
    where = int(train.take(torch.tensor([0])).id)  # type: ignore[arg-type]
    windows = np.lib.stride_tricks.sliding_window_view(originals[where], (24, 24, 3))[:, :, 0]
    assert (windows == crop).all(axis=(2, 3, 4)).any()


def in_cache(dataset: Any) -> bool:
    return isinstance(dataset.clean.shelf.pixels, np.memmap)


@pytest.mark.parametrize(
    ("limit", "most"), [("FEW", 11), ("SMALL", 3 * sum((30 + each) * 40 for each in range(12)) - 1)]
)
def test_crops_from_the_cache_are_those_from_memory(
    limit: str, most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pictures too many, or too large by one byte, to be held in memory; `data.storage` has the last word."""
    for number in range(12):
        picture(number, (30 + number, 40)).save(tmp_path / f"{number}.png")
    data = Pairs(source=str(tmp_path), crop=24, channels=3, degradations=GREY)
    monkeypatch.setattr(f"cardigan.data.storage.{limit}", most + 1)
    before = data.load()
    monkeypatch.setattr(f"cardigan.data.storage.{limit}", most)
    cached, held = data.load(), data.model_copy(update={"storage": "memory"}).load()
    assert (in_cache(before), in_cache(cached), in_cache(held)) == (False, True, False)
    assert any("kept in the cache" in remark for remark in cached.remarks)
    assert torch.equal(before.draw(0, 30).sample, cached.draw(0, 30).sample)
    assert before.fingerprint == cached.fingerprint == held.fingerprint
    monkeypatch.undo()
    assert in_cache(data.model_copy(update={"storage": "cache"}).load())


def test_other_pictures_can_be_taken(tmp_path: Path) -> None:
    for number in range(3):
        picture(number, (17, 23)).save(tmp_path / f"{number}.png")
    data = Pairs(source="digits", channels=3, degradations=[{"kind": "downscale", "factor": 2}], crop=8)
    found = list(data.elsewhere(str(tmp_path), Form((3, 8, 8))).load().wholes())
    assert [tuple(each.sample.shape) for each in found] == [(1, 3, 16, 22)] * 3
    assert [tuple(each.source.shape) for each in found] == [(1, 3, 8, 11)] * 3  # type: ignore[union-attr]


def test_a_picture_without_partner(folders: Path) -> None:
    (folders / "negative" / "7.bmp").unlink()
    with pytest.raises(CardiganError, match=r"'7' of .*positive.* has no input of equal name .*1 of 40"):
        Pairs(source=str(folders), outputs="positive", inputs="negative").load()


def test_partners_of_other_sizes(folders: Path) -> None:
    picture(7, (12, 11)).save(folders / "negative" / "7.bmp")
    with pytest.raises(CardiganError, match=r"7.bmp has 12x11 pixels .* partner .*7.png has 12x10"):
        Pairs(source=str(folders), outputs="positive", inputs="negative", size=8).load()


def test_a_picture_that_cannot_be_halved(tmp_path: Path) -> None:
    for number in range(3):
        picture(number, (12, 21)).save(tmp_path / f"{number}.png")
    with pytest.raises(CardiganError, match="21 pixels wide, which two equal halves cannot be"):
        Pairs(source=str(tmp_path), side_by_side="left").load()


def test_a_crop_larger_than_every_picture(tmp_path: Path) -> None:
    for number in range(3):
        picture(number).save(tmp_path / f"{number}.png")
    with pytest.raises(CardiganError, match=r"data.crop: no picture .* has 64x64 pixels; allowed: up to 12x10"):
        Pairs(source=str(tmp_path), crop=64, degradations=GREY).load()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "needs exactly one of inputs, side_by_side, degradations; found none"),
        ({"inputs": "a", "degradations": GREY}, "found inputs and degradations"),
        ({"inputs": "a", "crop": 8}, "crop goes with degradations alone"),
        (
            {"degradations": GREY, "crop": 8, "size": 16},
            "size has no effect beside crop, .*allowed: crop=null, or size=nu",
        ),
        ({"degradations": GREY, "crop": 8, "fit": "pad"}, "fit has no effect beside crop"),
        ({"degradations": GREY, "crop": 8, "storage": "stream"}, "storage=stream: .*allowed: auto, memory, cache"),
        (
            {"inputs": "a", "storage": "stream"},
            "storage=stream: inputs is never streamed; allowed: auto, memory, cache",
        ),
        (
            {"degradations": GREY, "input_channels": 1},
            "input_channels has no effect beside degradations; allowed: with in",
        ),
        ({"side_by_side": "left", "input_channels": 3}, "input_channels has no effect beside side_by_side"),
        ({"degradations": [HOLE], "crop": 8}, "crop does not go with the mask, .*allowed: size instead"),
        ({"degradations": [{"kind": "mask"}, *GREY]}, "mask must come last"),
        ({"degradations": [{"kind": "haze"}]}, "unknown kind 'haze'"),
    ],
)
def test_settings_that_do_not_go_together(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Pairs(source="digits", **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(("field", "value"), [("size", 16), ("fit", "pad"), ("storage", "stream")])
def test_what_crops_take_no_notice_of(field: str, value: object) -> None:
    with pytest.raises(ValidationError, match=f"{field}.* crop.*allowed: "):
        Pictures(source="digits", crop=8, **{field: value})  # type: ignore[arg-type]


def test_pairs_of_which_one_cannot_be_read_are_named(folders: Path, tmp_path: Path) -> None:
    for path in (folders / "positive" / "3.png", folders / "negative" / "3.bmp"):
        path.write_bytes(path.read_bytes()[:60])
    data = Pairs(source=str(folders), outputs="positive", inputs="negative", validation=0.2)
    (remark,) = data.load().remarks
    assert remark.startswith("1 of 40 pairs are left out, since one of the two cannot be read: ")
    assert "positive/3.png: " in remark and "negative/3.bmp: " in remark
    for number in range(30):
        Image.fromarray(np.zeros((8, 16, 3), np.uint8) + number).save(tmp_path / f"{number}.png")
    (tmp_path / "3.png").write_bytes(b"no picture")
    halves = Pairs(source=str(tmp_path), side_by_side="left", outputs=None, test=0, validation=0)
    shutil.rmtree(folders)
    (remark,) = halves.load().remarks
    assert remark.startswith("1 of 30 pictures cannot be read and are left out: ") and "3.png" in remark


def test_copying_colours_to_grey_is_what_pillow_converts(folders: Path) -> None:
    data = Pairs(source=str(folders), outputs="positive", inputs="negative", channels=1, input_channels=3)
    batch = data.load().take(torch.arange(5))
    copied = data.load().baselines["copying the input"](batch.source)  # type: ignore[arg-type]
    for given, made in zip(to_bytes(batch.source), to_bytes(copied), strict=True):  # type: ignore[arg-type]
        image = Image.fromarray(given.permute(1, 2, 0).to(torch.uint8).numpy()).convert("L")
        assert np.array_equal(np.asarray(image), made[0].numpy())


def test_an_unknown_folder(folders: Path) -> None:
    with pytest.raises(CardiganError, match=r"data.outputs: .* no class 'colour'; .*positive"):
        Pairs(source=str(folders), outputs="colour", inputs="negative").load()
    with pytest.raises(
        CardiganError, match=r"data.inputs: .* no folder 'sketch'; allowed: negative, positive, or .* ./sketch"
    ):
        Pairs(source=str(folders), outputs="positive", inputs="sketch").load()
    with pytest.raises(CardiganError, match=r"data source './sketch': no such name, file or folder"):
        Pairs(source=str(folders), outputs="positive", inputs="./sketch").load()


def test_a_folder_s_name_is_no_path(folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever lies in the working folder, a name without a slash is a folder of the source."""
    monkeypatch.chdir(folders)
    data = Pairs(source=".", outputs="positive", inputs="negative", validation=0.2)
    kept = data.model_copy(update=data.anchored())
    assert kept.inputs == "negative"
    monkeypatch.chdir(tmp_path)
    assert are_negatives(kept) == 40
    separate = Pairs(source="pairs/positive", inputs="pairs/negative", validation=0.2)
    kept = separate.model_copy(update=separate.anchored())
    monkeypatch.chdir("/")
    assert are_negatives(kept) == 40


def test_partners_are_found_whatever_order_endings_give_them(tmp_path: Path) -> None:
    for name in ("a", "a.k", "b"):
        for folder, ending, image in (("x", "png", picture(len(name))), ("y", "bmp", negative(picture(len(name))))):
            (tmp_path / folder).mkdir(exist_ok=True)
            image.save(tmp_path / folder / f"{name}.{ending}")
    data = Pairs(source=str(tmp_path / "x"), inputs=str(tmp_path / "y"), test=0.34, validation=0.34)
    batch = data.load().draw(0, 3)
    assert batch.source is not None
    torch.testing.assert_close(batch.source, -batch.sample, atol=1e-6, rtol=0)


def test_a_mask_file_is_found_again_and_known_by_its_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.eye(16, dtype=np.uint8) * 255).save("mask.png")
    fields = {"source": "digits", "size": 16, "degradations": [{"kind": "mask", "holes": "file", "file": "mask.png"}]}
    data = Pairs.model_validate(fields)
    kept = Pairs.model_validate({**data.model_dump(mode="json"), **data.anchored()})
    monkeypatch.chdir("/")
    assert kept.load().fingerprint == kept.load().fingerprint
    (tmp_path / "other").mkdir()
    (tmp_path / "mask.png").rename(tmp_path / "other" / "mask.png")
    moved = [{"kind": "mask", "holes": "file", "file": str(tmp_path / "other" / "mask.png")}]
    assert Pairs.model_validate({**fields, "degradations": moved}).load().form.source == (2, 16, 16)


def test_every_whole_picture_is_spoiled_in_its_own_way() -> None:
    data = Pairs(source="digits", size=8, degradations=[{"kind": "mask"}]).load("test")
    holes = torch.cat([each.source[:, -1:] > 0 for each in data.wholes()])  # type: ignore[index]
    assert len(holes) > 2 * 50
    assert len(torch.unique(holes.flatten(1), dim=0)) > 0.8 * len(holes)


def test_the_real_pairs(real: Path) -> None:
    data = Pairs(source="emoji-pairs", inputs="line", outputs="colour", size=64, channels=3)
    test = data.load("test")
    assert len(test) == 325 and len(data.load()) + len(data.load("validation")) == 3822
    batch = test.draw(0, 50)
    assert batch.source is not None
    lines, colours = (to_bytes(each) < 250 for each in (batch.source, batch.sample))
    assert (lines & colours).sum() > 0.9 * lines.sum()  # every line lies on something coloured
