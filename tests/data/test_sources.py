"""Every form of a source gives the same pictures; what is broken or hostile gives one clear line."""

import gzip
import io
import stat
import zipfile
from pathlib import Path

import forms
import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from cardigan.data.pictures import Pictures
from cardigan.data.sources import UnreadableError, open_source
from cardigan.data.sources.arrays.idx import parse_idx
from cardigan.data.sources.decoding import decode, look
from cardigan.data.sources.fitting import fitted
from cardigan.data.sources.trees.layout import lay_out, natural
from cardigan.errors import CardiganError


def refusal(source: object, **fields: object) -> str:
    with pytest.raises(CardiganError) as caught:
        Pictures(source=str(source), **fields).load()
    message = str(caught.value)
    assert "\n" not in message and len(message) < 400
    return message


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [None, "8x7"])
def test_every_form_gives_the_same_tensors(tmp_path: Path, channels: int, size: str | None) -> None:
    stack, marks = forms.pictures(channels=channels), forms.labels()
    place = forms.folder(tmp_path / "photos", stack, marks)
    sources = [
        place,
        forms.archive(tmp_path / "photos.zip", place),
        forms.idx(tmp_path / "idx", stack, marks),
        forms.parquet(tmp_path / "one.parquet", stack, marks),
        forms.parquet(tmp_path / "hub" / "data" / "train-00000-of-00001.parquet", stack, marks).parent.parent,
        forms.parquet(tmp_path / "unnamed" / "train.parquet", stack, marks, named=False).parent,
    ]
    for split in ("train", "validation", "test"):
        first, *others = [Pictures(source=str(source), size=size).load(split, seed=5) for source in sources]
        assert first.form.shape == (channels, *((6, 5) if size is None else (8, 7)))
        for other in others:
            assert torch.equal(first.samples, other.samples) and torch.equal(first.ids, other.ids)
            assert torch.equal(first.labels, other.labels) and first.form == other.form
        assert first.codec.classes == forms.CLASSES
        assert len({each.fingerprint for each in (first, *others) if each.codec.classes == forms.CLASSES}) == 1
        if size is None:
            originals = torch.from_numpy(stack).reshape(40, 6, 5, channels).permute(0, 3, 1, 2)
            assert torch.equal(first.samples, originals[first.ids])


def test_names_tell_splits_and_classes() -> None:
    def seen(*names: str) -> tuple[object, ...]:
        layout = lay_out(names)
        return layout.members, {split: each.tolist() for split, each in layout.labels.items()}, layout.classes

    assert seen("a.png", "b/c.png") == ({"train": [0, 1]}, {}, ())
    assert seen("x/b/1.png", "x/a/y/2.png") == ({"train": [0, 1]}, {"train": [1, 0]}, ("a", "b"))
    assert seen("Train/1.png", "val/2.png") == ({"train": [0], "validation": [1]}, {}, ())
    assert seen("d/train/a/1.png", "d/train/b/1.png", "d/test/b/1.png") == (
        {"train": [0, 1], "test": [2]},
        {"train": [0, 1], "test": [1]},
        ("a", "b"),
    )
    assert seen("bus/1.png", "car/1.png", "train/1.png")[2] == ("bus", "car", "train")
    assert seen("train/images/1.png", "test/images/1.png")[2] == ()
    assert sorted(["10", "9", "a2b", "a10"], key=natural) == ["9", "10", "a2b", "a10"]


