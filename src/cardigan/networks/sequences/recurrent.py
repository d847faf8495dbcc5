"""Writers that remember in a recurrent state: the generators of most text GANs."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from cardigan.networks.base import Depth
from cardigan.networks.layers.precision import full
from cardigan.networks.sequences.base import Share, State, Writer, WriterFamily
from cardigan.networks.sequences.recurrence import Bidirectional, Cell, Masks, Recurrence, attend
from cardigan.networks.sequences.vocabulary import Vocabulary, check_sentences, required, shifted
from cardigan.sample import Form
from cardigan.tokens import content


class Recurrent(WriterFamily):
    """GRU or LSTM language models (Mikolov et al., 2010); with sources, translators with attention.

    Sources are read in both ways; the writer, which starts from what was read, attends to them after its own layers and
    sees the attended through a tanh (Luong et al., 2015, arXiv:1508.04025), without feeding it back: all tokens of a
    known sentence then pass in one fused call.
    """

    family: Literal["recurrent"] = "recurrent"
    cell: Cell = "lstm"
    """"gru" or "lstm"."""
    depth: Depth = 1
    """Layers, of the writer and of the reader of sources each."""
    dropout: Share = 0.0
    """Probability with which an embedding's or a layer's output is dropped, throughout a sentence."""
    tied: bool = True
    """Whether logits are made with the embeddings (Press & Wolf, 2017, arXiv:1608.05859)."""

    def build(self, form: Form) -> "RecurrentWriter":
        """A freshly initialised writer.

        Raises:
            CardiganError: samples that are no sentences.
        """
        return RecurrentWriter(check_sentences(form, "game.generator.family", self.family), self)


class RecurrentReader(nn.Module):
    """Sources (N, S) -> what a writer attends to, and the state that it begins with.

    Args:
        settings: the fields of `Recurrent`.
        states: tensors of the writer's state.
    """

    def __init__(self, settings: Recurrent, states: int) -> None:
        super().__init__()
        self.states, self.width = states, settings.width
        self.layers = Bidirectional(settings.cell, settings.width, settings.width, settings.depth, settings.dropout)
        self.bridge = nn.Linear(settings.width, states * settings.width)

    def forward(self, embedded: Tensor, counts: Tensor) -> tuple[Tensor, list[Tensor]]:
        """(N, S, D) and (N, S) bool, True up to END -> (N, S, D), and `states` tensors (N, D)."""
        memory = self.layers(embedded, counts)
        # Where one way has read all and the other begins, and the other way round: both ends of the sentence.
        last = (counts.sum(dim=1) - 1)[:, None, None].expand(-1, 1, memory.shape[2])
        ends = memory[:, 0] + memory.gather(1, last).squeeze(1)
        return memory, list(full(torch.tanh(self.bridge(ends))).unflatten(1, (self.states, self.width)).unbind(1))


class RecurrentWriter(Writer):
    """An autoregressive recurrent network; its state is one or two tensors (N, D) per layer, the masks of dropout, and
    with sources what was read of them (N, S, D) and where it counts (N, S).

    Args:
        form: of the sentences.
        settings: the fields.
    """

    def __init__(self, form: Form, settings: Recurrent) -> None:
        super().__init__()
        width, depth = settings.width, settings.depth
        self.vocabulary = form.vocabulary
        self.words = Vocabulary(form.vocabulary, width, settings.tied, spread=0.06)
        self.layers = Recurrence(settings.cell, width, width, depth)
        self.masks = Masks(settings.dropout, width, depth + 1)
        self.states = depth * self.layers.parts
        self.reader = RecurrentReader(settings, self.states) if form.source is not None else None
        self.combine = nn.Linear(2 * width, width) if form.source is not None else None

    def hidden(self, tokens: Tensor, source: Tensor | None = None) -> Tensor:
        """(N, T) int64 and, where there are sources, (N, S) int64 -> (N, T, D)."""
        state, masks, memory = self._split(self.begin(len(tokens), tokens.shape[1], source))
        x = self.words.embed(shifted(tokens))
        x = x * masks[0][:, None] if masks else x
        return self._attended(self.layers(x, state, masks[1:])[-1], memory)

    def logits(self, hidden: Tensor) -> Tensor:
        """(..., D) -> (..., V) float32."""
        return self.words.logits(hidden)

    def begin(self, count: int, length: int, source: Tensor | None = None) -> State:
        """The state before the first token of `count` sentences."""
        like = self.words.embedding
        masks = self.masks.draw(count, like)
        if self.reader is None:
            return (*self.layers.zeros(count, like), *masks)
        counts = content(required(source))
        memory, state = self.reader(self.words.embed(required(source)), counts)
        return (*state, *masks, memory, counts)

    def step(self, token: Tensor, state: State) -> tuple[Tensor, State]:
        """(N,) int64 or (N, V) float, and the state -> (N, V) float32 logits of the next token, and the state then."""
        before, masks, memory = self._split(state)
        x = self.words.embed(token)
        x = x * masks[0] if masks else x
        hidden, after = self.layers.step(x, before, masks[1:])
        logits = self.words.logits(self._attended(hidden[:, None], memory).squeeze(1))
        return logits, (*after, *masks, *memory)

    def _split(self, state: State) -> tuple[State, State, State]:
        """Its parts: recurrent state, masks of dropout, and memory with where it counts."""
        end = len(state) - (2 if self.reader is not None else 0)
        return state[: self.states], state[self.states : end], state[end:]

    def _attended(self, hidden: Tensor, memory: Sequence[Tensor]) -> Tensor:
        """(N, T, D) -> (N, T, D), with sources tanh(W [hidden; attended])."""
        if self.combine is None:
            return hidden
        return torch.tanh(self.combine(torch.cat([hidden, attend(hidden, *memory)], dim=2)))
