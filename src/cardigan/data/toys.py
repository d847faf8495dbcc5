"""Points in the plane from a known mixture of Gaussians, on which it can be counted what a generator has learnt."""

from dataclasses import dataclass
from hashlib import blake2b
from math import cos, isqrt, pi, sin
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator
from torch import Tensor

from cardigan.data.base import Codec, Data, Watch, silent
from cardigan.data.memory import InMemory
from cardigan.data.sources.source import Split
from cardigan.errors import CardiganError
from cardigan.randomness import Random
from cardigan.sample import Form
from cardigan.settings import Count

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Centres = tuple[tuple[float, float], ...]
"""(x, y) of each mode."""

_USUAL = {"ring": 8, "grid": 25, "spiral": 20}


def centres(source: str, modes: int) -> Centres:
    """Where modes lie: on the unit circle, on a square grid over [-1, 1], or along one and a half turns outwards."""
    if source == "grid":
        side = isqrt(modes)
        places = [2 * index / (side - 1) - 1 if side > 1 else 0.0 for index in range(side)]
        return tuple((x, y) for x in places for y in places)
    turns, inner = (1.0, 1.0) if source == "ring" else (1.5, 0.1)
    steps = modes if source == "ring" else max(1, modes - 1)
    found = []
    for index in range(modes):
        radius = inner + (1 - inner) * index / steps
        angle = 2 * pi * turns * index / steps
        found.append((round(radius * cos(angle), 9), round(radius * sin(angle), 9)))
    return tuple(found)


class Toy(Data):
    """A mixture of equally likely Gaussians in the plane, drawn once; the label is the mode."""

    kind: Literal["toy"] = "toy"
    """This kind of data."""
    source: Literal["ring", "grid", "spiral"] = "ring"
    """Where the modes lie: on the unit circle, on a square grid over [-1, 1], or along a spiral within the circle."""
    modes: Annotated[int, Field(ge=1, le=1024)] | None = None
    """Number of Gaussians. None: 8 on the ring, 25 on the grid, 20 on the spiral."""
    spread: Annotated[float, Field(gt=0, le=1)] = 0.02
    """Standard deviation of each Gaussian, in the units of the plane."""
    count: Count = 100_000
    """Samples in the train split; validation and test are drawn apart and have a tenth of it each."""

    @model_validator(mode="after")
    def _square(self) -> "Toy":
        if self.source == "grid" and self.modes and isqrt(self.modes) ** 2 != self.modes:
            raise ValueError(f"a grid of {self.modes} modes is not square; allowed for data.modes: 4, 9, 16, 25, ...")
        return self

    def load(self, split: Split = "train", seed: int = 0, watch: Watch = silent) -> InMemory:
        """(N, 2) points: the same ones whatever the `seed`, which only shuffles them."""
        places = centres(self.source, self.modes or _USUAL[self.source])
        count = self.count if split == "train" else max(1, self.count // 10)
        labels = torch.arange(count) % len(places)
        points = torch.tensor(places)[labels] + self.spread * Random("toy", self.source, split).normal(count, 2)
        return InMemory(
            points,
            labels,
            form=Form((2,), len(places)),
            codec=PointCodec(classes=tuple(map(str, range(len(places)))), centres=places, spread=self.spread),
            fingerprint=blake2b(points.numpy().data, digest_size=16).hexdigest(),
            seed=seed,
        )


class PointCodec(Codec):
    """Points in the plane as arrays, CSV files and scatter plots; knows the true modes."""

    kind: Literal["points"] = "points"
    """This kind of codec."""
    centres: Centres = ()
    """(x, y) of each mode of the real distribution."""
    spread: float = 0.02
    """Standard deviation of each mode."""

    @property
    def extension(self) -> str:
        """Scatter plots are PNG."""
        return ".png"

    def decode(self, samples: Tensor) -> list[NDArray[np.float32]]:
        """(N, 2) -> N arrays (x, y)."""
        return list(_points(samples).numpy())

    def write(self, sample: Tensor, path: Path) -> None:
        """Write one sample (2,) as CSV or PNG, whichever `path` ends in."""
        self.render(sample[None], path)

    def render(self, samples: Tensor, path: Path) -> None:
        """Write (N, 2) as a scatter plot with the real modes marked, or as CSV, whichever `path` ends in.

        Raises:
            CardiganError: another ending.
        """
        if path.suffix.lower() == ".csv":
            np.savetxt(path, _points(samples).numpy(), fmt="%.7g", delimiter=",", header="x,y", comments="")
        elif path.suffix.lower() == ".png":
            self._scatter(_points(samples)).savefig(path, format="png")
        else:
            raise CardiganError(f"{path}: points are written as .png or .csv")

    def _scatter(self, points: Tensor) -> "Figure":
        # Not pyplot: it keeps global state and may look for a display.
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        figure = Figure(figsize=(6, 6), dpi=100, layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot(aspect="equal", xlim=(-1.5, 1.5), ylim=(-1.5, 1.5))
        if self.centres:
            xs, ys = zip(*self.centres, strict=True)
            axes.scatter(xs, ys, marker="+", s=120, linewidths=1.2, color="tab:red", label="real modes", zorder=3)
        axes.scatter(
            points[:, 0].numpy(), points[:, 1].numpy(), s=6, alpha=0.5, linewidths=0, color="tab:blue", label="samples"
        )
        if self.centres:
            reached = modes_reached(points, self.centres, self.spread)
            axes.set_title(
                f"{reached.reached} of {len(self.centres)} modes, {reached.share:.0%} of the samples within one"
            )
        axes.legend(loc="upper right")
        return figure


def _points(samples: Tensor) -> Tensor:
    if samples.ndim != 2 or samples.shape[1] != 2:
        raise ValueError(f"samples of shape {tuple(samples.shape)} are not (N, 2)")
    return samples.detach().float().cpu()


@dataclass(frozen=True)
class ModesReached:
    """How much of a mixture some points cover.

    Attributes:
        counts: of each mode, the points that lie within it.
        share: of all points, those that lie within some mode, 0 to 1.
    """

    counts: tuple[int, ...]
    share: float

    @property
    def reached(self) -> int:
        """Modes that have at least one point."""
        return sum(count > 0 for count in self.counts)


def modes_reached(points: Tensor, centres: Any, spread: float, within: float = 3.0) -> ModesReached:
    """Count the points (N, 2) of each mode: those no further than `within` standard deviations from its centre.

    Of real points, a share of 1 - exp(-within^2 / 2) lies within: 98.9% at 3, 99.97% at 4. A point counts for its
    nearest mode; one that is not finite counts for none.
    """
    places = torch.as_tensor(centres, dtype=torch.float64).reshape(-1, 2)
    offsets = points.detach().cpu().double()[:, None] - places  # not cdist: its fast way is coarser than a mode
    distance, nearest = offsets.square().sum(-1).min(dim=1)
    inside = distance.sqrt() <= within * spread
    counts = torch.bincount(nearest[inside], minlength=len(places))
    return ModesReached(tuple(counts.tolist()), float(inside.double().mean()) if len(points) else 0.0)
