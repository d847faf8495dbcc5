"""The sheets show what they should: every class, the kept box, both of a pair."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from cardigan.data.sources import Source, Stack
from cardigan.data.sources.fitting import Wanted
from cardigan.errors import CardiganError
from cardigan.inspection.drawing import ACCENT, shortened
from cardigan.inspection.duplicates import duplicates
from cardigan.inspection.sheet import contact_sheet, crop_preview, duplicate_sheet, telling_shapes
from cardigan.inspection.survey import Survey, survey

Picture = Callable[..., NDArray[np.uint8]]


def of(pixels: NDArray[np.uint8], labels: NDArray[np.int64] | None = None, classes: tuple[str, ...] = ()) -> Survey:
    return survey(Source("made", {"train": lambda: Stack(pixels, labels)}, classes))


def shows(sheet: Path, colour: tuple[int, int, int]) -> int:
    return int((np.asarray(Image.open(sheet)) == colour).all(-1).sum())


def test_a_contact_sheet_shows_every_class(tmp_path: Path) -> None:
    colours = np.asarray([[200, 10, 10], [10, 200, 10], [10, 10, 200]], np.uint8)
    labels = np.sort(np.arange(60) % 3)
    pixels = np.broadcast_to(colours[labels][:, None, None], (60, 8, 12, 3)).copy()
    sheet = contact_sheet(of(pixels, labels, ("red", "green", "blue")), tmp_path / "new" / "sheet.png", side=32)
    assert all(shows(sheet, tuple(map(int, colour))) == 20 * 16 * 24 for colour in colours)  # all, magnified twice
    again = contact_sheet(of(pixels, labels, ("red", "green", "blue")), tmp_path / "again.png", side=32)
    assert sheet.read_bytes() == again.read_bytes()
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["sheet.png"]


def test_many_classes_and_pictures_make_a_sheet_of_bounded_size(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (500, 4, 4), dtype=np.uint8)
    labels = np.arange(500) % 50
    for classes in ((), tuple("name " * 40 + str(i) for i in range(50))):
        with Image.open(contact_sheet(of(pixels, labels if classes else None, classes), tmp_path / "x.png")) as sheet:
            assert max(sheet.size) < 1400


def test_transparency_shows_a_checkerboard(tmp_path: Path) -> None:
    clear = np.zeros((4, 16, 16, 4), np.uint8)
    clear[:, 4:8, 4:8] = (255, 0, 0, 255)
    sheet = contact_sheet(of(clear), tmp_path / "x.png")
    assert shows(sheet, (226, 226, 226)) > 4 * 3000 and shows(sheet, (255, 0, 0)) == 4 * 24 * 24


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
def test_a_crop_preview_outlines_what_is_kept(tmp_path: Path, picture: Picture, channels: int, fit: str) -> None:
    wide = of(np.stack([picture(seed, (40, 80)) for seed in range(3)]))
    sheet = crop_preview(wide, Wanted(channels, (16, 16), fit), tmp_path / "x.png", side=160)  # type: ignore[arg-type]
    outline = shows(sheet, ACCENT)
    assert (3 * 4 * 80 * 1.8 < outline < 3 * 4 * 80 * 2.2) if fit == "crop" else outline == 0


def test_telling_shapes_are_the_extremes_and_some_between() -> None:
    found = of(np.zeros((50, 8, 8), np.uint8))
    found.rows["width"] = np.random.default_rng(0).integers(5, 500, 50)
    chosen = telling_shapes(found)
    assert len(chosen) == len(set(chosen.tolist())) == 8
    assert {int(found.rows["width"].argmax()), int(found.rows["width"].argmin())} <= set(chosen[:4].tolist())


def test_pairs_across_splits_stand_out(tmp_path: Path, picture: Picture) -> None:
    pixels = np.stack([picture(seed) for seed in range(6)])
    parts = {"train": lambda: Stack(pixels), "test": lambda: Stack(pixels[:2])}
    leaking, sound = survey(Source("a", parts)), of(np.concatenate([pixels, pixels[:2]]))
    assert shows(duplicate_sheet(leaking, duplicates(leaking), tmp_path / "a.png"), ACCENT) > 0
    assert shows(duplicate_sheet(sound, duplicates(sound), tmp_path / "b.png"), ACCENT) == 0
    with pytest.raises(CardiganError, match="no duplicates"):
        duplicate_sheet(of(pixels), duplicates(of(pixels)), tmp_path / "c.png")


def test_names_are_shortened_in_their_middle() -> None:
    assert shortened("short.png", 200) == "short.png"
    cut = shortened("a very long name of a picture/0001.png", 120)
    assert "..." in cut and cut.endswith(".png") and cut.startswith("a ")
    assert shortened("x" * 50, 1)
