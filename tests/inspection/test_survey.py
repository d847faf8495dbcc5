"""Every planted fault is named once and in its place; every sound picture is measured as it is."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from cardigan.data.sources import Encoded, Source, Stack, open_source
from cardigan.errors import CardiganError
from cardigan.inspection.duplicates import duplicates
from cardigan.inspection.faults import classified, format_of
from cardigan.inspection.measure import FORMATS, MODES
from cardigan.inspection.problems import problems
from cardigan.inspection.survey import survey

Write = Callable[[Path, dict[str, bytes]], Path]
Encode = Callable[..., bytes]
Picture = Callable[..., NDArray[np.uint8]]


def encoded_source(files: dict[str, bytes], **fields: object) -> Source:
    names, data = list(files), list(files.values())
    return Source("made", {"train": lambda: Encoded(names, lambda index: data[index], **fields)})  # type: ignore[arg-type]


def test_planted_faults_are_named_once_and_nothing_else(tmp_path: Path, write: Write, faults: dict[str, bytes]) -> None:
    found = survey(open_source(str(write(tmp_path / "photos", faults))))
    ends = {failure.name.replace(": ", "/").rsplit("/", 1)[1]: failure.kind for failure in found.failures}
    cut = {Path(name).name: "truncated" for name in faults if "cut" in name}
    assert len(cut) == 5 and ends == cut | {"bomb.png": "bomb", "empty.png": "empty", "text.png": "not a picture"}
    assert len(found.failures) == 8 and len(found.rows) == len(faults) - 8
    assert found.totals == {"train": 41, "test": 10} and not found.sampled

    twice = duplicates(found)
    groups = [{Path(found.name_of(row)).name for row in group} for group in twice.exact]
    expected = [{f"{i}.png", f"copy{i}.bmp"} for i in range(3)] + [{f"{10 + i}.png", f"leak{i}.png"} for i in range(2)]
    assert sorted(map(sorted, groups)) == sorted(map(sorted, expected))
    assert twice.near == () and twice.unchecked == 0

    told = {problem.what: problem.names for problem in problems(found, twice)}
    assert {what.split(" ", 1)[0]: len(names) for what, names in told.items() if "group" in what} == {"2": 2, "3": 3}
    mentioned = Counter(name.split(" (")[0].split(" = ")[0] for names in told.values() for name in names)
    assert len(told) == 7 and len(mentioned) == 13 and set(mentioned.values()) == {1}
    assert any("train/10.png = test/leak0.png" in name for names in told.values() for name in names)


def test_rows_say_what_the_pictures_are(encode: Encode, picture: Picture) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    clear = np.dstack([picture(1), np.full((48, 64), 255, np.uint8)])
    clear[:24, :, 3] = 0
    cmyk = Image.fromarray(picture(2)).convert("CMYK")
    files = {
        "turned": encode(picture(0), "JPEG", exif=exif),
        "clear": encode(clear),
        "cmyk": _saved(cmyk, "TIFF"),
        "deep": encode(np.arange(48 * 64, dtype=np.uint16).reshape(48, 64) * 20),
        "blank": encode(np.full((8, 9, 3), 200, np.uint8)),
        "moving": _saved(
            Image.fromarray(picture(3)), "GIF", save_all=True, append_images=[Image.fromarray(picture(4))]
        ),
        "half": encode(np.repeat(np.asarray([0, 255], np.uint8), 8)[None].repeat(4, 0)),
    }
    rows = dict(zip(files, survey(encoded_source(files)).rows, strict=True))
    assert (rows["turned"]["height"], rows["turned"]["width"], rows["turned"]["orientation"]) == (64, 48, 6)
    assert [name for name in files if rows[name]["alpha"]] == ["clear"]
    assert [name for name in files if rows[name]["deep"]] == ["deep"]
    assert [name for name in files if rows[name]["blank"]] == ["blank"]
    assert [name for name in files if rows[name]["animated"]] == ["moving"]
    assert MODES[rows["cmyk"]["mode"]] == "CMYK" and FORMATS[rows["moving"]["format"]] == "GIF"
    assert rows["blank"]["bytes"] == len(files["blank"]) and rows["blank"]["brightness"] == pytest.approx(200)
    assert rows["half"]["brightness"] == pytest.approx(127.5) and rows["half"]["contrast"] == pytest.approx(127.5)
    assert np.array_equal(np.unique(rows["half"]["luma"]), [0, 255])
    assert rows["clear"]["luma"][:8].min() == 255 > rows["clear"]["luma"][9:].min()


def _saved(image: Image.Image, kind: str, **options: object) -> bytes:
    import io

    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_a_stack_is_measured_like_the_same_pictures_encoded(encode: Encode, channels: int) -> None:
    shape = (20, 30, 22) if channels == 1 else (20, 30, 22, channels)
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    stack = survey(Source("stack", {"train": lambda: Stack(pixels)})).rows
    files = survey(encoded_source({str(i): encode(each) for i, each in enumerate(pixels)})).rows
    for field in ("index", "height", "width", "alpha", "blank", "digest", "label"):
        assert np.array_equal(stack[field], files[field]), field
    for field, room in (("luma", 1), ("chroma", 1), ("brightness", 0.6), ("contrast", 0.6)):
        assert np.abs(stack[field].astype(float) - files[field].astype(float)).max() <= room, field


def test_twenty_thousand_tiny_pictures_are_counted_right() -> None:
    rng = np.random.default_rng(0)
    pixels, labels = rng.integers(0, 256, (20_000, 4, 4), dtype=np.uint8), rng.integers(0, 3, 20_000)
    pixels[[5, 77, 19_999]] = 9
    parts = {"train": lambda: Stack(pixels[:15_000], labels[:15_000]), "test": lambda: Stack(pixels[15_000:])}
    seen: list[tuple[int, int]] = []
    found = survey(Source("tiny", parts, ("a", "b", "c")), watch=lambda done, total: seen.append((done, total)))
    assert found.totals == {"train": 15_000, "test": 5_000} and len(found.rows) == 20_000 and not found.failures
    assert seen[-1] == (20_000, 20_000) and [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert np.array_equal(found.rows["label"][:15_000], labels[:15_000]) and (found.rows["label"][15_000:] == -1).all()
    assert np.flatnonzero(found.rows["blank"]).tolist() == [5, 77, 19_999]
    assert (found.split_of(14_999), found.split_of(15_000)) == ("train", "test")
    assert [each.tolist() for each in duplicates(found, near=False).exact] == [[5, 77, 19_999]]


def test_processes_find_what_one_finds(encode: Encode, picture: Picture) -> None:
    files = {str(i): encode(picture(i, (12, 12))) for i in range(700)}
    files["13"] = b"nothing"
    one, two = survey(encoded_source(files), processes=1), survey(encoded_source(files), processes=2)
    assert np.array_equal(one.rows, two.rows) and one.failures == two.failures and len(one.failures) == 1


def test_a_sample_is_seeded_and_says_so() -> None:
    source = Source(
        "s",
        {"train": lambda: Stack(np.zeros((900, 2, 2), np.uint8)), "test": lambda: Stack(np.zeros((5, 2, 2), np.uint8))},
    )
    first, again, other = survey(source, 100), survey(source, 100), survey(source, 100, seed=1)
    assert first.sampled and len(first.rows) == 105 and first.totals["train"] == 900
    assert np.array_equal(first.rows, again.rows) and not np.array_equal(first.rows["index"], other.rows["index"])
    assert not survey(source, 900).sampled


def test_nothing_to_look_at_is_one_line() -> None:
    with pytest.raises(CardiganError, match="no pictures"):
        survey(Source("empty", {"train": lambda: Stack(np.zeros((0, 4, 4), np.uint8))}))


@pytest.mark.parametrize(
    ("data", "kind", "word"),
    [
        (b"<!DOCTYPE html><html>", "not a picture", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "not a picture", "Git LFS"),
        (b"\0\0\0\x1cftypavif\0\0", "not a picture", "AVIF"),
        (bytes(100), "not a picture", "zeros"),
        (bytes(range(128, 256)), "not a picture", "no picture format"),
        (b"\xff\xd8\xff\xe0" + bytes(90), "truncated", "JPEG"),
        (b"\xff\xd8\xff\xe0" + bytes(90) + b"\xff\xd9", "other", "damaged JPEG"),
        (None, "other", "broken"),
    ],
)
def test_what_a_broken_file_is_instead(data: bytes | None, kind: str, word: str) -> None:
    found = classified(data, "broken data stream")
    assert found[0] == kind and word in found[1]


def test_formats_are_told_by_their_marks(encode: Encode, picture: Picture) -> None:
    for kind in ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM"):
        assert format_of(encode(picture(0), kind)) == kind


_ENDLESS = """
import os, time
from cardigan.data.sources import Encoded, Source
from cardigan.inspection.survey import survey
def read(index):
    os.write(1, f"{os.getpid()}\\n".encode())  # at once: two may write at the same time
    time.sleep(60)
survey(Source("slow", {"train": lambda: Encoded([str(i) for i in range(600)], read)}), processes=2)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux only")
def test_workers_end_with_their_parent() -> None:
    parent = subprocess.Popen([sys.executable, "-c", _ENDLESS], stdout=subprocess.PIPE, text=True)
    assert parent.stdout
    workers = {int(parent.stdout.readline()) for _ in range(2)}
    assert parent.pid not in workers
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    end = time.monotonic() + 10
    while any(map(_runs, workers)) and time.monotonic() < end:
        time.sleep(0.05)
    assert not any(map(_runs, workers))


def _runs(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def test_real_sets_are_sound(real: Path) -> None:
    assert os.environ["CARDIGAN_DATA"] == str(real)
    found = survey(open_source(str(real / "super-resolution" / "bsds300-train.zip")))
    assert found.totals == {"train": 200, "validation": 100} and not found.failures
    assert set(zip(found.rows["height"].tolist(), found.rows["width"].tolist(), strict=True)) == {
        (321, 481),
        (481, 321),
    }
    digits = survey(open_source("mnist"))
    assert len(digits.rows) == 70_000 and not digits.rows["blank"].any() and not duplicates(digits, near=False).exact
