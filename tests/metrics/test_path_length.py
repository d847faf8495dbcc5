import math

import pytest
import torch
from torch import Tensor, nn

from cardigan.generate import slerp
from cardigan.metrics.path_length import path_length
from cardigan.networks.dcgan import DCGAN
from cardigan.randomness import Random
from cardigan.sample import Form


def lifted(values: Tensor) -> Tensor:
    """Features whose direction is that of (1, v / 1000): for small v their distance on the sphere is |v - w| / 1000."""
    return torch.cat([torch.ones_like(values[:, :1]), values / 1000], dim=1)


def straight_paths(count: int, size: int) -> tuple[Tensor, Tensor, Tensor]:
    random = torch.Generator().manual_seed(0)
    start, end = torch.randn(2, count, size, generator=random, dtype=torch.float64)
    return start, end, torch.rand(count, generator=random, dtype=torch.float64)


def test_linear_generator_has_the_length_of_its_matrix():
    start, end, shares = straight_paths(20_000, 8)
    matrix = torch.randn(8, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found = path_length(lambda latents: latents @ matrix, lifted, torch.lerp, start, end, shares)
    lengths = ((end - start) @ matrix).square().sum(1) / 1000**2
    kept = lengths.sort().values[200:-200].mean()
    assert found.value == pytest.approx(float(kept), rel=1e-3)
    # E |(b - a) A|^2 = 2 |A|^2; what is trimmed lies mostly above the mean.
    whole = 2 * float(matrix.square().sum()) / 1000**2
    assert 0.93 * whole < found.value < whole


def test_great_circle_has_the_square_of_its_angle():
    start, end, shares = straight_paths(500, 6)
    start, end = (nn.functional.normalize(each, dim=1) for each in (start, end))
    found = path_length(lambda latents: latents, lambda samples: samples, slerp, start, end, shares)
    squares = torch.acos((start * end).sum(1)).square()
    kept = squares.sort().values[4:-4].mean()
    assert found.value == pytest.approx(float(kept), rel=1e-3)


def test_interval_covers_the_true_mean():
    start, end, shares = straight_paths(100_000, 4)
    whole = path_length(lambda latents: latents, lifted, torch.lerp, start, end, shares).value
    pieces = zip(start.split(500), end.split(500), shares.split(500), strict=True)
    found = [path_length(lambda latents: latents, lifted, torch.lerp, *piece) for piece in pieces]
    covered = sum(each.low <= whole <= each.high for each in found) / len(found)
    assert 0.89 <= covered <= 0.99
    assert found[0].count == 500


def test_jumps_make_paths_long_and_constant_generators_make_them_nothing():
    start, end, shares = straight_paths(2000, 3)
    smooth = path_length(lambda latents: latents, lifted, torch.lerp, start, end, shares)
    jumping = path_length(lambda latents: latents.mul(200).round().div(200), lifted, torch.lerp, start, end, shares)
    assert jumping.value > 5 * smooth.value
    still = path_length(torch.ones_like, lifted, torch.lerp, start, end, shares)
    assert (still.value, still.low, still.high) == (0, 0, 0)


def test_float32_is_right_on_a_convolutional_generator():
    torch.manual_seed(0)
    generator = DCGAN(width=8).build_generator(Form((1, 16, 16))).eval()
    for weights in generator.parameters():
        weights.data.mul_(4)  # as drawn, it hardly listens to its latents
    judge = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Conv2d(8, 16, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    random = Random("paths")
    start, end = (generator.sample_latents(400, random) for _ in range(2))
    shares = random.uniform(400)
    single = path_length(generator, judge, slerp, start, end, shares)
    generator.double(), judge.double()
    exact = path_length(generator, judge, slerp, start.double(), end.double(), shares)
    assert exact.value > 1e-3
    assert single.value == pytest.approx(exact.value, rel=2e-3)


def test_value_does_not_depend_on_the_step_where_the_generator_is_smooth():
    start, end, shares = straight_paths(1000, 5)
    lengths = [
        path_length(torch.sin, lifted, torch.lerp, start, end, shares, epsilon=step).value
        for step in (1e-3, 1e-4, 1e-5)
    ]
    assert lengths[0] == pytest.approx(lengths[1], rel=5e-3)
    assert lengths[2] == pytest.approx(lengths[1], rel=5e-3)
    assert all(map(math.isfinite, lengths))


def test_autocast_does_not_coarsen_it():
    start, end, shares = straight_paths(200, 8)
    start, end, shares = start.float(), end.float(), shares.float()
    layer = nn.Linear(8, 6)
    plain = path_length(layer, lambda samples: samples, torch.lerp, start, end, shares)
    with torch.autocast("cpu", torch.bfloat16):
        inside = path_length(layer, lambda samples: samples, torch.lerp, start, end, shares)
    assert inside == plain


@pytest.mark.parametrize("shares", [torch.rand(9), torch.rand(10, 1)])
def test_wrong_shapes_are_named(shares: Tensor):
    latents = torch.randn(len(shares), 4)
    with pytest.raises(ValueError, match="not 10 or more paths"):
        path_length(lambda each: each, lambda each: each, torch.lerp, latents, latents, shares)
