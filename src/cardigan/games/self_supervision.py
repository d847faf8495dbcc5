"""Self-supervision: the discriminator also tells by how many quarters a picture was turned, so that it goes on learning
what pictures look like when fakes have changed.

Chen et al. 2019, "Self-supervised GANs via auxiliary rotation loss" (SS-GAN).
"""

from dataclasses import replace

from pydantic import NonNegativeFloat
from torch import Tensor
from torch.nn.functional import cross_entropy

from cardigan.errors import CardiganError
from cardigan.games.adaptive import turned
from cardigan.networks.base import Discriminator
from cardigan.randomness import Random
from cardigan.sample import Form
from cardigan.settings import Settings

QUARTERS = 4
"""Classes of the auxiliary task: turned by 0, 90, 180, 270 degrees."""


class SelfSupervision(Settings):
    """Factors of the cross-entropy of turns in both players' losses."""

    discriminator: NonNegativeFloat = 1.0
    """Of turned real samples, in the discriminator's loss."""
    generator: NonNegativeFloat = 0.2
    """Of turned fakes, in the generator's loss: it is to make pictures that can be seen to be upright."""


def form_of_turns(form: Form) -> Form:
    """The form of pictures whose classes are their turns.

    Raises:
        CardiganError: samples that are no square pictures.
    """
    if len(form.shape) != 3 or form.shape[1] != form.shape[2]:
        raise CardiganError(
            f"game.self_supervision: needs square pictures, which can be turned, not {form.shape}; allowed here: null"
        )
    return replace(form, classes=QUARTERS)


def rotation_loss(discriminator: Discriminator, samples: Tensor, random: Random) -> Tensor:
    """-log Q(r | x turned by r) -> (): Chen et al. 2019, equations 3 and 4, with one turn drawn for each sample.

    Samples (N, C, H, W) are seen as they are, without augmentation, which might turn them too.
    """
    quarters = random.integers(QUARTERS, len(samples)).to(samples.device)
    class_logits = discriminator(turned(samples, quarters)).class_logits
    assert class_logits is not None
    return cross_entropy(class_logits.float(), quarters)
