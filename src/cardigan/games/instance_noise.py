"""Instance noise: what the discriminator sees, real and fake, is blurred by noise that fades as training goes on.

Sønderby et al. 2017, "Amortised MAP inference for image super-resolution", section 3.2; Arjovsky & Bottou 2017,
"Towards principled methods for training generative adversarial networks": two distributions on thin sets are told apart
perfectly, and then the discriminator's gradient says nothing; with noise they overlap.
"""

from pydantic import PositiveFloat
from torch import Tensor

from cardigan.randomness import Random
from cardigan.settings import Count, Settings


class InstanceNoise(Settings):
    """Gaussian noise on all that the discriminator sees."""

    deviation: PositiveFloat = 0.1
    """Its standard deviation in the beginning, in units of a sample's values (pictures: [-1, 1])."""
    samples: Count | None = 100_000
    """Real samples after which it is gone, having faded linearly; null: it stays."""

    def at(self, clock: int) -> float:
        """The standard deviation at `clock`."""
        return self.deviation * (max(1 - clock / self.samples, 0) if self.samples is not None else 1)


def noised(samples: Tensor, deviation: float, random: Random) -> Tensor:
    """(N, ...) samples with noise of N(0, deviation^2) on each number; without noise, none is drawn."""
    return samples + deviation * random.normal(*samples.shape).to(samples) if deviation else samples
