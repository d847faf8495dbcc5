"""A recipe for a user's own pictures (or texts), chosen by looking at them: what `cardigan train auto` trains."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import prod, sqrt
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cardigan.data.pictures import Pictures
from cardigan.data.sources.pixels import original
from cardigan.data.sources.source import Pixels, Source, UnreadableError, shown
from cardigan.errors import CardiganError
from cardigan.inspection.mirror import ENOUGH, mirrored_alike
from cardigan.inspection.text import is_text
from cardigan.inspection.thumbs import SIDE as THUMB
from cardigan.inspection.thumbs import seen
from cardigan.recipe import AUTO, Recipe, build, flatten, layers, load_recipe, merge
from cardigan.text_proposal import propose_text

MOST = 2000
"""Pictures, chosen at random, on which the proposal rests ..."""
MOST_PIXELS = 4e8
"""... or fewer, if they have so many pixels together."""
SIDE = {"cpu": 64, "cuda": 128}
"""Side of a square of as many pixels as are proposed at most."""
LEARNABLE = 100
"""Pictures that each class must have for labels to be used."""
MOST_CLASSES = 1000
"""Classes beyond which labels are not used unasked."""


@dataclass(frozen=True)
class Facts:
    """What a proposal rests on.

    Attributes:
        count: pictures to train on.
        sizes: (n, 2) heights and widths of those looked at.
        grey: whether all of them are grey.
        see_through: share with transparent pixels.
        classes: number of classes.
        smallest: pictures of the smallest class.
        alike: 0..1, how much the set looks the same in a mirror.
    """

    count: int
    sizes: NDArray[np.int64]
    grey: bool
    see_through: float
    classes: int
    smallest: int
    alike: float


@dataclass(frozen=True)
class Proposal:
    """A recipe, and the reason of each choice in words: (key, value, reason)."""

    recipe: Recipe
    reasons: tuple[tuple[str, str, str], ...]

    def lines(self) -> list[str]:
        """The choices as a table for people, a line each."""
        width = max((len(f"{key}={value}") for key, value, _ in self.reasons), default=0)
        return [f"{f'{key}={value}':<{width}}  {reason}" for key, value, reason in self.reasons]


def propose(data: str | None, overrides: Iterable[str] = (), source: Source | None = None) -> Proposal:
    """A recipe for the pictures or texts at `data`, with the user's `overrides` over it.

    Args:
        source: the pictures, where they have been opened already.

    Raises:
        CardiganError: no data, or data that cannot be read.
    """
    overrides = list(overrides)
    if source is None and data is not None and is_text(data):
        found = propose_text(data, overrides)
        return Proposal(found.recipe, found.reasons)
    asked = asked_for(data, overrides)
    data, facts = asked.source, look(source or asked.open())
    overriding, base = layers(overrides), load_recipe("pictures").plain()
    choices = _choices(facts, asked, _device(overriding))
    contents: dict[str, Any] = {"name": _name(data), "about": f"Proposed for {data}"}
    for key, value, _ in choices:
        for part in reversed(key.split(".")):
            value = {part: value}
        contents = merge(contents, value)
    recipe = build(base, contents, {"data": {"source": data}}, *overriding)
    recipe = recipe.but(data=recipe.data.anchored())
    overridden = set(flatten(overriding[0])) if overriding else set()
    if overridden & {"training.samples", "training.minutes"}:  # one budget clears the other
        overridden |= {"training.samples"}
    reasons = [(key, _shown(value), reason) for key, value, reason in choices if key not in overridden]
    return Proposal(recipe, tuple(reasons))


def _device(overriding: list[dict[str, Any]]) -> str:
    """Where the recipe will be trained: "cpu" or "cuda"."""
    import torch

    asked = flatten(overriding[0]).get("engine.device", "auto") if overriding else "auto"
    return "cuda" if asked == "cuda" or (asked == "auto" and torch.cuda.is_available()) else "cpu"


def asked_for(data: str | None, overrides: Iterable[str] = ()) -> Pictures:
    """The pictures at `data`, with what `overrides` say of them (classes, labels) but nothing that is proposed.

    Raises:
        CardiganError: no data, or not pictures.
    """
    overrides = list(overrides)
    named = [flatten(layer).get("data.source") for layer in layers(overrides)]
    data = data if data is not None else next((str(each) for each in named if each is not None), None)
    if data is None:
        raise CardiganError(f"{AUTO} looks at pictures to choose a recipe for them: give --data SOURCE")
    plain = {"data": {"source": data, "size": None, "channels": None}}
    overriding = [{"data": layer["data"]} for layer in layers(overrides) if "data" in layer]
    asked = build(load_recipe("pictures").plain(), plain, *overriding, {"data": {"source": data}}).data
    if not isinstance(asked, Pictures):
        raise CardiganError(f"{AUTO} chooses recipes for pictures, not for data of kind {asked.kind!r}")
    return asked


def look(source: Source) -> Facts:
    """Look at some pictures of the train split.

    Raises:
        CardiganError: none of them can be read.
    """
    part = source.parts["train"]()
    sizes, modes, thumbs, pixels = list[tuple[int, int]](), list[str](), list[Pixels](), 0
    for index in np.random.default_rng(0).permutation(len(part))[:MOST]:
        try:
            image, _ = original(part, int(index))
        except UnreadableError:  # named and counted when all are read
            continue
        sizes.append((image.height, image.width))
        modes.append(image.mode)
        thumbs.append(np.asarray(seen(image).convert("L").resize((THUMB, THUMB), Image.Resampling.BOX)))
        pixels += image.height * image.width
        if pixels > MOST_PIXELS:
            break
    if not sizes:
        raise CardiganError(f"{shown(source.name)}: none of the pictures that were looked at can be read")
    counts = np.bincount(part.labels, minlength=len(source.classes)) if part.labels is not None else np.zeros(0)
    return Facts(
        count=len(part),
        sizes=np.array(sizes),
        grey=all(mode in ("L", "LA") for mode in modes),
        see_through=sum(mode in ("LA", "RGBA") for mode in modes) / len(modes),
        classes=len(source.classes) if part.labels is not None else 0,
        smallest=int(counts.min()) if len(counts) else 0,
        alike=mirrored_alike(np.stack(thumbs)),
    )


Choice = tuple[str, Any, str]


def _choices(facts: Facts, asked: Pictures, device: str) -> list[Choice]:
    height, width, reason = picture_size(facts, SIDE[device])
    if asked.sides is not None:
        height, width = asked.sides
    pixels = height * width
    side: Any = [height, width] if height != width else height
    if asked.crop is not None:
        side, reason = None, "pictures keep their size where crops are taken"
    return [
        ("data.size", side, reason),
        _channels(facts),
        _flip(facts),
        *_augmentation(facts),
        *_networks(pixels),
        *_penalties(facts, pixels),
        *_labels(facts),
        _batch(facts),
        _budget(facts),
    ]


def picture_size(facts: Facts, side: int) -> tuple[int, int, str]:
    """Height, width and why: never larger than the pictures, about `side` x `side` pixels at most."""
    middle = np.median(facts.sizes, axis=0)
    own = (int(middle[0]), int(middle[1]))
    if len(np.unique(facts.sizes, axis=0)) == 1 and prod(own) <= 1.1 * side**2:
        return *own, "all have this size"
    ratios = facts.sizes[:, 1] / facts.sizes[:, 0]
    ratio = float(np.median(ratios))
    alike = float((np.abs(np.log(ratios / ratio)) < 0.05).mean())
    if alike < 0.9 or 0.8 < ratio < 1.25:
        ratio = 1.0
    scale = min(side / sqrt(ratio), middle[0], middle[1] / ratio)
    height, width = max(8, int(scale) // 4 * 4), max(8, int(scale * ratio) // 4 * 4)
    smaller = f"the middle one has {own[0]}x{own[1]} (height x width)"
    if prod(own) > 1.1 * side**2:
        smaller += "; more takes longer, in proportion to the pixels"
    shape = "" if ratio == 1.0 else f", {alike:.0%} have this shape"
    return height, width, smaller + shape


def _channels(facts: Facts) -> Choice:
    if facts.see_through > 0.5:
        return "data.channels", 4, f"{facts.see_through:.0%} of them have transparent pixels"
    if facts.grey:
        return "data.channels", 1, "all that were looked at are grey"
    return "data.channels", 3, "they have colours"


def _flip(facts: Facts) -> Choice:
    flip = facts.alike >= ENOUGH
    return "data.flip", flip, f"mirrored, they look {'the same' if flip else 'different'} ({facts.alike:.2f} of 1)"


def _augmentation(facts: Facts) -> list[Choice]:
    """The fewer pictures, the more the discriminator must be kept from knowing them by heart (Zhao et al. 2020)."""
    if facts.count > 20_000:
        return []
    few = f"{facts.count:,} pictures are few"
    moved: list[Choice] = [("game.augmentation.translation", 0.125, few)]
    return moved if facts.count > 1_000 else [*moved, ("game.augmentation.cutout", 0.25, few)]


def _networks(pixels: int) -> list[Choice]:
    depth = 3 if pixels <= 40**2 else 4 if pixels <= 90**2 else 5
    return [("game.networks.discriminator.depth", depth, f"for {pixels:,} pixels")]


def _penalties(facts: Facts, pixels: int) -> list[Choice]:
    """R1 and R2 grow with the number of pixels (Karras et al. 2020, appendix C) and where pictures are few."""
    weight = 0.3 if pixels <= 40**2 else 3.0 if pixels <= 90**2 else 10.0
    why = f"for {pixels:,} pixels"
    if facts.count < 1000:
        weight, why = 2 * weight, f"{why} and only {facts.count:,} pictures"
    return [(f"game.penalties.{name}.weight", weight, why) for name in ("r1", "r2")]


def _labels(facts: Facts) -> list[Choice]:
    if facts.classes < 2:
        return []
    told = f"{facts.classes} classes, the smallest of {facts.smallest:,} pictures"
    usable = facts.smallest >= LEARNABLE and facts.classes <= MOST_CLASSES
    return [("game.labels", "projection" if usable else "none", told)]


def _batch(facts: Facts) -> Choice:
    if facts.count < 64:
        return "training.batch", 16, f"only {facts.count:,} pictures"
    return "training.batch", 32, "small batches move on faster where the budget is short"


def _budget(facts: Facts) -> Choice:
    samples = int(np.clip(300 * facts.count, 300_000, 5_000_000))
    return "training.samples", samples, f"each picture is seen about {samples // facts.count:,} times"


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return "x".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _name(data: str) -> str:
    """A name for the runs: "photos" for ./photos, photos.zip or owner/photos."""
    stem = Path(data).name.split(".")[0] or "pictures"
    return f"{AUTO}-{stem}"
