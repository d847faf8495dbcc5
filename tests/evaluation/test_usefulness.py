import json
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from cardigan.data.memory import InMemory
from cardigan.data.picture_codec import PictureCodec
from cardigan.data.toys import Toy
from cardigan.errors import CardiganError
from cardigan.evaluation.classifier import endless, few
from cardigan.evaluation.usefulness import (
    ARMS,
    Interval,
    augmentation_study,
    classically_augmented,
    classification_accuracy_score,
)
from cardigan.sample import Batch, Form


@pytest.fixture(scope="module")
def halves() -> tuple[InMemory, InMemory]:
    """The handwritten digits 0 to 4 of scikit-learn, train and test."""
    from sklearn.datasets import load_digits

    digits = load_digits(n_class=5)
    pixels = torch.from_numpy((digits.images * 255 / 16).astype(np.uint8))[:, None]
    labels = torch.from_numpy(digits.target).long()
    order = torch.randperm(len(pixels), generator=torch.Generator().manual_seed(0)).chunk(2)
    codec = PictureCodec(classes=tuple("01234"), channels=1, size=(8, 8))
    form = Form((1, 8, 8), 5)
    train, test = (InMemory(pixels[some], labels[some], form=form, codec=codec, fingerprint="d") for some in order)
    return train, test


def whole(data: InMemory) -> Batch:
    return data.take(torch.arange(len(data)))


def test_real_samples_are_as_useful_as_real_samples_and_noise_is_not(halves):
    train, test = halves
    real = whole(train)
    good = classification_accuracy_score(real, train, test, steps=40, seeds=(0, 1))
    noise = Batch(torch.rand_like(real.sample) * 2 - 1, real.label)
    bad = classification_accuracy_score(noise, train, test, steps=40, seeds=(0, 1))
    assert good.score.mean > 0.9 and good.score.minus(good.real).mean == pytest.approx(0, abs=0.05)
    assert bad.score.mean < 0.5 and bad.real.mean == pytest.approx(good.real.mean, abs=0.05)
    assert good.chance == pytest.approx(0.2, abs=0.05)
    assert (good.count, good.real_count, good.test_count) == (len(train), len(train), len(test))
    assert json.loads(json.dumps(bad.plain()))["score"]["mean"] == bad.score.mean
    assert "generated samples" in next(good.lines())


def test_wrong_labels_make_samples_useless(halves):
    train, test = halves
    real = whole(train)
    assert real.label is not None
    moved = Batch(real.sample, (real.label + 1) % 5)
    found = classification_accuracy_score(moved, train, test, steps=40, seeds=(0,))
    assert found.score.mean < 0.1 < 0.8 < found.real.mean
    assert found.score.half is None


def test_generated_samples_that_are_real_ones_help_where_real_ones_are_few(halves):
    train, test = halves
    asked: list[int] = []

    def make(real: Batch, seed: int) -> Batch:
        asked.append(len(real))
        return whole(train)  # an ideal generator: it knows the distribution

    (study,) = augmentation_study(train, test, make, per_class=(2,), steps=40, seeds=(0, 1))
    assert tuple(study.accuracy) == ARMS and asked == [10, 10]
    assert study.accuracy["generated"].minus(study.accuracy["none"]).mean > 0.05
    assert len(study.accuracy["classical"].values) == 2
    text = "\n".join(study.lines())
    assert "2 real samples of each class" in text and "against none" in text
    assert json.loads(json.dumps(study.plain()))["per_class"] == 2


def test_without_a_generator_only_classical_augmentation_is_studied(halves):
    studies = augmentation_study(*halves, per_class=(3, None), steps=5, seeds=(0,))
    assert [tuple(study.accuracy) for study in studies] == [ARMS[:2]] * 2
    assert next(studies[1].lines()).startswith("all real samples of each class")


def test_studies_repeat_to_the_bit(halves):
    one, other = (augmentation_study(*halves, per_class=(3,), steps=5, seeds=(4,)) for _ in range(2))
    assert one == other


