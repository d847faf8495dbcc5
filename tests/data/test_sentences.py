"""Text from every form it comes in: what is read, how it is split, drawn and refused."""

import csv
import gzip
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cardigan import CardiganError
from cardigan.cli import main
from cardigan.data import store
from cardigan.data.sentences import Sentences
from cardigan.data.text import prepared
from cardigan.data.text.places import NAMES
from cardigan.data.text.tokenised import Tokenised
from cardigan.tokens import END, PAD, UNKNOWN, content

WORDS = ("a", "dog", "cat", "sees", "the", "moon", "and", "runs", "away", "from", "ice")
SPLITS = ("train", "validation", "test")


def lines(count: int = 200, seed: int = 0) -> list[str]:
    """Different sentences of two to nine words."""
    generator = torch.Generator().manual_seed(seed)
    found: dict[str, None] = {}
    while len(found) < count:
        size = int(torch.randint(2, 10, (), generator=generator))
        found[" ".join(WORDS[i] for i in torch.randint(len(WORDS), (size,), generator=generator))] = None
    return list(found)


def write(path: Path, each: list[str]) -> Path:
    path.write_text("".join(f"{line}\n" for line in each), "utf-8")
    return path


def everything(data: Sentences) -> list[str]:
    return sorted(text for split in SPLITS for text in data.load(split).texts())


def same(one: Any, two: Any) -> bool:
    parts = [(getattr(one, name), getattr(two, name)) for name in ("sample", "source", "length", "mask", "id")]
    return all((a is None and b is None) or torch.equal(a, b) for a, b in parts)


def test_every_form_of_the_same_texts_gives_the_same_data(tmp_path: Path) -> None:
    each = lines()
    plain = write(tmp_path / "plain.txt", each)
    content_of = plain.read_bytes()
    (tmp_path / "crlf.txt").write_bytes(b"\xef\xbb\xbf" + content_of.replace(b"\n", b"\r\n"))
    (tmp_path / "unended").write_bytes(content_of.rstrip(b"\n"))
    (tmp_path / "zipped.txt.gz").write_bytes(gzip.compress(content_of))
    write(tmp_path / "rows.jsonl", [json.dumps({"number": at, "text": text}) for at, text in enumerate(each)])
    for name, delimiter in (("rows.csv", ","), ("semicolons.csv", ";"), ("rows.tsv", "\t")):
        buffer = io.StringIO()
        csv.writer(buffer, delimiter=delimiter).writerows(
            [["id", "text"], *((at, text) for at, text in enumerate(each))]
        )
        (tmp_path / name).write_text(buffer.getvalue(), "utf-8", newline="")
    (tmp_path / "folder").mkdir()
    write(tmp_path / "folder" / "one.txt", each[:90])
    write(tmp_path / "folder" / "two.txt", each[90:])
    (tmp_path / "folder" / "README.md").write_text("About\n")
    expected = Sentences(source=str(plain)).load()
    names = ("crlf.txt", "unended", "zipped.txt.gz", "rows.jsonl", "rows.csv", "semicolons.csv", "rows.tsv", "folder")
    for name in names:
        found = Sentences(source=str(tmp_path / name)).load()
        assert found.fingerprint == expected.fingerprint, name
        assert found.texts() == expected.texts() and same(found.draw(5, 300), expected.draw(5, 300))
    assert everything(Sentences(source=str(plain))) == sorted(each)


def test_batches(tmp_path: Path) -> None:
    data = Sentences(source=str(write(tmp_path / "a.txt", lines())), tokens="words").load()
    batch = data.draw(0, 50)
    assert batch.sample.dtype == torch.int64 and batch.sample.shape == (50, *data.form.shape) and batch.source is None
    assert data.form.vocabulary == len(WORDS) + 4 and batch.sample.max() < data.form.vocabulary
    assert torch.equal(batch.mask, content(batch.sample)) and torch.equal(batch.length, batch.mask.sum(1))
    for row, length, text in zip(batch.sample, batch.length.tolist(), data.codec.decode(batch.sample), strict=True):
        assert row[length - 1] == END and (row[length:] == PAD).all() and len(text.split()) == length - 1


