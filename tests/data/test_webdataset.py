"""Shards of WebDataset: samples, labels, sentences and splits; memory that does not grow with the samples."""

import json
import os
import tarfile
import tracemalloc
from pathlib import Path

import forms
import pytest

from cardigan.data.sources.source import UnreadableError
from cardigan.data.sources.trees.webdataset import are_shards, holds_shards, open_shards
from cardigan.errors import CardiganError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CARDIGAN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def shard(start: int, count: int, *kinds: str) -> dict[str, bytes | str]:
    """Samples whose picture is their number; label: number modulo 3; sentences: "caption NUMBER"."""
    content: dict[str, bytes | str] = {}
    for number in range(start, start + count):
        key, about = f"./d/{number:05d}", {"label": number % 3, "caption": f"caption {number}", "width": 9}
        content[f"{key}.JPG"] = str(number)
        content.update({f"{key}.cls": f"{number % 3}\n"} if "cls" in kinds else {})
        content.update({f"{key}.txt": f"caption {number}\n"} if "txt" in kinds else {})
        content.update({f"{key}.json": json.dumps(about)} if "json" in kinds else {})
    return content


def refusal(paths: list[Path]) -> str:
    with pytest.raises(CardiganError) as caught:
        open_shards("x", paths)
    message = str(caught.value)
    assert "\n" not in message and len(message) < 500
    return message


@pytest.mark.parametrize("ending", [".tar", ".tar.gz", ".tar.zst"])
@pytest.mark.parametrize("kinds", [("cls", "txt"), ("json",), ("cls", "json"), ()])
def test_samples(tmp_path: Path, ending: str, kinds: tuple[str, ...]) -> None:
    for number in range(12):
        kind = (tarfile.USTAR_FORMAT, tarfile.PAX_FORMAT, tarfile.GNU_FORMAT)[number % 3]
        forms.tarred(tmp_path / "s" / f"train-{number}{ending}", shard(number * 5, 5, *kinds), kind)
    forms.tarred(tmp_path / "s" / f"val-0{ending}", shard(100, 4, *kinds))
    paths = holds_shards(tmp_path / "s")
    assert len(paths) == 13 and are_shards(paths)
    for _ in range(2):  # the second time from the index that is kept
        source = open_shards("x", paths)
        assert list(source.parts) == ["train", "validation"] and set(source.files) == set(paths)
        for split, numbers in (("train", range(60)), ("validation", range(100, 104))):
            part = source.parts[split]()
            assert [int(part.read(index)) for index in range(len(part))] == list(numbers)
            assert part.names[3].endswith(f": ./d/{numbers[3]:05d}.JPG")
            if kinds:
                assert source.classes == ("0", "1", "2")
                assert part.labels.tolist() == [number % 3 for number in numbers]
                assert [part.sentences[at] for at in range(len(part))] == [(f"caption {n}",) for n in numbers]
            else:
                assert source.classes == () and part.labels is None and part.sentences is None


def test_a_tar_is_a_tree_or_a_shard(tmp_path: Path) -> None:
    tree = forms.tarred(tmp_path / "a.tar", {"a/1.png": b"1", "b/2.png": b"2", "labels.csv": "file,label\n1,x\n2,y\n"})
    one = forms.tarred(tmp_path / "b.tar.gz", shard(0, 4, "cls"))
    assert not are_shards([tree]) and are_shards([one]) and are_shards([tree, one])
    assert open_shards("x", [tree]).classes == ("x", "y") and open_shards("x", [one]).classes == ("0", "1", "2")


def test_folders_that_hold_shards(tmp_path: Path) -> None:
    for name in ("train-00.tar", "train-01.tgz", "train-10.tar.zst", "train-9.txt", ".hidden.tar"):
        forms.files(tmp_path / "flat", {name: b""})
    assert [path.name for path in holds_shards(tmp_path / "flat")] == [
        "train-00.tar",
        "train-01.tgz",
        "train-10.tar.zst",
    ]
    forms.files(tmp_path / "nested", {"train/0.tar": b"", "val/0.tar": b""})
    assert len(holds_shards(tmp_path / "nested")) == 2
    for content in (
        {"1.png": b"", "0000.tar": b""},
        {"cats/1.png": b"", "old.tar": b""},
        {"train/1.png": b""},
        {"x": b""},
    ):
        assert holds_shards(forms.files(tmp_path / str(len(str(content))), content)) == []


def test_splits_by_names(tmp_path: Path) -> None:
    def splits(*names: str) -> dict[str, int]:
        paths = [forms.tarred(tmp_path / name, shard(0, 2, "cls")) for name in names]
        return {split: len(part()) for split, part in open_shards("x", paths).parts.items()}

    assert splits("a/train-0.tar", "a/imagenet-val-000.tar", "a/Test_1.tar") == {"train": 2, "validation": 2, "test": 2}
    assert splits("b/shard-00000.tar", "b/shard-00001.tar") == {"train": 4}
    assert splits("c/val-0.tar", "c/test-0.tar") == {"train": 4}
    assert splits("d/train/0.tar", "d/val/0.tar") == {"train": 2, "validation": 2}