def test_hidden_files_and_others_are_passed_over(tmp_path: Path) -> None:
    place = forms.folder(tmp_path / "photos", forms.pictures(4))
    for name in (".hidden.png", ".cache/1.png", "notes.txt", "__MACOSX/._1.png"):
        (place / name).parent.mkdir(exist_ok=True)
        (place / name).write_text("not a picture")
    (place / "loop").symlink_to(place, target_is_directory=True)
    source = open_source(str(place))
    assert len(source.parts["train"]()) == 4 and source.classes == ()


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_honoured(orientation: int) -> None:
    pixels = forms.pictures(1, (4, 7), 3)[0]
    turned = {  # what the standard says each stored picture shows
        1: pixels,
        2: pixels[:, ::-1],
        3: pixels[::-1, ::-1],
        4: pixels[::-1],
        5: pixels.transpose(1, 0, 2),
        6: np.rot90(pixels, -1),
        7: np.rot90(pixels, 2).transpose(1, 0, 2),
        8: np.rot90(pixels),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(Image.fromarray(pixels), exif=exif)
    image, header = decode(data, "x")
    assert np.array_equal(np.asarray(image), turned)
    assert header == look(data, "x") and header.size == turned.shape[:2] and not header.grey


def test_fits() -> None:
    wide = Image.fromarray(np.repeat(np.asarray([[0, 0, 200, 200, 0, 0]], np.uint8), 2, axis=0))
    assert np.all(np.asarray(fitted(wide, (2, 2), "crop")) == 200)
    padded = np.asarray(fitted(wide, (6, 6), "pad", "white"))
    assert np.all(padded[[0, 1, 4, 5]] == 255) and np.array_equal(padded[2:4], np.asarray(wide))
    assert fitted(wide, (4, 4), "stretch").getpixel((0, 0)) == 0
    stripes = Image.fromarray(np.tile(np.asarray([0, 255], np.uint8), (64, 32)))
    assert np.all(
        abs(np.asarray(fitted(stripes, (8, 8), "crop")).astype(int) - 127) < 12
    )  # antialiased: grey, not 0 or 255


@pytest.mark.parametrize("fault", ["text", "empty", "cut"])
def test_an_unreadable_picture_is_named(tmp_path: Path, fault: str) -> None:
    place = forms.folder(tmp_path / "photos", forms.pictures(4, (40, 40)))
    good = (place / "2.png").read_bytes()
    (place / "2.png").write_bytes({"text": b"hello", "empty": b"", "cut": good[: len(good) // 2]}[fault])
    assert "1 of 4 pictures cannot be read" in refusal(place) and "2.png: " in refusal(place, size=8, channels=3)


def test_one_bad_picture_does_not_stop_a_run_of_many(tmp_path: Path) -> None:
    place = forms.folder(tmp_path / "photos", forms.pictures(40))
    (place / "7.png").write_bytes(b"hello")
    dataset = Pictures(source=str(place), test=0, validation=0).load()
    assert len(dataset) == 39 and 7 not in dataset.ids
    (remark,) = dataset.remarks
    assert remark.startswith("1 of 40 pictures cannot be read and are left out: ") and "7.png: none of PNG" in remark
    with pytest.raises(UnreadableError):
        decode(b"hello", "7.png")


def test_a_decompression_bomb_is_named(tmp_path: Path) -> None:
    place = forms.folder(tmp_path / "photos", forms.pictures(3, (40, 40)))
    for each in place.iterdir():
        each.write_bytes(forms.claiming(each.read_bytes(), 40_000, 30_000))
    assert "0.png" in refusal(place) and "bomb: more than 1,073,741,824 pixels" in refusal(place)


def test_pictures_of_several_sizes_need_a_size(tmp_path: Path) -> None:
    place = forms.folder(tmp_path / "photos", forms.pictures(4))
    (place / "7.png").write_bytes(forms.png(forms.pictures(1, (9, 9))[0]))
    message = refusal(place)
    assert "7.png" in message and "9x9" in message and "6x5" in message and "size" in message
    assert Pictures(source=str(place), size=8).load().form.shape == (1, 8, 8)


def test_one_line_for_sources_that_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CARDIGAN_DATA", raising=False)
    assert "did you mean 'mnist'" in refusal("mnits") and "CARDIGAN_DATA" in refusal("mnits")
    assert "CARDIGAN_DATA" in refusal("cifar10")
    monkeypatch.setenv("CARDIGAN_DATA", str(tmp_path))
    assert str(tmp_path / "mnist") in refusal("mnist") and "CARDIGAN_DATA" not in refusal("mnits")
    assert "no pictures" in refusal(tmp_path)
    assert "only one picture" in refusal(forms.folder(tmp_path / "one", forms.pictures(1)))
    (tmp_path / "notes.txt").write_text("hello")
    assert "none of the forms" in refusal(tmp_path / "notes.txt")
    assert "is one picture" in refusal(tmp_path / "one" / "0.png")
    (tmp_path / "notes.zip").write_text("hello")
    assert "not a zip archive" in refusal(tmp_path / "notes.zip")
    (tmp_path / "notes.parquet").write_text("hello")
    assert "not a parquet file" in refusal(tmp_path / "notes.parquet")
    for odd in ("", "x" * 5000, "a\0b", "two\nlines"):
        assert refusal(odd)


def hostile(path: Path, name: str, data: bytes = b"", mode: int = 0, size: int = 0) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        info = zipfile.ZipInfo(name)
        info.external_attr, info.compress_type = mode << 16, zipfile.ZIP_DEFLATED
        file.writestr(info, data or bytes(size))
        for index, pixels in enumerate(forms.pictures(3)):
            file.writestr(f"{index}.png", forms.png(pixels))
    return path


@pytest.mark.parametrize(
    "name", ["../x.png", "a/../../x.png", "..\\x.png", "/etc/x.png", "C:\\x.png", "\\\\host\\x.png"]
)
def test_an_archive_that_reaches_out_is_refused(tmp_path: Path, name: str) -> None:
    message = refusal(hostile(tmp_path / "bad.zip", name))
    assert "bad.zip" in message and "refused" in message
    assert list(tmp_path.iterdir()) == [tmp_path / "bad.zip"]


def test_other_hostile_archives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bad.zip"
    assert "symbolic link" in refusal(hostile(path, "link.png", b"/etc/passwd", stat.S_IFLNK | 0o777))
    monkeypatch.setattr("cardigan.data.sources.trees.archive.LARGEST", 2**20)
    assert "0 MiB" not in refusal(hostile(path, "zeros.png", size=2**21)) and "zeros.png" in refusal(path)
    data = bytearray(hostile(path, "fine.txt", b"x").read_bytes())
    at = data.rindex(b"PK\1\2")  # the last entry of the directory: set its flag of encryption
    data[at + 8] |= 1
    path.write_bytes(data)
    assert "encrypted" in refusal(path)


def test_a_stated_size_that_is_a_lie_is_not_believed(tmp_path: Path) -> None:
    path = hostile(tmp_path / "bad.zip", "0zeros.png", size=2**24)
    data = path.read_bytes()
    size = (2**24).to_bytes(4, "little")
    path.write_bytes(data.replace(size, (100).to_bytes(4, "little")))
    assert "0zeros.png: " in refusal(path)


def test_a_damaged_archive_is_named(tmp_path: Path) -> None:
    path = forms.archive(tmp_path / "photos.zip", forms.folder(tmp_path / "photos", forms.pictures(4, (40, 40))))
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 255
    path.write_bytes(data)
    assert "photos.zip" in refusal(path) and "cannot be read" in refusal(path)
    path.write_bytes(data[: len(data) // 2])
    assert "damaged" in refusal(path)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda data: data[:-1], "truncated or damaged"),
        (lambda data: data + b"\0", "truncated or damaged"),
        (lambda data: data[:7], "header"),
        (lambda data: b"\0\1" + data[2:], "not an IDX file"),
        (lambda data: b"\0\0\x0d" + data[3:], "0x0D"),
        (lambda data: b"\0\0\x08\x01" + data[4:], "truncated or damaged"),
        (lambda data: forms.idx_bytes(np.zeros(4, np.uint8)), "1 dimensions"),
    ],
)
def test_broken_idx_files(tmp_path: Path, change: object, expected: str) -> None:
    place = forms.idx(tmp_path / "idx", forms.pictures(), forms.labels())
    path = place / "train-images-idx3-ubyte.gz"
    good = gzip.decompress(path.read_bytes())
    path.write_bytes(gzip.compress(change(good)))  # type: ignore[operator]
    assert expected in refusal(place) and path.name in refusal(place)


def test_broken_gzip_and_missing_labels(tmp_path: Path) -> None:
    place = forms.idx(tmp_path / "idx", forms.pictures(), forms.labels())
    path = place / "train-images-idx3-ubyte.gz"
    good = path.read_bytes()
    path.write_bytes(good[:-20])
    assert "truncated gzip" in refusal(place)
    path.write_bytes(good[:50] + b"\xff\xff\xff" + good[53:])
    assert path.name in refusal(place)
    forms.idx(place, forms.pictures(40), forms.labels(39))
    assert "39 labels" in refusal(place)


@given(st.binary(max_size=40))
@example(b"\0\0\x08\x03" + b"\xff" * 12)
@example(b"\0\0\x08\x04" + b"\0" * 16)
@example(b"\0\0\x08\xff" + b"\0" * 30)
def test_any_bytes_are_an_array_or_one_line(data: bytes) -> None:
    for candidate in (data, b"\0\0\x08" + data):
        try:
            values = parse_idx(candidate, "here")
        except CardiganError as error:
            assert str(error).startswith("here: ") and "\n" not in str(error)
        else:
            assert forms.idx_bytes(values) == candidate


def test_labels_that_are_no_class_indices(tmp_path: Path) -> None:
    stack = forms.pictures(4)
    negative = np.asarray([0, 1, -1, 2])
    assert "label -1" in refusal(forms.parquet(tmp_path / "a.parquet", stack, negative))
    assert "-1 to 2" in refusal(forms.parquet(tmp_path / "b.parquet", stack, negative, named=False))
    assert "999998 to 1000001" in refusal(forms.parquet(tmp_path / "c.parquet", stack, negative + 999999, named=False))
