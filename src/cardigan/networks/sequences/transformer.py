"""Writers that attend to all that they wrote."""

from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor

from cardigan.networks.base import Depth
from cardigan.networks.layers.dropout import Dropout
from cardigan.networks.sequences.attention import Blocks, Pairs, Reader, Rotary, check_heads, norm
from cardigan.networks.sequences.base import Share, State, Writer, WriterFamily
from cardigan.networks.sequences.vocabulary import Vocabulary, check_sentences, required, shifted
from cardigan.sample import Form
from cardigan.tokens import content


class Transformer(WriterFamily):
    """Causal transformers (Vaswani et al., 2017, arXiv:1706.03762); with sources, encoder and decoder.

    Normalised first; rotary positions; no biases; embeddings normalised on their way in.
    """

    family: Literal["transformer"] = "transformer"
    depth: Depth = 4
    """Blocks, of the writer and of the reader of sources each."""
    heads: Annotated[int, Field(ge=1, le=256)] = 4
    """Of attention; `width` must be a multiple of twice as many."""
    dropout: Share = 0.1
    """Probability with which the embeddings and the end of each part of a block are dropped."""
    tied: bool = True
    """Whether logits are made with the embeddings (Press & Wolf, 2017, arXiv:1608.05859)."""

    def build(self, form: Form) -> "TransformerWriter":
        """A freshly initialised writer.

        Raises:
            CardiganError: samples that are no sentences; a width that heads cannot share.
        """
        check_sentences(form, "game.generator.family", self.family)
        check_heads(self.width, self.heads, "game.generator")
        return TransformerWriter(form, self)


class TransformerWriter(Writer):
    """An autoregressive transformer; its state is each block's keys and values (N, heads, t, D / heads) of the t tokens
    so far, and with sources each block's keys and values of the source and where it counts (N, S).

    While training, dropout draws anew at every step.

    Args:
        form: of the sentences.
        settings: the fields.
    """

    def __init__(self, form: Form, settings: Transformer) -> None:
        super().__init__()
        width, depth, heads, dropout = settings.width, settings.depth, settings.heads, settings.dropout
        self.vocabulary, self.heads = form.vocabulary, heads
        self.own = 2 * depth
        """Tensors in a state that are of the sentence itself; those of its source follow."""
        self.reads = form.source is not None
        self.words = Vocabulary(form.vocabulary, width, settings.tied, spread=0.02)
        self.embedding_norm = norm(width)
        self.dropout = Dropout(dropout)
        self.rotary = Rotary(width // heads)
        self.blocks = Blocks(depth, width, heads, dropout, self.reads, fused=True)
        self.norm = norm(width)
        self.reader = Reader(width, depth, heads, dropout, fused=True) if self.reads else None

    def hidden(self, tokens: Tensor, source: Tensor | None = None) -> Tensor:
        """(N, T) int64 and, where there are sources, (N, S) int64 -> (N, T, D)."""
        memory, counts = self._read(source)
        x, angles = self._embed(shifted(tokens)), self.rotary(0, tokens.shape[1])
        for block, pairs in zip(self.blocks, memory, strict=True):
            x, _ = block(x, angles, causal=True, memory=pairs, memory_counts=counts)
        normed: Tensor = self.norm(x)
        return normed

    def logits(self, hidden: Tensor) -> Tensor:
        """(..., D) -> (..., V) float32."""
        return self.words.logits(hidden)

    def begin(self, count: int, length: int, source: Tensor | None = None) -> State:
        """The state before the first token of `count` sentences: no keys and values yet."""
        memory, counts = self._read(source)
        nothing = self.words.embedding.new_empty(count, self.heads, 0, self.words.embedding.shape[1] // self.heads)
        read = [each for pairs in memory if pairs is not None for each in pairs]
        return (*[nothing] * self.own, *read, *([] if counts is None else [counts]))

    def step(self, token: Tensor, state: State) -> tuple[Tensor, State]:
        """(N,) int64 or (N, V) float, and the state -> (N, V) float32 logits of the next token, and the state then."""
        counts = state[-1] if self.reads else None
        x, angles = self._embed(token)[:, None], self.rotary(state[0].shape[2], 1)
        after: list[Tensor] = []
        for index, block in enumerate(self.blocks):
            past = (state[2 * index], state[2 * index + 1])
            memory = (state[self.own + 2 * index], state[self.own + 2 * index + 1]) if self.reads else None
            x, pairs = block(x, angles, past=past, memory=memory, memory_counts=counts)
            after += pairs
        return self.words.logits(self.norm(x.squeeze(1))), (*after, *state[self.own :])

    def _embed(self, tokens: Tensor) -> Tensor:
        return self.dropout(self.embedding_norm(self.words.embed(tokens)))

    def _read(self, source: Tensor | None) -> tuple[list[Pairs | None], Tensor | None]:
        """Each block's keys and values of (N, S) sources, and where these count (N, S)."""
        if self.reader is None:
            return self.blocks.memories(None), None
        counts = content(required(source))
        return self.blocks.memories(self.reader(self._embed(required(source)), counts)), counts
