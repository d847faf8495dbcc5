"""Three digits in three channels: a thousand modes."""

from pathlib import Path

import numpy as np
import pytest
import torch

from cardigan import CardiganError
from cardigan.data.stacked import StackedPictures


def test_channels_are_digits_and_the_label_their_number() -> None:
    data = StackedPictures(source="digits")
    stacked, single = data.load("train"), data.single.load("train")
    assert stacked.form.shape == (3, 8, 8) and stacked.form.classes == 1000 and len(stacked) == len(single)
    assert stacked.codec.classes[123] == "1-2-3"
    batch, known = stacked.draw(0, 200), single.take(torch.arange(len(single)))
    assert batch.label is not None and known.label is not None
    for channel, place in enumerate((100, 10, 1)):
        wanted = batch.label // place % 10
        distances = torch.cdist(batch.sample[:, channel].flatten(1), known.sample.flatten(1))
        assert distances.amin(1).max() < 0.02
        assert torch.equal(known.label[distances.argmin(1)], wanted)
    assert batch.label.unique().numel() > 150  # the channels are drawn independently


def test_draws_are_functions_of_their_place() -> None:
    stacked = StackedPictures(source="digits").load("train", seed=3)
    whole, part = stacked.draw(100, 50), stacked.draw(120, 10)
    assert torch.equal(whole.sample[20:30], part.sample)
    assert whole.id is not None and whole.id.shape == (50, 3)
    assert torch.equal(stacked.take(torch.tensor([5, 7])).sample[1], stacked.take(torch.tensor([7])).sample[0])


def test_every_picture_is_seen_once_a_pass_in_every_channel() -> None:
    stacked = StackedPictures(source="digits").load("test")
    batch = stacked.draw(0, len(stacked))
    for channel in range(3):
        rows = batch.sample[:, channel].flatten(1)
        assert len(rows.unique(dim=0)) == len(
            stacked.take(torch.arange(len(stacked))).sample[:, 0].flatten(1).unique(dim=0)
        )


def test_pictures_without_labels_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "plain.npy", np.random.default_rng(0).integers(0, 255, (40, 8, 8), dtype=np.uint8))
    with pytest.raises(CardiganError, match="has no labels"):
        StackedPictures(source=str(tmp_path / "plain.npy")).load("train")