def test_names_of_classes(tmp_path: Path) -> None:
    paths = [forms.tarred(tmp_path / f"{number:02d}.tar", shard(number, 3, "cls")) for number in range(2)]
    for name, text in (
        ("classes.txt", "cat\ndog\nfox\n"),
        ("classes.json", '["cat", "dog", "fox"]'),
        ("classes.json", '{"dog": 1, "cat": 0, "fox": 2}'),
        ("classes.json", '{"1": "dog", "0": "cat", "2": "fox"}'),
    ):
        (tmp_path / name).write_text(text)
        source = open_shards("x", paths)
        assert source.classes == ("cat", "dog", "fox") and tmp_path / name in source.files
        (tmp_path / name).unlink()
    for text in ('["cat", "dog"]', "[1, 2, 3]", "{", '{"5": "cat"}'):
        (tmp_path / "classes.json").write_text(text)
        assert "classes.json" in refusal(paths)


def test_what_is_missing_is_left_out_and_counted(tmp_path: Path) -> None:
    content = shard(0, 6, "cls", "txt")
    del content["./d/00002.cls"], content["./d/00003.JPG"], content["./d/00004.txt"]
    source = open_shards("x", [forms.tarred(tmp_path / "0.tar", content)])
    part = source.parts["train"]()
    assert [int(part.read(index)) for index in range(len(part))] == [0, 1, 4, 5]
    assert part.labels.tolist() == [0, 1, 1, 2] and part.names[2].endswith("00004.JPG")
    assert list(part.sentences) == [("caption 0",), ("caption 1",), (), ("caption 5",)]
    assert source.remarks == (
        "1 sample without a picture left out (train)",
        "1 picture without a label left out (train)",
    )


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("d/00001.cls", "cat", "d/00001: label 'cat'"),
        ("d/00001.cls", "-1", "label '-1'"),
        ("d/00001.cls", "9" * 5000, "label '999"),
        ("d/00001.cls", b"\xff\xb2", "label"),
        ("d/00001.json", "{", "not JSON"),
        ("d/00001.json", "[]", "not a JSON object"),
        ("d/00001.json", '{"label": 1.5}', "label '1.5'"),
        ("d/00001.json", '{"label": true}', "label 'True'"),
        ("d/00001.json", "[" * 100_000, "not JSON"),
        ("d/00001.cls", "999999999", "labels run from 0 to 999999999"),
        ("../1.cls", "1", "refused because of its member"),
    ],
)
def test_labels_that_are_wrong(tmp_path: Path, name: str, data: str | bytes, expected: str) -> None:
    content = {"d/00000.png": b"0", "d/00000.cls": "0", "d/00001.png": b"1", name: data}
    assert expected in refusal([forms.tarred(tmp_path / "a.tar", content)])
    message = refusal(
        [forms.tarred(tmp_path / "00.tar", shard(0, 2, "cls")), forms.tarred(tmp_path / "01.tar", content)]
    )
    assert expected in message


def test_broken_shards(tmp_path: Path, cache: Path) -> None:
    good = forms.tarred(tmp_path / "train-00.tar", shard(0, 9, "cls"))
    bad = tmp_path / "train-01.tar"
    bad.write_bytes(good.read_bytes()[:3000])
    assert f"{bad}: truncated" in refusal([good, bad])
    bad.write_text("hello" * 300)
    assert f"{bad}: not a tar" in refusal([good, bad])
    assert "train-02.tar" in refusal([good, tmp_path / "train-02.tar"])
    assert "no pictures" in refusal([forms.tarred(tmp_path / f"{n}.tar", {"1.txt": b"x"}) for n in range(2)])
    assert "no shards" in refusal([])
    source = open_shards("x", [good])
    part = source.parts["train"]()
    good.write_bytes(good.read_bytes()[:1000])
    with pytest.raises(UnreadableError, match="shorter"):
        part.read(8)
    assert {path.name for path in cache.iterdir()} <= {"index", "packed"}


def test_forked_readers_and_changed_shards(tmp_path: Path) -> None:
    paths = [forms.tarred(tmp_path / f"{number:02d}.tar", shard(number * 20, 20, "cls")) for number in range(3)]
    part = open_shards("x", paths).parts["train"]()
    child = os.fork()
    right = all(int(part.read(index)) == index for _ in range(30) for index in range(60))
    if not child:
        os._exit(0 if right else 1)
    assert right and os.waitpid(child, 0)[1] == 0
    forms.tarred(paths[1], shard(50, 3, "cls"))
    assert len(open_shards("x", paths).parts["train"]()) == 43


def test_memory_does_not_grow_with_the_samples(tmp_path: Path) -> None:
    paths = [forms.tarred(tmp_path / f"{n:02d}.tar", shard(n * 1000, 1000, "cls", "txt")) for n in range(4)]
    open_shards("x", paths[:1])  # what is imported and compiled on the way
    held = []
    for chosen in (paths[:1], paths):
        tracemalloc.start()
        source = open_shards("x", chosen)
        part = source.parts["train"]()
        held.append(tracemalloc.get_traced_memory()[0])
        tracemalloc.stop()
    assert len(part) == 4000 and held[1] - held[0] < 30_000
