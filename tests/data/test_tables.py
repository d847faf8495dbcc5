"""Parquet and Arrow: the same pictures, labels and sentences from every layout; one line for what is broken."""

import json
import os
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import forms
import numpy as np
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cardigan.data.sources.source import Encoded, Source, Split, UnreadableError
from cardigan.data.sources.tables.arrow import holds_arrow, open_arrow
from cardigan.data.sources.tables.columns import choose
from cardigan.data.sources.tables.parquet import holds_parquet, open_parquet
from cardigan.errors import CardiganError

STACK, MARKS = forms.pictures(), forms.labels()
PNGS = [forms.png(pixels) for pixels in STACK]
Opener = Callable[[str, Path], Source]


def part(source: Source, split: Split = "train") -> Encoded:
    found = source.parts[split]()
    assert isinstance(found, Encoded)
    return found


def assert_whole(source: Source, sentences: bool = True) -> None:
    whole = part(source)
    order = random.Random(0).sample(range(40), 40)
    assert [whole.read(index) for index in order] == [PNGS[index] for index in order]
    assert whole.labels is not None and whole.labels.tolist() == MARKS.tolist()
    assert source.classes == forms.CLASSES and len(whole) == len(whole.names) == 40
    if sentences:
        assert whole.sentences is not None
        assert list(whole.sentences) == [forms.SENTENCES[index % 3] for index in range(40)]
    assert whole.sentences is not None or not sentences


def refusal(opener: Opener, path: Path) -> str:
    with pytest.raises(CardiganError) as caught:
        source = opener(str(path), path)
        for index in range(len(part(source))):
            part(source).read(index)
    message = str(caught.value)
    assert "\n" not in message and len(message) < 500
    return message


