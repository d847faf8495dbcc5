"""How like pictures made of others are to what they should be: one pass over whole pictures, each judged by itself."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from cardigan.data.base import Codec, Dataset
from cardigan.evaluation.makers import Translate
from cardigan.extractors.base import Extractor, Eye
from cardigan.metrics.colourfulness import colourfulness
from cardigan.metrics.edges import edge_energy, edge_similarity
from cardigan.metrics.psnr import psnr, psnr_hole, psnr_luma
from cardigan.metrics.ssim import ssim
from cardigan.objectives.perceptual import perceptual
from cardigan.sample import Batch

if TYPE_CHECKING:
    from cardigan.extractors.lpips import LPIPS

SHOWN = 8
"""Pictures that are shown."""
LARGEST_SHOWN = 256
"""Pixels of a side, of pictures that are shown: larger ones are cropped."""
LARGEST_TILE = 1024
"""Pixels of a side that a network looks at in one piece."""


@dataclass(frozen=True)
class Trial:
    """Pictures of one size.

    Attributes:
        source: (N, C', h, w) what was given.
        made: (N, C, H, W) what was made of it, rounded to 8 bits like a file.
        truth: (N, C, H, W) what should have been made; of unpaired data, anything of that kind.
        scale: sides of samples over those of sources.
        hole: (N, 1, H, W) bool, where something was to be filled in; None: everywhere.
        eye: looks at samples.
    """

    source: Tensor
    made: Tensor
    truth: Tensor
    scale: int
    hole: Tensor | None
    eye: Extractor


Judgement = Callable[[Trial], Tensor]
"""A trial -> one number for each of its pictures, (N,)."""


def by_tiles(distance: Callable[[Tensor, Tensor], Tensor], made: Tensor, truth: Tensor) -> Tensor:
    """The distance of each of two (N, C, H, W), (N,) float64, in memory that does not grow with number and size.

    Sides of more than `LARGEST_TILE` pixels are cut into equal tiles of at most that, whose distances are averaged by
    their area.
    """
    height, width = made.shape[2:]
    total = torch.zeros(len(made), dtype=torch.float64)
    for top, bottom in pairwise(_cuts(height)):
        for left, right in pairwise(_cuts(width)):
            area = (bottom - top) * (right - left)
            some = max(1, LARGEST_TILE**2 // area)  # of small pictures many are looked at together
            sides = [each[:, :, top:bottom, left:right].split(some) for each in (made, truth)]
            found = torch.cat([distance(one, other) for one, other in zip(*sides, strict=True)])
            total += found.double().cpu() * (area / (height * width))
    return total


def _cuts(side: int) -> list[int]:
    count = -(-side // LARGEST_TILE)
    return [number * side // count for number in range(count + 1)]


@torch.no_grad()
def _perceptual(trial: Trial) -> Tensor:
    def distance(made: Tensor, truth: Tensor) -> Tensor:
        return perceptual(trial.eye.maps(made), trial.eye.maps(truth))

    return by_tiles(distance, trial.made, trial.truth)


def _hole(trial: Trial) -> Tensor:
    assert trial.hole is not None
    return psnr_hole(trial.made, trial.truth, trial.hole)


def _content(trial: Trial) -> Tensor:
    return edge_similarity(trial.source, trial.made)


@cache
def _lpips() -> "LPIPS":
    from cardigan.extractors.lpips import lpips

    return lpips()


PAIRED: dict[str, Judgement] = {
    "psnr": lambda trial: psnr(trial.made, trial.truth),
    "psnr-luma": lambda trial: psnr_luma(trial.made, trial.truth, border=trial.scale if trial.scale > 1 else 0),
    "ssim": lambda trial: ssim(trial.made, trial.truth),
    "edge-energy": lambda trial: edge_energy(trial.made) / edge_energy(trial.truth).clamp(min=1.0),
    "colourfulness": lambda trial: colourfulness(trial.made),
    "colourfulness-real": lambda trial: colourfulness(trial.truth),
}
"""What is judged where the truth is known."""
LEAST = {"ssim": 11, "content": 13, "edge-energy": 3, "lpips": 31}
"""Pixels of the shorter side that a judgement needs."""
HOLE: dict[str, Judgement] = {"psnr-hole": _hole}
"""What is judged besides, where holes are filled."""
LOOKED: dict[str, Judgement] = {"perceptual": _perceptual}
"""What is judged besides, through an extractor that gives activations."""
LEARNED: dict[str, Judgement] = {"lpips": lambda trial: by_tiles(_lpips(), trial.made, trial.truth)}
"""What is judged besides, where it is asked for: through a network of its own."""
UNPAIRED: dict[str, Judgement] = {
    "content": _content,
    "colourfulness": PAIRED["colourfulness"],
    "colourfulness-real": PAIRED["colourfulness-real"],
}
"""What is judged where the truth is not known."""


@dataclass(frozen=True)
class Likeness:
    """What was found.

    Attributes:
        values: key -> (n,) float64, one number a picture.
        reference: what the real pictures are called, where they are not those of the test split; else empty.
        fingerprint: of them.
        panels: the first pictures, by the name of the panel: input, output and, where it is known, truth.
        eyes: key -> what was looked through, where that is a network of its own.
    """

    values: Mapping[str, Tensor]
    reference: str
    fingerprint: str
    panels: Mapping[str, Tensor]
    eyes: Mapping[str, Eye] = field(default_factory=dict)

    def mean(self, key: str) -> tuple[float, float, int]:
        """Mean over pictures, half of its 95% interval (normal approximation), number of pictures."""
        values = self.values[key]
        count = len(values)
        half = 1.96 * float(values.std()) / count**0.5 if count > 1 else float("inf")
        return float(values.mean()), half, count


def judge(
    dataset: Dataset, translate: Translate, codec: Codec, eye: Extractor, *, reference: str = "", lpips: bool = False
) -> Likeness:
    """Translate every picture of `dataset` and compare.

    Raises:
        CardiganError: LPIPS is asked for and cannot be had.
    """
    values: dict[str, list[Tensor]] = {}
    chosen = Spread()
    for trial in trials(dataset.wholes(), translate, codec, eye):
        for key, found in _judgements(dataset, trial, lpips).items():
            values.setdefault(key, []).append(found(trial).double().cpu())
        for triple in zip(trial.source, trial.made, trial.truth, strict=True):
            chosen.add(triple)
    panels = dict(zip(("input", "output", "truth"), map(list, zip(*chosen.kept(), strict=True)), strict=True))
    return Likeness(
        values={key: torch.cat(each) for key, each in values.items()},
        reference=reference,
        fingerprint=dataset.fingerprint,
        panels=shown(panels, dataset.paired),
        eyes={"lpips": _lpips()} if "lpips" in values else {},
    )


class Spread:
    """Some of many things that come one after another, evenly spread over all of them, however many come."""

    def __init__(self) -> None:
        self.seen, self.step, self.some = 0, 1, list[tuple[Tensor, ...]]()

    def add(self, each: tuple[Tensor, ...]) -> None:
        """One more; every `step`-th is kept, and the step doubles when there are too many."""
        if self.seen % self.step == 0:
            self.some.append(each)
        self.seen += 1
        if len(self.some) > 2 * SHOWN:
            self.some, self.step = self.some[::2], 2 * self.step

    def kept(self) -> list[tuple[Tensor, ...]]:
        """At most `SHOWN`, in their order."""
        count = min(SHOWN, len(self.some))
        return [self.some[number * len(self.some) // count] for number in range(count)]


def trials(batches: Iterable[Batch], translate: Translate, codec: Codec, eye: Extractor) -> Iterator[Trial]:
    """Each batch with what is made of it."""
    for batch in batches:
        assert batch.source is not None
        made = codec.rounded(translate(batch.source).float().cpu())
        scale = made.shape[-1] // batch.source.shape[-1]
        hole = codec.holes(batch.source)
        if hole is not None:
            hole = hole.repeat_interleave(scale, 2).repeat_interleave(scale, 3)
        yield Trial(batch.source, made, batch.sample, scale, hole, eye)


def _judgements(dataset: Dataset, trial: Trial, lpips: bool) -> dict[str, Judgement]:
    if not dataset.paired:
        return _fitting(UNPAIRED, trial)
    found = PAIRED | (HOLE if trial.hole is not None else {}) | (LEARNED if lpips else {})
    return _fitting(found | (LOOKED if trial.eye.has_maps else {}), trial)


def _fitting(judgements: dict[str, Judgement], trial: Trial) -> dict[str, Judgement]:
    """Those that pictures of this size are large enough for."""
    side = min(trial.made.shape[2:])
    least = {**LEAST, "psnr-luma": 2 * trial.scale + 1 if trial.scale > 1 else 1}
    return {key: each for key, each in judgements.items() if side >= least.get(key, 1)}


def shown(panels: Mapping[str, list[Tensor]], paired: bool) -> dict[str, Tensor]:
    """The same of one size, cut from the middle so that what belongs together stays together."""
    outputs, inputs = panels["output"], panels["input"]
    scale = outputs[0].shape[-1] // inputs[0].shape[-1]
    side = min([LARGEST_SHOWN, *(length for picture in outputs for length in picture.shape[1:])]) // scale
    times = {"input": 1, "output": scale, "truth": scale}
    names = [name for name in panels if paired or name != "truth"]
    return {name: torch.stack([_middle(each, side, times[name]) for each in panels[name]]) for name in names}


def _middle(picture: Tensor, side: int, times: int) -> Tensor:
    """`side` pixels of the source and what belongs to them: `times` as many of what was made of it."""
    top, left = ((length // times - side) // 2 * times for length in picture.shape[1:])
    return picture[:, top : top + side * times, left : left + side * times]
