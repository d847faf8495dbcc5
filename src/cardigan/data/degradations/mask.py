"""Holes in pictures, as inpainting fills them: rectangles, brush strokes, or a mask that somebody painted."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from hashlib import sha256
from math import cos, exp, hypot, log, pi, sin, sqrt
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import numpy as np
import torch
from pydantic import model_validator
from torch import Tensor

from cardigan.data.degradations.base import Degradation, Restorer, Shape, check_read
from cardigan.data.degradations.inpainting import fillers
from cardigan.data.degradations.ranges import Range, below, coin, uniform, within
from cardigan.errors import CardiganError

if TYPE_CHECKING:
    from PIL.Image import Image

Size = tuple[int, int]
"""(height, width)."""


class Mask(Degradation):
    """A hole of mid-grey, and one channel more that says where it is: +1 in the hole, -1 elsewhere."""

    kind: Literal["mask"] = "mask"
    """This kind of degradation."""
    holes: Literal["rectangle", "strokes", "mixed", "file"] = "mixed"
    """rectangle: one, of sides at most 2:1. strokes: of a thick brush. mixed: either, evenly. file: one for all."""
    share: Annotated[Range, within(0.001, 0.95)] = Range(low=0.1, high=0.4)
    """How much of the picture is hidden, 0 to 1, nearly; one for each picture, drawn. A file's is its own."""
    file: str | None = None
    """A mask picture, white where the hole is, of the size of the pictures; only with holes=file."""

    @model_validator(mode="after")
    def _file_or_not(self) -> Self:
        if (self.holes == "file") != (self.file is not None):
            said = "needs file, a mask picture" if self.file is None else "does not read file; allowed: holes=file"
            raise ValueError(f"holes={self.holes} {said}")
        check_read(self, "holes", dict.fromkeys(("rectangle", "strokes", "mixed"), ("share",)))
        return self

    @property
    def one_size(self) -> bool:
        """See `Degradation.one_size`: a mask picture's own, since it is never resized."""
        return self.file is not None

    def shape(self, shape: Shape) -> Shape:
        """See `Degradation.shape`.

        Raises:
            CardiganError: a mask picture that cannot be read, or is of another size.
        """
        channels, height, width = shape
        if self.file is not None:
            read_mask(self.file, (height, width))
        return channels + 1, height, width

    def apply(self, pictures: Tensor, randoms: Sequence[torch.Generator]) -> Tensor:
        """See `Degradation.apply`."""
        height, width = pictures.shape[2:]
        if self.file is not None:
            return masked(pictures, read_mask(self.file, (height, width)))
        return masked(pictures, torch.stack([self._hole((height, width), random) for random in randoms]))

    def identity(self) -> str:
        """See `Degradation.identity`: the content of a file, not its place."""
        if self.file is None:
            return super().identity()
        try:
            return sha256(Path(self.file).read_bytes()).hexdigest()
        except OSError as error:
            raise CardiganError(f"{self.file}: the mask cannot be read: {error.strerror}") from None

    def anchored(self) -> dict[str, Any]:
        """See `Degradation.anchored`."""
        return {
            **super().anchored(),
            "file": None if self.file is None else str(Path(self.file).expanduser().resolve()),
        }

    def restorers(self) -> Mapping[str, Restorer]:
        """Filled by the mean, by Telea's method, by the biharmonic equation."""
        return fillers()

    def _hole(self, size: Size, random: torch.Generator) -> Tensor:
        share = self.share.draw(random)
        strokes = self.holes == "strokes" or (self.holes == "mixed" and coin(random, 0.5))
        return (stroked if strokes else rectangle)(size, share, random)


def masked(pictures: Tensor, hole: Tensor) -> Tensor:
    """(N, C, H, W) in [-1, 1] -> (N, C + 1, H, W): 0, mid-grey, in the hole; last +1 in the hole and -1 elsewhere.

    Args:
        hole: (1, H, W) bool, one for all, or (N, 1, H, W); True in the hole.
    """
    hole = hole.to(pictures.device).expand(len(pictures), 1, *pictures.shape[2:])
    return torch.cat([pictures.masked_fill(hole, 0.0), hole.to(pictures.dtype) * 2 - 1], dim=1)


def read_mask(path: str | Path, size: Size) -> Tensor:
    """The mask picture at `path`, see `painted`, for pictures of one size. Never resized: a hole is where somebody
    painted it.

    Args:
        size: (height, width) of the pictures.

    Raises:
        CardiganError: no such file, no picture, or one of another size.
    """
    hole = painted(path)
    if tuple(hole.shape[1:]) != tuple(size):
        raise CardiganError(
            f"{path}: the mask has {hole.shape[1]}x{hole.shape[2]} pixels (height x width), the picture "
            f"{size[0]}x{size[1]}; allowed: a mask of the picture's size"
        )
    return hole


