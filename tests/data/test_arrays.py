""".npy and .npz: the same pictures from every shape and type; one line for what is broken, hostile or ambiguous."""

import io
import struct
import zipfile
from pathlib import Path

import forms
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cardigan.data.sources.arrays.numpy_files import open_array
from cardigan.data.sources.source import Source, Split, Stack
from cardigan.errors import CardiganError

GREY, COLOUR, MARKS = forms.pictures(), forms.pictures(channels=3), forms.labels()


def part(source: Source, split: Split = "train") -> Stack:
    found = source.parts[split]()
    assert isinstance(found, Stack)
    return found


def saved(path: Path, values: object) -> Path:
    np.save(path, values)  # type: ignore[arg-type]
    return path


def opened(path: Path, values: object) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    source = open_array("array", saved(path, values))
    return np.asarray(part(source).pixels), source.remarks


def refusal(path: Path) -> str:
    with pytest.raises(CardiganError) as caught:
        source = open_array(str(path), path)
        for read in source.parts.values():
            read()
    message = str(caught.value)
    assert "\n" not in message and len(message) < 400 and path.name in message
    return message


def test_shapes(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    alpha = np.concatenate([COLOUR, GREY[..., None]], axis=3)
    for values, expected in (
        (GREY, GREY),
        (GREY[..., None], GREY),
        (COLOUR, COLOUR),
        (alpha, alpha),
        (alpha[..., 2:], alpha[..., 2:]),
        (np.asfortranarray(COLOUR), COLOUR),
    ):
        pixels, remarks = opened(path, values)
        assert np.array_equal(pixels, expected) and not remarks
    for channels in (1, 3, 4):
        values = alpha[..., :channels].transpose(0, 3, 1, 2)
        pixels, remarks = opened(path, values)
        assert np.array_equal(pixels, alpha[..., 0] if channels == 1 else alpha[..., :channels])
        assert len(remarks) == 1 and "(N, C, H, W)" in remarks[0]


def test_bytes_are_mapped_and_read_in_any_order(tmp_path: Path) -> None:
    source = open_array("array", saved(tmp_path / "a.npy", COLOUR))
    pixels = part(source).pixels
    assert isinstance(pixels, np.memmap) and part(source).pixels is pixels
    order = np.random.default_rng(0).permutation(40)
    assert all(np.array_equal(pixels[index], COLOUR[index]) for index in order)
    assert source.files == (tmp_path / "a.npy",) and source.classes == () and part(source).labels is None


def test_types(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    assert np.array_equal(opened(path, GREY > 99)[0], np.where(GREY > 99, 255, 0))
    deep = np.arange(40 * 6 * 273, dtype=np.uint16).reshape(40, 6, 273)
    for values in (deep, deep.astype(">u2")):
        pixels, remarks = opened(path, values)
        assert np.array_equal(pixels, np.rint(deep / 257)) and "16 bits" in remarks[0]
    for kind in (np.float16, np.float32, np.float64, ">f4"):
        unit, signed = (GREY / 255).astype(kind), (GREY / 127.5 - 1).astype(kind)
        if kind != np.float16:
            assert np.array_equal(opened(path, signed)[0], GREY)
        assert np.array_equal(opened(path, unit)[0], GREY) and "0..1" in opened(path, unit)[1][0]
        assert "-1..1" in opened(path, signed)[1][0]


def test_one_range_of_floats_for_all_splits(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    signed = (COLOUR / 127.5 - 1).astype(np.float32)
    np.savez(path, x_train=np.abs(signed), x_test=signed)
    source = open_array("array", path)
    assert np.array_equal(part(source, "test").pixels, COLOUR)
    assert part(source).pixels.min() >= 127


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_names_in_an_npz(tmp_path: Path, save: object) -> None:
    path = tmp_path / "a.npz"
    test = forms.pictures(9, seed=1)
    names = [("x_train", "y_train", "x_test", "y_test"), ("train_images", "train_labels", "test_images", "test_labels")]
    names += [
        ("X_train", "Y_train", "X_test", "Y_test"),
        ("images_train", "labels_train", "images_test", "labels_test"),
    ]
    for name in names:
        save(path, **dict(zip(name, (GREY, MARKS.astype(np.uint8)[:, None], test, MARKS[:9]), strict=True)))  # type: ignore[operator]
        source = open_array("array", path)
        assert np.array_equal(part(source).pixels, GREY) and np.array_equal(part(source, "test").pixels, test)
        assert part(source).labels.tolist() == MARKS.tolist() and source.classes == ("0", "1", "2")  # type: ignore[union-attr]
        assert part(source, "test").labels.tolist() == MARKS[:9].tolist()  # type: ignore[union-attr]
    for pictures, labels in (("images", "labels"), ("x", "y"), ("data", "label"), ("arr_0", "arr_1"), ("faces", "y")):
        save(path, **{pictures: COLOUR, labels: MARKS, "notes": np.zeros(3)})  # type: ignore[operator]
        source = open_array("array", path)
        assert np.array_equal(part(source).pixels, COLOUR)
        assert part(source).labels.tolist() == MARKS.tolist()  # type: ignore[union-attr]


@pytest.mark.parametrize("end", ["-labels", "_labels"])
def test_labels_beside_an_npy(tmp_path: Path, end: str) -> None:
    path, beside = saved(tmp_path / "a.npy", GREY), saved(tmp_path / f"a{end}.npy", MARKS)
    source = open_array("array", path)
    assert part(source).labels.tolist() == MARKS.tolist() and source.files == (path, beside)  # type: ignore[union-attr]
    saved(beside, MARKS[:39])
    assert "39 labels, but 40 pictures" in refusal_in(path)
    saved(beside, MARKS / 2)
    assert "float64" in refusal_in(path)
    saved(beside, MARKS - 1)
    assert "from -1 to 1" in refusal_in(path)


def refusal_in(path: Path) -> str:
    with pytest.raises(CardiganError) as caught:
        open_array(str(path), path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.zeros(5, np.uint8), "shape 5"),
        (np.uint8(5), "one number"),
        (np.zeros((0, 5, 5), np.uint8), "shape 0x5x5"),
        (np.zeros((64, 64, 3), np.uint8), "one colour picture"),
        (np.zeros((9, 3, 8, 3), np.uint8), "may be (N, H, W, C) or (N, C, H, W)"),
        (np.zeros((9, 8, 8, 5), np.uint8), "shape 9x8x8x5"),
        (np.zeros((2, 2, 8, 8, 3), np.uint8), "shape 2x2x8x8x3"),
        (np.zeros((9, 8, 8), np.int64), "int64"),
        (np.zeros((9, 8, 8), np.complex64), "complex64"),
        (np.zeros((9, 8, 8), "U3"), "<U3"),
        (np.zeros((9, 8, 8), "M8[s]"), "datetime64"),
        (np.zeros((9, 8, 8), [("a", "u1"), ("b", "u1")]), "allowed: numbers"),
        (np.full((9, 8, 8), 255.0), "floats from 255 to 255"),
        (np.full((9, 8, 8), np.nan), "NaN"),
        (np.full((9, 8, 8), np.inf), "infinite"),
        (np.full((9, 8, 8), None), "Python objects"),
    ],
)
def test_one_line_for_other_arrays(tmp_path: Path, values: object, expected: str) -> None:
    assert expected in refusal(saved(tmp_path / "a.npy", values))
    np.savez(tmp_path / "a.npz", x=values)  # type: ignore[arg-type]
    assert expected in refusal(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (b"{'descr': '|u1', 'fortran_order': False, 'shape': (99999999999, 9999, 99), }\n", "truncated"),
        (b"{'descr': '|u1', 'fortran_order': False, 'shape': (%s, 8, 8), }\n" % (b"9" * 4000), "impossible shape"),
        (b"{'descr': '|u1', 'fortran_order': False, 'shape': (%s, 8, 8), }\n" % (b"9" * 400), "impossible shape"),
        (b"{'descr': '|u1', 'fortran_order': False, 'shape': (-1, 8, 8), }\n", "impossible shape"),
        (b"{'descr': '|u1', 'fortran_order': False, 'shape': (True, 8, 8), }\n", "impossible shape"),
        (b"{'descr': '|O', 'fortran_order': False, 'shape': (1, 8, 8), }\n", "Python objects"),
        (b"{'descr': '|V0', 'fortran_order': False, 'shape': (1, 8, 8), }\n", "allowed: numbers"),
        (b"{'descr': ('|u1', (8,)), 'fortran_order': False, 'shape': (1, 8), }\n", "allowed: numbers"),
        (b"__import__('os').system('true')\n", "damaged header"),
        (b"(" * 3000 + b"\n", "damaged header"),
        (b"{}\n", "damaged header"),
        (b"", "damaged header"),
    ],
)
def test_hostile_headers(tmp_path: Path, header: bytes, expected: str) -> None:
    path = tmp_path / "a.npy"
    path.write_bytes(forms.npy_bytes(np.zeros(64, np.uint8), header))
    assert expected in refusal(path)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.write(path, "x.npy")
    assert expected in refusal(tmp_path / "a.npz")


