"""What makes the samples of a run that is judged: a generator of noise, a translator of real sources, a writer."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from cardigan.data.base import Codec, Dataset
from cardigan.data.memory import to_unit
from cardigan.data.pair_codec import Direction
from cardigan.data.sentence_codec import SentenceCodec
from cardigan.errors import CardiganError
from cardigan.evaluation.paths import measured_paths
from cardigan.extractors.base import Extractor
from cardigan.generate import Model
from cardigan.metrics.path_length import PathLength
from cardigan.networks.base import Translator
from cardigan.networks.sequences.base import Writer
from cardigan.networks.sequences.sampling import Sampling, beam
from cardigan.players import Players, Weights, load_players
from cardigan.run import Run
from cardigan.sample import Form
from cardigan.settings import allowed
from cardigan.tiling import default_tile, translate_batch, translate_whole
from cardigan.writing import BEAM, Writing

Stream = Callable[[int, int, Tensor | None, Dataset], Iterator[Tensor]]
"""(n, seed, labels or None, real samples of the split that is judged) -> n samples, some at a time."""
Translate = Callable[[Tensor], Tensor]
"""Sources (N, C', h, w) in [-1, 1], of any size -> samples (N, C, H, W)."""
Paths = Callable[[Extractor, int], PathLength]
"""(extractor, seed) -> the perceptual path length."""
Surprise = Callable[[Tensor, Tensor | None], Tensor]
"""Sentences (N, T), what they are made from (N, S) or None -> (N,) float64 minus log-probabilities, in nats."""
CHUNK = 50
"""Sources translated at once."""
READ = 32
"""Sentences read at once, with logits over the vocabulary at every token."""


@dataclass(frozen=True)
class Maker:
    """A run, ready to make samples.

    Attributes:
        clock: real samples that it had been trained on.
        form: of one sample.
        codec: turns samples into files.
        stream: gives samples.
        labelled: whether they are made for labels.
        paths: measures the perceptual path length; None without a generator of noise.
        translate: makes samples of sources; None for a generator of noise.
        truncation: of the latents; None where there are none.
        surprise: how unlikely it finds sentences; None where it writes none.
        sampling: how tokens are chosen, in words; empty where none are written.
    """

    clock: int
    form: Form
    codec: Codec
    stream: Stream
    labelled: bool = False
    paths: Paths | None = None
    translate: Translate | None = None
    truncation: float | None = None
    surprise: Surprise | None = None
    sampling: str = ""


def maker(
    run: Run,
    at: int | None,
    weights: Weights,
    truncation: float,
    direction: Direction,
    sampling: Sampling | None = None,
) -> Maker:
    """What makes the samples of `run`, of its newest checkpoint or the one at clock `at`.

    Args:
        sampling: how tokens are chosen. None: as the writer has them; where sentences are translated, beam search.

    Raises:
        CardiganError: there is no such checkpoint or direction, truncation is asked of a translator or a writer, or
            sampling of what writes no sentences.
    """
    loaded = load_players(run, at, weights, "evaluate")
    if isinstance(loaded.players.get("generator"), Writer):
        return _of_sentences(Writing(run, at, weights, loaded), truncation, direction, sampling)
    if sampling is not None:
        raise CardiganError("--temperature, --top-k, --top-p: only for runs that write sentences")
    directions = loaded.game.translators()
    if not directions:
        return _of_noise(Model(run, at, weights, loaded), truncation)
    if direction not in directions:
        raise CardiganError(f"--direction: {run.name} cannot translate {direction}; {allowed(direction, directions)}")
    if truncation != 1:
        raise CardiganError("--truncation: a translator has no latents to truncate; allowed here: 1")
    return _of_sources(loaded, directions[direction])


def _of_noise(model: Model, truncation: float) -> Maker:
    def stream(count: int, seed: int, labels: Tensor | None, real: Dataset) -> Iterator[Tensor]:
        return model.stream(count, seed=seed, labels=labels, truncation=truncation)

    def paths(eye: Extractor, seed: int) -> PathLength:
        return measured_paths(model, eye, truncation, seed)

    return Maker(model.clock, model.form, model.codec, stream, model.conditional, paths, truncation=truncation)


def _of_sources(loaded: Players, player: str) -> Maker:
    translator = loaded.players[player]
    assert isinstance(translator, Translator)
    translate = partial(translated, translator)
    return Maker(loaded.clock, loaded.form, loaded.codec, partial(translated_stream, translate), translate=translate)


def _of_sentences(writing: Writing, truncation: float, direction: Direction, sampling: Sampling | None) -> Maker:
    if truncation != 1:
        raise CardiganError("--truncation: a writer has no latents to truncate; allowed here: 1")
    if direction != "forward":
        raise CardiganError(f"--direction: {writing.run.name} cannot write {direction}; allowed here: forward")
    replies = isinstance(writing.codec, SentenceCodec) and writing.codec.context is not None
    searched = writing.paired and not replies and sampling is None
    how = sampling or Sampling()
    words = [f"temperature {how.temperature:g}"]
    words += [f"the {how.top_k} likeliest tokens"] if how.top_k else []
    words += [f"the likeliest tokens of {how.top_p:g} together"] if how.top_p < 1 else []

    def stream(count: int, seed: int, labels: Tensor | None, real: Dataset) -> Iterator[Tensor]:
        source = real.draw(0, count).source
        if not searched:
            yield from writing.stream(count, seed=seed, how=how, source=source)
            return
        assert source is not None
        for some in source.split(CHUNK):
            yield beam(writing.writer, some.to(writing.device), writing.form.shape[0], BEAM, length_penalty=1.0).cpu()

    return Maker(
        writing.clock,
        writing.form,
        writing.codec,
        stream,
        truncation=1.0,  # there is nothing that could be truncated: all writers agree in it
        surprise=partial(surprise, writing),
        sampling=f"beam search, {BEAM} candidates" if searched else ", ".join(words),
    )


@torch.no_grad()
def surprise(writing: Writing, tokens: Tensor, source: Tensor | None = None) -> Tensor:
    """Minus the log-probabilities that a writer gives sentences with their ends, (N, T) tokens -> (N,), in nats."""
    found = []
    for start in range(0, len(tokens), READ):
        some = tokens[start : start + READ].to(writing.device)
        given = None if source is None else source[start : start + READ].to(writing.device)
        found.append(-writing.writer.log_probabilities(some, given).double().sum(dim=1).cpu())
    return torch.cat(found)


def translated_stream(
    translate: Translate, count: int, seed: int, labels: Tensor | None, real: Dataset
) -> Iterator[Tensor]:
    """What is made of the first `count` sources of the shuffled sequence of `real`; there is no chance in it."""
    for start in range(0, count, CHUNK):
        source = real.draw(start, min(CHUNK, count - start)).source
        assert source is not None
        yield translate(source).float().cpu()


@torch.no_grad()
def translated(translator: Translator, sources: Tensor) -> Tensor:
    """(N, C', h, w) in [-1, 1] -> (N, C, H, W); large ones by tiles, one after another."""
    if max(sources.shape[2:]) > default_tile(translator):
        whole = (translate_whole(translator, source) for source in sources)
        return torch.stack([to_unit(each.permute(2, 0, 1)) for each in whole])
    return translate_batch(translator, sources).cpu()
