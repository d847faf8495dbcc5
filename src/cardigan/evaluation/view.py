"""What the metrics see of one set of samples: gathered in one pass, in memory that does not grow with their number."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from cardigan.extractors.base import Extractor
from cardigan.metrics.moments import Moments
from cardigan.tokens import rows

GROUPS = 10
"""Groups of the jackknife: sample i is in group i % GROUPS."""
FEATURES = 10_000
"""Samples whose features are kept, for the metrics that need them."""
PIXELS = 2_000
"""Samples that are kept themselves."""
TOKENS = 50_000
"""The same where they are sentences: they are small, and metrics need all of them."""


@dataclass(frozen=True)
class View:
    """One set of samples, as an extractor sees it.

    Attributes:
        name: "generated", "test", "train" ...
        count: samples seen.
        moments: of all features.
        features: (min(count, kept), D) float32, of the first samples.
        logits: (min(count, kept), classes), or None.
        labels: (count,) that were asked for or that the data gives, or None.
        samples: (min(count, `most_kept`), *form.shape), the first of them.
        sources: of real sentences, what each of `samples` should be made from; or None.
    """

    name: str
    count: int
    moments: Moments
    features: Tensor
    logits: Tensor | None
    labels: Tensor | None
    samples: Tensor
    sources: Tensor | None = None

    @cached_property
    def sentences(self) -> list[list[int]]:
        """Of samples that are sentences, the tokens of each, without its END."""
        return rows(self.samples)


def most_kept(sentences: bool) -> int:
    """Of how many samples a view keeps the samples themselves."""
    return TOKENS if sentences else PIXELS


def look(
    name: str,
    batches: Iterable[Tensor],
    extractor: Extractor,
    labels: Tensor | None = None,
    kept: int = FEATURES,
) -> View:
    """Pass `batches` (N, *form.shape) through `extractor`.

    Args:
        kept: samples whose features are kept; memory is bounded by that.
    """
    moments = Moments(extractor.dimension, GROUPS)
    features, logits, samples = list[Tensor](), list[Tensor](), list[Tensor]()
    count = 0
    for batch in batches:
        found = extractor(batch)
        moments.add(found.values)
        if count < kept:
            features.append(found.values[: kept - count])
            if found.logits is not None:
                logits.append(found.logits[: kept - count])
        most = most_kept(not batch.is_floating_point())
        if count < most:
            samples.append(batch[: most - count])
        count += len(batch)
    return View(
        name,
        count,
        moments,
        torch.cat(features),
        torch.cat(logits) if logits else None,
        None if labels is None else labels[:count],
        torch.cat(samples),
    )
