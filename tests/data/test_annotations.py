"""Labels and sentences beside pictures: the same from a folder, a zip and a tar; errors name file and line."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import forms
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cardigan.data.sources.source import Source
from cardigan.data.sources.trees.archive import open_archive
from cardigan.data.sources.trees.folder import open_folder
from cardigan.data.sources.trees.label_tables import Table, numbered, read_table
from cardigan.data.sources.trees.tar import open_tar
from cardigan.errors import CardiganError

Content = dict[str, bytes | str]
OPENERS: dict[str, Callable[[Path, Content], Source]] = {
    "folder": lambda path, content: open_folder("x", forms.files(path / "f", content)),
    "zip": lambda path, content: open_archive("x", forms.zipped(path / "a.zip", content)),
    "tar": lambda path, content: open_tar("x", forms.tarred(path / "a.tar", content)),
    "tar.zst": lambda path, content: open_tar("x", forms.tarred(path / "a.tar.zst", content)),
}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARDIGAN_CACHE", str(tmp_path / "cache"))


@pytest.fixture(params=list(OPENERS))
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Content], Source]:
    return lambda content: OPENERS[request.param](tmp_path, content)


def seen(source: Source) -> dict[str, dict[str, tuple[str | None, tuple[str, ...] | None]]]:
    """Split -> content of each picture (its own name, by the way these tests write them) -> class and sentences."""
    found: dict[str, dict[str, tuple[str | None, tuple[str, ...] | None]]] = {}
    for split, make in source.parts.items():
        part = make()
        for index in range(len(part)):
            label = None if part.labels is None else source.classes[part.labels[index]]
            said = None if part.sentences is None else part.sentences[index]
            found.setdefault(split, {})[part.read(index).decode()] = (label, said)
    return found


def pictures(*names: str) -> Content:
    return {name: name.rpartition("/")[2] for name in names}


def refusal(content: Content, tmp_path: Path) -> str:
    with pytest.raises(CardiganError) as caught:
        OPENERS["zip"](tmp_path, content)
    message = str(caught.value)
    assert "\n" not in message and len(message) < 500
    return message


def test_stylegan_zip(opened: Callable[[Content], Source]) -> None:
    content = pictures("00000/img00000000.png", "00000/img00000001.png", "00001/img00000002.png")
    labels = [["00000/img00000000.png", 2], ["00001/img00000002.png", 0], ["00001/img00000009.png", 0]]
    source = opened({**content, "dataset.json": json.dumps({"labels": labels})})
    assert source.classes == ("0", "1", "2")
    assert seen(source) == {"train": {"img00000000.png": ("2", None), "img00000002.png": ("0", None)}}
    assert source.remarks[0] == "labels from dataset.json"
    assert "1 picture without a label left out" in str(source.remarks) and "1 row" in str(source.remarks)


@pytest.mark.parametrize("extra", [{}, {"dataset.json": '{"labels": null}'}, {"dataset.json": '{"other": 1}'}])
def test_stylegan_without_labels(opened: Callable[[Content], Source], extra: Content) -> None:
    source = opened({**pictures("00000/img00000000.png", "00001/img00000001.png"), **extra})
    assert source.classes == () and len(source.parts["train"]()) == 2


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ('[["a.png", [0, 1]]]', "a vector of 2 numbers is not supported"),
        ('[["a.png", -1]]', "label -1"),
        ('[["a.png", true]]', "label True"),
        ('[["a.png"]]', "allowed: [name, class]"),
        ('"x"', "no list"),
        ('[["b.png", 1]]', "no row names a picture"),
        ("[[", "not JSON"),
    ],
)
def test_stylegan_labels_that_are_wrong(tmp_path: Path, labels: str, expected: str) -> None:
    message = refusal({**pictures("a.png"), "dataset.json": f'{{"labels": {labels}}}'}, tmp_path)
    assert expected in message and "dataset.json" in message


@pytest.mark.parametrize("name", ["labels.csv", "Metadata.csv", "labels.tsv", "top/labels.csv"])
@pytest.mark.parametrize("head", ["file_name,label", "Image Path;Class", "id\ttarget"])
def test_tables_of_labels(opened: Callable[[Content], Source], name: str, head: str) -> None:
    mark = next(each for each in ",;\t" if each in head)
    rows = [["1.png", "cat"], ["sub/2", "dog 10"], ["3.jpg", "dog 2"], ["gone.png", "cat"], ["4.png", ""]]
    table = "\ufeff" + "\r\n".join([head, *(mark.join(row) for row in rows)])
    top = "top/" if "top" in name else ""
    names = [f"{top}{each}" for each in ("1.png", "sub/2.png", "deep/er/3.jpg", "4.png", "5.png")]
    source = opened({**pictures(*names), name: table})
    assert source.classes == ("cat", "dog 2", "dog 10")
    assert seen(source) == {"train": {"1.png": ("cat", None), "2.png": ("dog 10", None), "3.jpg": ("dog 2", None)}}
    assert source.remarks[0] == f"labels from {name}"
    assert "2 pictures without a label left out" in str(source.remarks) and "1 row" in str(source.remarks)
    assert any(name in str(path) for path in source.files) or len(source.files) == 1


def test_imagefolder_of_hugging_face(opened: Callable[[Content], Source]) -> None:
    lines = [
        {"file_name": "1.png", "text": "one", "label": 1},
        {"file_name": "2.png", "text": ["two", "zwei"], "label": 0},
    ]
    source = opened(
        {
            **pictures("d/train/1.png", "d/train/2.png", "d/test/1.png", "d/test/3.png"),
            "d/train/metadata.jsonl": "\n".join(map(json.dumps, lines)),
            "d/test/metadata.jsonl": json.dumps({"file_name": "1.png", "text": "first", "label": 1}),
        }
    )
    assert seen(source) == {
        "train": {"1.png": ("1", ("one",)), "2.png": ("0", ("two", "zwei"))},
        "test": {"1.png": ("1", ("first",))},
    }
    assert "labels and sentences from" in source.remarks[0]


def test_captions_beside_class_folders(opened: Callable[[Content], Source]) -> None:
    table = 'image,caption\n1.png,"a cat, sitting"\n1.png,another\n2.png,a dog\n'
    source = opened({**pictures("a/1.png", "b/2.png", "b/3.png"), "captions.txt": table})
    assert source.classes == ("a", "b") and seen(source)["train"] == {
        "1.png": ("a", ("a cat, sitting", "another")),
        "2.png": ("b", ("a dog",)),
        "3.png": ("b", ()),
    }
    assert "sentences from captions.txt" in source.remarks[0] and "1 picture without a sentence" in str(source.remarks)


def test_a_table_for_the_train_split_alone(opened: Callable[[Content], Source]) -> None:
    source = opened(
        {**pictures("train/1.png", "train/2.png", "test/1.png", "test/9.png"), "labels.csv": "id,label\n1,7\n2,300\n"}
    )
    assert source.classes == ("7", "300")
    assert seen(source) == {
        "train": {"1.png": ("7", None), "2.png": ("300", None)},
        "test": {"1.png": (None, None), "9.png": (None, None)},
    }


def test_a_table_that_the_user_names(tmp_path: Path) -> None:
    content = {
        **pictures("p/a/1.png", "p/b/2.png"),
        "p/other.csv": "picture,x\n",
        "p/mine.csv": "name,kind\n1,u\n2,v\n",
    }
    outside = tmp_path / "outside.csv"
    outside.write_text("1.png,w\n2.png,w\n")
    for name, (opener, path) in {
        "folder": (open_folder, forms.files(tmp_path / "f", content)),
        "zip": (open_archive, forms.zipped(tmp_path / "a.zip", content)),
        "tar": (open_tar, forms.tarred(tmp_path / "a.tar", content)),
    }.items():
        for labels in ("mine.csv", "p/mine.csv"):
            source = opener("x", path, labels)
            assert source.classes == ("u", "v"), name
        source = opener("x", path, outside)
        assert source.classes == ("w",) and outside in source.files
        for labels in ("gone.csv", tmp_path, "a\0b", tmp_path / "gone.csv"):
            with pytest.raises(CardiganError, match="labels"):
                opener("x", path, labels)


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ("", "no column of file names"),
        ("file_name,label\n", "no rows"),
        ("a,b\n1,2\n", "no column of file names among a, b"),
        ("file,x,y\n1.png,2,3\n", "no column of labels or sentences among file, x, y"),
        ("file,label\n1.png,a\n1.png,b\n", "line 3: 1.png is 'b' here and 'a' in line 2"),
        ("file,label\n1.png\n", "line 2: 1 cells, not 2"),
        ("file,label\n,x\n", "line 2: no file name"),
        (b"file,label\n1.png,\xff\n", "line 2: not UTF-8"),
        ("file,label\n" + '"' + "x" * 200_000, "damaged"),
        ("file,label\nother.png,x\n", "no row names a picture; it names other.png, and there are 1.png"),
        ("file,label\n3,x\n", "'3' may be a/3.png, b/3.png"),
    ],
)
def test_tables_that_are_wrong(tmp_path: Path, table: str | bytes, expected: str) -> None:
    message = refusal({**pictures("1.png", "2.png", "a/3.png", "b/3.png"), "labels.csv": table}, tmp_path)
    assert expected in message and "a.zip: labels.csv" in message


def test_a_table_about_something_else_is_passed_over(tmp_path: Path) -> None:
    source = OPENERS["zip"](tmp_path, {**pictures("a/1.png", "b/2.png"), "metadata.csv": "x,y\n1,2\n"})
    assert source.classes == ("a", "b")
    for line in ("{", "[]", '{"file_name": "1.png", "label": [1]}', '{"file_name": null, "label": 1}', "[" * 99999):
        message = refusal({**pictures("1.png"), "metadata.jsonl": line}, tmp_path)
        assert "metadata.jsonl: line 1: " in message


CELLS = st.text(st.characters(codec="utf-8"), max_size=8)


@given(st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=8), st.sampled_from(",;\t"))
@example([("a", "1"), ("b", '"')], ",")
def test_any_cells_are_read_as_they_were_written(rows: list[tuple[str, str]], mark: str) -> None:
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, delimiter=mark)
    writer.writerows([("file_name", "label"), *rows])
    try:
        table = read_table(buffer.getvalue().encode(), "here", ".csv", True)
    except CardiganError as error:
        assert str(error).startswith("here: ") and "\n" not in str(error)
        assert any(not name.strip() for name, _ in rows) or len({name.strip() for name, _ in rows}) < len(rows)
    else:
        for name, label in filter(any, rows):  # empty lines say nothing
            key = name.strip().replace("\\", "/").removeprefix("./")
            assert table.labels[table.rows[key]] == " ".join(label.split())


@given(st.binary(max_size=60), st.sampled_from([".csv", ".jsonl"]))
@example(b"\xff\xfe\0", ".csv")
@example(b'{"file": 1e999}\n{"file": NaN}', ".jsonl")
@example(b"file_name,label\n\0,\0", ".csv")
def test_any_bytes_are_a_table_or_one_line(data: bytes, form: str) -> None:
    for each in (data, b"file_name,label\n" + data, b'{"file": "a", "label": 1}\n' + data):
        try:
            assert isinstance(read_table(each, "here", form, True), Table)
        except CardiganError as error:
            assert str(error).startswith("here: ") and "\n" not in str(error)


def test_numbers_and_names() -> None:
    assert numbered(["1", "0", "", "3"]) == (("0", "1", "2", "3"), [1, 0, -1, 3])
    assert numbered(["1000000", "7"]) == (("7", "1000000"), [1, 0])
    assert numbered(["b", "a", "10", "9"]) == (("9", "10", "a", "b"), [3, 2, 1, 0])
    assert numbered(["01", "02"])[0] == ("01", "02")


def test_imagenet(opened: Callable[[Content], Source]) -> None:
    names = ["n01440764", "n02012849", "n03126707"]
    root = "ILSVRC/Data/CLS-LOC"
    source = opened(
        {
            **pictures(*(f"{root}/train/{name}/{name}_{n}.JPEG" for name in names for n in range(2))),
            **pictures(f"{root}/val/ILSVRC2012_val_1.JPEG", f"{root}/val/ILSVRC2012_val_2.JPEG", f"{root}/test/t.JPEG"),
            "ILSVRC/Annotations/x.xml": "<x/>",
            "LOC_synset_mapping.txt": "n03126707 crane\nn01440764 tench, Tinca tinca\nn02012849 crane, bird\n",
            "LOC_val_solution.csv": "ImageId,PredictionString\nILSVRC2012_val_2,n01440764 85 1 499 272 \n"
            "ILSVRC2012_val_1,n03126707 1 2 3 4\n",
        }
    )
    assert source.classes == ("tench", "crane (n02012849)", "crane (n03126707)")
    found = seen(source)
    assert found["train"]["n02012849_1.JPEG"] == ("crane (n02012849)", None)
    assert found["validation"] == {
        "ILSVRC2012_val_1.JPEG": ("crane (n03126707)", None),
        "ILSVRC2012_val_2.JPEG": ("tench", None),
    }
    assert found["test"] == {"t.JPEG": (None, None)} and len(source.remarks) == 2


def test_tiny_imagenet(opened: Callable[[Content], Source]) -> None:
    source = opened(
        {
            **pictures("t/train/n01440764/images/a.JPEG", "t/train/n02012849/images/b.JPEG"),
            "t/train/n01440764/n01440764_boxes.txt": "a.JPEG\t0\t0\t62\t62\n",
            **pictures("t/val/images/val_0.JPEG", "t/val/images/val_1.JPEG", "t/test/images/test_0.JPEG"),
            "t/val/val_annotations.txt": "val_0.JPEG\tn02012849\t0\t32\t44\t62\nval_1.JPEG\tn01440764\t1\t2\t3\t4\n",
            "t/words.txt": "n00001740\tentity\nn01440764\ttench, Tinca tinca\nn02012849\tcrane\n",
        }
    )
    assert source.classes == ("tench", "crane")
    assert seen(source)["validation"] == {"val_0.JPEG": ("crane", None), "val_1.JPEG": ("tench", None)}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("synset_words.txt", "n01440764 tench, Tinca tinca\nn02012849 crane\n"),
        ("imagenet_class_index.json", '{"0": ["n01440764", "tench"], "1": ["n02012849", "crane"]}'),
    ],
)
def test_names_of_synsets(tmp_path: Path, name: str, text: str) -> None:
    content: Content = {**pictures("n01440764/1.png", "n02012849/2.png"), name: text}
    assert OPENERS["zip"](tmp_path, content).classes == ("tench", "crane")
    assert OPENERS["tar"](tmp_path, {**content, name: "nonsense"}).classes == ("n01440764", "n02012849")


def instances(first: int) -> dict[str, object]:
    """Three pictures: two categories, of which the second has two parts that together are larger; a crowd; nothing."""
    names = [f"{first + n:012d}.jpg" for n in range(3)]
    boxes = [(0, 7, 60.0, 0), (0, 3, 40.0, 0), (0, 3, 41.0, 0), (1, 7, 500.0, 1), (1, 3, 100.0, 0)]
    return {
        "info": {"year": 2017},
        "images": [{"id": first + n, "file_name": name, "width": 9} for n, name in enumerate(names)],
        "annotations": [
            {
                "id": n,
                "image_id": first + at,
                "category_id": kind,
                "area": area,
                "iscrowd": crowd,
                "segmentation": [[1.0] * 9],
            }
            for n, (at, kind, area, crowd) in enumerate(boxes)
        ],
        "categories": [{"id": 7, "name": "dog", "supercategory": "animal"}, {"id": 3, "name": "cat"}],
    }


def captions(first: int) -> dict[str, object]:
    said = [{"id": n, "image_id": first + n % 2, "caption": f"caption\n{n} "} for n in range(4)]
    return {"images": instances(first)["images"], "annotations": said}


def coco(**changes: object) -> Content:
    found = pictures(
        *(f"coco/{split}2017/{start + n:012d}.jpg" for split, start in (("train", 0), ("val", 50)) for n in range(3))
    )
    for split, start in (("train", 0), ("val", 50)):
        found[f"coco/annotations/instances_{split}2017.json"] = json.dumps(instances(start))
        found[f"coco/annotations/captions_{split}2017.json"] = json.dumps(captions(start))
    return {**found, **pictures("coco/test2017/000000000099.jpg", "coco/unlabeled2017/1.jpg")}


def test_coco(opened: Callable[[Content], Source]) -> None:
    source = opened(coco())
    assert source.classes == ("cat", "dog", "nothing")
    found = seen(source)
    assert found["train"] == {
        "000000000000.jpg": ("cat", ("caption 0", "caption 2")),
        "000000000001.jpg": ("dog", ("caption 1", "caption 3")),
        "000000000002.jpg": ("nothing", ()),
    }
    assert [label for label, _ in found["validation"].values()] == ["cat", "dog", "nothing"]
    assert found["test"] == {"000000000099.jpg": (None, None)}
    assert "captions from coco/annotations/captions_train2017.json" in source.remarks


@pytest.mark.parametrize("kind", ["instances", "captions"])
def test_coco_with_one_kind_only(opened: Callable[[Content], Source], kind: str) -> None:
    content = {name: data for name, data in coco().items() if "annotations" not in name or kind in name}
    content = {name: data for name, data in content.items() if "val" not in name or "annotations" in name}
    found = seen(opened(content))["train"]["000000000000.jpg"]
    assert found == (("cat", None) if kind == "instances" else (None, ("caption 0", "caption 2")))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda text: text[:200], "not JSON"),
        (lambda text: "[]", "no annotations of COCO"),
        (lambda text: '{"images": [], "annotations": []}', 'no list "categories"'),
        (lambda text: text.replace('"area": 60.0', '"area": "x"'), "annotations: entry 0: 'area' is 'x'"),
        (lambda text: text.replace('"area": 60.0', '"area": NaN'), "'area' is 'nan'"),
        (
            lambda text: text.replace('"id": 0, "file_name"', '"id": true, "file_name"'),
            "images: entry 0: 'id' is 'True'",
        ),
        (lambda text: text.replace('"category_id": 3', '"category_id": 4'), "category 4"),
        (lambda text: text.replace('"category_id": 3', '"category_id": 1e400'), "'category_id' is 'inf'"),
        (lambda text: "[" * 100_000, "not JSON"),
    ],
)
def test_coco_that_is_damaged(tmp_path: Path, change: Callable[[str], str], expected: str) -> None:
    content, name = coco(), "coco/annotations/instances_train2017.json"
    content[name] = change(str(content[name]))
    message = refusal(content, tmp_path)
    assert expected in message and name in message
