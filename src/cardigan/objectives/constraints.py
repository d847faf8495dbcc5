"""Constraints on weights, imposed after the optimizer's step."""

from typing import Annotated

import torch
from pydantic import Field
from torch import nn

from cardigan.settings import Settings


class Clipping(Settings):
    """Weight clipping of the discriminator."""

    limit: Annotated[float, Field(gt=0)] = 0.01
    """Largest absolute value of any of its parameters."""


@torch.no_grad()
def clip_weights(module: nn.Module, limit: float = 0.01) -> None:
    """Clamp all parameters of `module` to [-limit, limit], in place.

    Arjovsky et al. 2017, "Wasserstein GAN", algorithm 1, line 7.
    """
    for parameter in module.parameters():
        parameter.clamp_(-limit, limit)