def test_an_archive_that_unpacks_to_too_much_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cardigan.data.sources.arrays.npy.LARGEST", 2**20)
    path = tmp_path / "bomb.npz"
    np.savez_compressed(path, x=np.zeros((2, 1024, 1024), np.uint8))
    assert "2,097,152 bytes unpacked, more than" in refusal(path)


def test_stated_sizes_that_are_lies(tmp_path: Path) -> None:
    header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (%d, 8, 8), }\n"
    start = 10 + len(header % 9)
    for claimed, stated in ((9, start + 9 * 64), (9_000_000, start + 6 + 9_000_000 * 64)):
        path = tmp_path / "a.npz"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("x.npy", forms.npy_bytes(np.zeros(99, np.uint8), header % claimed))
        there = start + 99 + (6 if claimed > 9 else 0)
        data = path.read_bytes()
        path.write_bytes(data.replace(struct.pack("<I", there), struct.pack("<I", stated)))
        message = refusal(path)
        assert "damaged" in message or "more than" in message


def test_one_line_for_archives_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    path.write_bytes(b"hello")
    assert "not an .npz file" in refusal(path)
    np.savez(path, notes=np.zeros(3))
    assert "keys: notes" in refusal(path)
    np.savez(path, x_test=GREY, z=np.zeros((9, 9, 9, 9)))
    assert "no pictures to train on" in refusal(path)
    np.savez(path, x_train=GREY, x_test=GREY / 255.0)
    assert "splits of different types" in refusal(path)
    np.savez(path, x=GREY, y=MARKS[:7])
    assert "7 labels, but 40 pictures" in refusal(path)
    assert "cannot be read" in refusal(tmp_path / "nowhere.npy")
    assert "not a .npy array" in refusal(saved_text(tmp_path / "text.npy"))


