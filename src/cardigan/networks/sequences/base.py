"""What every network that writes or judges sentences offers. Tokens are (N, T) int64, see `cardigan.tokens`."""

from abc import ABC, abstractmethod
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from cardigan.networks.base import Discriminator, Judgement, Units
from cardigan.sample import Form
from cardigan.settings import Settings
from cardigan.tokens import content

State = tuple[Tensor, ...]
"""What a writer remembers of the tokens so far and of the source: tensors whose first dimension is the sentence, so
that sentences can be chosen, repeated and put in another order by indexing each of them."""
Share = Annotated[float, Field(ge=0, lt=1)]
"""A probability below 1."""


class Writer(nn.Module, ABC):
    """An autoregressive generator of sentences: p(token | tokens before it, source).

    Attributes:
        vocabulary: V, number of tokens; logits of PAD and BEGIN are so low that neither is ever written.
    """

    vocabulary: int

    @abstractmethod
    def hidden(self, tokens: Tensor, source: Tensor | None = None) -> Tensor:
        """What logits are made of, for all tokens at once (teacher forcing).

        Args:
            tokens: (N, T) int64; what stands after an END changes nothing up to it.
            source: (N, S) int64, padded likewise, where samples are made from something.

        Returns:
            (N, T, D): at t for token t, given those before it (BEGIN stands before the first).
        """

    @abstractmethod
    def logits(self, hidden: Tensor) -> Tensor:
        """(..., D) -> (..., V) float32."""

    def forward(self, tokens: Tensor, source: Tensor | None = None) -> Tensor:
        """(N, T) tokens and sources as in `hidden` -> (N, T, V) float32 logits."""
        return self.logits(self.hidden(tokens, source))

    def counting(self, tokens: Tensor, source: Tensor | None = None) -> Tensor:
        """(M, V) float32 logits of the M tokens up to each END, sentence by sentence: the others cost nothing."""
        counts = content(tokens)
        longest = int(counts.sum(dim=1).max())
        return self.logits(self.hidden(tokens[:, :longest], source)[counts[:, :longest]])

    def log_probabilities(self, tokens: Tensor, source: Tensor | None = None) -> Tensor:
        """(N, T) float32 of each token, given those before it; 0 after END."""
        counts = content(tokens)
        found = -F.cross_entropy(self.counting(tokens, source), tokens[counts], reduction="none")
        return torch.zeros(tokens.shape, dtype=found.dtype, device=found.device).masked_scatter(counts, found)

    @abstractmethod
    def begin(self, count: int, length: int, source: Tensor | None = None) -> State:
        """The state before the first token of `count` sentences of at most `length` tokens."""

    @abstractmethod
    def step(self, token: Tensor, state: State) -> tuple[Tensor, State]:
        """Logits (N, V) float32 of the next token, and the state from there.

        Args:
            token: the one before it: (N,) int64, BEGIN at first; or (N, V) float weights over the vocabulary, through
                which gradients flow (Gumbel-softmax).
        """


class SentenceDiscriminator(Discriminator):
    """Judges sentences: one logit each (N,), or one for each token (N, T), with the mask of those that count.

    A sentence is (N, T) int64 tokens, or (N, T, V) float weights over the vocabulary, through which gradients flow.
    What stands after an END never changes a logit that counts.
    """

    @abstractmethod
    def forward(self, sample: Tensor, condition: Tensor | None = None, features: bool = False) -> Judgement:
        """Sentences and the sources (N, S) int64 they were made from, where it is conditional -> `Judgement`."""


class WriterFamily(Settings, ABC):
    """A family of writers as a recipe names it."""

    family: str
    width: Units = 256
    """Numbers in the embedding of a token and in a hidden state."""

    @abstractmethod
    def build(self, form: Form) -> Writer:
        """A freshly initialised writer of sentences of `form`: at most form.shape[0] tokens of form.vocabulary, made
        from sources of at most form.source[0] tokens of the same vocabulary where there are such.

        Raises:
            CardiganError: samples that are no sentences.
        """


class SentenceDiscriminatorFamily(Settings, ABC):
    """A family of discriminators of sentences."""

    family: str
    width: Units = 128
    """Numbers in the embedding of a token and in a hidden state."""

    @abstractmethod
    def build(self, form: Form, conditional: bool) -> SentenceDiscriminator:
        """A freshly initialised discriminator of sentences of `form`.

        Args:
            conditional: whether it is called with the sources (N, form.source[0]) as condition.

        Raises:
            CardiganError: samples that are no sentences.
        """