def write_parquet(path: Path, columns: pa.Table, rows: int = 7, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(columns, path, row_group_size=rows, **options)
    return path


def forms_of_columns(place: Path) -> list[tuple[Opener, Path]]:
    columns, plain = forms.noted(forms.table(STACK, MARKS)), forms.noted(forms.table(STACK, MARKS, plain=True))
    dictionary = forms.saved(place / "saved", {"train": columns, "test": columns.slice(0, 9)})
    feather.write_feather(columns, place / "compressed.feather", "lz4", chunksize=7)
    feather.write_feather(columns, place / "plain.feather", "uncompressed")
    return [
        (open_parquet, write_parquet(place / "one.parquet", columns)),
        (open_parquet, write_parquet(place / "bytes.parquet", plain, compression="zstd")),
        (open_parquet, write_parquet(place / "split" / "train" / "0000.parquet", columns).parent.parent),
        (open_parquet, write_parquet(place / "hub" / "default" / "train" / "0000.parquet", columns).parents[2]),
        (open_parquet, write_parquet(place / "config" / "plain" / "train-00000-of-1.parquet", columns).parents[1]),
        (open_parquet, write_parquet(place / "loose" / "part-0.parquet", columns).parent),
        (open_arrow, forms.arrow(place / "stream.arrow", columns)),
        (open_arrow, forms.arrow(place / "squeezed.arrow", columns, compression="zstd")),
        (open_arrow, forms.arrow(place / "file.arrow", plain, stream=False)),
        (open_arrow, forms.arrow(place / "cached" / "tiny-train.arrow", columns).parent),
        (open_arrow, dictionary),
        (open_arrow, dictionary / "train"),
        (open_arrow, place / "compressed.feather"),
        (open_arrow, place / "plain.feather"),
    ]


def test_every_layout_gives_the_same_rows_in_any_order(tmp_path: Path) -> None:
    for opener, path in forms_of_columns(tmp_path):
        source = opener(str(path), path)
        assert_whole(source)
        assert source.files and all(file.is_file() for file in source.files)
        if path.is_dir():
            assert (holds_parquet if opener is open_parquet else holds_arrow)(path)
    test = part(open_arrow("saved", tmp_path / "saved"), "test")
    assert [test.read(index) for index in range(9)] == PNGS[:9]


def test_shards_come_in_natural_order(tmp_path: Path) -> None:
    columns = forms.noted(forms.table(STACK, MARKS))
    for number in range(12):
        stop = 40 if number == 11 else 3 * number + 3
        write_parquet(tmp_path / f"train-{number}.parquet", columns.slice(3 * number, stop - 3 * number), 2)
    source = open_parquet("here", tmp_path)
    assert_whole(source)
    assert part(source).names[7] == f"{tmp_path}/train-2.parquet: row 1" and len(source.files) == 12


def test_names_of_splits_of_files_and_folders(tmp_path: Path) -> None:
    columns = forms.table(STACK, MARKS)
    for name, size in (("train-00000-of-00001", 20), ("validation-0", 12), ("test", 8)):
        write_parquet(tmp_path / "data" / f"{name}.parquet", columns.slice(0, size))
    source = open_parquet("here", tmp_path)
    assert {split: len(part(source, split)) for split in source.parts} == {"train": 20, "validation": 12, "test": 8}
    odd = forms.saved(tmp_path / "odd", {"all": columns, "extra": columns, "test": columns.slice(0, 8)})
    source = open_arrow("odd", odd)
    assert sorted(source.parts) == ["test", "train"] and len(part(source)) == 40
    assert any("'all' is trained on" in remark for remark in source.remarks)
    assert any("not used: extra" in remark for remark in source.remarks)
    for name in ("a", "b"):
        write_parquet(tmp_path / "several" / name / "train.parquet", columns)
    assert holds_parquet(tmp_path / "several")
    assert "several configurations, a, b" in refusal(open_parquet, tmp_path / "several")
    forms.folder(tmp_path / "photos", STACK[:2])
    write_parquet(tmp_path / "photos" / "notes.parquet", columns)
    assert not holds_parquet(tmp_path / "photos") and not holds_arrow(tmp_path / "photos")


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("dataset_info.json", json.dumps({"features": {"label": {"names": forms.CLASSES, "_type": "ClassLabel"}}})),
        (
            "dataset_infos.json",
            json.dumps({"default": {"features": {"label": {"names": forms.CLASSES, "_type": "ClassLabel"}}}}),
        ),
        (
            "README.md",
            "---\nlicense: mit\ndataset_info:\n  features:\n  - name: image\n    dtype: image\n  - name: label\n"
            "    dtype:\n      class_label:\n        names:\n          '0': cat\n          '1': dog 2\n"
            "          '2': dog 10\n---\n# Cats\n",
        ),
    ],
)
def test_names_of_classes_noted_beside_the_tables(tmp_path: Path, file: str, content: str) -> None:
    write_parquet(tmp_path / "data" / "train.parquet", forms.table(STACK, MARKS))
    (tmp_path / file).write_text(content)
    source = open_parquet("here", tmp_path)
    assert_whole(source)
    assert tmp_path / file in source.files
    for damaged in (
        content[:40],
        "[" * 100_000,
        "---\na: &a [*a]\ndataset_info: {features: [1]}\n---",
        "---\n" + "[" * 9999 + "\n---",
        "",
    ):
        (tmp_path / file).write_text(damaged)
        assert open_parquet("here", tmp_path).classes == ("0", "1", "2")


def test_labels_of_words_booleans_and_secret_ones(tmp_path: Path) -> None:
    columns = forms.table(STACK)
    words = columns.append_column("class", pa.array([forms.CLASSES[mark] for mark in MARKS]).dictionary_encode())
    assert_whole(open_parquet("words", write_parquet(tmp_path / "words.parquet", words)))
    assert_whole(open_arrow("words", forms.arrow(tmp_path / "words.arrow", words)))
    marks = pa.array(MARKS == 2)
    source = open_parquet("two", write_parquet(tmp_path / "two.parquet", columns.append_column("label", marks)))
    assert source.classes == ("0", "1") and part(source).labels.tolist() == (MARKS == 2).tolist()  # type: ignore[union-attr]
    for name, values in (("train", MARKS), ("test", np.full(40, -1))):
        write_parquet(tmp_path / "secret" / f"{name}.parquet", forms.noted(forms.table(STACK, values)))
    secret = open_parquet("secret", tmp_path / "secret")
    assert part(secret, "test").labels is None and part(secret).labels is not None
    some = pa.array([None, *MARKS[1:]], pa.int64())
    path = write_parquet(tmp_path / "some.parquet", columns.append_column("label", some))
    assert "1 rows without a label" in refusal(open_parquet, path)