def saved_text(path: Path) -> Path:
    path.write_text("hello, this is no array")
    return path


def damaged(good: bytes, cut: float | None, flips: list[tuple[float, int]]) -> bytes:
    data = bytearray(good)
    for place, bit in flips:
        data[int(place * len(data))] ^= 1 << bit
    return bytes(data if cut is None else data[: int(cut * len(data))])


def packed(save: object) -> bytes:
    buffer = io.BytesIO()
    save(buffer, x=GREY[:4], y=MARKS[:4])  # type: ignore[operator]
    return buffer.getvalue()


GOOD = {
    "plain.npz": packed(np.savez),
    "deflated.npz": packed(np.savez_compressed),
    "bytes.npy": forms.npy_bytes(GREY[:4]),
    "floats.npy": forms.npy_bytes((GREY[:4] / 255).astype(np.float32)),
}


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(sorted(GOOD)),
    cut=st.none() | st.floats(0, 1),
    flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 7)), max_size=4),
)
@example(name="plain.npz", cut=None, flips=[])
def test_damaged_arrays_are_read_right_or_refused(
    tmp_path: Path, name: str, cut: float | None, flips: list[tuple[float, int]]
) -> None:
    path = tmp_path / name
    path.write_bytes(damaged(GOOD[name], cut, flips))
    try:
        pixels = part(open_array(name, path)).pixels
    except CardiganError as error:
        assert "\n" not in str(error) and (flips or cut is not None)
        return
    assert pixels.size <= 8 * len(GOOD[name])
    if not flips and cut is None:
        assert np.array_equal(pixels, GREY[:4])
