"""Feature matching: fakes are to have, in the mean over a batch, the activations that real samples have."""

from torch import Tensor

from cardigan.distributed import global_mean
from cardigan.errors import CardiganError
from cardigan.networks.base import Judgement
from cardigan.objectives.adversarial import widen


def feature_means(real: Judgement, fake: Judgement) -> Tensor:
    """|E f(real) - E f(fake)|^2, a mean over the numbers of f, the discriminator's last activations -> ().

    Salimans et al. 2016, "Improved techniques for training GANs", section 3.1, with a mean for the sum, so that a
    weight does not depend on the size of the network. E is the mean over the global batch, of a batch in slices over
    each. No gradient reaches the real side.

    Raises:
        CardiganError: the discriminator gives no activations.
    """
    if not (real.features and fake.features):
        raise CardiganError("game.feature_matching: the discriminator gives no activations; allowed here: 0")
    wanted, made = (global_mean(widen(each.features[-1]), 0) for each in (real, fake))
    return (made - wanted.detach()).square().mean()
