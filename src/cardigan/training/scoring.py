"""Scores while training: which checkpoint is the best so far, and whether training has stopped to improve.

They come from the guide, never from the judge of `cardigan evaluate`, and from real samples of the validation split,
never of test: what chooses must not be what judges.
"""

from collections.abc import Iterable
from functools import partial

import torch
from torch import Tensor

from cardigan.data.base import Watch
from cardigan.errors import CardiganError
from cardigan.extractors import usual
from cardigan.extractors.base import Extractor
from cardigan.extractors.local import local
from cardigan.extractors.raw import Raw
from cardigan.metrics.frechet import frechet_distance
from cardigan.metrics.kernel import kernel_distance
from cardigan.metrics.moments import Moments
from cardigan.randomness import Random
from cardigan.run import SCORE, Run
from cardigan.training.loop import Loop

CHUNK = 250
"""Samples made at once."""


class Scorer:
    """Scores the averaged generator of a loop against the validation split.

    Args:
        seed: which real samples are looked at; the run's own, whatever seed the guard has given to `loop`.
    """

    def __init__(self, loop: Loop, seed: int, watch: Watch) -> None:
        recipe = loop.recipe
        self.loop, self.settings = loop, recipe.scoring
        data = recipe.data.still()
        held_out = data.load("validation", seed, watch)
        if len(held_out) < 2:
            raise CardiganError(f"scoring: the validation split of {recipe.data.source} is empty; see data.validation")
        form = held_out.form
        self.extractor: Extractor = local(data, "guide", watch) if usual(form) == "local" else Raw(form)
        count = min(len(held_out), self.settings.samples)
        self.labels = self._real_labels()
        self.held_out = held_out
        self.real = self._features(held_out.draw(at, min(CHUNK, count - at)).sample for at in range(0, count, CHUNK))

    @property
    def name(self) -> str:
        """How the score is called in scalars.jsonl."""
        return f"{SCORE}{self.settings.metric}"

    def stalled(self, run: Run) -> bool:
        """Whether the last `patience` scores of the run are all no better than one before them."""
        values = [row[self.name] for row in run.scalars() if self.name in row]
        patience = self.settings.patience
        return patience is not None and len(values) > patience and min(values[-patience:]) >= min(values[:-patience])

    def score(self) -> float:
        """The distance now; draws from no random stream that training draws from."""
        generated = self._features(self._samples())
        if self.settings.metric == "kd":
            return kernel_distance(generated, self.real, subsets=1, size=len(generated)).value
        mine, theirs = (moments_of(features) for features in (generated, self.real))
        return frechet_distance(mine.mean, mine.covariance, theirs.mean, theirs.covariance)

    def _samples(self) -> Iterable[Tensor]:
        loop, count = self.loop, self.settings.samples
        inputs = loop.game.showcase(count, Random(loop.recipe.training.seed, "score"), partial(self.held_out.draw, 0))
        if "labels" in inputs and self.labels is not None:
            inputs["labels"] = self.labels
        players = loop.average.shown()
        for at in range(0, count, CHUNK):
            some = {name: self._here(value[at : at + CHUNK]) for name, value in inputs.items()}
            with torch.no_grad(), loop.precision.forward_context():
                samples = loop.game.show(players, **some).float().cpu()
            yield loop.dataset.codec.rounded(samples.nan_to_num(0.0).clamp(-1e6, 1e6))

    def _real_labels(self) -> Tensor | None:
        """As often as they occur in the train split."""
        labels = self.loop.dataset.draw(0, self.settings.samples).label
        return None if labels is None else labels.cpu()

    def _here(self, value: Tensor) -> Tensor:
        return value.to(self.loop.fabric.device, self.loop.choice.dtype if value.is_floating_point() else None)

    def _features(self, batches: Iterable[Tensor]) -> Tensor:
        return torch.cat([self.extractor(batch.cpu()).values for batch in batches])


def moments_of(features: Tensor) -> Moments:
    """Mean and covariance of (N, D) features."""
    moments = Moments(features.shape[1], 1)
    moments.add(features)
    return moments
