"""What is said of a survey is right, short even where everything is wrong, and safe to print."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from cardigan.data.sources import Encoded, Source, Stack, open_source
from cardigan.inspection.duplicates import duplicates
from cardigan.inspection.report import LINES, WIDTH, as_json, describe
from cardigan.inspection.survey import survey

Picture = Callable[..., NDArray[np.uint8]]
Encode = Callable[..., bytes]


def test_a_bad_set_fits_on_a_page_and_is_named(
    tmp_path: Path, write: Callable[..., Path], faults: dict[str, bytes]
) -> None:
    found = survey(open_source(str(write(tmp_path / "photos", faults))))
    twice = duplicates(found)
    lines = describe(found, twice, 0.9)
    text = "\n".join(lines)
    assert len(lines) <= LINES and max(map(len, lines)) <= WIDTH and lines[0] == "Problems"
    for what in ("5 pictures are truncated", "1 picture is empty", "too large to be opened", "no picture, whatever"):
        assert what in text
    assert text.index("truncated") < text.index("51 pictures") and "it is text" in text
    assert "train/cut0.png" in text and str(tmp_path) + "/photos/train/cut" not in text
    assert "2 groups of equal pictures across splits" in text and "3 groups of equal pictures:" in text


def test_everything_names_everything_and_a_page_counts_the_rest(picture: Picture) -> None:
    pixels = np.stack([picture(seed // 2, (24, 24)) for seed in range(80)])
    found = survey(Source("pairs", {"train": lambda: Stack(pixels)}))
    twice = duplicates(found)
    short, long = describe(found, twice), describe(found, twice, everything=True)
    assert len(short) <= LINES and any("and 35 more" in line for line in short)
    assert sum(" = " in line for line in long) == 40


def test_the_worst_set_is_still_one_page(encode: Encode, picture: Picture) -> None:
    rng = np.random.default_rng(0)
    blank = encode(np.zeros((9, 9), np.uint8))
    data = [b"", b"text", *[encode(picture(int(seed)))[:90] for seed in range(9)], *[blank] * 9]
    data += [encode(picture(int(seed), (20 + int(seed), 30))) for seed in rng.integers(0, 30, 200)]
    names = ["x" * 150 + str(number) for number in range(len(data))]
    labels = np.minimum(rng.geometric(0.4, len(data)) - 1, 39)
    said = [(f"line {number}\n\x1b[31mred",) for number in range(len(data))]
    part = Encoded(names, data.__getitem__, labels, said)
    classes = tuple(f"class {number}\n{'long ' * 20}" for number in range(40))
    source = Source("bad", {"train": lambda: part, "test": lambda: part}, classes, remarks=("a remark\nof two lines",))
    found = survey(source)
    lines = describe(found, duplicates(found), 0.1)
    assert len(lines) <= LINES and max(map(len, lines)) <= WIDTH
    assert all(line.isprintable() for line in lines)
    assert any("do not flip" in line for line in lines) and any("largest class" in line for line in lines)


def test_numbers_are_right() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (100, 6, 8), dtype=np.uint8)
    labels = np.asarray([0] * 80 + [1] * 20)
    found = survey(Source("two", {"train": lambda: Stack(pixels, labels)}, ("cat", "dog", "none")))
    said = as_json(found, duplicates(found), 0.5)
    assert json.loads(json.dumps(said)) == said
    assert said["splits"] == {"train": {"pictures": 100, "looked_at": 100, "readable": 100, "unreadable": 0}}
    assert said["sizes"]["most_common"] == [{"height": 6, "width": 8, "pictures": 100}] and said["sizes"]["wide"] == 100
    assert said["balance"]["ratio"] == 4 and said["balance"]["effective"] == pytest.approx(1.6494, abs=1e-4)
    assert [each["pictures"] for each in said["balance"]["classes"]] == [80, 20, 0]
    assert [each["what"] for each in said["problems"]] == ["1 class has no picture to train on"]
    text = "\n".join(describe(found))
    assert "all 6x8" in text and text.count("#") == 50


def test_a_set_without_one_readable_picture_is_still_described() -> None:
    part = Encoded(["a.png", "b.png"], [b"", b"x"].__getitem__)
    found = survey(Source("none", {"train": lambda: part}))
    assert len(found.rows) == 0 and "1 picture is empty" in "\n".join(describe(found, duplicates(found)))
    assert json.dumps(as_json(found, duplicates(found)))
