"""Where sentences enter and leave networks: embeddings of tokens or of weights over them, logits of the next token."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cardigan.errors import CardiganError
from cardigan.networks.layers.precision import full
from cardigan.sample import Form
from cardigan.tokens import BEGIN, PAD

NEVER = -1e9
"""Logit of what is never written. Its probability is exactly 0, as with -inf, but 0 * log p is 0 and not NaN: masked
sums over sentences with PAD and entropies stay finite, and so do their gradients."""


def check_sentences(form: Form, key: str, family: str, sources: bool | None = None) -> Form:
    """`form`, if its samples are sentences.

    Args:
        form: of the samples.
        key: of the recipe, where the family is named.
        family: its name.
        sources: whether they must be made from sentences; None: if they have sources, those must be sentences.

    Raises:
        CardiganError: samples or sources that are no sentences; sources asked for and not there.
    """
    if len(form.shape) != 1 or form.vocabulary <= 0:
        raise CardiganError(
            f"{key}: {family!r} is for sentences, and samples here have shape {form.shape} and "
            f"{form.vocabulary or 'no'} tokens; allowed here: data of sentences"
        )
    if (form.source is None and sources) or (form.source is not None and len(form.source) != 1):
        given = "have none" if form.source is None else f"have some of shape {form.source}"
        raise CardiganError(
            f"{key}: {family!r} needs sentences as sources, and samples here {given}; allowed here: pairs of sentences"
        )
    return form


def embed(table: Tensor, tokens: Tensor) -> Tensor:
    """(V, D) table; (...) int64 tokens, or (..., V) float weights over them -> (..., D)."""
    return tokens.to(table.dtype) @ table if tokens.is_floating_point() else F.embedding(tokens, table)


def shifted(tokens: Tensor) -> Tensor:
    """(N, T) tokens -> (N, T): what stands before each of them, BEGIN before the first."""
    return F.pad(tokens[:, :-1], (1, 0), value=BEGIN)


class Vocabulary(nn.Module):
    """Embeddings of tokens, and logits of the next one.

    Tied: one matrix serves both (Press & Wolf, 2017, arXiv:1608.05859). Its one name in the state is `embedding`.

    Args:
        size: V, number of tokens.
        width: D, numbers in an embedding and in what logits are made of.
        tied: whether logits use the embeddings.
        spread: standard deviation of the initial weights.
    """

    def __init__(self, size: int, width: int, tied: bool, spread: float) -> None:
        super().__init__()
        self.size = size
        self.embedding = nn.Parameter(torch.randn(size, width) * spread)
        self.out = None if tied else nn.Parameter(torch.randn(size, width) * spread)
        self.bias = nn.Parameter(torch.zeros(size))
        self.register_buffer("unwritten", torch.tensor([PAD, BEGIN]), persistent=False)

    def embed(self, tokens: Tensor) -> Tensor:
        """(...) int64 tokens, or (..., V) float weights -> (..., D)."""
        return embed(self.embedding, tokens)

    def logits(self, hidden: Tensor) -> Tensor:
        """(..., D) -> (..., V) in full precision; `NEVER` for PAD and BEGIN."""
        products = F.linear(hidden, self.embedding if self.out is None else self.out)
        # Added after the product, since 16 bits cannot hold `NEVER`; in place, since the logits are what takes memory.
        return full(products).add_(self.bias.index_fill(0, self.get_buffer("unwritten"), NEVER))


def required(source: Tensor | None) -> Tensor:
    """The sources, which a network built for them cannot do without."""
    if source is None:
        raise ValueError("this network was built for sentences with sources, and none were given")
    return source
