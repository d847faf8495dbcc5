"""The synthetic task of SeqGAN (Yu et al., 2017, section 5): sentences of a random LSTM, which can be asked back.

How probable the oracle finds what a generator writes (NLL-oracle) is the one score of sentences that needs no estimate.
"""

from hashlib import blake2b
from pathlib import Path
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import cross_entropy

from cardigan.data.base import Codec, Data, Watch, silent
from cardigan.data.memory import InMemory
from cardigan.data.sources.source import Split
from cardigan.randomness import derive_seed
from cardigan.sample import Form
from cardigan.settings import Count
from cardigan.tokens import SPECIAL

CHUNK = 1_000
"""Sentences made or judged at once."""


class Oracle:
    """An LSTM of 32 units whose weights are all N(0, 1), as in the authors' code; it writes sentences without an end.

    Its first token follows the word number 0. Its words come after the special tokens of a vocabulary.

    Args:
        words: number of words.
        seed: of the weights.
    """

    WIDTH = 32

    def __init__(self, words: int, seed: int) -> None:
        generator = torch.Generator().manual_seed(derive_seed("oracle", seed))
        width = self.WIDTH
        self.embedding = torch.randn(words, width, generator=generator)
        self.input = torch.randn(4 * width, width, generator=generator)
        self.hidden = torch.randn(4 * width, width, generator=generator)
        self.bias = torch.randn(4 * width, generator=generator)
        self.output = torch.randn(words, width, generator=generator)
        self.output_bias = torch.randn(words, generator=generator)

    @torch.no_grad()
    def write(self, count: int, length: int, generator: torch.Generator) -> Tensor:
        """(count, length) int32 tokens."""
        counts = (min(CHUNK, count - start) for start in range(0, count, CHUNK))
        return torch.cat([self._write(each, length, generator) for each in counts])

    def _write(self, count: int, length: int, generator: torch.Generator) -> Tensor:
        word, state, words = torch.zeros(count, dtype=torch.int64), self._begin(count), []
        for _ in range(length):
            logits, state = self._step(word, state)
            word = torch.multinomial(logits.softmax(1), 1, generator=generator).squeeze(1)
            words.append(word)
        return (torch.stack(words, dim=1) + len(SPECIAL)).int()

    @torch.no_grad()
    def surprise(self, tokens: Tensor) -> Tensor:
        """(N, T) tokens -> (N,) negative log-likelihood in nats a token; infinite where a special token stands."""
        return torch.cat([self._surprise(chunk) for chunk in tokens.split(CHUNK)])

    def _surprise(self, tokens: Tensor) -> Tensor:
        words, known = (tokens.long() - len(SPECIAL)).clamp(min=0), tokens >= len(SPECIAL)
        word, state, found = torch.zeros(len(tokens), dtype=torch.int64), self._begin(len(tokens)), []
        for step in range(tokens.shape[1]):
            logits, state = self._step(word, state)
            word = words[:, step]
            found.append(cross_entropy(logits, word, reduction="none"))
        return torch.stack(found, dim=1).masked_fill(~known, torch.inf).mean(dim=1)

    def _begin(self, count: int) -> tuple[Tensor, Tensor]:
        return torch.zeros(count, self.WIDTH), torch.zeros(count, self.WIDTH)

    def _step(self, word: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        hidden, cell = state
        gates = self.embedding[word] @ self.input.T + hidden @ self.hidden.T + self.bias
        enter, forget, leave, new = gates.chunk(4, dim=1)
        cell = forget.sigmoid() * cell + enter.sigmoid() * new.tanh()
        hidden = leave.sigmoid() * cell.tanh()
        return hidden @ self.output.T + self.output_bias, (hidden, cell)


class OracleSentences(Data):
    """Sentences of a random LSTM."""

    kind: Literal["oracle"] = "oracle"
    """This kind of data."""
    source: Literal["lstm"] = "lstm"
    """What writes the sentences."""
    words: Annotated[int, Field(ge=2, le=100_000)] = 5_000
    """Of the oracle's vocabulary."""
    length: Annotated[int, Field(ge=1, le=1024)] = 20
    """Tokens of every sentence."""
    count: Count = 10_000
    """Sentences of the train split, and of test; validation has a tenth."""
    oracle: Annotated[int, Field(ge=0)] = 0
    """Seed of the oracle's weights."""

    def writer(self) -> Oracle:
        """The oracle itself."""
        return Oracle(self.words, self.oracle)

    def load(self, split: Split = "train", seed: int = 0, watch: Watch = silent) -> InMemory:
        """(N, length) tokens: the same ones whatever the `seed`, which only shuffles them."""
        count = max(1, self.count // 10) if split == "validation" else self.count
        generator = torch.Generator().manual_seed(derive_seed("sentences", self.oracle, split))
        tokens = self.writer().write(count, self.length, generator)
        return InMemory(
            tokens,
            None,
            form=Form((self.length,), vocabulary=self.words + len(SPECIAL)),
            codec=NumberCodec(),
            fingerprint=blake2b(tokens.numpy().data, digest_size=16).hexdigest(),
            seed=seed,
        )


class NumberCodec(Codec):
    """Tokens that stand for nothing, as rows of numbers: the special ones of a vocabulary are negative."""

    kind: Literal["numbers"] = "numbers"
    """This kind of codec."""

    @property
    def extension(self) -> str:
        """Sentences are text."""
        return ".txt"

    def decode(self, samples: Tensor) -> list[str]:
        """(N, T) tokens -> N lines of numbers."""
        return [" ".join(map(str, row)) for row in (samples.long() - len(SPECIAL)).tolist()]

    def write(self, sample: Tensor, path: Path) -> None:
        """Write one sentence (T,) as a text file."""
        self.render(sample[None], path)

    def render(self, samples: Tensor, path: Path) -> None:
        """Write (N, T), a sentence a line."""
        path.write_text("".join(f"{line}\n" for line in self.decode(samples)), "utf-8")
