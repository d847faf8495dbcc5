"""PacGAN: the discriminator sees several samples at once, all real or all fake, and so how much they differ.

Lin et al. 2018, "PacGAN: the power of two samples in generative adversarial networks".
"""

from dataclasses import replace

from torch import Tensor

from cardigan.errors import CardiganError
from cardigan.sample import Form


def packed(samples: Tensor, count: int) -> Tensor:
    """(N, C, ...) -> (N / count, count * C, ...): the channels (or numbers) of `count` samples one behind the other.

    Raises:
        CardiganError: N is no multiple of `count`.
    """
    if count == 1:
        return samples
    if len(samples) % count:
        raise CardiganError(
            f"game.pack: {len(samples)} samples, the share of training.batch judged at once, cannot be cut into packs "
            f"of {count}; allowed here: divisors of {len(samples)}"
        )
    return samples.reshape(len(samples) // count, count * samples.shape[1], *samples.shape[2:])


def unpacked(packs: Tensor, count: int) -> Tensor:
    """(N / count, count * C, ...) -> (N, C, ...): what `packed` made, taken apart."""
    if count == 1:
        return packs
    return packs.reshape(len(packs) * count, packs.shape[1] // count, *packs.shape[2:])


def form_of_packs(form: Form, count: int) -> Form:
    """The form of `count` samples of `form` in one pack."""
    return replace(form, shape=(count * form.shape[0], *form.shape[1:]))