def test_passes_are_permutations_and_draws_functions_of_their_arguments(tmp_path: Path) -> None:
    path = str(write(tmp_path / "a.txt", lines()))
    one, two = Sentences(source=path).load(seed=3), Sentences(source=path).load(seed=3)
    size = len(one)
    orders = [one.draw(number * size, size).id.tolist() for number in range(3)]
    assert all(sorted(order) == sorted(one.ids.tolist()) for order in orders) and orders[0] != orders[1] != orders[2]
    two.draw(7 * size, 5)
    assert same(one.draw(size - 3, 20), two.draw(size - 3, 20))
    assert not same(one.draw(0, 20), Sentences(source=path).load(seed=4).draw(0, 20))
    assert one.take(torch.tensor([4, 2])).id.tolist() == [int(one.ids[4]), int(one.ids[2])]
    assert [one.codec.decode(one.take(torch.tensor([at])).sample)[0] for at in range(9)] == one.texts()[:9]


def test_equal_texts_never_lie_in_two_splits_and_more_texts_move_none(tmp_path: Path) -> None:
    each = lines(300)
    repeated = [*each, *(text.upper() for text in each[:100]), *each[50:150]]
    before = {
        text: split
        for split in SPLITS
        for text in Sentences(source=str(write(tmp_path / "a.txt", each))).load(split).texts()
    }
    found = {split: Sentences(source=str(write(tmp_path / "b.txt", repeated))).load(split) for split in SPLITS}
    seen = [{text.lower() for text in found[split].texts()} for split in SPLITS]
    assert not (seen[0] & seen[1] or seen[0] & seen[2] or seen[1] & seen[2])
    assert all(before[text] == split for split in SPLITS for text in found[split].texts() if text in before)
    assert any("texts repeat another" in remark for remark in found["train"].remarks)
    assert 0.05 < len(found["test"]) / len(repeated) < 0.17 and len(found["validation"])


@pytest.mark.parametrize(
    "names", [("train", "val", "test"), ("train", "dev", "test_2016"), ("x-train", "x-valid", "x-test")]
)
def test_splits_of_the_source_are_honoured(names: tuple[str, str, str], tmp_path: Path) -> None:
    each = lines(120)
    for name, part in zip(names, (each[:100], each[100:110], each[110:]), strict=True):
        write(tmp_path / f"{name}.txt", part)
    write(tmp_path / "notes.txt", ["something else"])
    data = Sentences(source=str(tmp_path), tokens="words")
    assert [sorted(data.load(split).texts()) for split in SPLITS] == [
        sorted(each[:100]),
        sorted(each[100:110]),
        sorted(each[110:]),
    ]
    (tmp_path / f"{names[1]}.txt").unlink()
    assert len(data.load("test")) == 10 and len(data.load("validation")) + len(data.load()) == 100


def test_parallel_files(tmp_path: Path) -> None:
    each = lines(120)
    for name, part in (("train", each[:100]), ("val", each[100:110]), ("test_a", each[110:])):
        write(tmp_path / f"{name}.en", part)
        (tmp_path / f"{name}.de.gz").write_bytes(gzip.compress("\n".join(text[::-1] for text in part).encode()))
    data = Sentences(source=str(tmp_path), inputs="de", outputs="en", tokens="bpe", vocabulary=300)
    for split, count in zip(SPLITS, (100, 10, 10), strict=True):
        found = data.load(split)
        batch = found.draw(0, 2 * count)
        assert len(found) == count and batch.source.shape[1:] == found.form.source and batch.source.dtype == torch.int64
        pairs = zip(found.codec.decode(batch.sample), found.codec.decode(batch.source), strict=True)
        assert all(made == source[::-1] for made, source in pairs)
        assert found.input_texts() == [text[::-1] for text in found.texts()]
    assert data.load().codec.paired
    swapped = Sentences(source=str(tmp_path), inputs="en", outputs="de", tokens="bpe", vocabulary=300).load()
    assert swapped.texts() == data.load().input_texts() and swapped.form.vocabulary == data.load().form.vocabulary
    assert Sentences(source=str(tmp_path), outputs="de").load().draw(0, 2).source is None


