"""Pictures from any source as a data set in memory, and pictures as files."""

import re
from hashlib import blake2b
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field, PlainSerializer

from cardigan.data.base import Data
from cardigan.data.decoded import in_memory
from cardigan.data.memory import InMemory
from cardigan.data.picture_codec import PictureCodec
from cardigan.data.sources import NAMES, Source, absolute, open_source
from cardigan.data.sources.fitting import Background, Fit, Wanted
from cardigan.data.sources.pixels import native_channels, native_size
from cardigan.data.sources.source import Labels, Split, shown
from cardigan.data.sources.split import assign
from cardigan.errors import CardiganError
from cardigan.sample import Form

if TYPE_CHECKING:
    pass

LARGEST_SIDE = 8192
"""Pixels."""


def parse_size(value: Any) -> int | tuple[int, int] | None:
    """64, "64" -> 64; "48x64", [48, 64] -> (48, 64), height before width; None -> None.

    Raises:
        ValueError: anything else, or a side outside 1 to 8192.
    """
    if value is None:
        return None
    sides: Any = value if isinstance(value, (list, tuple)) else [value]
    if isinstance(value, str) and (match := re.fullmatch(r"\s*([0-9]{1,9})(?:\s*[xX×]\s*([0-9]{1,9}))?\s*", value)):
        sides = [int(side) for side in match.groups() if side is not None]
    if len(sides) in (1, 2) and all(type(side) is int and 1 <= side <= LARGEST_SIDE for side in sides):
        return sides[0] if len(sides) == 1 else (sides[0], sides[1])
    raise ValueError(
        f"{str(value)[:40]!r} is not a size; allowed: one number such as 64, or height x width such as 48x64, "
        f"each 1 to {LARGEST_SIDE} pixels"
    )


def _show_size(size: int | tuple[int, int] | None) -> int | str | None:
    return f"{size[0]}x{size[1]}" if isinstance(size, tuple) else size


Size = Annotated[int | tuple[int, int] | None, BeforeValidator(parse_size), PlainSerializer(_show_size)]
"""Height and width in pixels: 64, "48x64", or None."""


class Pictures(Data):
    """Pictures of a named data set, a folder, a zip archive or a parquet file, in memory as bytes."""

    kind: Literal["pictures"] = "pictures"
    """This kind of data."""
    source: str
    """digits, mnist, cifar10, or the path of a folder, a zip archive or a parquet file of pictures."""
    size: Size = None
    """Height and width in pixels that every picture is brought to: 64, or "48x64". None: as they are, if all agree."""
    channels: Literal[1, 3, 4] | None = None
    """1: grey, 3: RGB, 4: RGB and alpha. None: grey if every picture of the source is stored as grey, else RGB."""
    fit: Fit = "crop"
    """How a picture of another aspect ratio is brought to `size`: its centre, all of it padded, or stretched."""
    background: Background = "white"
    """The colour under transparent pixels and around padded pictures."""
    flip: bool = False
    """Mirror half of the samples drawn, left to right, chosen anew in every pass."""
    test: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share of the pictures set aside as test, where the source has no test split of its own."""
    validation: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """Share of the training pictures set aside as validation, where the source has none of its own."""

    def anchored(self) -> str:
        """See `Data.anchored`."""
        return self.source if self.source in NAMES else absolute(self.source)

    def load(self, split: Split = "train", seed: int = 0) -> InMemory:
        """Read one split; `seed` shuffles it and, with `flip`, chooses what is mirrored.

        A split of the source is honoured. What the source lacks is cut from its train split by a hash of each
        picture's pixels, so that adding pictures moves no other one and duplicates stay together.

        Raises:
            CardiganError: in one line, what is wrong with the source and where.
        """
        source = open_source(self.source)
        wanted = self._wanted(source)
        own = split if split in source.parts else "train"
        part = source.parts[own]()
        decoded = in_memory(part, wanted)
        members = self._members(source, split, decoded.digests) if own == "train" else np.arange(len(decoded.indices))
        chosen = decoded.indices[members]
        labels = None if part.labels is None else part.labels[chosen]
        return InMemory(
            torch.from_numpy(np.ascontiguousarray(decoded.pixels[chosen])),
            None if labels is None else torch.from_numpy(labels),
            form=Form(wanted.shape, len(source.classes)),
            codec=PictureCodec(classes=source.classes, channels=wanted.channels, size=wanted.size),
            fingerprint=self._fingerprint(wanted, source.classes, decoded.digests[members], labels),
            seed=seed,
            flip=self.flip,
            ids=torch.from_numpy(chosen),
        )

    def _wanted(self, source: Source) -> Wanted:
        """Channels and size: those asked for, else those of the source, the same for every split."""
        size = (self.size, self.size) if isinstance(self.size, int) else self.size
        channels = self.channels or native_channels(source)
        return Wanted(channels, size or native_size(source), self.fit if size else None, self.background)

    def _members(self, source: Source, split: Split, digests: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Indices of `split` within the train split of the source."""
        if len(np.unique(digests, axis=0)) < 2:
            raise CardiganError(
                f"{shown(source.name)}: holds only one picture; training needs two different ones or more"
            )
        test = 0.0 if "test" in source.parts else self.test
        validation = 0.0 if "validation" in source.parts else self.validation
        chosen = np.flatnonzero(assign(digests, test, validation) == split)
        if len(chosen) == 0:
            raise CardiganError(
                f"{shown(source.name)}: nothing in its {split} split: data.{split}={getattr(self, split, 0)} "
                f"of {len(digests)} pictures"
            )
        return chosen

    def _fingerprint(
        self, wanted: Wanted, classes: tuple[str, ...], digests: NDArray[np.uint8], labels: Labels | None
    ) -> str:
        """Blind to where the pictures lie: the same ones from a folder and from a zip are the same data."""
        whole = blake2b(repr((wanted, classes, self.flip)).encode(), digest_size=16)
        whole.update(digests.data)
        whole.update(b"" if labels is None else labels.data)
        return whole.hexdigest()
