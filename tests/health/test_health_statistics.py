"""What readings are made of, by hand and by other libraries."""

import math

import pytest
import torch
from sklearn.metrics import roc_auc_score

from cardigan.health.eye import Eye
from cardigan.health.statistics import (
    cluster,
    coverage,
    duplicates,
    neighbours_class,
    oscillation,
    overfit,
    pair_accuracy,
    per_sample,
    spread,
    standardised,
)
from cardigan.sample import Form
from cardigan.tokens import END, PAD


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_pair_accuracy_is_the_area_under_the_curve() -> None:
    real, fake = (normal(50) * 2).round(), (normal(70, seed=1) * 2 - 1).round()
    wanted = roc_auc_score([1] * 50 + [0] * 70, torch.cat([real, fake]).numpy())
    assert pair_accuracy(real, fake).item() == pytest.approx(wanted, abs=1e-6)


def test_overfit_goes_from_train_to_fake() -> None:
    train, fake = torch.full((4,), 3.0), torch.full((4,), -1.0)
    assert [overfit(train, torch.full((4,), value), fake).item() for value in (3.0, 1.0, -1.0)] == [0.0, 0.5, 1.0]


def test_standard_errors() -> None:
    one, other = torch.tensor([0.0, 2.0]), torch.tensor([-1.0, 1.0])
    assert standardised(one, other).item() == pytest.approx(1 / math.sqrt(2 / 2 + 2 / 2))


def test_one_number_a_sample_over_scales_and_tokens() -> None:
    patches = (torch.ones(2, 1, 3, 3), torch.full((2, 1, 2, 2), 2.0))
    assert per_sample(patches).tolist() == [3.0, 3.0]
    tokens = torch.tensor([[1.0, 5.0], [3.0, 9.0]])
    assert per_sample((tokens,), torch.tensor([[True, False], [True, True]])).tolist() == [1.0, 6.0]


def test_twins_are_found_though_products_round() -> None:
    features = normal(20, 300) * 50
    assert duplicates(features, 0.0) == 0
    assert duplicates(torch.cat([features, features[:5]]), 0.0).item() == pytest.approx(10 / 25)


def test_parts_that_are_missed() -> None:
    corners = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0]])
    real = corners.repeat_interleave(25, 0) + normal(100, 2) * 0.1
    centres = cluster(real, 4)
    assert torch.cdist(centres, corners).amin(1).max() < 0.2
    shares = torch.bincount(torch.cdist(real, centres).argmin(1), minlength=4) / 100
    half = torch.bincount(torch.cdist(real[:50], centres).argmin(1), minlength=4)
    assert coverage(half, shares).item() == pytest.approx(0.5)
    assert spread(real[:25]) < 1 < spread(real)


def test_classes_by_their_looks() -> None:
    known, labels = torch.tensor([[0.0], [0.1], [0.2], [5.0], [5.1], [5.2]]), torch.tensor([0, 0, 0, 1, 1, 1])
    assert neighbours_class(torch.tensor([[0.3], [4.0]]), known, labels).tolist() == [0, 1]


def test_a_slow_wave_is_told_from_noise_and_from_a_trend() -> None:
    time = torch.arange(256) / 256
    share, size = oscillation(1 + 0.8 * torch.sin(2 * math.pi * 6 * time) + 0.1 * normal(256))
    assert share > 0.8 and size > 0.4
    assert oscillation(1 + normal(256))[0] < 0.25
    assert oscillation(5 - 4 * time + 0.01 * normal(256))[0] < 0.3
    assert oscillation(torch.full((256,), math.nan)) == (0.0, 0.0)
    assert oscillation(torch.ones(10)) == (0.0, 0.0)


def test_the_eye_tells_digits_apart() -> None:
    from sklearn.datasets import load_digits

    digits = load_digits()
    pictures = torch.tensor(digits.images, dtype=torch.float32)[:, None] / 8 - 1
    labels = torch.tensor(digits.target)
    eye = Eye(Form((1, 8, 8)), pictures[:512])
    features = eye(pictures)
    found = neighbours_class(features[1000:], features[:512], labels[:512])
    assert (found == labels[1000:]).float().mean() > 0.85


def test_the_eye_counts_words_up_to_the_end() -> None:
    sentences = torch.tensor([[5, 6, END, PAD], [5, 6, END, 9], [6, 5, END, PAD], [7, 8, 9, 10]])
    same, also, turned, other = Eye(Form((4,), vocabulary=12), sentences)(sentences)
    assert torch.equal(same, also)
    assert (same - turned).norm() > 0 and (same - other).norm() > (same - turned).norm()


def test_the_eye_of_points_is_the_points() -> None:
    points = normal(100, 2)
    seen = Eye(Form((2,)), points)(points)
    assert torch.corrcoef(torch.stack([seen[:, 0], points[:, 0]]))[0, 1] > 0.999
