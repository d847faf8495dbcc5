"""`cardigan inspect`: everything planted is named, sheets and recipe are written, training would take the proposal."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from cardigan import CardiganError, load_recipe
from cardigan.check import check
from cardigan.cli import main
from cardigan.proposal import propose

Write = Callable[[Path, dict[str, bytes]], Path]


def inspect(*arguments: object) -> list[str]:
    with pytest.raises(SystemExit) as stop:
        main(["inspect", *map(str, arguments)])
    assert stop.value.code == 0
    return []


def test_every_planted_fault_is_named(
    write: Write, faults: dict[str, bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write(tmp_path / "photos", faults)
    out = tmp_path / "out"
    inspect(source, "--no-time", "--all", "--out", out)
    said = capsys.readouterr().out
    problems = said.partition("Problems")[2].partition("\n\n")[0]
    for name in ("cut0.png", "cut1.jpeg", "cut2.png", "cut3.jpeg", "cut4.webp", "bomb.png", "empty.png", "text.png"):
        assert problems.count(name) == 1, name
    for number in range(3):
        assert f"copy{number}.bmp" in problems
    assert "leak0.png" in problems and "leak1.png" in problems and "across splits" in problems
    assert "more than 5%" in problems
    sheets = sorted(path.name for path in out.iterdir())
    assert sheets == ["contact-sheet.png", "crop.png", "duplicates.png", "recipe.yaml", "report.json"]
    for name in sheets[:3]:
        assert min(Image.open(out / name).size) > 100
    report = json.loads((out / "report.json").read_text())
    assert len(report["failures"]) == 8 and report["estimate"] is None
    assert load_recipe(out / "recipe.yaml").but(name="x") == propose(str(source)).recipe.but(name="x")


def test_a_sound_set_has_no_problems_and_is_timed(
    tmp_path: Path, picture: Callable[..., NDArray[np.uint8]], encode: Callable[..., bytes], write: Write
) -> None:
    source = write(tmp_path / "photos", {f"{number}.png": encode(picture(number)) for number in range(60)})
    found = check(str(source), ["game.networks.width=8", "data.size=16", "engine.threads=1"], out=tmp_path / "out")
    lines = found.lines()
    assert lines[0] == "Problems: none found"
    assert found.estimate is not None and found.estimate.rate > 0 and found.estimate.seconds > 0
    assert any("samples/s" in line for line in lines)
    assert f"To train it: cardigan train auto --data {source}" in lines
    assert [path.name for path in found.files] == ["contact-sheet.png", "crop.png"]


def test_a_second_check_replaces_the_first(
    tmp_path: Path, faults: dict[str, bytes], picture: Callable[..., NDArray[np.uint8]], encode: Callable[..., bytes]
) -> None:
    place = tmp_path / "photos"
    place.mkdir()
    for number in range(6):
        (place / f"{number}.png").write_bytes(encode(picture(number)))
    (place / "copy.png").write_bytes(encode(picture(0)))
    out = tmp_path / "out"
    check(str(place), out=out, timed=False)
    assert (out / "duplicates.png").exists()
    (place / "copy.png").unlink()
    check(str(place), out=out, timed=False)
    assert not (out / "duplicates.png").exists()


@pytest.mark.parametrize("content", [b"", b"no picture", b"PK\3\4 not a zip"])
def test_what_cannot_be_checked_leaves_nothing(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "photos.zip").write_bytes(content)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "1.png").write_bytes(content)
    for source in ("photos.zip", "broken", "nowhere"):
        with pytest.raises(CardiganError) as error:
            check(str(tmp_path / source), out=tmp_path / "out", timed=False)
        assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()
