"""The same numbers as torch-fidelity's on the same features."""

import pytest
import torch
from peers import Peers
from torch import Tensor

from cardigan.metrics.frechet import frechet_from_features
from cardigan.metrics.inception_score import inception_score
from cardigan.metrics.kernel import kernel_distance
from cardigan.metrics.manifold import manifold


def draw(count: int, seed: int, scale: float = 1.0) -> Tensor:
    return scale * torch.randn(count, 32, generator=torch.Generator().manual_seed(seed))


GENERATED, REFERENCE = draw(600, 0, 0.8) + 0.1, draw(600, 1)


def test_frechet_distance(peers: Peers) -> None:
    statistics = [peers.fidelity.metric_fid.fid_features_to_statistics(each) for each in (GENERATED, REFERENCE)]
    theirs = peers.fidelity.metric_fid.fid_statistics_to_metric(*statistics, verbose=False)[
        "frechet_inception_distance"
    ]
    assert frechet_from_features(GENERATED, REFERENCE) == pytest.approx(theirs, rel=1e-4)


def test_kernel_distance(peers: Peers) -> None:
    settings = {"kid_subsets": 1, "kid_subset_size": 600, "rng_seed": 0, "verbose": False}
    theirs = peers.fidelity.metric_kid.kid_features_to_metric(GENERATED.double(), REFERENCE.double(), **settings)
    found = kernel_distance(GENERATED, REFERENCE, size=600)
    assert found.value == pytest.approx(theirs["kernel_inception_distance_mean"], rel=1e-4)


def test_inception_score(peers: Peers) -> None:
    for count, splits in ((600, 10), (599, 7)):
        logits = draw(count, 2, 3.0)
        theirs = peers.fidelity.metric_isc.isc_features_to_metric(logits, splits, shuffle=False)
        expected = theirs["inception_score_mean"], theirs["inception_score_std"]
        assert inception_score(logits, splits) == pytest.approx(expected, rel=1e-6)


def test_precision_and_recall(peers: Peers) -> None:
    settings = {"prc_neighborhood": 3, "prc_batch_size": 100, "save_cpu_ram": False, "verbose": False}
    theirs = peers.fidelity.metric_prc.prc_features_to_metric(GENERATED.double(), REFERENCE.double(), **settings)
    found = manifold(GENERATED, REFERENCE, 3)
    assert (found.precision, found.recall) == pytest.approx((theirs["precision"], theirs["recall"]), rel=1e-6)
