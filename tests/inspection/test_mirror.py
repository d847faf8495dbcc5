"""Mirrored pictures are told from others where there is something to tell, and nowhere else."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from cardigan.data.sources import open_source
from cardigan.inspection.mirror import ENOUGH, mirrored_alike
from cardigan.inspection.survey import survey
from cardigan.inspection.thumbs import small


def written(count: int) -> np.ndarray:
    """(N, 16, 16) words at random places."""
    rng, letters, pictures = np.random.default_rng(0), ImageFont.load_default(20), []
    words = ["the", "forest", "bread", "queen", "lark", "fable", "rope", "single", "pepper", "jet"]
    for _ in range(count):
        image = Image.new("L", (64, 64), 255)
        for line in range(3):
            place = (int(rng.integers(-4, 12)), 21 * line + int(rng.integers(0, 4)))
            ImageDraw.Draw(image).text(place, words[rng.integers(10)], fill=0, font=letters)
        pictures.append(np.asarray(image))
    return small(np.stack(pictures)[..., None])[..., 0]


def test_text_is_not_alike_until_it_is_flipped_at_random() -> None:
    text = written(400)
    flipped = np.where(np.random.default_rng(1).random(400)[:, None, None] < 0.5, text, text[:, :, ::-1])
    assert mirrored_alike(text) < ENOUGH - 0.1
    assert mirrored_alike(flipped) > ENOUGH + 0.1


def test_noise_and_symmetric_pictures_are_alike() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (300, 16, 16), dtype=np.uint8)
    assert mirrored_alike(noise) > 0.8
    assert mirrored_alike(np.minimum(noise, noise[:, :, ::-1])) == 1.0


def test_few_different_pictures_say_nothing() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (10, 16, 16), dtype=np.uint8)
    assert mirrored_alike(np.tile(noise, (50, 1, 1))) == 0.0
    assert mirrored_alike(noise[:0]) == 0.0


@pytest.mark.parametrize(
    ("name", "alike"),
    [
        ("mnist", False),
        ("super-resolution/bsds300-train.zip", True),
        ("photo-monet/photo-monet.zip", True),
        ("summer-winter/yosemite-128.zip", True),
    ],
)
def test_digits_are_told_apart_and_landscapes_are_not(real: Path, name: str, alike: bool) -> None:
    source = open_source(name if name == "mnist" else str(real / name))
    assert (mirrored_alike(survey(source, most=1500, processes=1).rows["luma"]) > ENOUGH) == alike
