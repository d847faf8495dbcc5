"""Structural similarity against torchmetrics', one window by hand, pictures of any size."""

import math

import pytest
import torch
from peers import Peers
from torch import Tensor

from cardigan.errors import CardiganError
from cardigan.metrics import ssim as module
from cardigan.metrics.ssim import similarity, ssim


def pair(*shape: int, noise: float = 0.3) -> tuple[Tensor, Tensor]:
    """A smooth picture and the same with noise, both on the 8-bit grid."""
    stream = torch.Generator().manual_seed(0)
    rough = torch.randn(*shape, generator=stream)
    smooth = torch.nn.functional.avg_pool2d(rough, 5, 1, 2) * 3
    noisy = smooth + noise * torch.randn(*shape, generator=stream)
    one, other = (((each.clamp(-1, 1) + 1) * 127.5).round() / 127.5 - 1 for each in (smooth, noisy))
    return one, other


@pytest.mark.parametrize("shape", [(3, 3, 32, 32), (2, 1, 28, 28), (1, 4, 11, 40), (2, 3, 65, 33)])
def test_windows_that_lie_inside_equal_torchmetrics(peers: Peers, shape: tuple[int, ...]) -> None:
    assert peers.torchmetrics, "can be imported from now on"
    from torchmetrics.functional.image import structural_similarity_index_measure

    one, other = pair(*shape)
    _, windows = structural_similarity_index_measure(
        one.double(), other.double(), data_range=2.0, reduction="none", return_full_image=True
    )
    expected = windows[:, :, 5 : shape[2] - 5, 5 : shape[3] - 5].flatten(1).mean(1)
    found = ssim(one, other)
    assert found.dtype == torch.float64
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


def test_one_window_by_hand() -> None:
    one, other = pair(1, 1, 11, 11)
    a, b = (each[0, 0].flatten().tolist() for each in (one, other))
    weights = [math.exp(-((i - 5) ** 2 + (j - 5) ** 2) / 4.5) for i in range(11) for j in range(11)]
    weights = [each / sum(weights) for each in weights]
    mean_a, mean_b = (sum(w * x for w, x in zip(weights, side, strict=True)) for side in (a, b))
    variance_a = sum(w * (x - mean_a) ** 2 for w, x in zip(weights, a, strict=True))
    variance_b = sum(w * (y - mean_b) ** 2 for w, y in zip(weights, b, strict=True))
    covariance = sum(w * (x - mean_a) * (y - mean_b) for w, x, y in zip(weights, a, b, strict=True))
    brightness = (2 * mean_a * mean_b + 0.02**2) / (mean_a**2 + mean_b**2 + 0.02**2)
    expected = brightness * (2 * covariance + 0.06**2) / (variance_a + variance_b + 0.06**2)
    assert ssim(one, other).item() == pytest.approx(expected, abs=1e-6)


def test_equal_pictures_have_one_and_noise_costs() -> None:
    one, slightly = pair(2, 3, 24, 24, noise=0.05)
    _, much = pair(2, 3, 24, 24, noise=0.5)
    torch.testing.assert_close(ssim(one, one), torch.ones(2, dtype=torch.float64))
    assert (ssim(one, one) > ssim(one, slightly)).all() and (ssim(one, slightly) > ssim(one, much)).all()
    torch.testing.assert_close(ssim(one, much), ssim(much, one))
    flat = torch.zeros(1, 1, 16, 16)
    assert ssim(flat, flat).item() == pytest.approx(1)


def test_pictures_are_compared_as_their_files_would_be() -> None:
    one, other = pair(1, 3, 16, 16)
    assert torch.equal(ssim(one + 0.001, other - 0.001), ssim(one, other))


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = pair(5, 2, 16, 20)
    whole = ssim(one, other)
    monkeypatch.setattr(module, "CHUNK", 1)
    torch.testing.assert_close(ssim(one, other), whole, rtol=0, atol=1e-12)


def test_the_span_is_a_unit() -> None:
    one, other = pair(2, 1, 16, 16)
    torch.testing.assert_close(similarity(50 * one, 50 * other, 100.0), similarity(one, other, 2.0))


def test_small_or_unequal_pictures_are_refused() -> None:
    with pytest.raises(CardiganError, match="pictures of 10x30; SSIM looks through windows of 11x11"):
        ssim(torch.zeros(1, 1, 10, 30), torch.zeros(1, 1, 10, 30))
    with pytest.raises(CardiganError, match="twice the same"):
        ssim(torch.zeros(1, 1, 16, 16), torch.zeros(1, 3, 16, 16))
