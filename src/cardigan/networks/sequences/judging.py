"""What all discriminators of sentences begin and end with: reading up to END, pooling, logits."""

import torch
from torch import Tensor, nn

from cardigan.networks.layers.precision import full, no_autocast
from cardigan.networks.sequences.vocabulary import embed
from cardigan.tokens import content


class Reading(nn.Module):
    """Embeddings of the sentences that a discriminator judges, which end at END.

    Args:
        size: V, number of tokens.
        width: D.
    """

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        # Vectors of length 1 on average: for weights that come from a softmax as for whole tokens, and for any D.
        self.table = nn.Embedding(size, width)
        nn.init.normal_(self.table.weight, std=width**-0.5)

    def forward(self, sample: Tensor) -> tuple[Tensor, Tensor]:
        """(N, T) int64 tokens or (N, T, V) float weights -> (N, T, D), 0 after END, and (N, T) bool, True up to it."""
        counts = content(hard(sample))
        embedded = embed(self.table.weight, sample)
        return embedded.masked_fill(~counts[..., None], 0), counts


def mean_over(hidden: Tensor, counts: Tensor) -> Tensor:
    """(N, T, D) and (N, T) bool -> (N, D), the mean where it is True."""
    weights = counts.to(hidden.dtype)
    return (hidden * weights[..., None]).sum(dim=1) / weights.sum(dim=1, keepdim=True)


def most_over(hidden: Tensor, counts: Tensor) -> Tensor:
    """(N, T, D) and (N, T) bool -> (N, D), the greatest where it is True."""
    return hidden.masked_fill(~counts[..., None], torch.finfo(hidden.dtype).min).amax(dim=1)


def hard(sample: Tensor) -> Tensor:
    """(N, T) int64 tokens, or (N, T, V) float weights -> (N, T) int64, the heaviest of each."""
    return sample.argmax(dim=2) if sample.is_floating_point() else sample


class LogitHead(nn.Module):
    """Real-or-fake logits in full precision.

    Args:
        inputs: D.
    """

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, 1)

    def forward(self, hidden: Tensor) -> Tensor:
        """(..., D) -> (...)."""
        hidden = full(hidden)
        with no_autocast(hidden):
            return self.linear(hidden).squeeze(-1)
