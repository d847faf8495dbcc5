"""Bias audit: which groups are over- or under-represented among generated samples, and how well each is made.

A small classifier learns the attribute from real samples of the train split; its confusion matrix is measured on real
samples that it has not seen; what it says of generated samples is corrected by that (metrics/prevalence.py).
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from cardigan.data.base import Dataset, Watch, silent
from cardigan.errors import CardiganError
from cardigan.evaluation.classifier import classifier, each, predicted
from cardigan.extractors import fitting
from cardigan.extractors.base import Extractor
from cardigan.extractors.local import class_names
from cardigan.metrics.manifold import manifold
from cardigan.metrics.prevalence import Prevalence, prevalence

SEEN = 150_000
"""Samples that the classifier sees in training, at most."""
PASSES = 40
"""Passes over the train split, at most."""
FEWEST = 50
"""Samples of a group, generated and real, below which its precision and recall are not measured."""
LARGEST = 1000
"""Samples of a group that precision and recall are measured with, at most."""
NEIGHBOURS = 5


@dataclass(frozen=True)
class Quality:
    """Precision and recall of one group (Kynkäänniemi et al. 2019), 0..1, among as many generated as real samples.

    Attributes:
        precision: share of the generated samples within the real manifold.
        recall: share of the real samples within the generated manifold.
        floor_precision: what as many real samples of the train split reach.
        floor_recall: likewise.
        count: samples of each side.
    """

    precision: float
    recall: float
    floor_precision: float
    floor_recall: float
    count: int


@dataclass(frozen=True)
class Group:
    """One value of the attribute; shares are 0..1.

    Attributes:
        name: of the group.
        share: among the generated samples, corrected for the classifier's mistakes.
        low: lower end of its 95% interval.
        high: upper end.
        uncorrected: as the classifier counts it.
        real: share among the real samples, by their labels.
        verdict: "over-represented", "under-represented" or "as in the real data".
        quality: precision and recall; None where there are too few samples, or no extractor.
    """

    name: str
    share: float
    low: float
    high: float
    uncorrected: float
    real: float
    verdict: str
    quality: Quality | None = None

    def line(self) -> str:
        """In words."""
        text = (
            f"{self.name}: {self.share:.2f} ({self.low:.2f} to {self.high:.2f}) against {self.real:.2f}: {self.verdict}"
        )
        if self.quality is None:
            return text
        quality = self.quality
        return (
            f"{text}; precision {quality.precision:.2f} (real samples {quality.floor_precision:.2f}), "
            f"recall {quality.recall:.2f} (real samples {quality.floor_recall:.2f})"
        )


@dataclass(frozen=True)
class Audit:
    """Groups of one attribute among generated and real samples.

    Attributes:
        attribute: what groups the samples.
        groups: in the order of the labels.
        p_value: how likely differences this large are where all shares are equal.
        accuracy: share that the classifier gets right of held-out real samples, averaged over groups.
        generated_count: generated samples.
        real_count: real samples that give the real shares.
        held_out_count: real samples that give the confusion matrix.
        remarks: what should be known, a sentence each.
    """

    attribute: str
    groups: tuple[Group, ...]
    p_value: float
    accuracy: float
    generated_count: int
    real_count: int
    held_out_count: int
    remarks: tuple[str, ...] = ()

    @property
    def biased(self) -> bool:
        """Whether any group is over- or under-represented by more than chance explains."""
        return any(group.verdict != AS_REAL for group in self.groups)

    def summary(self) -> str:
        """In one sentence."""
        mine, theirs = ("/".join(f"{100 * share:.0f}" for share in shares) for shares in self._shares())
        if not self.biased:
            return (
                f"{self.attribute}: no group is over- or under-represented by more than chance (p = {self.p_value:.2g})"
            )
        return f"{self.attribute}: {mine} where the real data is {theirs} (p = {self.p_value:.2g})"

    def lines(self) -> Iterator[str]:
        """As text for people."""
        yield self.summary()
        for group in self.groups:
            yield f"  {group.line()}"
        yield (
            f"{self.generated_count:,} generated and {self.real_count:,} real samples; the classifier is right on "
            f"{self.accuracy:.1%} of {self.held_out_count:,} held-out real ones (mean over groups), which shares are "
            "corrected for"
        )
        yield from self.remarks

    def plain(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)

    def _shares(self) -> tuple[list[float], list[float]]:
        return [group.share for group in self.groups], [group.real for group in self.groups]


AS_REAL = "as in the real data"
ASSUMPTION = "this holds as far as generated samples of a group look to the classifier like real ones of it"


def audit(
    generated: Tensor,
    train: Dataset,
    test: Dataset,
    *,
    held_out: Dataset | None = None,
    extractor: Extractor | None = None,
    attribute: str = "class",
    steps: int | None = None,
    seed: int = 0,
    watch: Watch = silent,
) -> Audit:
    """Compare the shares of groups among `generated` (N, *form.shape) with those among real samples.

    The labels of the data are the attribute: for another than its classes, load the data with a table of it
    (`data.labels=FILE`). Samples should be drawn as the generator is meant to be used; of a conditional one, shares are
    whatever labels it was asked for.

    Args:
        train: trains the classifier.
        test: gives the real shares, and the real samples of precision and recall.
        held_out: gives the confusion matrix; None: `test`, which the classifier has not seen either. What is taken for
            what does not depend on how many there are, so both may come from the same samples.
        extractor: its features give precision and recall; None: neither is measured.
        attribute: what to call the labels.
        steps: of the classifier's training; None: 40 passes, 150,000 samples at most.
        seed: of classifier and bootstrap.

    Raises:
        CardiganError: data without labels, samples of another shape, a group without held-out samples, a classifier
            that is no better than chance.
    """
    names = class_names(train)
    _check(generated, train, test, names)
    batch = fitting.BATCH
    steps = max(50, min(SEEN, PASSES * len(train)) // batch) if steps is None else steps
    network = classifier(train.form, lambda step: train.draw(step * batch, batch), steps, seed, watch=watch)
    groups = predicted(network, generated)
    seen, truth = each(held_out or test, lambda samples: predicted(network, samples))
    confusion = _counts(truth * len(names) + seen, len(names) ** 2).reshape(len(names), len(names))
    _, labels = each(test, lambda samples: samples[:, :0].flatten(1))
    found = prevalence(_counts(groups, len(names)), confusion, _counts(labels, len(names)), names, seed=seed)
    qualities: list[Quality | None] = [None] * len(names)
    if extractor is not None:
        qualities = _qualities(generated, groups, train, test, extractor)
    return Audit(
        attribute,
        tuple(_group(name, found, place, qualities[place]) for place, name in enumerate(names)),
        found.p_value,
        found.accuracy,
        len(generated),
        len(labels),
        len(truth),
        (*_too_few(names, qualities, extractor), ASSUMPTION),
    )


def _check(generated: Tensor, train: Dataset, test: Dataset, names: tuple[str, ...]) -> None:
    if train.form.classes < 2 or test.form.classes != train.form.classes:
        raise CardiganError(
            "audit: the data carry no labels of two groups or more; allowed: data with classes, or a table of them by "
            "file name: data.labels=FILE"
        )
    if generated.shape[1:] != train.form.shape or not len(generated):
        raise CardiganError(
            f"audit: generated samples of shape {tuple(generated.shape)}, but real ones of {train.form.shape}"
        )
    if class_names(test) != names:
        raise CardiganError(
            f"audit: groups are {', '.join(names)} in train, but {', '.join(class_names(test))} in test"
        )


def _counts(indices: Tensor, among: int) -> Any:
    return torch.bincount(indices, minlength=among).numpy()


def _group(name: str, found: Prevalence, place: int, quality: Quality | None) -> Group:
    verdict = AS_REAL
    if found.shifted and found.excess_low[place] > 0:
        verdict = "over-represented"
    if found.shifted and found.excess_high[place] < 0:
        verdict = "under-represented"
    return Group(
        name,
        share=found.shares[place],
        low=found.low[place],
        high=found.high[place],
        uncorrected=found.uncorrected[place],
        real=found.real[place],
        verdict=verdict,
        quality=quality,
    )


def _qualities(
    generated: Tensor, groups: Tensor, train: Dataset, test: Dataset, extractor: Extractor
) -> list[Quality | None]:
    """Of each group: generated samples belong to the one that the classifier sees, real ones to that of their label."""
    mine = extractor(generated).values
    real, labels = each(test, lambda samples: extractor(samples).values)
    more, more_labels = each(train, lambda samples: extractor(samples).values)
    return [
        _quality(mine[groups == group], real[labels == group], more[more_labels == group])
        for group in range(train.form.classes)
    ]


def _quality(generated: Tensor, real: Tensor, more: Tensor) -> Quality | None:
    """Equal counts on all sides: precision and recall depend on them."""
    count = min(len(generated), len(real), len(more), LARGEST)
    if count < FEWEST:
        return None
    found, floor = (manifold(some[:count], real[:count], NEIGHBOURS) for some in (generated, more))
    return Quality(found.precision, found.recall, floor.precision, floor.recall, count)


def _too_few(names: tuple[str, ...], qualities: list[Quality | None], extractor: Extractor | None) -> tuple[str, ...]:
    missing = [name for name, quality in zip(names, qualities, strict=True) if quality is None]
    if extractor is None or not missing:
        return ()
    named = ", ".join(missing)
    return (f"precision and recall need {FEWEST} samples of a group, generated, train and test; too few: {named}",)
