"""Scores on real data move the right way: worse with every step of blur, noise, crop, and with every class dropped."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import pytest
import torch
from torch import Tensor
from torch.nn.functional import conv2d, interpolate

from cardigan.data.pictures import Pictures
from cardigan.extractors import local
from cardigan.extractors.base import Extractor
from cardigan.metrics.frechet import frechet_from_features
from cardigan.metrics.kernel import kernel_distance
from cardigan.metrics.manifold import manifold
from cardigan.metrics.memorisation import memorisation

COUNT = 2_000
SOME = 350
"""Of two classes among ten there are no more."""
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif("CARDIGAN_DATA" not in os.environ, reason="real data are needed: set CARDIGAN_DATA"),
]


@dataclass
class Real:
    """Real samples of one data set, and a quickly trained judge of it."""

    judge: Extractor
    reference: Tensor
    samples: Tensor
    labels: Tensor
    train: Tensor

    def features(self, samples: Tensor) -> Tensor:
        return self.judge(samples).values


@pytest.fixture(scope="module", params=["mnist", "cifar10"])
def real(request: pytest.FixtureRequest) -> Iterator[Real]:
    data = Pictures(source=request.param)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "MOST", 8_000)
        judge = local.local(data)
    test, train = data.load("test"), data.load("train")
    reference, some = test.draw(0, COUNT), test.draw(COUNT, COUNT)
    assert some.label is not None
    seen = judge(train.draw(0, 2 * COUNT).sample).values
    yield Real(judge, judge(reference.sample).values, some.sample, some.label, seen)


def blurred(samples: Tensor, step: int) -> Tensor:
    if step == 0:
        return samples
    reach = torch.arange(-6, 7).float()
    line = torch.exp(-(reach**2) / (2 * (0.5 * step) ** 2))
    kernel = (line[:, None] * line / line.sum() ** 2).expand(samples.shape[1], 1, 13, 13)
    return conv2d(samples, kernel, padding=6, groups=samples.shape[1])


def noisy(samples: Tensor, step: int) -> Tensor:
    noise = torch.randn(samples.shape, generator=torch.Generator().manual_seed(0))
    return (samples + 0.05 * step * noise).clamp(-1, 1)


def cropped(samples: Tensor, step: int) -> Tensor:
    edge, side = 2 * step, samples.shape[2]
    inner = samples[:, :, edge : side - edge, edge : side - edge]
    return interpolate(inner, size=side, mode="bilinear", antialias=True)


@pytest.mark.parametrize("spoil", [blurred, noisy, cropped])
def test_distances_rise_with_every_step(real: Real, spoil: Callable[[Tensor, int], Tensor]) -> None:
    features = [real.features(spoil(real.samples, step)) for step in range(4)]
    frechet = [frechet_from_features(each, real.reference) for each in features]
    kernel = [kernel_distance(each, real.reference, subsets=10).value for each in features]
    assert all(one < other for one, other in pairwise(frechet)), frechet
    assert all(one < other for one, other in pairwise(kernel)), kernel


def test_dropped_classes_cost_variety_and_not_fidelity(real: Real) -> None:
    features, order = real.features(real.samples), torch.Generator().manual_seed(0)
    found = []
    for dropped in (0, 5, 8):
        kept = torch.nonzero(real.labels >= dropped)[:, 0]
        some = features[kept[torch.randperm(len(kept), generator=order)[:SOME]]]
        kernel = kernel_distance(some, real.reference, subsets=10).value
        found.append((frechet_from_features(some, real.reference), kernel, manifold(some, real.reference)))
    frechet, kernels, shapes = zip(*found, strict=True)
    assert all(one < other for one, other in pairwise(frechet)), frechet
    assert all(one < other for one, other in pairwise(kernels)), kernels
    for name in ("recall", "coverage"):
        values = [getattr(each, name) for each in shapes]
        # with so few samples a step can be lost, and which one depends on the machine's arithmetic
        assert all(one >= other for one, other in pairwise(values)) and values[0] > values[-1], (name, values)
    precision = [each.precision for each in shapes]
    assert min(precision) > precision[0] - 0.05, precision


def test_replayed_train_samples_are_flagged_and_unseen_real_ones_are_not(real: Real) -> None:
    unseen = real.features(real.samples)
    honest = memorisation(unseen, real.train, real.reference)
    assert not honest.flagged, honest.p_value
    replay = memorisation(real.train[:COUNT], real.train, real.reference)
    assert replay.flagged
    assert replay.copies > 0.9
    some = torch.cat([unseen[100:], real.train[:100]])
    found = memorisation(some, real.train, real.reference)
    assert found.flagged
    assert 0.02 < found.copies < 0.09
    assert {mine for mine, _ in found.pairs(50)} <= set(range(COUNT - 100, COUNT))
