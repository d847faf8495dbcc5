"""Blur under random kernels, as Wang et al. 2021, "Real-ESRGAN" (arXiv:2107.10833), section 3.1, draws them."""

from collections.abc import Mapping, Sequence
from math import pi
from typing import Annotated, Literal, Self

import torch
from pydantic import AfterValidator, NonNegativeFloat, model_validator
from torch import Tensor

from cardigan.data.degradations.base import Degradation, Restorer
from cardigan.data.degradations.eightbit import on_grid, weighted
from cardigan.data.degradations.filtering import convolved
from cardigan.data.degradations.ranges import Range, WholeRange, choose, coin, uniform, within
from cardigan.data.degradations.restoring import UNCHANGED, unchanged, unsharp_mask
from cardigan.settings import Settings


class Profiles(Settings):
    """How often each kind of kernel is drawn, in proportion to these weights."""

    isotropic: NonNegativeFloat = 0.0
    """Weight of round Gaussians."""
    anisotropic: NonNegativeFloat = 0.0
    """Weight of Gaussians of two widths, turned at random."""
    generalised: NonNegativeFloat = 0.0
    """Weight of round generalised Gaussians, exp(-r^2b / 2)."""
    generalised_anisotropic: NonNegativeFloat = 0.0
    """Weight of generalised Gaussians of two widths."""
    plateau: NonNegativeFloat = 0.0
    """Weight of round plateaus, 1 / (1 + r^2b)."""
    plateau_anisotropic: NonNegativeFloat = 0.0
    """Weight of plateaus of two widths."""

    @model_validator(mode="after")
    def _any(self) -> Self:
        if not any(self.model_dump().values()):
            raise ValueError(f"no kind of kernel has a weight; allowed: {', '.join(type(self).model_fields)}")
        return self

    def draw(self, random: torch.Generator) -> tuple[str, bool]:
        """isotropic (the Gaussian), generalised or plateau, and whether it is round."""
        names = list(type(self).model_fields)
        name = names[choose(random, [getattr(self, each) for each in names])]
        first, _, second = name.partition("_")
        return ("isotropic" if first == "anisotropic" else first), not (second or first == "anisotropic")


PUBLISHED = Profiles(
    isotropic=0.45,
    anisotropic=0.25,
    generalised=0.12,
    generalised_anisotropic=0.03,
    plateau=0.12,
    plateau_anisotropic=0.03,
)
"""The weights of the paper."""


def _odd(value: WholeRange) -> WholeRange:
    if value.low % 2 == 0 or value.high % 2 == 0:
        raise ValueError(f"{value.low} to {value.high}: kernels have a middle; allowed: odd numbers")
    return value


Sides = Annotated[WholeRange, within(1, 63), AfterValidator(_odd)]


class Kernels(Settings):
    """What kernels are drawn."""

    profiles: Profiles = PUBLISHED
    """How often each kind of kernel is drawn; kinds that are not named are not drawn."""
    size: Sides = WholeRange(low=7, high=21)
    """Side of the kernel in pixels; odd numbers are drawn. What lies beyond it is cut off."""
    deviation: Annotated[Range, within(0.05, 50)] = Range(low=0.2, high=3)
    """Standard deviation in pixels; of plateaus, where they have fallen to a half; of two widths, each is drawn."""
    generalised_power: Annotated[Range, within(0.1, 20)] = Range(low=0.5, high=4)
    """b of generalised Gaussians, 1: a Gaussian; of a range around 1, half of the draws lie below it."""
    plateau_power: Annotated[Range, within(0.1, 20)] = Range(low=1, high=2)
    """b of plateaus; the greater, the steeper their edge. Drawn likewise: of 1 to 2, half of the draws are 1."""

    def kernel(self, random: torch.Generator) -> Tensor:
        """A kernel (k, k) float32 that sums to 1."""
        side = odd(self.size, random)
        profile, round_ = self.profiles.draw(random)
        across = self.deviation.draw(random)
        along, angle = (across, 0.0) if round_ else (self.deviation.draw(random), uniform(random, -pi, pi))
        power = 1.0
        if profile == "generalised":
            power = around_one(self.generalised_power, random)
        elif profile == "plateau":
            power = around_one(self.plateau_power, random)
        return kernel(side, across, along, angle, power, plateau=profile == "plateau")


class Blur(Kernels, Degradation):
    """Each picture under a kernel of its own; mirrored at its borders, colours weighted by alpha."""

    kind: Literal["blur"] = "blur"
    """This kind of degradation."""

    def apply(self, pictures: Tensor, randoms: Sequence[torch.Generator]) -> Tensor:
        """See `Degradation.apply`."""
        kernels = [self.kernel(random) for random in randoms]
        return on_grid(
            torch.stack([blurred(picture, kernel) for picture, kernel in zip(pictures, kernels, strict=True)])
        )

    def restorers(self) -> Mapping[str, Restorer]:
        """Sharpened, with no knowledge of the kernel."""
        return {UNCHANGED: unchanged, "unsharp mask": unsharp_mask}


def blurred(picture: Tensor, kernel: Tensor) -> Tensor:
    """(C, H, W) in [-1, 1] under a kernel (k, k); not rounded."""
    return weighted(picture, lambda values: convolved(values, kernel))


def odd(sides: WholeRange, random: torch.Generator) -> int:
    """An odd number of the range, all alike."""
    return 2 * WholeRange(low=sides.low // 2, high=sides.high // 2).draw(random) + 1


def around_one(powers: Range, random: torch.Generator) -> float:
    """A number of the range; where it holds 1, half of them below and half above, as the paper's code draws it."""
    if not powers.low <= 1 <= powers.high:
        return powers.draw(random)
    low, high = (powers.low, 1.0) if coin(random, 0.5) else (1.0, powers.high)
    return uniform(random, low, high)


def kernel(side: int, across: float, along: float, angle: float, power: float = 1, plateau: bool = False) -> Tensor:
    """A kernel (side, side) float32 that sums to 1: of r^2 = x' S^-1 x, exp(-r^2b / 2) or, a plateau, 1 / (1 + r^2b).

    Args:
        side: odd.
        across, along: the two standard deviations, in pixels.
        angle: by which the first axis is turned from x towards y (down), in radians.
        power: b.
    """
    place = torch.arange(side, dtype=torch.float64) - side // 2
    down, right = place[:, None], place[None]
    cosine, sine = torch.tensor(angle, dtype=torch.float64).cos(), torch.tensor(angle, dtype=torch.float64).sin()
    squared = ((right * cosine + down * sine) / across).square() + ((down * cosine - right * sine) / along).square()
    values = 1 / (1 + squared.pow(power)) if plateau else torch.exp(-0.5 * squared.pow(power))
    return (values / values.sum()).float()


def sinc(side: int, cutoff: float) -> Tensor:
    """A kernel (side, side) float32 that sums to 1 and lets frequencies below `cutoff` pass: it rings at edges.

    The circular low-pass filter w J1(w r) / (2 pi r) of the paper's section 3.3.

    Args:
        side: odd.
        cutoff: w, in radians per pixel, up to pi.
    """
    place = torch.arange(side, dtype=torch.float64) - side // 2
    radius = (place[:, None].square() + place.square()).sqrt()
    middle = radius == 0
    radius = radius.masked_fill(middle, 1)
    values = cutoff * torch.special.bessel_j1(cutoff * radius) / (2 * pi * radius)
    values = values.masked_fill(middle, cutoff**2 / (4 * pi))
    return (values / values.sum()).float()