def test_two_files_and_two_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    each = lines(80)
    write(tmp_path / "made.txt", each)
    write(tmp_path / "from.txt", [text[::-1] for text in each])
    write(tmp_path / "both.jsonl", [json.dumps({"a": text, "b": text[::-1]}) for text in each])
    files = Sentences(source=str(tmp_path / "made.txt"), inputs=str(tmp_path / "from.txt"))
    columns = Sentences(source=str(tmp_path / "both.jsonl"), inputs="b", outputs="a")
    assert files.load().fingerprint == columns.load().fingerprint
    monkeypatch.chdir(tmp_path)
    (tmp_path / "b").mkdir()  # a column is no path, even where there is such a folder
    relative = Sentences(source="made.txt", inputs="from.txt")
    assert relative.anchored() == {"source": str(tmp_path / "made.txt"), "inputs": str(tmp_path / "from.txt")}
    assert Sentences(source="both.jsonl", inputs="b", outputs="a").anchored()["inputs"] == "b"
    assert Sentences(source="captions").anchored() == {}


def test_conversations(tmp_path: Path) -> None:
    talks = [[f"{at} says {number}." for number in range(6)] for at in range(60)]
    path = write(tmp_path / "talk.jsonl", [json.dumps({"topic": "x", "turns": turns}) for turns in talks])
    data = Sentences(source=str(path), context=2, tokens="words")
    parts = [data.load(split) for split in SPLITS]
    assert sum(map(len, parts)) == 60 * 5 and parts[0].codec.context == 2
    for part in parts:
        for text, source in zip(part.texts(), part.input_texts() or (), strict=True):
            turns = talks[int(text.split()[0])]
            place = turns.index(text)
            assert source == "\n".join(turns[max(0, place - 2) : place]) == part.codec.joined(turns[:place])
        batch = part.take(torch.arange(len(part)))
        assert torch.equal(part.codec.encode(part.input_texts() or [], part.form.source[0]), batch.source)
    talking = [{text.split()[0] for text in part.texts()} for part in parts]
    assert not (talking[0] & talking[1] or talking[0] & talking[2] or talking[1] & talking[2])
    assert sum(len(Sentences(source=str(path), column="turns").load(split)) for split in SPLITS) == 360


@pytest.mark.parametrize("tokens", ["characters", "words", "bpe"])
def test_windows_do_not_overlap_across_splits(tokens: str, tmp_path: Path) -> None:
    text = "".join(f"{line}\n" for line in lines(400))
    path = tmp_path / "long.txt"
    path.write_text(text)
    data = Sentences(source=str(path), unit="window", length=16, tokens=tokens, vocabulary=300)  # type: ignore[arg-type]
    parts = [data.load(split) for split in SPLITS]
    assert all((part.draw(0, 10).length == 16).all() and len(part) > 3 for part in parts)
    if tokens != "words":
        joined = ["".join(part.texts()) for part in parts]
        assert all(part in text for part in joined)
        places = [text.index(part) for part in joined]
        assert places[0] == 0 and len(joined[0]) <= places[1] and places[1] + len(joined[1]) <= places[2]
        assert sum(map(len, joined)) > len(text) - 3 * 16 * 8


