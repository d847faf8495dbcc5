"""The judge of benchmarks: the local extractor of some data beside real samples that it is held against."""

from dataclasses import dataclass

import torch
from torch import Tensor

from cardigan.data.base import Data
from cardigan.extractors.local import local
from cardigan.metrics.frechet import frechet_from_features

CHUNK = 500


@dataclass(frozen=True)
class Seen:
    """What the judge made of (N, *shape) samples.

    Attributes:
        features: (N, 192).
        counts: (classes,) samples that it took for each class.
    """

    features: Tensor
    counts: Tensor


class Judge:
    """Local Fréchet distances to `real`, and how often each class occurs.

    The extractor is the package's own "judge": a small classifier trained once on half of the train split, which
    nothing that trains ever looks through.
    """

    def __init__(self, data: Data, real: Tensor) -> None:
        self.eye = local(data, "judge")
        self.real = self.look(real).features

    def look(self, samples: Tensor) -> Seen:
        """See (N, *shape) samples, pictures in [-1, 1]."""
        seen = [self.eye(chunk) for chunk in samples.split(CHUNK)]
        classes = torch.cat([each.logits.argmax(1) for each in seen if each.logits is not None])
        return Seen(torch.cat([each.values for each in seen]), torch.bincount(classes, minlength=len(self.eye.classes)))

    def distance(self, seen: Seen) -> float:
        """The Fréchet distance between what was seen and the real samples."""
        return frechet_from_features(seen.features, self.real)
