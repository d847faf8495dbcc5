"""Bytes, channels and sizes against Pillow and numbers worked out by hand."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from cardigan.data.picture_codec import PictureCodec
from cardigan.errors import CardiganError
from cardigan.resizing import (
    antialiased_bilinear,
    match_channels,
    on_white,
    pillow_bicubic,
    tensorflow_bilinear,
    to_bytes,
    to_rgb,
    unrounded,
)


def noise(*shape: int) -> Tensor:
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(sum(shape))).float()


def test_bytes_are_those_of_the_sample_as_a_file() -> None:
    samples = torch.randn(5, 3, 9, 7, generator=torch.Generator().manual_seed(0))
    samples[0, 0, 0, 0] = torch.nan
    images = PictureCodec(channels=3, size=(9, 7)).decode(samples)
    stored = torch.from_numpy(np.stack([np.asarray(image) for image in images])).permute(0, 3, 1, 2)
    assert torch.equal(to_bytes(samples), stored.float())


def test_bytes_of_bytes_are_themselves() -> None:
    every = torch.arange(256.0).view(1, 1, 16, 16)
    assert torch.equal(to_bytes(every / 127.5 - 1), every)


@pytest.mark.parametrize("step", [to_bytes, lambda x: pillow_bicubic(to_bytes(x), 6, 20)])
def test_rounding_changes_no_value_when_gradients_are_wanted(step: object) -> None:
    samples = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    watched = samples.clone().requires_grad_()
    result = step(watched)  # type: ignore[operator]
    assert torch.equal(result, step(samples))  # type: ignore[operator]
    result.sum().backward()
    assert watched.grad is not None and watched.grad.abs().sum() > 0


@pytest.mark.parametrize("step", [to_bytes, lambda x: pillow_bicubic(to_bytes(x), 6, 20)])
def test_steps_below_those_of_bytes_are_seen_unrounded(step: object) -> None:
    samples, change = noise(1, 1, 6, 20) * 0.8, 1e-4 * noise(1, 1, 6, 20)
    with unrounded():
        near, far = (step(samples + times * change) for times in (1, 2))  # type: ignore[operator]
        here = step(samples)  # type: ignore[operator]
        assert float(to_bytes(noise(1, 1, 6, 20) * 9).max()) == 255
    torch.testing.assert_close(far - here, 2 * (near - here), rtol=0, atol=1e-3)
    assert float((near - here).abs().max()) < 0.02
    assert torch.equal(step(samples), step(samples).round())  # type: ignore[operator]


def test_alpha_is_laid_on_white() -> None:
    pixel = torch.tensor([200.0, 100.0, 0.0, 51.0]).view(1, 4, 1, 1)  # a fifth opaque
    assert on_white(pixel).flatten().tolist() == [244.0, 224.0, 204.0]
    grey = torch.tensor([100.0, 51.0]).view(1, 2, 1, 1)
    assert to_rgb(grey).flatten().tolist() == [224.0] * 3


def test_channels_are_matched_or_refused() -> None:
    assert match_channels(noise(2, 1, 4, 4), 3).shape == (2, 3, 4, 4)
    assert match_channels(noise(2, 4, 4, 4), 3).shape == (2, 3, 4, 4)
    assert match_channels(noise(2, 2, 4, 4), 1).shape == (2, 1, 4, 4)
    assert match_channels(noise(2, 4, 4, 4), 4).shape == (2, 4, 4, 4)
    for found, wanted in [(3, 1), (3, 4), (4, 1), (3, 7)]:
        with pytest.raises(CardiganError, match=f"have {found} channels, but the extractor sees {wanted}"):
            match_channels(noise(1, found, 4, 4), wanted)


def test_tensorflow_bilinear_by_hand() -> None:
    """Two pixels to four: positions 0, 1/2, 1 and 3/2, the last one cut off at the border."""
    row = torch.tensor([0.0, 100.0]).view(1, 1, 1, 2).expand(1, 1, 2, 2)
    assert tensorflow_bilinear(row, 4)[0, 0, 0].tolist() == [0.0, 50.0, 100.0, 100.0]


@pytest.mark.parametrize(
    ("before", "after"),
    [((28, 28), (224, 224)), ((32, 48), (256, 384)), ((40, 33), (40, 12)), ((500, 301), (224, 134)), ((1, 1), (5, 7))],
)
def test_bicubic_equals_pillow_to_the_bit(before: tuple[int, int], after: tuple[int, int]) -> None:
    pictures = noise(2, 3, *before)
    found = pillow_bicubic(pictures, *after)
    for picture, ours in zip(pictures, found, strict=True):
        image = Image.fromarray(picture.permute(1, 2, 0).byte().numpy())
        theirs = np.asarray(image.resize(after[::-1], Image.Resampling.BICUBIC))
        assert np.array_equal(ours.permute(1, 2, 0).numpy(), theirs)


def test_antialiased_bilinear_smooths_what_it_shrinks() -> None:
    checkers = (torch.arange(64)[:, None] + torch.arange(64)) % 2 * 255.0
    small = antialiased_bilinear(checkers[None, None], 16, 16)
    assert (small - 127.5).abs().max() < 10
    assert antialiased_bilinear(small, 16, 16) is small
