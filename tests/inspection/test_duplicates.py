"""Copies are found whatever was done to them, what is merely alike is not, and crowds do not explode."""

import io
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from cardigan.data.sources import Encoded, Source, Stack, open_source
from cardigan.inspection.alignment import fit
from cardigan.inspection.duplicates import Duplicates, duplicates
from cardigan.inspection.groups import Groups, grouped
from cardigan.inspection.survey import Survey, survey

Picture = Callable[..., NDArray[np.uint8]]


def jpeg(image: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(io.BytesIO(buffer.getvalue()))


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "jpeg": lambda image: jpeg(image, 50),
    "half": lambda image: image.resize((image.width // 2, image.height // 2)),
    "brighter": lambda image: image.point(lambda value: min(255, round(value * 1.05))),
    "cropped": lambda image: image.crop((1, 1, image.width - 1, image.height - 1)),
}


def looked_at(pictures: list[Image.Image]) -> tuple[Survey, Duplicates]:
    buffers = []
    for image in pictures:
        buffer = io.BytesIO()
        image.save(buffer, "PNG")
        buffers.append(buffer.getvalue())
    names = [str(number) for number in range(len(buffers))]
    found = survey(Source("made", {"train": lambda: Encoded(names, buffers.__getitem__)}))
    return found, duplicates(found)


@pytest.mark.parametrize("change", CHANGES)
def test_changed_copies_are_found_and_nothing_else(picture: Picture, change: str) -> None:
    originals = [Image.fromarray(picture(seed, (96, 128))) for seed in range(60)]
    copies = [CHANGES[change](image) for image in originals[:20]]
    _, found = looked_at(originals + copies)
    assert found.exact == ()
    groups = {tuple(group.tolist()) for group in found.near}
    expected = {(number, 60 + number) for number in range(20)}
    assert groups <= expected and len(groups) >= 18


def test_other_brightness_colour_or_detail_is_another_picture(picture: Picture) -> None:
    base = picture(7, (96, 128))
    spot = base.copy()
    spot[40:56, 60:80] = 255 - spot[40:56, 60:80]
    others = [spot, base[..., ::-1], base[:, ::-1], 255 - base, np.roll(base, 20, axis=1), base // 3]
    _, found = looked_at([Image.fromarray(np.ascontiguousarray(each)) for each in (base, *others)])
    assert found.exact == () and found.near == ()


def test_blank_pictures_are_no_near_duplicates() -> None:
    _, found = looked_at([Image.new("RGB", (20, 20), (level,) * 3) for level in range(100, 110)])
    assert found.near == ()


def test_large_clusters_stay_cheap() -> None:
    rng = np.random.default_rng(0)
    tiles = rng.integers(40, 216, (3, 8, 8)).repeat(3, 1).repeat(3, 2)
    alike = tiles[0] + rng.integers(-2, 3, (1500, 24, 24))
    same = np.broadcast_to(tiles[1], (1500, 24, 24))
    pixels = np.concatenate([alike, same, tiles[2:]]).astype(np.uint8)
    found = survey(Source("crowd", {"train": lambda: Stack(pixels)}))
    start = time.perf_counter()
    twice = duplicates(found)
    assert time.perf_counter() - start < 30
    assert [len(group) for group in twice.exact] == [1500]
    assert [len(group) for group in twice.near] == [1500] and twice.near[0].tolist() == list(range(1500))
    assert len(twice.pairs) < 30_000


def test_groups_across_splits_and_classes(picture: Picture) -> None:
    pixels = np.stack([picture(seed) for seed in range(8)])
    brighter = np.minimum(255, pixels.astype(int) + 6).astype(np.uint8)
    train = Stack(pixels, np.asarray([0, 1] * 4))
    test = Stack(np.concatenate([pixels[:1], brighter[1:2]]), np.asarray([1, 1]))
    found = survey(Source("two", {"train": lambda: train, "test": lambda: test}, ("cat", "dog")))
    twice = duplicates(found)
    assert [group.tolist() for group in twice.exact] == [[0, 8]]
    assert [group.tolist() for group in twice.near] == [[1, 9]]
    assert found.name_of(8) == "test picture 0" and found.rows["label"][[0, 8]].tolist() == [0, 1]


def test_alignment_recovers_a_known_shift_and_gain() -> None:
    y, x = np.mgrid[0:32, 0:32] / 32
    wave = 128 + 50 * np.sin(5 * x + 2 * y) + 30 * np.cos(7 * y)
    moved = 1.1 * (50 * np.sin(5 * (x + 0.02) + 2 * y) + 30 * np.cos(7 * y)) + 140
    first, second = (np.repeat(each[None, ..., None], 3, -1).astype(np.float32) for each in (wave, moved))
    aligned = fit(first, second)
    assert aligned.mean[0] < 0.02 and aligned.peak[0] < 0.1
    assert aligned.gain[0] == pytest.approx(1.1, abs=0.02) and aligned.move[0] == pytest.approx(0.02, abs=0.005)


def test_union_find_and_equal_keys() -> None:
    groups = Groups(100_000)
    for member in range(99_998):
        groups.join(member + 1, member)
    assert set(groups.roots().tolist()) == {0, 99_999}
    assert [each.tolist() for each in grouped(np.asarray([3, 1, 3, 2, 1, 3]))] == [[0, 2, 5], [1, 4]]
    assert grouped(np.empty(0, np.int64)) == []


def test_handwriting_is_alike_and_not_the_same(real: Path) -> None:
    assert real.is_dir()
    source = open_source("mnist")
    found = survey(source, most=4000)
    assert duplicates(found).near == ()


def test_real_leaks_are_found(real: Path) -> None:
    found = survey(open_source(str(real / "summer-winter" / "yosemite-128.zip")), processes=1)
    twice = duplicates(found)
    names = [{found.name_of(row).rsplit(": ", 1)[1] for row in group} for group in (*twice.exact, *twice.near)]
    assert {"train/summer/0023.jpg", "test/winter/0049.jpg"} in names
    assert {"train/winter/0605.jpg", "test/winter/0069.jpg"} in names
    assert len(twice.exact) == 181 and 4 <= len(twice.near) <= 8
