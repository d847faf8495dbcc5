"""Noise, each picture's own: of electronics, of dead pixels, of few photons."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, Self

import torch
from pydantic import model_validator
from torch import Tensor

from cardigan.data.degradations.base import Degradation, Restorer, check_read
from cardigan.data.degradations.eightbit import colours_alone, on_grid
from cardigan.data.degradations.ranges import Range, within
from cardigan.data.degradations.restoring import denoisers


class Noise(Degradation):
    """Noise on the colours, cut to what a file can hold; alpha keeps its values."""

    kind: Literal["noise"] = "noise"
    """This kind of degradation."""
    distribution: Literal["gaussian", "salt", "poisson"] = "gaussian"
    """gaussian: added to every value. salt: some pixels are black or white. poisson: counts of photons."""
    deviation: Annotated[Range, within(0, 255)] = Range(low=25, high=25)
    """Of gaussian noise: its standard deviation in grey levels, 0 to 255; one for each picture, drawn."""
    share: Annotated[Range, within(0, 1)] = Range(low=0.05, high=0.05)
    """Of salt: the probability that a pixel is set to black or white, half of them each; one for each picture."""
    photons: Annotated[Range, within(0.1, 1e6)] = Range(low=30, high=30)
    """Of poisson noise: how many photons a white pixel counts on average; fewer are noisier. One for each picture."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        check_read(self, "distribution", {"gaussian": ["deviation"], "salt": ["share"], "poisson": ["photons"]})
        return self

    def apply(self, pictures: Tensor, randoms: Sequence[torch.Generator]) -> Tensor:
        """See `Degradation.apply`."""
        return on_grid(
            torch.stack(
                [
                    colours_alone(picture, lambda colours, random=random: self._on(colours, random))  # type: ignore[misc]
                    for picture, random in zip(pictures, randoms, strict=True)
                ]
            )
        )

    def restorers(self) -> Mapping[str, Restorer]:
        """Medians, Gaussians and, unless single pixels are lost, non-local means."""
        return denoisers(fine=self.distribution != "salt")

    def _on(self, colours: Tensor, random: torch.Generator) -> Tensor:
        match self.distribution:
            case "gaussian":
                return colours + self.deviation.draw(random) / 127.5 * torch.randn(colours.shape, generator=random)
            case "poisson":
                return counted(colours, self.photons.draw(random), random)
        return salted(colours, self.share.draw(random), random)


def counted(colours: Tensor, photons: float, random: torch.Generator) -> Tensor:
    """(C, H, W) in [-1, 1] as counts of photons show it, `photons` of them at white on average."""
    return torch.poisson((colours + 1).clamp(min=0) * (photons / 2), generator=random) * (2 / photons) - 1


def salted(colours: Tensor, share: float, random: torch.Generator) -> Tensor:
    """(C, H, W), each pixel black with probability share / 2 and white with as much, in all channels at once."""
    coins = torch.rand(1, *colours.shape[1:], generator=random)
    return torch.where(coins < share, torch.where(coins < share / 2, -1.0, 1.0), colours)
