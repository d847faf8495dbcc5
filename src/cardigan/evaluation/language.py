"""What is known of sentences beside their tokens, and the simpler ways that a writer of sentences is judged beside."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from cardigan.data.base import Dataset
from cardigan.data.oracle import OracleSentences
from cardigan.data.sentence_codec import SentenceCodec
from cardigan.data.text.rows import padded_rows
from cardigan.data.text.tokenised import Tokenised
from cardigan.evaluation.makers import Surprise
from cardigan.evaluation.real import Real
from cardigan.evaluation.subject import Candidate
from cardigan.evaluation.view import View
from cardigan.metrics.text.ngram import NGram
from cardigan.randomness import derive_seed
from cardigan.tokens import END, rows

CHUNK = 256
"""Sentences of a simpler way that are looked at together."""


@dataclass(frozen=True)
class Language:
    """Sentences of one vocabulary.

    Attributes:
        decode: tokens (N, T) -> N texts.
        truth: the reference sentences as the data have them, in the order of the reference's samples.
        learned: the train sentences likewise.
        sources: what each reference sentence is made from; None: of nothing.
        replies: whether sentences are replies to what was said before.
        surprise: how unlikely the judged writer finds sentences; None where it cannot say.
        oracle: how unlikely, in nats a token, that finds them which wrote the real ones; None: nobody knows.
        asked: keys of measures that were asked for by name.
    """

    decode: Callable[[Tensor], list[str]]
    truth: Sequence[str]
    learned: Sequence[str]
    sources: Sequence[str] | None = None
    replies: bool = False
    surprise: Surprise | None = None
    oracle: Callable[[Tensor], Tensor] | None = None
    asked: frozenset[str] = frozenset()

    @property
    def paired(self) -> bool:
        """Whether sentences are made from sentences."""
        return self.sources is not None

    @cached_property
    def some(self) -> Sequence[str]:
        """Train sentences by which it is told what kind of text they are."""
        return self.learned[:1000]


def language_of(who: Candidate, real: Real, asked: Sequence[str]) -> Language | None:
    """What is known of the sentences that `who` writes; None where its samples are none."""
    if not who.form.vocabulary:
        return None
    codec = real.data.codec
    paired = who.form.source is not None
    return Language(
        decode=codec.decode,
        truth=_texts(real.data, real.reference),
        learned=_texts(real.train_data, real.train),
        sources=_texts(real.data, real.reference, sources=True) if paired else None,
        replies=isinstance(codec, SentenceCodec) and codec.context is not None,
        surprise=who.surprise,
        oracle=who.data.writer().surprise if isinstance(who.data, OracleSentences) else None,
        asked=frozenset(asked),
    )


def _texts(dataset: Dataset, view: View, *, sources: bool = False) -> list[str]:
    """The sentences of a view of `dataset` as the data have them, words that the vocabulary lacks too."""
    if not isinstance(dataset, Tokenised):
        return dataset.codec.decode(view.samples)
    texts = dataset.input_texts() if sources else dataset.texts()
    drawn = dataset.draw(0, len(view.samples)).id
    assert texts is not None and drawn is not None
    row = {place: number for number, place in enumerate(dataset.ids.tolist())}
    return [texts[row[place]] for place in drawn.tolist()]


Way = tuple[str, Iterator[Tensor], Surprise | None]
"""Name, sentences (N, T) some at a time, and how unlikely it finds sentences."""


def ways(language: Language, real: Real, count: int, seed: int) -> Iterator[Way]:
    """Simpler ways to `count` sentences: n-grams of train; where sentences are made from others, these as they are."""
    length = real.reference.samples.shape[1]
    if real.reference.sources is not None:
        yield "source copied", iter(_fitted(real.reference.sources[:count], length).split(CHUNK)), None
    if not language.paired:
        model = NGram(real.train.sentences)
        generator = torch.Generator().manual_seed(derive_seed("n-grams", seed))
        write = _written if bool((real.train.samples == END).any()) else _windows
        yield f"{model.order}-grams", write(model, count, length, generator), surprise_of(model)


def _fitted(tokens: Tensor, length: int) -> Tensor:
    """(N, S) -> (N, length), cut or filled up."""
    return torch.nn.functional.pad(tokens, (0, length - tokens.shape[1]))


def _written(model: NGram, count: int, length: int, generator: torch.Generator) -> Iterator[Tensor]:
    for start in range(0, count, CHUNK):
        written = model.sample(min(CHUNK, count - start), length, generator)
        yield torch.from_numpy(padded_rows([np.array(each, np.int32) for each in written], length)).long()


def _windows(model: NGram, count: int, length: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Of texts without ends, whose end the model takes for one of a sentence: it goes on where one stands."""
    left = torch.empty(0, dtype=torch.int64)
    for start in range(0, count, CHUNK):
        wanted = min(CHUNK, count - start) * length
        while len(left) < wanted:
            written = model.sample(CHUNK, length, generator)
            left = torch.cat([left, torch.tensor([token for each in written for token in each])])
        yield left[:wanted].view(-1, length)
        left = left[wanted:]


def surprise_of(model: NGram) -> Surprise:
    """How unlikely a model finds sentences, with their ends where they have one; windows of a text have none."""

    def surprise(tokens: Tensor, source: Tensor | None = None) -> Tensor:
        sentences = rows(tokens)
        with_ends, without = (model.log_probabilities(sentences, ends=ends) for ends in (True, False))
        return -torch.from_numpy(np.where((tokens == END).any(dim=1), with_ends, without))

    return surprise