def test_length_drops_or_cuts_and_says_so(tmp_path: Path) -> None:
    each = lines(200)
    path = str(write(tmp_path / "a.txt", each))
    dropped = Sentences(source=path, tokens="words", length=5).load()
    assert dropped.form.shape == (5,) and max(len(text.split()) for text in dropped.texts()) == 4
    assert "left out" in "".join(dropped.remarks)
    cut = Sentences(source=path, tokens="words", length=5, longer="cut")
    assert sum(len(cut.load(split)) for split in SPLITS) == 200 and "and cut" in "".join(cut.load().remarks)
    samples = cut.load().take(torch.arange(len(cut.load()))).sample
    long = samples[(samples == END).sum(1) == 0]
    assert len(long) and (long >= UNKNOWN).all() and cut.load().codec.decode(samples) == cut.load().texts()
    assert Sentences(source=path, tokens="words").load().form.shape == (10,)


def test_vocabulary_is_the_most_frequent_of_train(tmp_path: Path) -> None:
    each = [f"common word{at % 7} rare{at}" for at in range(100)]
    path = str(write(tmp_path / "a.txt", each))
    data = Sentences(source=path, tokens="words", vocabulary=12)
    assert data.load().codec.vocabulary[:5] == ("<pad>", "<begin>", "<end>", "<unknown>", "common")
    assert data.load().form.vocabulary == 12 and "unknown" in "".join(data.load("test").remarks)
    assert all(text.startswith("common word") and "rare" in text for text in data.load("test").texts())
    assert "<unknown>" in data.load("test").codec.decode(data.load("test").draw(0, 1).sample)[0]
    assert Sentences(source=path, tokens="words", rare=2).load().form.vocabulary == 4 + 8
    train = " ".join(Sentences(source=path, tokens="words").load().texts()).split()
    assert set(Sentences(source=path, tokens="words").load().codec.vocabulary[4:]) == set(train)


def test_lower_case(tmp_path: Path) -> None:
    path = str(write(tmp_path / "a.txt", [text.title() for text in lines()]))
    data = Sentences(source=path, lowercase=True).load()
    assert all(text == text.lower() for text in data.texts()) and data.codec.unknown(["A DOG"]) == ()


def test_special_names_in_a_text_are_text(tmp_path: Path) -> None:
    each = [f"<end> of <pad> {at} <begin>" for at in range(60)]
    path = str(write(tmp_path / "a.txt", each))
    for tokens in ("characters", "bpe"):
        assert everything(Sentences(source=path, tokens=tokens, vocabulary=300)) == sorted(each)
        found = Sentences(source=path, tokens=tokens, vocabulary=300).load("test")
        assert found.codec.decode(found.take(torch.arange(len(found))).sample) == found.texts()
    batch = Sentences(source=path, tokens="words").load().draw(0, 20)
    assert (batch.length == 6).all() and (batch.sample[:, 0] == UNKNOWN).all()