def test_which_columns_are_meant() -> None:
    struct, text = pa.struct([("bytes", pa.binary()), ("path", pa.string())]), pa.string()
    label = {"_type": "ClassLabel", "names": ["a"]}
    integer = pa.int64()

    def chosen(features: dict[str, dict[str, object]] | None = None, **kinds: pa.DataType) -> tuple[str, str, str, int]:
        found = choose(pa.schema(kinds), features or {}, "here")
        return found.picture, found.label, found.sentences, len(found.remarks)

    assert chosen(id=text, img=struct, label=integer) == ("img", "label", "", 0)
    assert chosen(x=pa.binary(), caption=text) == ("x", "", "caption", 0)
    assert chosen(mask=struct, image=struct, features={"image": {"_type": "Image"}})[0] == "image"
    assert chosen({"fine": label, "coarse": label}, i=struct, fine=integer, coarse=integer) == ("i", "fine", "", 1)
    assert chosen(image=pa.large_binary(), mask=pa.binary(), prompt=text) == ("image", "", "prompt", 1)
    assert chosen(image=struct, one=text, two=text) == ("image", "", "", 0)
    for kinds in ({"x": integer}, {"a": pa.binary(), "b": pa.binary()}, {}, {"x": pa.struct([("bytes", text)])}):
        with pytest.raises(CardiganError, match="no column of pictures"):
            choose(pa.schema(kinds), {}, "here")


def test_pictures_in_files_beside_the_table_and_only_there(tmp_path: Path) -> None:
    place = tmp_path / "inside"
    (place / "files").mkdir(parents=True)
    (place / "files" / "1.png").write_bytes(PNGS[1])
    (tmp_path / "secret.png").write_bytes(PNGS[2])
    (place / "link.png").symlink_to(tmp_path / "secret.png")
    os.mkfifo(place / "pipe.png")
    paths = ["files/1.png", "../secret.png", str(tmp_path / "secret.png"), "link.png", "none.png", "pipe.png", "a\0b"]
    rows = [{"bytes": PNGS[0], "path": "0.png"}, *({"bytes": None, "path": path} for path in paths), None]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    columns = pa.table({"image": pa.array(rows, kind)})
    for opener, path in (
        (open_parquet, write_parquet(place / "t.parquet", columns, 2)),
        (open_arrow, forms.arrow(place / "t.arrow", columns)),
    ):
        source = opener("t", path)
        assert [part(source).read(index) for index in (0, 1)] == PNGS[:2]
        assert source.files == (path, (place / "files" / "1.png").resolve())
        for index in range(2, len(rows)):
            with pytest.raises(UnreadableError, match=f"row {index}: unreadable picture: no bytes in this row"):
                part(source).read(index)


def test_large_row_groups_are_read_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cardigan.data.sources.tables.parquet.BUDGET", 1000)
    monkeypatch.setattr("cardigan.data.sources.tables.parquet._WHOLE", 1000)
    monkeypatch.setattr("cardigan.data.sources.tables.parquet._PIECE", 400)
    columns = forms.noted(forms.table(STACK, MARKS))
    for number in range(2):
        write_parquet(tmp_path / f"train-{number}.parquet", columns.slice(20 * number, 20), 20)
    source = open_parquet("large", tmp_path)
    assert any("row groups of" in remark for remark in source.remarks)
    assert_whole(source)
    assert [part(source).read(index) for index in range(40)] == PNGS


@pytest.mark.parametrize("pieces", [False, True])
def test_threads_and_forked_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pieces: bool) -> None:
    if pieces:
        monkeypatch.setattr("cardigan.data.sources.tables.parquet.BUDGET", 1000)
        monkeypatch.setattr("cardigan.data.sources.tables.parquet._WHOLE", 1000)
    monkeypatch.setattr("cardigan.data.sources.tables.parquet._PIECE", 400)
    columns = forms.noted(forms.table(STACK, MARKS))
    for opener, path in (
        (open_parquet, write_parquet(tmp_path / "t.parquet", columns)),
        (open_arrow, forms.arrow(tmp_path / "t.arrow", columns, stream=False, compression="lz4")),
    ):
        whole = part(opener("t", path))
        assert whole.read(11) == PNGS[11]
        order = [random.Random(seed).randrange(40) for seed in range(200)]
        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(whole.read, order)) == [PNGS[index] for index in order]
        child = os.fork()
        if not child:
            os._exit(0 if all(whole.read(index) == PNGS[index] for index in order[:60]) else 1)
        assert [whole.read(index) for index in order[:60]] == [PNGS[index] for index in order[:60]]
        assert os.waitpid(child, 0)[1] == 0