def test_few_takes_as_many_of_each_class_and_others_for_another_seed(halves):
    train, _ = halves
    chosen = few(train, 4, 0)
    assert chosen.label is not None and chosen.id is not None
    assert chosen.label.bincount().tolist() == [4] * 5
    other = few(train, 4, 1)
    assert other.id is not None and set(other.id.tolist()) != set(chosen.id.tolist())
    assert len(few(train, None, 0)) == len(train)


@pytest.mark.parametrize("count, size", [(10, 4), (10, 25), (7, 7), (3, 8)])
def test_endless_shows_everything_once_a_pass(count: int, size: int):
    batch = Batch(torch.arange(count, dtype=torch.float32)[:, None], torch.arange(count))
    draw = endless(batch, size, seed=0)
    drawn = torch.cat([draw(step).sample[:, 0] for step in range(3 * count)])
    assert len(drawn) == 3 * count * size
    for one in drawn[: len(drawn) // count * count].chunk(len(drawn) // count):
        assert sorted(one.tolist()) == list(range(count))
    labels = draw(5).label
    assert labels is not None and (labels == draw(5).sample[:, 0]).all()


def centre_of_mass(pictures: Tensor) -> Tensor:
    places = torch.arange(pictures.shape[-1], dtype=torch.float32)
    weights = pictures[:, 0] + 1
    return torch.stack([(weights.sum(axis) * places).sum(1) / weights.sum((1, 2)) for axis in (1, 2)], dim=1)


def test_classical_augmentation_moves_a_little_and_each_picture_its_own_way():
    picture = -torch.ones(500, 1, 32, 32)
    picture[:, :, 12:20, 14:18] = 1
    changed = classically_augmented(picture, torch.Generator().manual_seed(0))
    moves = centre_of_mass(changed) - centre_of_mass(picture)
    assert moves.abs().max() < 32 / 8 * 1.3
    assert moves.std(0) == pytest.approx(torch.tensor([4 / math.sqrt(3)] * 2), rel=0.15)
    assert changed.min() >= -1 and changed.max() <= 1


def test_flips_mirror_half_and_only_where_asked():
    picture = -torch.ones(400, 1, 16, 16)
    picture[:, :, :, 10:] = 1
    kept = centre_of_mass(classically_augmented(picture, torch.Generator().manual_seed(0)))[:, 0]
    mirrored = centre_of_mass(classically_augmented(picture, torch.Generator().manual_seed(0), flips=True))[:, 0]
    assert (kept > 7.5).all()
    assert 0.4 < (mirrored < 7.5).float().mean() < 0.6


def test_intervals_are_students_and_differences_paired():
    one, other = Interval((0.5, 0.6, 0.7)), Interval((0.4, 0.5, 0.6))
    assert one.mean == pytest.approx(0.6)
    assert one.half == pytest.approx(4.3027 * 0.1 / math.sqrt(3), rel=1e-4)
    assert one.minus(other).half == pytest.approx(0, abs=1e-12)
    assert f"{one.minus(other):+.2f}" == "+0.10 ± 0.000"


def test_points_have_no_classical_augmentation_but_a_score():
    train, test = (Toy(source="ring", count=1000).load(split) for split in ("train", "test"))
    found = classification_accuracy_score(whole(train), train, test, steps=60, seeds=(0,))
    assert found.score.mean > 0.95
    with pytest.raises(CardiganError, match="changes pictures"):
        augmentation_study(train, test, per_class=(5,), steps=2, seeds=(0,))


@pytest.mark.parametrize(
    "generated, words",
    [
        (Batch(torch.zeros(3, 1, 9, 9), torch.zeros(3).long()), "shape \\(3, 1, 9, 9\\)"),
        (Batch(torch.zeros(0, 1, 8, 8), torch.zeros(0).long()), "allowed: one or more"),
        (Batch(torch.zeros(3, 1, 8, 8)), "without labels"),
        (Batch(torch.zeros(3, 1, 8, 8), torch.full((3,), 5)), "label 5; allowed: 0 to 4"),
    ],
)
def test_what_no_classifier_can_learn_from_is_one_line(halves, generated: Batch, words: str):
    with pytest.raises(CardiganError, match=words):
        classification_accuracy_score(generated, *halves)
