"""Folder, zip and tar are the same tree; what is broken or hostile gives one line and leaves nothing behind."""

import gzip
import io
import os
import struct
import tarfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import forms
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cardigan.data.sources.source import Source, UnreadableError
from cardigan.data.sources.trees.archive import open_archive
from cardigan.data.sources.trees.folder import open_folder
from cardigan.data.sources.trees.layout import is_picture, lay_out, natural
from cardigan.data.sources.trees.strings import Strings, packed_sentences
from cardigan.data.sources.trees.tar import open_tar
from cardigan.errors import CardiganError

TARS = (".tar", ".tar.gz", ".tgz", ".tar.zst", ".tar.bz2", ".tar.xz")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CARDIGAN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def one_line(work: Callable[[], object]) -> str:
    with pytest.raises(CardiganError) as caught:
        work()
    message = str(caught.value)
    assert "\n" not in message and len(message) < 500
    return message


def everything(source: Source) -> dict[str, tuple[list[bytes], list[int] | None]]:
    parts = {split: make() for split, make in source.parts.items()}
    return {
        split: ([part.read(index) for index in range(len(part))], None if part.labels is None else part.labels.tolist())
        for split, part in parts.items()
    }


CONTENT: dict[str, bytes | str] = {
    f"photos/{split}/{name}/{number}.png": f"{split}{name}{number}".encode() * 99
    for split, count in (("train", 12), ("val", 3))
    for name in ("cat", "dog 2", "dog 10", "ünï")
    for number in range(count)
}


def test_every_container_is_the_same_tree(tmp_path: Path) -> None:
    reference = open_folder("x", forms.files(tmp_path / "f", CONTENT))
    assert reference.classes == ("cat", "dog 2", "dog 10", "ünï")
    expected = everything(reference)
    assert len(expected["train"][0]) == 48 and expected["train"][0][:3] == [
        f"traincat{i}".encode() * 99 for i in range(3)
    ]
    shuffled = dict(sorted(CONTENT.items(), key=lambda pair: hash(pair[1])))
    others = [open_archive("x", forms.zipped(tmp_path / "a.zip", shuffled))]
    for kind in (tarfile.USTAR_FORMAT, tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        others += [open_tar("x", forms.tarred(tmp_path / f"{kind}{ending}", shuffled, kind)) for ending in TARS]
    for other in others:
        assert everything(other) == expected and other.classes == reference.classes
        assert len(other.files) == 1
        name = other.parts["train"]().names[1]
        assert name.startswith(str(other.files[0])) and name.endswith(": photos/train/cat/1.png")
    assert {str(path.relative_to(tmp_path / "f")) for path in reference.files} == set(CONTENT)
    for other in (open_tar("x", path) for path in sorted(tmp_path.glob("*.tar*"))):  # from the index that is kept
        assert everything(other) == expected


def test_long_names_and_odd_ones(tmp_path: Path) -> None:
    odd = [
        "a" * 90 + "/" + "b" * 200 + "/ä.png",
        "new\nline.png",
        "blank .png",
        "\udcff\udc80.png",
        "x/" * 60 + "y.png",
    ]
    content: dict[str, bytes | str] = {name: name.encode("utf-8", "surrogateescape") for name in odd}
    sources = [open_tar("x", forms.tarred(tmp_path / f"{kind}.tar", content, kind)) for kind in (1, 2)]
    sources.append(open_folder("x", forms.files(tmp_path / "f", content)))
    for source in sources:
        part = source.parts["train"]()
        assert {part.read(index) for index in range(len(part))} == set(content.values())
        assert all("\n" not in name and name.isprintable() for name in part.names)


def test_reading_in_forked_processes(tmp_path: Path) -> None:
    sources = [
        open_archive("x", forms.zipped(tmp_path / "a.zip", CONTENT)),
        open_tar("x", forms.tarred(tmp_path / "a.tar", CONTENT)),
        open_tar("x", forms.tarred(tmp_path / "a.tar.gz", CONTENT)),
    ]
    for source in sources:
        part, expected = source.parts["train"](), everything(source)["train"][0]
        children = []
        for _ in range(3):
            child = os.fork()
            if not child:
                right = all(part.read(index) == expected[index] for _ in range(40) for index in range(len(part)))
                os._exit(0 if right else 1)
            children.append(child)
        assert all(part.read(index) == expected[index] for _ in range(40) for index in range(len(part)))
        assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]


def test_splits_and_classes_of_the_train_split() -> None:
    def seen(*names: str) -> tuple[object, ...]:
        layout = lay_out(names)
        labels = {split: each.tolist() for split, each in layout.labels.items()}
        return layout.members, labels, layout.classes, layout.remarks

    assert seen("train/a/1.png", "train/b/2.png", "test/3.png") == (
        {"train": [0, 1], "test": [2]},
        {"train": [0, 1]},
        ("a", "b"),
        (),
    )
    assert seen("train/a/1.png", "train/b/2.png", "test/unknown/3.png")[1] == {"train": [0, 1]}
    assert seen("train/1.png", "val/a/2.png", "val/b/3.png")[1:3] == ({}, ())
    members, labels, _, remarks = seen("train/a/1.png", "train/b/2.png", "test/b/3.png", "test/c/4.png")
    assert members == {"train": [0, 1], "test": [2]} and labels == {"train": [0, 1], "test": [1]}
    assert "1 picture in folders that are no classes" in str(remarks)


