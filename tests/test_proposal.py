"""`auto`: a recipe chosen by looking at pictures, and the user's wishes over it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cardigan import CardiganError, load_recipe, train
from cardigan.cli import main
from cardigan.data.pictures import Pictures
from cardigan.proposal import Facts, look, picture_size, propose

RANDOM = np.random.default_rng(0)


def folder(path: Path, count: int, size: tuple[int, int] = (20, 20), mode: str = "RGB", classes: int = 1) -> Path:
    """Pictures of noise, in class folders where there are several."""
    for index in range(count):
        place = path / f"class {index % classes}" if classes > 1 else path
        place.mkdir(parents=True, exist_ok=True)
        pixels = RANDOM.integers(0, 256, (*size, len(mode)), dtype=np.uint8)
        Image.fromarray(pixels[..., 0] if mode == "L" else pixels).save(place / f"{index}.png", compress_level=0)
    return path


def chosen(proposal: Any) -> dict[str, str]:
    return {key: value for key, value, _ in proposal.reasons}


def facts(sizes: list[tuple[int, int]], **changes: Any) -> Facts:
    plain = {"count": 5000, "grey": False, "see_through": 0.0, "classes": 0, "smallest": 0, "alike": 1.0}
    return Facts(sizes=np.array(sizes), **{**plain, **changes})


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([(28, 28)] * 9, (28, 28)),  # as they are
        ([(66, 60)] * 9, (66, 60)),
        ([(128, 128)] * 9, (64, 64)),
        ([(481, 321), (321, 481)] * 9, (64, 64)),  # no common shape: square
        ([(1080, 1920)] * 9, (48, 84)),  # a common one is kept, at as many pixels
        ([(1920, 1080)] * 9, (84, 48)),
        ([(40, 40), (44, 41), (50, 50)], (40, 40)),  # never larger than the middle one
        ([(3, 3), (4, 5)], (8, 8)),
    ],
)
def test_the_size(sizes: list[tuple[int, int]], expected: tuple[int, int]) -> None:
    assert picture_size(facts(sizes), 64)[:2] == expected


def test_what_is_looked_at(tmp_path: Path) -> None:
    place = folder(tmp_path / "icons", 60, (20, 30), "RGBA", classes=2)
    (place / "class 0" / "broken.png").write_bytes(b"no picture")
    source = propose(str(place)).recipe.data.open()
    seen = look(source)
    assert (seen.count, seen.classes, seen.smallest, seen.see_through, seen.grey) == (61, 2, 30, 1.0, False)
    assert np.array_equal(np.unique(seen.sizes, axis=0), [[20, 30]])


def test_pictures_decide(tmp_path: Path) -> None:
    grey = propose(str(folder(tmp_path / "grey", 70, (24, 24), "L")))
    assert grey.recipe.data.size == 24 and grey.recipe.data.channels == 1
    assert grey.recipe.game.augmentation.cutout > 0 and grey.recipe.game.labels == "none"
    assert grey.recipe.name == "auto-grey" and grey.recipe.training.batch == 32
    icons = propose(str(folder(tmp_path / "icons.set", 30, (20, 20), "RGBA")))
    assert icons.recipe.data.channels == 4 and icons.recipe.training.batch == 16
    labelled = propose(str(folder(tmp_path / "labelled", 220, (16, 16), classes=2)))
    assert labelled.recipe.game.labels == "projection"
    assert all(len(line) < 140 for line in labelled.lines())


def test_the_user_has_the_last_word(tmp_path: Path) -> None:
    place = folder(tmp_path / "photos", 210, (20, 20), classes=2)
    overrides = ["data.size=16", "data.flip=true", "game.labels=none", "training.minutes=1", "data.classes=[class 1]"]
    proposal = propose(str(place), overrides)
    recipe = proposal.recipe
    assert recipe.data.size == 16 and recipe.data.flip and recipe.data.classes == ("class 1",)
    assert recipe.training.minutes == 1 and recipe.training.samples is None
    assert not {"data.size", "data.flip", "game.labels"} & chosen(proposal).keys()
    assert Path(recipe.data.source).is_absolute()
    assert load_recipe(recipe) == recipe


def test_auto_trains_and_can_be_asked_for_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = folder(tmp_path / "photos", 60, (16, 16))
    options = [
        "game.networks.width=8",
        "training.samples=64",
        "records.grid=4",
        "engine.threads=1",
        "engine.device=cpu",
    ]
    options += ["engine.precision=fp32", "engine.memory_format=contiguous", "engine.matmul=highest"]
    run = train("auto", options, data=str(place), out=tmp_path / "run")
    assert run.recipe.name == "auto-photos" and run.clocks() == [64]
    with pytest.raises(SystemExit) as stop:
        main(["train", "auto", "--data", str(place), "--out", str(tmp_path / "again"), *options])
    said = capsys.readouterr().out
    assert stop.value.code == 0 and "data.size=16" in said and "all have this size" in said


def test_a_size_of_the_user_decides_what_depends_on_it(tmp_path: Path) -> None:
    place = str(folder(tmp_path / "photos", 60, (20, 20)))
    small, large = (propose(place, [f"data.size={size}"]) for size in (16, 80))
    assert small.recipe.game.networks.discriminator.depth == 3 and large.recipe.game.networks.discriminator.depth == 4
    assert small.recipe.game.penalties.r1.weight < large.recipe.game.penalties.r1.weight
    assert "training.samples" not in chosen(propose(place, ["training.minutes=5"]))
    assert propose(None, [f"data.source={place}"]).recipe == propose(place).recipe


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, "give --data SOURCE"),
        ({"data": "nowhere"}, "no such name, file or folder"),
        ({"data": "digits", "overrides": ["data.kind=toy"]}, "data.source"),
        ({"data": "digits", "overrides": ["data.classes=[eleven]"]}, "has no class 'eleven'"),
        ({"data": "digits", "overrides": ["game.objective=nonsense"]}, "game.objective"),
    ],
)
def test_what_is_wrong_is_one_line(arguments: dict[str, Any], expected: str) -> None:
    with pytest.raises(CardiganError, match=expected) as error:
        propose(arguments.get("data"), arguments.get("overrides", ()))
    assert "\n" not in str(error.value)


def test_auto_is_no_file_and_no_shipped_recipe() -> None:
    with pytest.raises(CardiganError, match="cardigan train auto --data SOURCE"):
        load_recipe("auto")


def test_where_crops_are_taken_no_size_is_proposed(tmp_path: Path) -> None:
    place = folder(tmp_path / "photos", 12, (40, 50))
    recipe = propose(str(place), ["data.crop=16"]).recipe
    assert isinstance(recipe.data, Pictures)
    assert (recipe.data.size, recipe.data.sides) == (None, (16, 16))
    assert recipe.data.load().form.shape == (3, 16, 16)
