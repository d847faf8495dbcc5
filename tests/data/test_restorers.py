"""Classical ways back: exact where they must be, and better than nothing on noise, blur and holes."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage
from torch import Tensor

from cardigan.data.degradations.base import Degradation
from cardigan.data.degradations.blur import Blur, Profiles
from cardigan.data.degradations.chain import restorers, spoil
from cardigan.data.degradations.downscale import Downscale
from cardigan.data.degradations.edges import Edges
from cardigan.data.degradations.eightbit import on_grid
from cardigan.data.degradations.grey import Grey
from cardigan.data.degradations.inpainting import fillers
from cardigan.data.degradations.jpeg import Jpeg
from cardigan.data.degradations.mask import Mask, masked, rectangle, stroked
from cardigan.data.degradations.noise import Noise
from cardigan.data.degradations.ranges import Range
from cardigan.data.degradations.real_world import RealWorld
from cardigan.data.degradations.restoring import denoisers, median, noise_of, non_local_means

FILL = fillers()
ALL = [
    Downscale(),
    Mask(),
    Grey(),
    Noise(),
    Noise(distribution="salt"),
    Blur(),
    Jpeg(),
    RealWorld(),
    RealWorld(factor=1),
]


def randoms(count: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(index) for index in range(count)]


def scene(count: int = 1, channels: int = 3, height: int = 48, width: int = 64) -> Tensor:
    """Flat patches with straight edges and a gentle shade: what photographs are mostly made of."""
    down, right = torch.arange(height)[:, None] / height, torch.arange(width) / width
    shade = 0.3 * (down + right)
    planes = [
        torch.where((down - 0.6 * right) * (1 + 0.2 * index) > 0.1, 0.3, -0.6)
        + torch.where((down - 0.7).square() + (right - 0.6).square() < 0.03 + 0.01 * index, 0.4, 0.0)
        for index in range(count * channels)
    ]
    return on_grid((torch.stack(planes) + shade - 0.3).view(count, channels, height, width))


def error(found: Tensor, clean: Tensor) -> float:
    """Root of the mean squared error, in grey levels."""
    return float((found - clean).square().mean().sqrt() * 127.5)


def ramp(height: int, width: int, down: float, right: float) -> Tensor:
    """A plane through 0 in the middle; slopes in grey levels per pixel."""
    rows, columns = torch.arange(height) - height / 2, torch.arange(width) - width / 2
    return ((rows[:, None] * down + columns * right) / 127.5).expand(1, 2, height, width)


def inside(height: int, width: int, margin: int) -> Tensor:
    """A hole that keeps off the borders."""
    hole = torch.zeros(1, height, width, dtype=torch.bool)
    hole[:, margin : height - margin, margin : width - margin] = True
    return hole


@pytest.mark.parametrize("step", ALL, ids=lambda each: f"{each.kind}-{ALL.index(each)}")
def test_every_way_leads_to_the_clean_shape(step: Degradation) -> None:
    for channels in (3,) if step.kind == "grey" else (1, 3, 4):
        clean = scene(2, channels, 16, 24)
        spoiled = step.apply(clean, randoms(2))
        before = spoiled.clone()
        for restore in step.restorers().values():
            found = restore(spoiled)
            assert found.shape == clean.shape and found.dtype == torch.float32 and found.isfinite().all()
            assert found.min() >= -1 and found.max() <= 1
        assert torch.equal(spoiled, before)


def test_which_ways_there_are() -> None:
    smooth = ["unchanged", "median 3x3", "median 5x5", "gaussian 1.0", "gaussian 1.5"]
    names = {
        each.kind: list(each.restorers()) for each in [Downscale(), Mask(), Grey(), Noise(), Blur(), Jpeg(), Edges()]
    }
    assert names == {
        "downscale": ["bicubic", "lanczos", "nearest"],
        "mask": ["mean fill", "telea", "biharmonic"],
        "grey": ["grey"],
        "noise": [*smooth, "non-local means"],
        "blur": ["unchanged", "unsharp mask"],
        "jpeg": ["unchanged"],
        "edges": [],
    }
    assert list(Noise(distribution="salt").restorers()) == smooth
    assert list(RealWorld().restorers()) == names["downscale"] and list(RealWorld(factor=1).restorers()) == [
        "unchanged"
    ]


# enlarging


@pytest.mark.parametrize(("name", "filtered"), [("bicubic", 3), ("lanczos", 1), ("nearest", 0)])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_enlarged_as_pillow_does_it(name: str, filtered: int, channels: int) -> None:
    small = Downscale(factor=3).apply(scene(1, channels, 24, 36), randoms(1))
    found = Downscale(factor=3).restorers()[name](small)[0]
    pixels = ((small[0] + 1) * 127.5).round().byte().permute(1, 2, 0).squeeze(2).numpy()
    image = Image.fromarray(pixels).resize((36, 24), Image.Resampling(filtered))
    expected = torch.from_numpy(np.atleast_3d(np.array(image))).permute(2, 0, 1).float() / 127.5 - 1
    assert torch.equal(found, expected)


@pytest.mark.parametrize(("factor", "published"), [(2, 33.67), (4, 28.43)])
def test_bicubic_on_set5_as_everybody_measures_it(real: Path, factor: int, published: float) -> None:
    """PSNR of luma in dB, borders of `factor` pixels left out; the values are Pillow's (README of the data)."""
    step = Downscale.model_validate({"factor": factor})
    values = []
    with zipfile.ZipFile(real / "super-resolution" / "set5.zip") as file:
        for name in file.namelist():
            pixels = np.array(Image.open(io.BytesIO(file.read(name))).convert("RGB"))
            clean = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 127.5 - 1
            clean = clean[..., : clean.shape[2] // factor * factor, : clean.shape[3] // factor * factor]
            differs = (step.restorers()["bicubic"](step.apply(clean, randoms(1))) - clean)[0] / 2
            luma = (differs * torch.tensor([65.481, 128.553, 24.966]).view(3, 1, 1)).sum(0) / 255
            values.append(-10 * np.log10(luma[factor:-factor, factor:-factor].square().mean().item()))
    assert len(values) == 5 and np.mean(values) == pytest.approx(published, abs=0.01)


def test_grey_repeated() -> None:
    grey = Grey().apply(scene(), randoms(1))
    assert torch.equal(Grey().restorers()["grey"](grey), grey.repeat(1, 3, 1, 1))


# noise and blur


@pytest.mark.parametrize("side", [3, 5])
def test_the_median_is_scipys(side: int) -> None:
    noisy = Noise().apply(scene(2, 3, 11, 4), randoms(2))
    expected = ndimage.median_filter(noisy.numpy(), (1, 1, side, side), mode="nearest")
    assert np.array_equal(median(noisy, side).numpy(), expected)


def test_noise_is_taken_away() -> None:
    clean = scene(2)
    noisy = Noise(deviation=Range(low=20, high=20)).apply(clean, randoms(2))
    errors = {name: error(restore(noisy), clean) for name, restore in denoisers().items()}
    assert errors["unchanged"] == pytest.approx(20, abs=1.5)
    assert errors["non-local means"] < 0.4 * errors["unchanged"]
    assert all(value < 0.8 * errors["unchanged"] for name, value in errors.items() if name != "unchanged")
    salted = Noise(distribution="salt").apply(clean, randoms(2))
    assert error(denoisers()["median 3x3"](salted), clean) < 0.25 * error(salted, clean)


def test_noise_is_measured() -> None:
    noisy = torch.zeros(4, 3, 64, 64)
    for index, random in enumerate(randoms(4)):
        noisy[index] = scene()[0, :, :1, :1] + 0.05 * (index + 1) * torch.randn(3, 64, 64, generator=random)
    assert (noise_of(noisy) / torch.tensor([0.05, 0.10, 0.15, 0.20])).tolist() == pytest.approx([1] * 4, rel=0.05)
    assert noise_of(ramp(20, 30, 2, -1)).max() < 0.003  # but for the borders, a plane has none


def test_what_has_no_noise_stays() -> None:
    flat = torch.full((1, 3, 9, 9), 0.25)
    assert torch.allclose(non_local_means(flat), flat, atol=1e-6)
    assert error(non_local_means(scene()), scene()) < 2


def test_alpha_keeps_its_values() -> None:
    noisy = Noise().apply(scene(1, 4), randoms(1))
    for restore in denoisers().values():
        assert torch.equal(restore(noisy)[:, 3], noisy[:, 3])


def test_a_blurred_picture_is_sharpened() -> None:
    clean = scene(2)
    step = Blur(profiles=Profiles(isotropic=1), deviation=Range(low=1.2, high=1.2))
    blurred = step.apply(clean, randoms(2))
    assert error(step.restorers()["unsharp mask"](blurred), clean) < 0.85 * error(blurred, clean)


# holes


@settings(max_examples=25, deadline=None)
@given(height=st.integers(1, 24), width=st.integers(1, 24), share=st.floats(0.01, 0.95), seed=st.integers(0, 10**6))
def test_what_is_known_stays_and_the_rest_is_filled_from_it(height: int, width: int, share: float, seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    clean = torch.rand(1, 3, height, width, generator=random) * 1.6 - 0.8
    hole = (stroked if seed % 2 else rectangle)((height, width), share, random)
    spoiled = masked(clean, hole)
    for name, fill in FILL.items():
        found = fill(spoiled)
        assert torch.equal(found.masked_fill(hole, 0), clean.masked_fill(hole, 0))
        if not hole.all():
            known = clean[0][:, ~hole[0]]
            drift = 0.0 if name != "telea" else 0.012 * max(height, width)  # its gradients go a little beyond
            assert found.min() >= known.min() - 1e-5 - drift and found.max() <= known.max() + 1e-5 + drift


def test_the_mean_by_hand() -> None:
    picture = torch.tensor([[0.0, 0.5], [0.25, 0.9]]).expand(1, 2, 2, 2)
    hole = torch.tensor([[[False, False], [False, True]]])
    assert FILL["mean fill"](masked(picture, hole))[0, :, 1, 1].tolist() == pytest.approx([0.25, 0.25])


def test_nothing_known_nothing_filled() -> None:
    spoiled = masked(scene(), torch.ones(1, 48, 64, dtype=torch.bool))
    whole = masked(scene(), torch.zeros(1, 48, 64, dtype=torch.bool))
    for fill in FILL.values():
        assert (fill(spoiled) == 0).all()
        assert torch.equal(fill(whole), scene())


def test_one_known_pixel_fills_everything() -> None:
    hole = torch.ones(1, 9, 13, dtype=torch.bool)
    hole[0, 4, 2] = False
    for fill in FILL.values():
        assert torch.allclose(fill(masked(torch.full((1, 3, 9, 13), 0.4), hole)), torch.tensor(0.4), atol=1e-4)


@settings(max_examples=20, deadline=None)
@given(down=st.floats(-3, 3), right=st.floats(-3, 3), margin=st.integers(2, 8))
def test_biharmonic_keeps_planes(down: float, right: float, margin: int) -> None:
    plane = ramp(24, 30, down, right)
    assert torch.allclose(FILL["biharmonic"](masked(plane, inside(24, 30, margin))), plane, atol=1e-5)


def test_biharmonic_keeps_cubics() -> None:
    """x^3 and x y^2: the Laplacian of both is a plane, so that its own is 0."""
    rows, columns = torch.linspace(-0.9, 0.9, 25)[:, None], torch.linspace(-0.9, 0.9, 31)
    cubic = torch.stack([rows**3 + 0 * columns, rows * columns**2 + 0 * rows])[None]
    assert torch.allclose(FILL["biharmonic"](masked(cubic, inside(25, 31, 4))), cubic, atol=1e-5)
    across = (columns**3 + 0 * rows).expand(1, 1, 25, 31)  # reflected at the top and at the bottom, it goes on as it is
    hole = torch.zeros(1, 25, 31, dtype=torch.bool)
    hole[:, :6, 5:20] = hole[:, 15:, 8:25] = True
    assert torch.allclose(FILL["biharmonic"](masked(across, hole)), across, atol=1e-5)
    assert torch.allclose(FILL["biharmonic"](masked(across.mT, hole.mT)), across.mT, atol=1e-5)


@settings(max_examples=20, deadline=None)
@given(down=st.floats(-1, 1), right=st.floats(-1, 1), margin=st.integers(2, 8))
def test_telea_nearly_keeps_gentle_planes(down: float, right: float, margin: int) -> None:
    plane = ramp(24, 30, down, right)
    found = FILL["telea"](masked(plane, inside(24, 30, margin)))
    assert (found - plane).abs().max() * 127.5 < 0.5  # grey levels


def test_telea_fills_flat_pictures_exactly_and_mirrors() -> None:
    hole = stroked((32, 40), 0.3, torch.Generator().manual_seed(3))
    flat = torch.full((1, 3, 32, 40), -0.3)
    assert torch.allclose(FILL["telea"](masked(flat, hole)), flat, atol=1e-6)
    spoiled = masked(scene(1, 3, 32, 40), hole)
    for axes in ([2], [3], [2, 3]):
        assert torch.allclose(FILL["telea"](spoiled.flip(axes)).flip(axes), FILL["telea"](spoiled), atol=1e-5)


def test_holes_are_filled_better_than_by_the_mean() -> None:
    clean = scene(3)
    spoiled = Mask(holes="strokes").apply(clean, randoms(3))
    errors = {name: error(fill(spoiled), clean) for name, fill in FILL.items()}
    assert errors["telea"] < 0.5 * errors["mean fill"] and errors["biharmonic"] < 0.6 * errors["mean fill"]


# chains


@pytest.mark.parametrize(
    ("chain", "names"),
    [
        ([], ["unchanged"]),
        ([Jpeg()], ["unchanged"]),
        ([Downscale(factor=2)], ["bicubic", "lanczos", "nearest"]),
        ([Downscale(factor=2), Jpeg()], ["bicubic", "lanczos", "nearest"]),
        ([Blur(), Downscale(factor=2)], ["bicubic", "lanczos", "nearest", "bicubic + unsharp mask"]),
        ([Grey(), Downscale(factor=2)], ["bicubic + grey", "lanczos + grey", "nearest + grey"]),
        (
            [Downscale(factor=2), Mask()],
            [
                *("mean fill + bicubic", "telea + bicubic", "biharmonic + bicubic"),
                *("mean fill + lanczos", "mean fill + nearest"),
            ],
        ),
        (
            [Downscale(factor=2), Noise(distribution="salt")],
            [
                *("bicubic", "median 3x3 + bicubic", "median 5x5 + bicubic", "gaussian 1.0 + bicubic"),
                *("gaussian 1.5 + bicubic", "lanczos", "nearest"),
            ],
        ),
        ([Downscale(), Edges()], []),
        ([Edges(), Downscale()], []),
    ],
    ids=lambda each: "-".join(getattr(step, "kind", "") for step in each),
)
def test_ways_back_through_a_chain(chain: list[Degradation], names: list[str]) -> None:
    ways = restorers(chain)
    assert list(ways) == names
    clean = scene(2, 3, 24, 32)
    spoiled = spoil(chain, clean, randoms(2))
    for restore in ways.values():
        assert restore(spoiled).shape == clean.shape


def test_a_way_back_takes_its_steps_in_turn() -> None:
    chain = [Grey(), Downscale(factor=2), Mask()]
    spoiled = spoil(chain, scene(2, 3, 24, 32), randoms(2))
    by_hand = Grey().restorers()["grey"](Downscale(factor=2).restorers()["bicubic"](FILL["telea"](spoiled)))
    assert torch.equal(restorers(chain)["telea + bicubic + grey"](spoiled), by_hand)
