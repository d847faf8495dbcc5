"""Stacked pictures: three grey pictures in the three channels of one, the classic count of modes.

With MNIST, "stacked MNIST" of Metz et al. 2017 (unrolled GANs) and Lin et al. 2018 (PacGAN): ten digits in each channel
give a thousand modes, told apart by a classifier of digits.
"""

from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from cardigan.data.base import Data, Dataset, Watch, silent
from cardigan.data.picture_codec import PictureCodec
from cardigan.data.pictures import Pictures, Size
from cardigan.data.sources.source import Split
from cardigan.errors import CardiganError
from cardigan.randomness import derive_seed
from cardigan.sample import Batch, Form

CHANNELS = 3


class StackedPictures(Data):
    """Three random grey pictures of one source in the channels of each sample."""

    kind: Literal["stacked"] = "stacked"
    """This kind of data."""
    source: str = "mnist"
    """Of labelled pictures; see the kind `pictures`."""
    size: Size = None
    """Height and width that every picture is brought to; None: as they are, if all agree."""
    test: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share of the pictures set aside as test, where the source has no test split of its own."""
    validation: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """Share of the training pictures set aside as validation, where the source has none of its own."""

    @property
    def single(self) -> Pictures:
        """The grey pictures that are stacked."""
        return Pictures(
            source=self.source, size=self.size, channels=1, test=self.test, validation=self.validation, storage="memory"
        )

    def anchored(self) -> dict[str, Any]:
        """See `Data.anchored`."""
        return {"source": self.single.anchored()["source"]}

    def load(self, split: Split = "train", seed: int = 0, watch: Watch = silent) -> Dataset:
        """Read one split of the source; channel c is drawn from a shuffle of its own.

        Raises:
            CardiganError: what is wrong with the source; pictures without labels.
        """
        planes = [self.single.load(split, derive_seed("stacked", seed, channel), watch) for channel in range(CHANNELS)]
        if planes[0].form.classes < 2:
            raise CardiganError(
                f"data.source: {self.source} has no labels, by which modes are told; see the kind pictures"
            )
        return Stacked(planes)


class Stacked(Dataset):
    """Data sets of one form, (1, H, W), drawn in step into the channels of one sample.

    A sample's label is the number that its digits make: of classes a, b, c among k, (a k + b) k + c.
    """

    def __init__(self, planes: list[Dataset]) -> None:
        self.planes = planes
        first = planes[0]
        self.kinds, sides = first.form.classes, first.form.shape[1:]
        self.form = Form((len(planes), *sides), self.kinds ** len(planes))
        self.fingerprint = f"stacked-{first.fingerprint}"
        names = first.codec.classes
        classes = tuple("-".join(each) for each in _combinations(names, len(planes)))
        self.codec = PictureCodec(classes=classes, channels=len(planes), size=(sides[0], sides[1]))
        self.remarks = first.remarks

    def __len__(self) -> int:
        return len(self.planes[0])

    def to(self, device: torch.device) -> Dataset:
        """See `Dataset.to`: stacked there."""
        return Stacked([plane.to(device) for plane in self.planes])

    def draw(self, start: int, count: int) -> Batch:
        """See `Dataset.draw`."""
        return self._stacked([plane.draw(start, count) for plane in self.planes])

    def take(self, indices: Tensor) -> Batch:
        """See `Dataset.take`: sample i has picture i in its first channel, and others by a fixed rule in the rest."""
        count, indices = len(self), indices.cpu()
        shuffles = [
            torch.randperm(count, generator=torch.Generator().manual_seed(derive_seed("stacked", channel)))
            for channel in range(1, len(self.planes))
        ]
        places = [indices, *(shuffle[indices] for shuffle in shuffles)]
        return self._stacked([plane.take(place) for plane, place in zip(self.planes, places, strict=True)])

    def _stacked(self, batches: list[Batch]) -> Batch:
        label = torch.zeros(len(batches[0]), dtype=torch.int64, device=batches[0].sample.device)
        for batch in batches:
            assert batch.label is not None
            label = label * self.kinds + batch.label
        ids = [batch.id for batch in batches if batch.id is not None]
        return Batch(torch.cat([batch.sample for batch in batches], dim=1), label, id=torch.stack(ids, dim=1))


def _combinations(names: tuple[str, ...], count: int) -> list[tuple[str, ...]]:
    """All tuples of `count` names, the last changing fastest."""
    found: list[tuple[str, ...]] = [()]
    for _ in range(count):
        found = [(*each, name) for each in found for name in names]
    return found
