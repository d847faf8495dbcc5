"""Degradations against Pillow and SciPy, numbers worked out by hand, and what all of them promise."""

import io
import os
from collections.abc import Callable
from math import exp, pi
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from pydantic import ValidationError
from scipy import ndimage, special
from torch import Tensor

from cardigan.data.degradations import DEGRADATIONS
from cardigan.data.degradations.base import Degradation
from cardigan.data.degradations.blur import Blur, Profiles, around_one, kernel, odd, sinc
from cardigan.data.degradations.chain import Chain, factor, spoil, spoiled_shape
from cardigan.data.degradations.downscale import Downscale
from cardigan.data.degradations.edges import Edges
from cardigan.data.degradations.eightbit import by_pillow, on_grid
from cardigan.data.degradations.filtering import convolved, gaussian
from cardigan.data.degradations.grey import Grey
from cardigan.data.degradations.jpeg import Jpeg
from cardigan.data.degradations.mask import Mask, masked, read_mask, rectangle, stroked
from cardigan.data.degradations.noise import Noise
from cardigan.data.degradations.ranges import Range, WholeRange, choose
from cardigan.data.degradations.real_world import Pass, RealWorld, Scales, SecondPass, photon_noise
from cardigan.errors import CardiganError
from cardigan.settings import Settings, explain

EVERY: list[Degradation] = [
    Downscale(),
    Downscale(filter="lanczos"),
    Mask(),
    Mask(holes="strokes"),
    Grey(),
    Noise(deviation=Range(low=0, high=50)),
    Noise(distribution="salt"),
    Noise(distribution="poisson"),
    Blur(),
    Jpeg(),
    Edges(),
    Edges(method="sobel"),
    RealWorld(),
    RealWorld(factor=1),
]
"""One of each, in each of its ways."""


class Recipe(Settings):
    """Like the settings of data that is spoiled."""

    degradations: Chain = ()
    """What is done."""


def pictures(*shape: int, seed: int = 0) -> Tensor:
    """Smooth and noisy parts, on the 8-bit grid."""
    random = torch.Generator().manual_seed(seed)
    coarse = torch.rand(*shape[:2], 4, 4, generator=random) * 2 - 1
    smooth = torch.nn.functional.interpolate(coarse, shape[2:], mode="bilinear")
    return on_grid(smooth + 0.2 * torch.randn(shape, generator=random))


def randoms(count: int, seed: int = 0) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(1000 * seed + index) for index in range(count)]