def test_the_cache_gives_the_same_and_damage_is_mended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARDIGAN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(prepared, "_LARGE", 0)
    data = Sentences(source=str(write(tmp_path / "a.txt", lines())), tokens="bpe", vocabulary=300)
    first = data.load()
    entry = next(each for each in store.entries() if each.kind == "tokens")
    for damage in (None, "train.npz", "train.json", "tokenizer.json"):
        prepared._KEPT.clear()
        if damage:
            whole = (entry.folder / damage).read_bytes()
            (entry.folder / damage).write_bytes(whole[: len(whole) // 2])
        again = data.load()
        assert again.fingerprint == first.fingerprint and again.remarks == first.remarks
        assert again.texts() == first.texts() and same(again.draw(0, 99), first.draw(0, 99))
        assert again.codec == first.codec


def test_the_vocabulary_is_the_same_in_every_process(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", lines(300))
    program = (
        "import sys; from cardigan.data.sentences import Sentences\n"
        "for tokens in ('bpe', 'words'):\n"
        "    print(Sentences(source=sys.argv[1], tokens=tokens, vocabulary=400).load().fingerprint)"
    )
    command = [sys.executable, "-c", program, str(path)]
    said = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, "PYTHONHASHSEED": "7"}
    )
    mine = [
        Sentences(source=str(path), tokens=tokens, vocabulary=400).load().fingerprint for tokens in ("bpe", "words")
    ]
    assert said.stdout.split() == mine


def test_moved_to_another_device(tmp_path: Path) -> None:
    path = write(tmp_path / "both.jsonl", [json.dumps({"a": text, "b": text[::-1]}) for text in lines(80)])
    data = Sentences(source=str(path), inputs="b", outputs="a").load()
    assert data.to(torch.device("cpu")) is data
    moved = data.to(torch.device("meta"))
    assert isinstance(moved, Tokenised) and moved.inputs is not None and moved.inputs.device.type == "meta"


def broken(folder: Path) -> dict[str, tuple[dict[str, Any], tuple[str, ...]]]:
    """What is wrong -> fields, and what the one line must say."""
    text = "".join(f"{line}\n" for line in lines(40)).encode()
    png = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
    contents = {
        "nul.txt": text + b"a\0b\n",
        "picture.txt": png,
        "pickle.txt": b"\x80\x04\x95" + text,
        "utf16.txt": "Text\n".encode("utf-16"),
        "latin.txt": text + "café\n".encode("latin-1"),
        "bom-latin.txt": b"\xef\xbb\xbf" + text + "café\n".encode("latin-1"),
        "blank.txt": b"\n  \n\t\n",
        "nothing.txt": b"",
        "long.txt": text + b"x" * 1_000_001,
        "cut.txt.gz": gzip.compress(text)[:-20],
        "flipped.txt.gz": gzip.compress(text)[:40] + b"\xff\xff" + gzip.compress(text)[42:],
        "broken.jsonl": b'{"text": "a"}\n\n{"text": \n',
        "list.jsonl": b'{"text": "a"}\n["b"]\n',
        "number.jsonl": b'{"text": "a"}\n{"text": 3}\n',
        "half.jsonl": b'{"text": "a"}\n{"text": "\\ud800"}\n',
        "deep.jsonl": b"[" * 100_000,
        "one.json": b'[{"text": "a"}]',
        "two.csv": b"title,body\na,b\n",
        "ragged.csv": b"title,body\na,b\nc\n",
        "open.csv": b'title,body\na,"b\n',
        "a.txt": text,
        "b.txt": text + b"one more\n",
        "same.txt": b"again\n" * 20,
    }
    for name, content_of in contents.items():
        (folder / name).write_bytes(content_of)
    for name, content_of in (("train.de", text), ("train.en", text + b"more\n"), ("val.en", text)):
        (folder / "parallel").mkdir(exist_ok=True)
        (folder / "parallel" / name).write_bytes(content_of)
    (folder / "uneven").mkdir()
    for name, content_of in (("train.de", text), ("train.en", text + b"more\n")):
        (folder / "uneven" / name).write_bytes(content_of)
    (folder / "empty").mkdir()
    (folder / "testing").mkdir()
    (folder / "testing" / "test.txt").write_bytes(text)
    (folder / "mixed").mkdir()
    (folder / "mixed" / "a.txt").write_bytes(text)
    (folder / "mixed" / "b.csv").write_bytes(b"text\na\n")
    return {
        "nul.txt": ({}, ("line 41", "NUL")),
        "picture.txt": ({}, ("a picture",)),
        "pickle.txt": ({}, ("pickle",)),
        "utf16.txt": ({}, ("UTF-16",)),
        "latin.txt": ({}, ("line 41", f"byte {len(text) + 3:,}", "0xe9", "UTF-8")),
        "bom-latin.txt": ({}, ("line 41", f"byte {len(text) + 6:,}")),
        "blank.txt": ({}, ("3 empty lines",)),
        "nothing.txt": ({}, ("empty",)),
        "long.txt": ({}, ("line 41", "1,000,001", "unit=window")),
        "cut.txt.gz": ({}, ("broken gzip",)),
        "flipped.txt.gz": ({}, ("broken gzip",)),
        "broken.jsonl": ({}, ("line 3", "JSON")),
        "list.jsonl": ({}, ("line 2", "object")),
        "number.jsonl": ({"column": "text"}, ("line 2", "'text'", "3")),
        "half.jsonl": ({}, ("line 2", "surrogate")),
        "deep.jsonl": ({}, ("line 1",)),
        "one.json": ({}, (".jsonl",)),
        "two.csv": ({}, ("data.column", "title", "body")),
        "ragged.csv": ({"column": "title"}, ("line 3", "title, body")),
        "open.csv": ({"column": "title"}, ("line",)),
        "a.txt": ({"column": "text"}, ("data.column",)),
        "b.txt": ({"inputs": str(folder / "a.txt")}, ("40 lines", "41", "a.txt", "b.txt")),
        "same.txt": ({}, ("too few different texts",)),
        "parallel": ({"inputs": "de", "outputs": "en"}, ("validation", ".en", ".de")),
        "uneven": ({"inputs": "de", "outputs": "en"}, ("40", "41", "train.de", "train.en")),
        "empty": ({}, ("holds no text",)),
        "testing": ({}, ("train split", "test.txt")),
        "mixed": ({}, ("several forms",)),
        "nowhere.txt": ({}, ("no such name, file or folder", "captions")),
    }


def test_what_is_wrong_is_said_in_one_line(tmp_path: Path) -> None:
    for name, (fields, parts) in broken(tmp_path).items():
        with pytest.raises(CardiganError) as error:
            Sentences(source=str(tmp_path / name), **fields).load()
        said = str(error.value)
        assert "\n" not in said and len(said) < 600, name
        assert all(part in said for part in parts), (name, said)


@pytest.mark.parametrize(
    ("fields", "parts"),
    [
        ({"column": "title"}, ("no column 'title'", "text, other")),
        ({"inputs": "nothing", "outputs": "text"}, ("no column 'nothing'",)),
        ({"context": 2}, ("lists of strings",)),
        ({"column": "text", "length": 2}, ("data.length=2", "allowed: ")),
        ({"column": "text", "inputs": "other", "source_length": 2}, ("data.source_length=2",)),
        ({"column": "text", "rare": 10**6}, ("data.rare",)),
        ({"column": "text", "unit": "window", "length": 60_000}, ("data.length=60000", "tokens in train")),
        ({"column": "text", "validation": 0}, ("nothing in its validation split", "data.validation=0")),
    ],
)
def test_settings_that_do_not_fit_the_data(fields: dict[str, Any], parts: tuple[str, ...], tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [json.dumps({"text": text, "other": text}) for text in lines(50)])
    with pytest.raises(CardiganError) as error:
        data = Sentences(source=str(path), **fields)
        data.load("validation" if "validation" in fields else "train")
    assert all(part in str(error.value) for part in parts), error.value


@pytest.mark.parametrize(
    "fields",
    [
        {"vocabulary": 4},
        {"tokens": "bpe", "vocabulary": 259},
        {"length": 1},
        {"unit": "window", "context": 2},
        {"context": 2, "inputs": "de"},
        {"context": 0},
        {"rare": 0},
    ],
)
def test_settings_that_make_no_sense(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Sentences(source="captions", **fields)


def test_names_need_the_folder_of_named_data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CARDIGAN_DATA", raising=False)
    for name in NAMES:
        with pytest.raises(CardiganError, match="CARDIGAN_DATA"):
            Sentences(source=name).load()
    monkeypatch.setenv("CARDIGAN_DATA", str(tmp_path))
    with pytest.raises(CardiganError, match=r"there is no .*coco-captions-train\.txt"):
        Sentences(source="captions").load()


def test_the_command_line_ends_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "latin.txt").write_bytes("un café\n".encode("latin-1"))
    with pytest.raises(SystemExit) as stop:
        main(["inspect", str(tmp_path / "latin.txt"), "--out", str(tmp_path / "out")])
    assert stop.value.code == 2 and "UTF-8" in capsys.readouterr().err and not (tmp_path / "out").exists()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=400), ending=st.sampled_from([".txt", ".jsonl", ".csv", ".tsv", ".txt.gz", ".jsonl.gz"]))