def test_a_member_that_is_too_large_is_one_unreadable_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content: dict[str, bytes | str] = {"0.png": bytes(2**21), "1.png": b"fine"}
    for name in ("tree", "archive", "tar_packed"):
        monkeypatch.setattr(f"cardigan.data.sources.trees.{name}.LARGEST", 2**20)
    sources = [
        open_folder("x", forms.files(tmp_path / "f", content)),
        open_archive("x", forms.zipped(tmp_path / "a.zip", content)),
        *(open_tar("x", forms.tarred(tmp_path / f"a{ending}", content)) for ending in TARS),
    ]
    for source in sources:
        part = source.parts["train"]()
        assert len(part) == 2 and part.read(1) == b"fine"
        with pytest.raises(UnreadableError, match=r"0\.png.*2,097,152 bytes.*more than 1 MiB"):
            part.read(0)


def special(path: Path, **fields: object) -> Path:
    with tarfile.open(path, "w") as file:
        info = tarfile.TarInfo("x.png")
        for key, value in fields.items():
            setattr(info, key, value)
        file.addfile(info, io.BytesIO(bytes(info.size)))
    return path


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"name": "../x.png"}, "leaves the archive"),
        ({"name": "a/../../x.png"}, "leaves the archive"),
        ({"name": "/etc/x.png"}, "an absolute path"),
        ({"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}, "a symbolic link"),
        ({"type": tarfile.LNKTYPE, "linkname": "y.png"}, "a hard link"),
        ({"type": tarfile.CHRTYPE}, "a device"),
        ({"type": tarfile.FIFOTYPE}, "a pipe"),
        ({"pax_headers": {"path": "../" + "y" * 200}}, "leaves the archive"),
    ],
)
def test_a_hostile_tar_is_refused(tmp_path: Path, fields: dict[str, object], expected: str) -> None:
    path = special(tmp_path / "bad.tar", **fields)
    packed = tmp_path / "bad.tar.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    for each in (path, packed):
        message = one_line(lambda each=each: open_tar("x", each))
        assert message.startswith(str(each)) and "refused because of its member" in message and expected in message
    assert {each.name for each in tmp_path.iterdir()} <= {"bad.tar", "bad.tar.gz", "cache"}
    assert not list((tmp_path / "cache").rglob("*.png"))


