"""What the metrics see of one set of samples: gathered in one pass, in memory that does not grow with their number."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from cardigan.extractors.base import Extractor
from cardigan.metrics.moments import Moments

GROUPS = 10
"""Groups of the jackknife: sample i is in group i % GROUPS."""
FEATURES = 10_000
"""Samples whose features are kept, for the metrics that need them."""
PIXELS = 2_000
"""Samples that are kept themselves."""


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
        samples: (min(count, PIXELS), *form.shape), the first of them.
    """

    name: str
    count: int
    moments: Moments
    features: Tensor
    logits: Tensor | None
    labels: Tensor | None
    samples: Tensor


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
        if count < PIXELS:
            samples.append(batch[: PIXELS - count])
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
