"""The trivial generator that every score is shown beside: the right pixels, in no order."""

from collections.abc import Iterator

import torch
from torch import Tensor

from cardigan.randomness import Random


def independent_pixels(real: Tensor, count: int, seed: int, chunk: int = 250) -> Iterator[Tensor]:
    """`count` samples, every position of each taken from another real sample: all marginals right, no structure.

    Args:
        real: (M, *shape) of the train split; colours of one pixel stay together.
    """
    flat = real.flatten(2) if real.dim() > 2 else real[:, None]  # (M, C, P)
    places = torch.arange(flat.shape[2])
    for number, start in enumerate(range(0, count, chunk)):
        some = min(chunk, count - start)
        donors = Random(seed, "independent pixels", number).integers(len(flat), some, flat.shape[2])
        yield flat.permute(0, 2, 1)[donors, places].permute(0, 2, 1).reshape(some, *real.shape[1:])