@pytest.mark.parametrize("ending", TARS)
def test_a_truncated_or_damaged_tar_is_one_line(tmp_path: Path, ending: str) -> None:
    good = forms.tarred(tmp_path / f"a{ending}", {f"{n}.png": os.urandom(3000) for n in range(9)}).read_bytes()
    bad = tmp_path / f"bad{ending}"
    for cut in (0, 1, 40, len(good) // 2, len(good) // 2 // 512 * 512, len(good) * 3 // 4):
        bad.write_bytes(good[:cut])
        assert str(bad) in one_line(lambda: open_tar("x", bad))
    assert "truncated" in one_line(lambda: open_tar("x", bad)) or ending == ".tar.zst"
    bad.write_bytes(good[: len(good) // 2] + b"\xa5" * 600 + good[len(good) // 2 + 600 :])
    if ending not in (".tar", ".tar.zst"):  # these have no checksum of their contents
        assert str(bad) in one_line(lambda: open_tar("x", bad))
    (tmp_path / "text.tar").write_text("hello " * 200)
    assert "not a tar archive" in one_line(lambda: open_tar("x", tmp_path / "text.tar"))
    assert "cannot be read" in one_line(lambda: open_tar("x", tmp_path / "missing.tar"))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_flipped_bytes_are_pictures_or_one_line(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    base = tmp_path_factory.getbasetemp() / "flipped"
    base.mkdir(exist_ok=True)
    content: dict[str, bytes | str] = {f"{'n' * 120 * (n % 2)}{n}.png": bytes([n]) * 700 for n in range(3)}
    opener: Callable[[str, Path], Source] = data.draw(st.sampled_from([open_tar, open_archive]))
    path = base / "x"
    forms.tarred(path, content, 2) if opener is open_tar else forms.zipped(path, content)
    raw = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(raw)
    try:
        part = opener("x", path).parts["train"]()
        for index in range(len(part)):
            assert part.names[index]
            try:
                part.read(index)
            except UnreadableError as error:
                assert "\n" not in str(error)
    except CardiganError as error:
        assert "\n" not in str(error) and len(str(error)) < 600


def header(name: str, size: int, content: bytes = b"") -> bytes:
    info = tarfile.TarInfo(name)
    info.size = size
    return info.tobuf(tarfile.GNU_FORMAT) + content


def test_bombs_are_refused_quickly(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start = time.monotonic()
    path = tmp_path / "bomb.tar.gz"
    path.write_bytes(gzip.compress(header("0.png", 10 * 2**30, bytes(2**20))))
    assert "bomb" in one_line(lambda: open_tar("x", path)) and time.monotonic() - start < 1
    monkeypatch.setattr("cardigan.data.sources.trees.tar_packed._FREE", 2**24)
    path.write_bytes(gzip.compress(b"".join(header(f"{n}.png", 2**20, bytes(2**20)) for n in range(32)), 9))
    assert "bomb" in one_line(lambda: open_tar("x", path))
    assert sum(each.stat().st_size for each in cache.rglob("*") if each.is_file()) < 2**20
    lied = forms.zipped(tmp_path / "bomb.zip", {"0.png": bytes(2**25), "1.png": b"fine"})
    data = lied.read_bytes().replace(struct.pack("<L", 2**25), struct.pack("<L", 99))
    lied.write_bytes(data)
    part = open_archive("x", lied).parts["train"]()
    with pytest.raises(UnreadableError, match="more than 100 bytes"):
        part.read(0)
    assert part.read(1) == b"fine"


def test_zips_of_64_bits_and_with_something_before_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content: dict[str, bytes | str] = {f"{n}.png": f"{n}" for n in range(5)}
    path = forms.zipped(tmp_path / "a.zip", content)
    expected = everything(open_archive("x", path))
    path.write_bytes(b"#!/bin/sh\n" * 9 + path.read_bytes())
    assert everything(open_archive("x", path)) == expected
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 0)
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 0)
    wide = forms.zipped(tmp_path / "wide.zip", content)
    assert b"PK\6\6" in wide.read_bytes() and everything(open_archive("x", wide)) == expected


def test_links_and_pipes_in_a_folder(tmp_path: Path) -> None:
    place = forms.files(tmp_path / "f", {"0.png": b"zero"})
    (tmp_path / "elsewhere.png").write_bytes(b"outside")
    (place / "1.png").symlink_to(tmp_path / "elsewhere.png")
    (place / "2.png").symlink_to(tmp_path / "nowhere.png")
    os.mkfifo(place / "3.png")
    part = open_folder("x", place).parts["train"]()
    assert [part.read(index) for index in (0, 1)] == [b"zero", b"outside"]
    for index, reason in ((2, "No such file"), (3, "no regular file")):
        with pytest.raises(UnreadableError, match=f"{index}.png.*{reason}"):
            part.read(index)


def test_an_index_damaged_or_not_kept(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = forms.tarred(tmp_path / "a.tar", CONTENT)
    expected = everything(open_tar("x", path))
    (array,) = cache.glob("index/*/places.npy")
    array.write_bytes(array.read_bytes()[:150])
    assert everything(open_tar("x", path)) == expected
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CARDIGAN_CACHE", str(tmp_path / "file" / "cache"))
    assert everything(open_tar("x", path)) == expected
    forms.tarred(path, {"1.png": b"other"})
    assert everything(open_tar("x", path)) == {"train": ([b"other"], None)}


@given(st.lists(st.text(st.characters(exclude_characters="\0"), max_size=20), max_size=12))
@example(["\udcff", "", "a\nb"])
def test_strings_are_kept(strings: list[str]) -> None:
    kept = Strings.of(strings)
    assert list(kept) == strings == [kept[index] for index in range(len(kept))]
    assert kept[1:] == strings[1:] and len(packed_sentences([strings, []])) == 2
    assert packed_sentences([strings, [], strings])[2] == tuple(strings)


NAMES = st.lists(st.sampled_from(["train", "val", "a", "b", "10", "9", ".x", "", "é"]), min_size=0, max_size=4)


@given(st.lists(NAMES.map(lambda parts: "/".join([*parts, "1.png"])), min_size=1, max_size=20))
def test_any_names_are_laid_out(names: list[str]) -> None:
    layout = lay_out(names)
    members = [index for indices in layout.members.values() for index in indices]
    assert len(members) == len(set(members)) and set(members) <= set(range(len(names)))
    if not layout.remarks:
        assert len(members) == len(names)
    for split, labels in layout.labels.items():
        assert len(labels) == len(layout.members[split]) and labels.max() < len(layout.classes)


@given(st.text(), st.text())
def test_the_natural_order(one: str, other: str) -> None:
    assert (natural(one) == natural(other)) == (one == other) or "\0" in one + other
    assert natural(f"{one}9") < natural(f"{one}10") or one[-1:].isdigit() or "\0" in one
    assert isinstance(is_picture(one), bool)


def test_memory_of_many_pictures(tmp_path: Path) -> None:
    import tracemalloc

    count = 4000
    content: dict[str, bytes | str] = {f"train/class{n % 20}/picture-{n:08d}.png": b"x" for n in range(count)}
    for path, opener in (
        (forms.zipped(tmp_path / "a.zip", content), open_archive),
        (forms.tarred(tmp_path / "a.tar", content), open_tar),
    ):
        tracemalloc.start()
        source = opener("x", path)
        part = source.parts["train"]()
        held = tracemalloc.get_traced_memory()[0] / count
        tracemalloc.stop()
        assert len(part) == count and held < 150, (path, held)
    assert np.array_equal(np.bincount(part.labels), np.full(20, 200))
