"""What a measure looks at, what it finds, and how the interval of a number is found."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from torch import Tensor

from cardigan.evaluation.language import Language, Surprise
from cardigan.evaluation.likeness import Likeness
from cardigan.evaluation.protocol import Better
from cardigan.evaluation.usefulness import Study, Usefulness
from cardigan.evaluation.view import GROUPS, View
from cardigan.extractors.base import Eye
from cardigan.metrics.jackknife import jackknife
from cardigan.metrics.path_length import PathLength

Value = TypeVar("Value")
INF = float("inf")
NO_PICTURES = "the samples are no pictures"
"""Why many measures do not apply; of sentences that goes without saying."""


@dataclass(frozen=True)
class Found:
    """One number that a measure found.

    Attributes:
        key: of the metric.
        value: its value.
        generated: generated samples used.
        reference: real samples used.
        low: lower end of its 95% interval.
        high: upper end.
        better: which direction is better.
        floor: what real samples reach, where the measure knows it itself.
        ceiling: what a trivial generator reaches, likewise.
        note: for the reader.
        alarm: whether the measure's own test says that something is wrong; None: it has none.
        among: the split that the real samples used are from, where it is not that of the reference.
        real: name and hash of the real samples used, where they are others than the reference; else None.
        eye: what was looked through, where that is another network than the extractor; else None.
        pairs: generated and train samples to be shown beside each other, the most telling first.
    """

    key: str
    value: float
    generated: int
    reference: int
    low: float | None = None
    high: float | None = None
    better: Better = "lower"
    floor: float | None = None
    ceiling: float | None = None
    note: str = ""
    alarm: bool | None = None
    among: str = ""
    real: tuple[str, str] | None = None
    eye: Eye | None = None
    pairs: Sequence[tuple[int, int]] = ()


@dataclass(frozen=True)
class Scene:
    """What a measure may look at.

    Attributes:
        generated: samples that are judged, or stand-ins for them: real ones (floor), trivial ones (ceiling).
        reference: real samples.
        train: real samples of the train split.
        held_out: real samples that are neither reference nor train, where there are such; else of test.
        classes: names of the classes that logits and labels stand for; empty without.
        domains: names of the domains that logits tell apart instead, the last the one samples should be of; or empty.
        asked: whether the labels of generated samples are those they were asked for.
        intervals: whether 95% intervals are wanted.
        seed: of random subsets and projections.
        paths: measures the perceptual path length; None without a generator of noise.
        likeness: how like each picture is to what it should be; None where samples are made of noise.
        language: what is known of sentences beside their tokens; None where samples are none.
        usefulness: trains classifiers on generated and on real samples; None without labels.
        augmentation: trains classifiers on real and generated samples together; likewise.
    """

    generated: View
    reference: View
    train: View
    held_out: View
    classes: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()
    asked: bool = False
    intervals: bool = True
    seed: int = 0
    paths: Callable[[], PathLength] | None = None
    likeness: Likeness | None = None
    language: Language | None = None
    usefulness: Callable[[], Usefulness] | None = None
    augmentation: Callable[[], Sequence[Study]] | None = None

    def with_generated(self, view: View) -> "Scene":
        """The same with stand-ins for the generated samples, whose intervals nobody asks for."""
        return replace(self, generated=view, asked=False, intervals=False, likeness=None)

    def with_rival(self, view: View, likeness: Likeness) -> "Scene":
        """The same with what another way makes of the same sources."""
        return replace(self, generated=view, likeness=likeness)

    def with_writer(self, view: View, surprise: Surprise | None) -> "Scene":
        """The same with what another way writes, and how likely that finds sentences."""
        assert self.language is not None
        return replace(self, generated=view, language=replace(self.language, surprise=surprise))

    @property
    def counts(self) -> tuple[int, int]:
        """Features kept of generated and of real samples."""
        return len(self.generated.features), len(self.reference.features)


Run = Callable[[Scene], Iterator[Found]]


@dataclass(frozen=True)
class Measure:
    """A way of measuring.

    Attributes:
        run: does it.
        version: counted up whenever the value for the same input changes.
        network: whether it looks through the extractor, so that its scores depend on that.
        floor: whether real samples in the place of generated ones give one.
        ceiling: whether independent pixels or tokens in their place give one; they are not the worst of everything.
        why_not: says why it does not apply to a scene; empty if it does.
        quiet: whether that is kept from those who did not ask for the measure by its name.
    """

    run: Run
    version: int = 1
    network: bool = True
    floor: bool = True
    ceiling: bool = True
    why_not: Callable[[Scene], str] = lambda scene: ""
    quiet: bool = False


def left_out(scene: Scene, statistic: Callable[[Tensor, Tensor], Value], mine: Tensor, theirs: Tensor) -> list[Value]:
    """The statistic without each group of samples, left out on both sides; empty where no interval is wanted."""
    groups = range(GROUPS) if scene.intervals else ()
    return [statistic(but(mine, group), but(theirs, group)) for group in groups]


def but(features: Tensor, group: int) -> Tensor:
    """(N, ...) without the samples of one group."""
    return features[torch.arange(len(features)) % GROUPS != group]


def interval(without: Sequence[float], value: float, low: float, high: float) -> tuple[float | None, float | None]:
    """The jackknife's 95% interval, cut to the values that there are; none without groups."""
    if not without:
        return None, None
    ends = jackknife(without, value)
    return max(low, ends[0]), min(high, ends[1])
