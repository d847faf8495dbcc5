"""What makes the samples of a run that is judged: a generator of noise, or a translator of real sources."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from cardigan.data.base import Codec, Dataset
from cardigan.data.memory import to_unit
from cardigan.data.pair_codec import Direction
from cardigan.errors import CardiganError
from cardigan.evaluation.paths import measured_paths
from cardigan.extractors.base import Extractor
from cardigan.generate import Model
from cardigan.metrics.path_length import PathLength
from cardigan.networks.base import Translator
from cardigan.players import Players, Weights, load_players
from cardigan.run import Run
from cardigan.sample import Form
from cardigan.settings import allowed
from cardigan.tiling import default_tile, translate_batch, translate_whole

Stream = Callable[[int, int, Tensor | None, Dataset], Iterator[Tensor]]
"""(n, seed, labels or None, real samples of the split that is judged) -> n samples, some at a time."""
Translate = Callable[[Tensor], Tensor]
"""Sources (N, C', h, w) in [-1, 1], of any size -> samples (N, C, H, W)."""
Paths = Callable[[Extractor, int], PathLength]
"""(extractor, seed) -> the perceptual path length."""
CHUNK = 50
"""Sources translated at once."""


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
    """

    clock: int
    form: Form
    codec: Codec
    stream: Stream
    labelled: bool = False
    paths: Paths | None = None
    translate: Translate | None = None
    truncation: float | None = None


def maker(run: Run, at: int | None, weights: Weights, truncation: float, direction: Direction) -> Maker:
    """What makes the samples of `run`, of its newest checkpoint or the one at clock `at`.

    Raises:
        CardiganError: there is no such checkpoint or direction, or truncation is asked of a translator.
    """
    loaded = load_players(run, at, weights, "evaluate")
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