def painted(path: str | Path) -> Tensor:
    """The mask picture at `path`: (1, H, W) bool, True, the hole, where it is nearer to white than to black.

    Its transparent parts are no hole.

    Raises:
        CardiganError: no such file, or no picture.
    """
    path = Path(path)
    try:
        state = path.stat()
    except OSError:
        raise CardiganError(f"{path}: there is no such mask picture") from None
    return _read(path, state.st_mtime_ns, state.st_size).clone()


@lru_cache(maxsize=8)
def _read(path: Path, _changed: int, _bytes: int) -> Tensor:
    from cardigan.data.sources.decoding import decode
    from cardigan.data.sources.fitting import laid_on
    from cardigan.data.sources.source import UnreadableError

    try:
        image, _ = decode(path.read_bytes(), str(path))
    except (OSError, UnreadableError) as error:
        raise CardiganError(f"{path}: no mask picture: {error}") from None
    if image.mode in ("LA", "RGBA"):
        image = laid_on(image, "black")
    return torch.from_numpy(np.asarray(image.convert("L")) >= 128)[None]


def rectangle(size: Size, share: float, random: torch.Generator) -> Tensor:
    """(1, H, W) bool: a rectangle of about `share` of the area, anywhere, one side at most twice the other.

    Longer than that only where it would not fit otherwise.
    """
    area, ratio = share * size[0] * size[1], exp(uniform(random, -log(2), log(2)))
    tall = min(max(sqrt(area * ratio), area / size[1]), size[0])
    height = min(max(round(tall), 1), size[0])
    width = min(max(round(area / height), 1), size[1])
    top, left = below(random, size[0] - height + 1), below(random, size[1] - width + 1)
    hole = torch.zeros(1, *size, dtype=torch.bool)
    hole[:, top : top + height, left : left + width] = True
    return hole


def stroked(size: Size, share: float, random: torch.Generator) -> Tensor:
    """(1, H, W) bool: random walks of a thick round brush until about `share` of the area is hidden.

    Yu et al. 2019, "Free-form image inpainting with gated convolution" (DeepFillv2), algorithm 1 with the numbers of
    its authors' code for 256x256, in proportion to the sides; a brush is never wider than half of what is to be hidden.
    """
    from PIL import Image

    image, wanted, done = Image.new("L", size[::-1]), share * size[0] * size[1], False
    while not done:
        image, done = _walked(image, wanted, random)
    hole = torch.from_numpy(np.array(image) > 0)[None]
    return hole.flip([axis for axis in (1, 2) if coin(random, 0.5)])


def _hidden(image: "Image") -> int:
    return image.histogram()[255]


def _walked(image: "Image", wanted: float, random: torch.Generator) -> tuple["Image", bool]:
    """`image` with one more walk, and whether enough is hidden: the walk ends where the area is nearest to `wanted`."""
    width, height = image.size
    brush = max(1, round(min(uniform(random, 12, 40) * min(image.size) / 256, sqrt(wanted) / 2)))
    stride, turn, spread = hypot(width, height) / 8, 2 * pi / 5, 2 * pi / 15
    sharpest, widest = turn - uniform(random, 0, spread), turn + uniform(random, 0, spread)
    here = uniform(random, 0, width), uniform(random, 0, height)
    for step in range(4 + below(random, 9)):
        angle = uniform(random, sharpest, widest) * (1 if step % 2 else -1)  # to and fro
        length = min(max(stride * (1 + 0.5 * torch.randn((), generator=random).item()), 0), 2 * stride)
        there = min(max(here[0] + length * cos(angle), 0), width), min(max(here[1] + length * sin(angle), 0), height)
        longer = _stroke(image, here, there, brush)
        if _hidden(longer) >= wanted:
            shorter_by, longer_by = wanted - _hidden(image), _hidden(longer) - wanted
            return longer if longer_by <= shorter_by or not _hidden(image) else image, True
        image, here = longer, there
    return image, False


def _stroke(image: "Image", here: tuple[float, float], there: tuple[float, float], brush: int) -> "Image":
    from PIL import ImageDraw

    image = image.copy()
    draw = ImageDraw.Draw(image)
    draw.line([here, there], fill=255, width=brush)
    for x, y in (here, there):
        draw.ellipse((x - brush / 2, y - brush / 2, x + brush / 2, y + brush / 2), fill=255)
    return image