def image(picture: Tensor) -> Image.Image:
    pixels: NDArray[np.uint8] = ((picture + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()
    return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)


def stored(picture: Tensor, back: Image.Image) -> None:
    """`picture` is what the file holds, and lies on the grid to the bit."""
    values = torch.from_numpy(np.atleast_3d(np.array(back))).permute(2, 0, 1)
    assert torch.equal(picture, values.float() / 127.5 - 1)


def refusal(raw: object) -> str:
    with pytest.raises(ValidationError) as caught:
        Recipe.model_validate({"degradations": raw})
    return str(explain(caught.value, Recipe, {"degradations": raw}))


# what all of them promise


def test_every_kind_is_in_the_table() -> None:
    assert {each.kind for each in EVERY} == set(DEGRADATIONS)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("step", EVERY, ids=lambda each: f"{each.kind}-{EVERY.index(each)}")
def test_each_picture_is_spoiled_on_its_own(step: Degradation, channels: int) -> None:
    if step.kind == "grey" and channels != 3:
        with pytest.raises(CardiganError, match=f"have {channels} channels; allowed: 3"):
            step.apply(pictures(1, channels, 8, 8), randoms(1))
        return
    for height, width in [(32, 48), (4, 8), (20, 4)]:
        clean = pictures(4, channels, height, width)
        before = clean.clone()
        together = step.apply(clean, randoms(4))
        assert torch.equal(clean, before)
        assert together.shape[1:] == step.shape((channels, height, width)) and together.dtype == torch.float32
        assert together.min() >= -1 and together.max() <= 1
        if step.kind != "mask":
            assert torch.equal(together, on_grid(together))
        for index, random in enumerate(randoms(4)):
            assert torch.equal(together[index], step.apply(clean[index : index + 1], [random])[0])


@pytest.mark.parametrize("step", EVERY, ids=lambda each: f"{each.kind}-{EVERY.index(each)}")
def test_other_random_numbers_spoil_otherwise(step: Degradation) -> None:
    clean = pictures(2, 3, 32, 32)
    same = torch.equal(step.apply(clean, randoms(2)), step.apply(clean, randoms(2, seed=1)))
    assert same == (step.kind in ("downscale", "grey", "edges"))


@pytest.mark.parametrize("step", [Blur(), Jpeg(), Noise(), RealWorld()], ids=lambda each: each.kind)
def test_what_is_opaque_stays_opaque(step: Degradation) -> None:
    clean = pictures(3, 4, 32, 32)
    clean[:, 3] = 1
    assert (step.apply(clean, randoms(3))[:, 3] == 1).all()


@pytest.mark.parametrize("side", [1, 2, 3])
def test_the_smallest_pictures_can_be_spoiled(side: int) -> None:
    for step in EVERY:
        if step.kind not in ("downscale", "real-world"):
            assert step.apply(pictures(1, 3, side, 4 - side), randoms(1)).isfinite().all()
    for step in (RealWorld(factor=4), RealWorld(factor=1)):
        assert step.apply(pictures(1, 3, 4, 8), randoms(1)).isfinite().all()


# downscale


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("filtered", ["bicubic", "bilinear", "lanczos", "area"])
@pytest.mark.parametrize("times", [2, 3, 4, 8])
def test_downscaled_as_pillow_does_it(filtered: str, times: int, channels: int) -> None:
    step = Downscale.model_validate({"factor": times, "filter": filtered})
    clean = pictures(2, channels, 48, 72)
    chosen = Image.Resampling["BOX" if filtered == "area" else filtered.upper()]
    for small, big in zip(step.apply(clean, randoms(2)), clean, strict=True):
        stored(small, image(big).resize((72 // times, 48 // times), chosen))


def test_area_is_the_mean() -> None:
    clean = torch.tensor([0.0, 10.0, 20.0, 50.0]).view(1, 1, 2, 2) / 127.5 - 1
    assert (Downscale(factor=2, filter="area").apply(clean, randoms(1)) + 1).item() * 127.5 == pytest.approx(20)


def test_sides_that_the_factor_does_not_divide_are_refused() -> None:
    for step in (Downscale(), RealWorld()):
        with pytest.raises(CardiganError, match="factor: 4 does not divide pictures of 30x33 pixels") as caught:
            step.apply(pictures(1, 3, 30, 33), randoms(1))
        assert "\n" not in str(caught.value)


# grey


def test_grey_as_pillow_has_it() -> None:
    clean = pictures(2, 3, 200, 200)
    for grey, colour in zip(Grey().apply(clean, randoms(2)), clean, strict=True):
        stored(grey, image(colour).convert("L"))


# noise


def test_gaussian_noise_has_its_deviation() -> None:
    grey = torch.zeros(40, 1, 32, 32)
    noisy = Noise(deviation=Range(low=25, high=25)).apply(grey, randoms(40)) * 127.5
    assert noisy.std().item() == pytest.approx(25, rel=0.02) and abs(noisy.mean().item()) < 0.5
    drawn = Noise(deviation=Range(low=0, high=50)).apply(grey, randoms(40)) * 127.5
    deviations = drawn.flatten(1).std(1)
    assert deviations.min() < 10 and deviations.max() > 40 and deviations.max() < 54


def test_salt_sets_whole_pixels_black_or_white() -> None:
    grey = on_grid(torch.zeros(10, 3, 50, 50))
    noisy = Noise(distribution="salt", share=Range(low=0.2, high=0.2)).apply(grey, randoms(10))
    black, white = noisy.eq(-1).all(1), noisy.eq(1).all(1)
    assert black.float().mean().item() == pytest.approx(0.1, abs=0.01)
    assert white.float().mean().item() == pytest.approx(0.1, abs=0.01)
    assert torch.equal(noisy.ne(grey).any(1), black | white)


def test_photons_are_counted() -> None:
    """At a quarter of white, 400 photons: 100 on average, deviation 10, that is 6.4 grey levels."""
    dark = torch.full((10, 1, 50, 50), -0.5)
    noisy = (Noise(distribution="poisson", photons=Range(low=400, high=400)).apply(dark, randoms(10)) + 1) * 127.5
    assert noisy.mean().item() == pytest.approx(63.75, abs=0.2)
    assert noisy.std().item() == pytest.approx(6.375, rel=0.03)
    assert (Noise(distribution="poisson").apply(torch.full((1, 3, 9, 9), -1.0), randoms(1)) == -1).all()


# blur


def test_an_impulse_becomes_the_kernel() -> None:
    impulse = torch.zeros(1, 15, 17)
    impulse[0, 7, 8] = 1
    drawn = kernel(7, 2.0, 0.7, 0.6)
    blurred = convolved(impulse, drawn)
    assert torch.allclose(blurred[0, 4:11, 5:12], drawn, atol=1e-6)
    assert blurred.sum().item() == pytest.approx(1, abs=1e-5)


@settings(max_examples=30, deadline=None)
@given(height=st.integers(1, 40), width=st.integers(1, 40), reach=st.integers(0, 10), seed=st.integers(0, 99))
def test_filtered_as_scipy_filters(height: int, width: int, reach: int, seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    side = 2 * reach + 1
    picture, weights = torch.randn(2, height, width, generator=random), torch.rand(side, side, generator=random)
    weights /= weights.sum()
    expected = [ndimage.convolve(each.double().numpy(), weights.double().numpy(), mode="mirror") for each in picture]
    assert np.allclose(convolved(picture, weights).numpy(), np.stack(expected), atol=1e-5)


def test_kernels_by_hand() -> None:
    round_ = kernel(3, 1.0, 1.0, 0.0)
    corner, side = exp(-1), exp(-0.5)
    assert round_[0].tolist() == pytest.approx([each / (1 + 4 * side + 4 * corner) for each in (corner, side, corner)])
    long = kernel(9, 3.0, 1.0, 0.0)
    assert long[4, 7] / long[4, 4] == pytest.approx(exp(-0.5)) and long[7, 4] / long[4, 4] == pytest.approx(exp(-4.5))
    assert torch.allclose(kernel(9, 3.0, 1.0, pi / 2), long.T, atol=1e-7)
    slanted = kernel(9, 3.0, 1.0, 0.6)  # from right towards down
    axes = np.array([[np.cos(0.6), -np.sin(0.6)], [np.sin(0.6), np.cos(0.6)]])
    inverse = np.linalg.inv(axes @ np.diag([9.0, 1.0]) @ axes.T)
    for place in [(3, 2), (-1, 2), (4, 0)]:  # right, down
        expected = exp(-0.5 * np.array(place) @ inverse @ np.array(place))
        assert (slanted[4 + place[1], 4 + place[0]] / slanted[4, 4]).item() == pytest.approx(expected, rel=1e-4)
    flat = kernel(9, 3.0, 3.0, 0.0, power=4, plateau=True)
    assert flat[4, 7] / flat[4, 4] == pytest.approx(0.5) and flat[4, 6] / flat[4, 4] > 0.9
    steep = kernel(9, 2.0, 2.0, 0.0, power=3)
    assert steep[4, 8] / steep[4, 4] == pytest.approx(exp(-0.5 * 4**3), abs=1e-9)


def test_sinc_by_its_formula() -> None:
    weights, cutoff = sinc(9, 1.5), 1.5
    radius = 5**0.5  # two right, one down
    expected = cutoff * special.j1(cutoff * radius) / (2 * pi * radius) / (cutoff**2 / (4 * pi))
    assert (weights[5, 6] / weights[4, 4]).item() == pytest.approx(expected, rel=1e-4)
    assert weights.sum().item() == pytest.approx(1, abs=1e-6) and weights.min() < 0


@pytest.mark.parametrize("name", list(Profiles.model_fields))
def test_every_profile_sums_to_one(name: str) -> None:
    settings = Blur(profiles=Profiles.model_validate({name: 1}))
    for random in randoms(10):
        drawn = settings.kernel(random)
        assert drawn.sum().item() == pytest.approx(1, abs=1e-5) and drawn.shape[0] in range(7, 22, 2)
        assert torch.allclose(drawn, drawn.T, atol=1e-7) or "anisotropic" in name


def test_profiles_are_drawn_by_their_weights() -> None:
    random = torch.Generator().manual_seed(0)
    counts = np.bincount([choose(random, [0.5, 0, 0.3, 0.2]) for _ in range(2000)], minlength=4) / 2000
    assert counts.tolist() == pytest.approx([0.5, 0, 0.3, 0.2], abs=0.04)
    powers = [around_one(Range(low=0.5, high=4), random) for _ in range(1000)]
    assert np.mean(np.array(powers) < 1) == pytest.approx(0.5, abs=0.05)
    assert {odd(WholeRange(low=7, high=13), random) for _ in range(200)} == {7, 9, 11, 13}


def test_a_blur_keeps_flat_pictures_and_brightness() -> None:
    flat = on_grid(torch.full((3, 3, 24, 31), 0.3))
    assert torch.equal(Blur().apply(flat, randoms(3)), flat)
    gauss = gaussian(1.5)
    assert gauss.shape == (9, 9) and gauss.sum().item() == pytest.approx(1, abs=1e-6)


def test_hidden_colours_do_not_come_to_light() -> None:
    """Red that is seen beside green that is not: no green at the edge."""
    clean = torch.full((1, 4, 16, 32), -1.0)
    clean[:, 0, :, :16], clean[:, 3, :, :16] = 1, 1
    clean[:, 1, :, 16:] = 1
    blurred = Blur(deviation=Range(low=2, high=2), profiles=Profiles(isotropic=1)).apply(clean, randoms(1))[0]
    seen = blurred[3] > -0.9
    assert seen[:, 17:].any() and (blurred[0][seen] > 0.97).all() and (blurred[1][seen] < -0.97).all()


# jpeg


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("quality", [1, 35, 100])
def test_jpeg_as_pillow_has_it(quality: int, channels: int) -> None:
    clean = pictures(2, channels, 33, 20)
    found = Jpeg(quality=WholeRange(low=quality, high=quality)).apply(clean, randoms(2))
    colours = min(channels, 3)
    for small, big in zip(found, clean, strict=True):
        file = io.BytesIO()
        image(big[:colours]).save(file, "JPEG", quality=quality)
        stored(small[:colours], Image.open(file))
    assert torch.equal(found[:, colours:], clean[:, colours:])


def test_qualities_are_drawn_from_all_of_the_range() -> None:
    random = torch.Generator().manual_seed(0)
    assert {WholeRange(low=30, high=34).draw(random) for _ in range(200)} == {30, 31, 32, 33, 34}


# edges


@pytest.mark.parametrize("method", ["sobel", "xdog"])
def test_lines_are_dark_and_where_the_edges_are(method: str) -> None:
    clean = torch.full((1, 3, 24, 24), -0.5)
    clean[..., 12:] = 0.8
    drawn = Edges.model_validate({"method": method}).apply(clean, randoms(1))[0, 0]
    assert (drawn[:, :7] == 1).all() and (drawn[:, 17:] == 1).all()
    assert (drawn[:, 10:14].min(1).values < -0.9).all()


def test_drawings_of_what_is_transparent() -> None:
    """Colours that nobody sees leave no lines."""
    clean = torch.cat([pictures(1, 3, 16, 16), torch.full((1, 1, 16, 16), -1.0)], dim=1)
    assert (Edges().apply(clean, randoms(1)) == 1).all()


def test_sobel_measures_the_slope() -> None:
    """A ramp of 18 grey levels per pixel lies halfway from 8 to 28: half black, apart from the smoothed borders."""
    ramp = (torch.arange(14.0) * 18 / 127.5 - 1).expand(1, 1, 14, 14)
    drawn = Edges(method="sobel").apply(ramp, randoms(1))[0, 0]
    assert drawn[4:-4, 4:-4].abs().max() < 0.02


# mask


def hole_of(step: Mask, size: tuple[int, int], random: torch.Generator) -> Tensor:
    return step.apply(torch.full((1, 3, *size), 0.5), [random])[0, -1] == 1


def test_the_hole_is_grey_and_marked() -> None:
    clean = pictures(5, 3, 32, 40)
    for holes in ("rectangle", "strokes", "mixed"):
        spoiled = Mask.model_validate({"holes": holes}).apply(clean, randoms(5))
        hole = spoiled[:, 3:] == 1
        assert torch.equal(spoiled[:, 3:], hole * 2.0 - 1)
        assert torch.equal(spoiled[:, :3], torch.where(hole, torch.zeros(()), clean))
        assert hole.flatten(1).any(1).all() and not hole.flatten(1).all(1).any()


@settings(max_examples=60, deadline=None)
@given(height=st.integers(16, 80), width=st.integers(16, 80), share=st.floats(0.05, 0.8), seed=st.integers(0, 10**6))
def test_a_hole_has_its_share(height: int, width: int, share: float, seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    box = rectangle((height, width), share, random)
    rows, columns = box[0].any(1), box[0].any(0)
    assert torch.equal(box[0], rows[:, None] & columns)
    # A rounded side is off by half a pixel at most; the other makes up for it, as far as the picture goes.
    assert abs(int(box.sum()) - share * height * width) <= max(int(rows.sum()), int(columns.sum())) / 2 + 1
    strokes = stroked((height, width), share, random)
    assert strokes.shape == (1, height, width) and strokes.dtype == torch.bool
    assert abs(strokes.float().mean().item() - share) < 0.12


def test_holes_are_shared_out_evenly() -> None:
    shares = [hole_of(Mask(), (48, 48), random).float().mean().item() for random in randoms(200)]
    assert np.mean(shares) == pytest.approx(0.25, abs=0.03) and min(shares) < 0.13 and max(shares) > 0.37
    everywhere = sum(hole_of(Mask(), (48, 48), random).float() for random in randoms(200)) / 200
    assert everywhere.min() > 0.02 and everywhere[16:32, 16:32].mean() < 0.6  # type: ignore[union-attr]


def written(path: Path, hole: Tensor, mode: str = "L") -> str:
    Image.fromarray((hole * 255).byte().numpy()).convert(mode).save(path)
    return str(path)


def test_a_mask_can_be_a_file(tmp_path: Path) -> None:
    hole = torch.zeros(12, 20, dtype=torch.bool)
    hole[2:5, 3:17] = True
    file = written(tmp_path / "hole.png", hole, "RGB")
    step = Mask(holes="file", file=file)
    assert step.shape((3, 12, 20)) == (4, 12, 20)
    clean = pictures(2, 3, 12, 20)
    assert torch.equal(step.apply(clean, randoms(2)), masked(clean, hole[None]))
    assert torch.equal(read_mask(file, (12, 20)), hole[None])
    for size in [(20, 12), (6, 10)]:
        with pytest.raises(CardiganError, match=f"has 12x20 pixels .*, the picture {size[0]}x{size[1]}") as caught:
            step.shape((3, *size))
        assert "\n" not in str(caught.value)


def test_what_is_transparent_is_no_hole(tmp_path: Path) -> None:
    pixels = np.full((4, 6, 4), 255, np.uint8)
    pixels[:, 3:, 3] = 0
    Image.fromarray(pixels).save(tmp_path / "hole.png")
    assert read_mask(tmp_path / "hole.png", (4, 6)).sum(2).flatten().tolist() == [3] * 4


def test_a_mask_that_was_painted_anew_is_read_anew(tmp_path: Path) -> None:
    file = tmp_path / "hole.png"
    written(file, torch.zeros(4, 4))
    read_mask(file, (4, 4)).fill_(True)  # the caller's own
    assert not read_mask(file, (4, 4)).any()
    written(file, torch.ones(4, 4))
    os.utime(file, (1, 1))
    assert read_mask(file, (4, 4)).all()


def test_masks_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture")
    for name, said in [("none.png", "there is no such mask picture"), ("text.png", "no mask picture")]:
        with pytest.raises(CardiganError, match=said) as caught:
            read_mask(tmp_path / name, (4, 4))
        assert str(tmp_path / name) in str(caught.value) and "\n" not in str(caught.value)


# real world


def test_a_real_world_that_does_nothing_shrinks() -> None:
    """With every probability at nothing and quality at its best, what is left is resizing by one of three filters."""
    still = {"blur": 0, "scales": {"up": 0, "down": 0, "keep": 1}, "deviation": 0, "gaussian": 1, "quality": 100}
    step = RealWorld(factor=2, first=Pass.model_validate(still), second=SecondPass.model_validate(still), final_sinc=0)
    flat = on_grid(torch.full((6, 3, 16, 24), 0.3))
    assert (step.apply(flat, randoms(6)) - 0.3).abs().max() < 0.02
    smooth = by_pillow(pictures(6, 3, 4, 6), lambda image, _: image.resize((48, 32)))
    spoiled = step.apply(smooth, randoms(6))
    small = Downscale(factor=2, filter="area").apply(smooth, randoms(6))
    assert (spoiled - small).square().mean().sqrt() < 0.06


def test_scales_lie_in_their_range() -> None:
    scales, random = Scales(), torch.Generator().manual_seed(0)
    drawn = np.array([scales.draw(random) for _ in range(2000)])
    assert drawn.min() >= 0.15 and drawn.max() <= 1.5
    shares = [np.mean(drawn > 1), np.mean(drawn < 1), np.mean(drawn == 1)]
    assert shares == pytest.approx([0.2, 0.7, 0.1], abs=0.04)


def test_photon_noise_counts_as_many_as_there_are_grey_levels() -> None:
    """Two levels, so two photons at white: half of white has 1 +- 1 of them, that is a deviation of 1/2 of white."""
    colours = torch.full((1, 100, 100), -1.0)
    colours[:, 50:] = 0.0
    noise = photon_noise(colours, torch.Generator().manual_seed(0))
    assert (noise[:, :50] == 0).all()
    assert noise[:, 50:].mean().item() == pytest.approx(0, abs=0.04)
    assert noise[:, 50:].std().item() == pytest.approx(1.0, abs=0.04)  # white is 2 above black


# chains


def test_a_chain_is_its_steps_one_after_another() -> None:
    chain = [Blur(), Downscale(factor=2), Noise(), Mask()]
    clean = pictures(3, 3, 32, 48)
    spoiled = spoil(chain, clean, randoms(3))
    assert spoiled.shape[1:] == spoiled_shape(chain, (3, 32, 48)) == (4, 16, 24) and factor(chain) == 2
    by_hand, left = clean, randoms(3)
    for step in chain:
        by_hand = step.apply(by_hand, left)
    assert torch.equal(spoiled, by_hand)
    assert torch.equal(spoil(chain, clean[1:2], randoms(3)[1:2])[0], spoiled[1])


def test_an_empty_chain_does_nothing() -> None:
    clean = pictures(2, 3, 8, 8)
    assert torch.equal(spoil([], clean, randoms(2)), clean) and factor([]) == 1
    assert spoiled_shape([], (3, 8, 8)) == (3, 8, 8)


def test_factors_multiply() -> None:
    chain = (Downscale(factor=2), Noise(), RealWorld(factor=4))
    assert factor(chain) == 8 and spoiled_shape(chain, (3, 32, 64)) == (3, 4, 8)
    with pytest.raises(CardiganError, match="does not divide pictures of 6x6"):
        spoiled_shape(chain, (3, 12, 12))


def test_a_mask_comes_last() -> None:
    doings: list[Callable[[], object]] = [
        lambda: spoil([Mask(), Grey()], pictures(1, 3, 8, 8), randoms(1)),
        lambda: spoiled_shape([Mask(), Grey()], (3, 8, 8)),
    ]
    for doing in doings:
        with pytest.raises(CardiganError, match=r"mask must come last.*, not mask, grey"):
            doing()


def test_settings_survive_a_round_trip() -> None:
    recipe = Recipe(degradations=tuple(each for each in EVERY if not isinstance(each, Mask)))
    assert Recipe.model_validate(recipe.model_dump(mode="json")) == recipe
    short = Recipe.model_validate({"degradations": ["grey", {"kind": "jpeg", "quality": 40}, {"kind": "mask"}]})
    assert short.degradations == (Grey(), Jpeg(quality=WholeRange(low=40, high=40)), Mask())
    assert Recipe.model_validate(short.model_dump()) == short
    assert Recipe().degradations == ()


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (["gray"], "degradations.0: unknown kind 'gray'; did you mean 'grey'? allowed: downscale, mask, "),
        (["mask", "noise"], "degradations: mask must come last, or its channel is spoiled too, not mask, noise"),
        ([{"kind": "noise", "deviation": "much"}], "degradations.0.deviation: needs a number, or low and high, not "),
        ([{"kind": "noise", "deviation": {"low": 9, "high": 3}}], "degradations.0.deviation: low 9 lies above high 3"),
        ([{"kind": "noise", "deviation": 300}], "degradations.0.deviation: 300 is out of range; allowed: 0 to 255"),
        ([{"kind": "jpeg", "quality": {"low": 0, "high": 9}}], "degradations.0.quality: 0 to 9 is out of range; all"),
        ([{"kind": "blur", "size": 8}], "degradations.0.size: 8 to 8: kernels have a middle; allowed: odd numbers"),
        ([{"kind": "blur", "profiles": {}}], "degradations.0.profiles: no kind of kernel has a weight; allowed: iso"),
        ([{"kind": "mask", "holes": "file"}], "degradations.0: holes=file needs file, a mask picture"),
        ([{"kind": "mask", "file": "hole.png"}], "degradations.0: holes=mixed does not read file; allowed: holes=f"),
        (
            [{"kind": "noise", "photons": 9}],
            "degradations.0: distribution=gaussian does not read photons; allowed: distri",
        ),
        (
            [{"kind": "noise", "distribution": "salt", "deviation": 9}],
            "degradations.0: distribution=salt does not read deviation; allowed: distribution=gaussian",
        ),
        ([{"kind": "edges", "slope": 9}], "degradations.0: method=xdog does not read slope; allowed: method=sobel"),
        (
            [{"kind": "mask", "holes": "file", "file": "hole.png", "share": 0.2}],
            "degradations.0: holes=file does not read share; allowed: holes=rectangle or strokes or mixed",
        ),
        ([{"kind": "mask", "holes": "round"}], "degradations.0.holes: 'round' is not one of them; "),
    ],
)
def test_settings_that_make_no_sense_are_refused(raw: object, said: str) -> None:
    message = refusal(raw)
    assert message.startswith(said) and "\n" not in message