def test_any_bytes_are_read_or_refused_in_one_line(data: bytes, ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"fuzz{ending}"
    for written in (data, gzip.compress(data), b'{"a": "' + data + b'"}\n', b"a,b\n" + data):
        path.write_bytes(written)
        try:
            found = Sentences(source=str(path), test=0, validation=0).load()
            assert found.draw(0, 3).sample.shape == (3, *found.form.shape)
        except CardiganError as error:
            assert str(error) and "\n" not in str(error)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    each=st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12), max_size=8)
)
def test_any_text_comes_back(each: list[str], tmp_path: Path) -> None:
    path = tmp_path / "any.txt"
    path.write_text("\n".join(each), "utf-8", newline="")
    expected = "\n".join(each).replace("\r\n", "\n").replace("\r", "\n").removeprefix("\ufeff").split("\n")
    expected = [line.strip() for line in expected if line.strip()]
    for tokens in ("characters", "bpe"):
        data = Sentences(source=str(path), tokens=tokens, test=0, validation=0)
        if not expected:
            with pytest.raises(CardiganError, match="empty"):
                data.load()
            return
        found = data.load()
        assert found.texts() == expected
        assert found.codec.decode(found.take(torch.arange(len(found))).sample) == expected


REAL: dict[str, dict[str, Any]] = {
    "captions": {"tokens": "words"},
    "poems": {},
    "shakespeare": {"unit": "window"},
    "multi30k": {"inputs": "de", "outputs": "en", "tokens": "words"},
    "dialogue": {"context": 1, "tokens": "words", "length": 32, "source_length": 32},
    "qm9": {},
}


