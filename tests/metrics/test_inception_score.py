"""The Inception score: its bounds in closed form, as torchmetrics, logits of any size."""

import pytest
import torch
from peers import Peers
from torch import Tensor, nn

from cardigan.errors import CardiganError
from cardigan.metrics.inception_score import inception_score


def draw(count: int, classes: int = 10) -> Tensor:
    return 3 * torch.randn(count, classes, generator=torch.Generator().manual_seed(0))


def test_its_bounds() -> None:
    certain = 1e4 * torch.eye(10).repeat(20, 1)
    assert inception_score(certain, 10) == pytest.approx((10, 0), abs=1e-9)
    assert inception_score(torch.zeros(100, 10)) == pytest.approx((1, 0), abs=1e-12)
    assert inception_score(certain[:1].repeat(50, 1)) == pytest.approx((1, 0), abs=1e-9)


def test_by_hand() -> None:
    half = torch.tensor([[0.8, 0.2], [0.4, 0.6]])
    marginal = half.mean(0)
    expected = float((half * (half / marginal).log()).sum(1).mean().exp())
    assert inception_score(half.log(), 1) == pytest.approx((expected, 0), rel=1e-6)


def test_as_torchmetrics_in_the_same_order(peers: Peers) -> None:
    logits = draw(500)
    theirs = peers.torchmetrics.inception.InceptionScore(feature=nn.Identity(), splits=10)
    theirs.update(logits.double())
    torch.manual_seed(5)
    mean, spread = theirs.compute()
    torch.manual_seed(5)
    found = inception_score(logits[torch.randperm(500)], 10)
    # torchmetrics divides by splits - 1, the paper's own code by splits.
    assert found == pytest.approx((float(mean), float(spread) * 0.9**0.5), rel=1e-6)


def test_parts_of_unequal_size_use_every_sample() -> None:
    logits = draw(25)
    parts = [inception_score(logits[a:b], 1)[0] for a, b in ((0, 8), (8, 16), (16, 25))]
    mean, spread = inception_score(logits, 3)
    assert mean == pytest.approx(sum(parts) / 3)
    assert spread == pytest.approx(float(torch.tensor(parts).std(correction=0)), rel=1e-5)


@pytest.mark.parametrize(
    ("logits", "splits", "message"),
    [
        (torch.zeros(9, 3), 10, "logits: 9 samples; this metric needs at least 10"),
        (torch.zeros(0, 3), 1, "logits: 0 samples"),
        (torch.full((10, 3), torch.nan), 1, "10 of 10 samples hold NaN"),
        (torch.zeros(10, 3), 0, "0 splits"),
    ],
)
def test_unfit_logits_are_refused(logits: Tensor, splits: int, message: str) -> None:
    with pytest.raises(CardiganError, match=message):
        inception_score(logits, splits)
