"""Augmentation of what the discriminator sees: real and fake are changed alike before they are judged.

A discriminator that has seen every picture of a small set a hundred times knows them by heart. Changed at random, they
stay new; and because fakes are changed by the same operations, through which gradients flow, the generator does not
learn to make changed pictures.
"""

from typing import Annotated

from pydantic import Field
from torch import Tensor

from cardigan.games.adaptive import Adaptive, adapt
from cardigan.games.diffaugment import cut_out, recoloured, translated
from cardigan.randomness import Random
from cardigan.settings import Settings


class Augmentation(Settings):
    """How pictures are changed before the discriminator sees them; by default not at all."""

    colour: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Strength of random brightness, saturation and contrast (DiffAugment); 1: as published."""
    translation: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Largest shift, as a share of height and width (DiffAugment); published: 0.125."""
    cutout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Sides of a rectangle that is blanked, as a share of height and width (DiffAugment); published: 0.5."""
    adaptive: Adaptive | None = None
    """More operations, each with a probability that may follow the discriminator (ADA); null: none."""

    @property
    def active(self) -> bool:
        """Whether anything is changed at all."""
        return bool(self.colour or self.translation or self.cutout or self.adaptive)


def augment(samples: Tensor, settings: Augmentation, random: Random, probability: float | Tensor = 0.0) -> Tensor:
    """(N, C, H, W) pictures in [-1, 1], each changed in its own way; differentiable twice, as gradient penalties need.

    Of grey with alpha or RGB with alpha (2 or 4 channels), alpha keeps its values where colours change.

    Args:
        probability: of each operation in `settings.adaptive`; a tensor () on any device.
    """
    if settings.adaptive is not None:
        samples = adapt(samples, settings.adaptive, probability, random)
    if settings.colour:
        samples = recoloured(samples, settings.colour, random)
    if settings.translation:
        samples = translated(samples, settings.translation, random)
    if settings.cutout:
        samples = cut_out(samples, settings.cutout, random)
    return samples