@pytest.mark.parametrize("name", NAMES)
def test_named_sources(name: str, real: Path) -> None:
    data = Sentences(source=name, **REAL[name])
    parts = [data.load(split) for split in SPLITS]
    sizes = tuple(map(len, parts))
    if name == "captions":
        given_texts = (real / "text" / "coco-captions-test.txt").read_text().splitlines()
        assert sizes[0] + sizes[1] == 10_000 and parts[2].codec.vocabulary[:4] == (
            "<pad>",
            "<begin>",
            "<end>",
            "<unknown>",
        )
        assert [" ".join(line.split()) for line in given_texts if len(line.split()) < parts[0].form.shape[0]] == parts[
            2
        ].texts()
    if name == "poems":
        assert sum(sizes) == 16_394 and parts[0].form.shape == (25,)
    if name == "multi30k":
        german = (
            gzip.decompress((real / "text" / "multi30k" / "test_2016_flickr.de.gz").read_bytes()).decode().split("\n")
        )
        assert sizes[:2] == (29_000, 1_014) and sizes[2] <= 1_000
        assert all(
            " ".join(german[at].split()) == text
            for at, text in zip(parts[2].ids.tolist(), parts[2].input_texts(), strict=True)
        )
    if name == "qm9":
        assert 133_000 < sum(sizes) <= 133_880 and parts[0].form.vocabulary < 40
    assert min(sizes) > 100
    for part in parts:
        batch = part.draw(0, 4)
        chosen = {int(at): text for at, text in zip(part.ids, part.texts(), strict=True)}
        if "<unknown>" not in "".join(part.codec.decode(batch.sample)) and name not in ("poems",):
            assert part.codec.decode(batch.sample) == [chosen[at] for at in batch.id.tolist()]
