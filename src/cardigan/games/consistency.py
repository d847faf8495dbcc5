"""Consistency regularisation: the discriminator is to say the same of a sample and of its mirrored, shifted self.

Zhang et al. 2020, "Consistency regularization for generative adversarial networks" (CR-GAN, of real samples); Zhao et
al. 2021, "Improved consistency regularization for GANs" (bCR, of fakes too).
"""

from typing import Annotated

import torch
from pydantic import Field, NonNegativeFloat
from torch import Tensor

from cardigan.games.adaptive import mirrored
from cardigan.games.diffaugment import translated
from cardigan.networks.base import Judgement
from cardigan.objectives.adversarial import widen
from cardigan.randomness import Random
from cardigan.settings import Settings


class Consistency(Settings):
    """Terms of the discriminator's loss, and how samples are changed for them; by default CR-GAN."""

    real: NonNegativeFloat = 10.0
    """Factor of the term of real samples."""
    fake: NonNegativeFloat = 0.0
    """Factor of the term of fakes; bCR: 10."""
    flip: bool = True
    """Whether half of the pictures are mirrored, left to right."""
    translation: Annotated[float, Field(ge=0, lt=1)] = 0.125
    """Largest shift, as a share of height and width; published: 4 of 32 pixels."""


def varied(samples: Tensor, settings: Consistency, random: Random) -> Tensor:
    """(N, C, H, W) pictures, each mirrored or not and shifted; what comes in is 0, mid-grey."""
    if settings.flip:
        samples = mirrored(samples, random.uniform(len(samples)).to(samples) < 0.5)
    return translated(samples, settings.translation, random) if settings.translation else samples


def consistency(judgement: Judgement, other: Judgement) -> Tensor:
    """(D(x) - D(T(x)))^2, summed over scales -> (N,); Zhang et al. 2020, equation 3, with the logits as D's last layer.

    Args:
        judgement: of x.
        other: of T(x).
    """
    pairs = zip(judgement.logits, other.logits, strict=True)
    squares = [(widen(mine) - widen(theirs)).square() for mine, theirs in pairs]
    return torch.stack([each.reshape(len(each), -1).mean(1) for each in squares]).sum(0)