def test_one_line_for_tables_that_are_none(tmp_path: Path) -> None:
    columns = forms.table(STACK, MARKS)
    for name, content in (("a", b""), ("b", b"hello"), ("c", b"PAR1" * 20), ("d", b"ARROW1" * 20), ("e", b"FEA1" * 9)):
        (tmp_path / name).write_bytes(content)
        assert "not a parquet file" in refusal(open_parquet, tmp_path / name)
        assert "not an Arrow file" in refusal(open_arrow, tmp_path / name)
    write_parquet(tmp_path / "two" / "train-0.parquet", columns)
    write_parquet(tmp_path / "two" / "train-1.parquet", columns.drop_columns(["image"]))
    assert "train-1.parquet: column 'image' is missing" in refusal(open_parquet, tmp_path / "two")
    write_parquet(tmp_path / "test" / "test.parquet", columns)
    assert "no train.parquet" in refusal(open_parquet, tmp_path / "test")
    assert "not a parquet file" in refusal(open_parquet, tmp_path / "nowhere.parquet")


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("dataset_dict.json", {"splits": ["../outside"]}),
        ("dataset_dict.json", {"splits": []}),
        ("dataset_dict.json", {"splits": "train"}),
        ("dataset_dict.json", []),
        ("train/state.json", {"_data_files": [{"filename": "../../outside/x.arrow"}]}),
        ("train/state.json", {"_data_files": [{"filename": "/etc/passwd"}]}),
        ("train/state.json", {"_data_files": [None]}),
        ("train/state.json", {}),
        ("train/state.json", {"_indices_data_files": [{"filename": "i.arrow"}], "_data_files": []}),
    ],
)
def test_notes_of_save_to_disk_that_lead_astray(tmp_path: Path, file: str, content: object) -> None:
    place = forms.saved(tmp_path / "saved", {"train": forms.table(STACK, MARKS)})
    (place / file).write_text(json.dumps(content))
    assert file.rpartition("/")[2] in refusal(open_arrow, place)


def test_names_of_columns_that_are_no_text(tmp_path: Path) -> None:
    good = forms.arrow(tmp_path / "good.arrow", forms.table(STACK, MARKS)).read_bytes()
    for name in (b"image", b"label", b"captions"):
        (tmp_path / "bad.arrow").write_bytes(good.replace(name, b"\x80" + name[1:]))
        assert "bad.arrow: not an Arrow file" in refusal(open_arrow, tmp_path / "bad.arrow")
    (tmp_path / "bad.arrow").write_bytes(good.replace(b"path", b"\x80ath"))
    assert part(open_arrow("bad", tmp_path / "bad.arrow")).read(3) == PNGS[3]


def test_more_rows_than_bytes_are_refused(tmp_path: Path) -> None:
    rows = pa.table({"image": pa.array([b"x"] * 100_000), "label": pa.array(np.zeros(100_000, np.int64))})
    path = write_parquet(tmp_path / "bomb.parquet", rows, 100_000)
    assert path.stat().st_size < 10_000
    assert "100,000 rows in" in refusal(open_parquet, path)


SMALL = forms.noted(forms.table(STACK[:9], MARKS[:9]))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    form=st.sampled_from(["parquet", "stream", "file", "lz4"]),
    cut=st.none() | st.floats(0, 1),
    flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 7)), max_size=3),
)
def test_damaged_tables_are_read_right_or_refused(
    tmp_path: Path, form: str, cut: float | None, flips: list[tuple[float, int]]
) -> None:
    path = tmp_path / f"good.{form}"
    if not path.exists():
        if form == "parquet":
            write_parquet(path, SMALL, 4)
        else:
            forms.arrow(path, SMALL, form == "stream", "lz4" if form == "lz4" else None)
    data = bytearray(path.read_bytes())
    for place, bit in flips:
        data[int(place * len(data))] ^= 1 << bit
    damaged = tmp_path / "damaged"
    damaged.write_bytes(data if cut is None else data[: int(cut * len(data))])
    try:
        source = (open_parquet if form == "parquet" else open_arrow)("damaged", damaged)
        whole = part(source)
    except CardiganError as error:
        assert "\n" not in str(error) and (flips or cut is not None)
        return
    assert len(whole) <= len(data)
    for index in range(min(len(whole), 20)):
        try:
            assert isinstance(whole.read(index), bytes)
            assert whole.sentences is None or isinstance(whole.sentences[index], tuple)
        except CardiganError as error:
            assert "\n" not in str(error)
    if not flips and cut is None:
        assert [whole.read(index) for index in range(9)] == PNGS[:9]
