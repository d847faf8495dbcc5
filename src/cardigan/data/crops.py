"""Random crops of pictures kept at their own size."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from cardigan.data.base import Codec, Dataset
from cardigan.data.memory import to_unit
from cardigan.data.shelf import Shelf
from cardigan.randomness import derive_seed
from cardigan.sample import Batch, Form


@dataclass(frozen=True)
class _Pass:
    """One pass: `order` (n,) which picture, `places` (n, 2) in [0, 1) where in it, `flips` (n, 3) bool how turned."""

    order: Tensor
    places: Tensor
    flips: Tensor


class Crops(Dataset):
    """Crops of one size; a pass takes a few of every picture, at random places.

    Args:
        shelf: the pictures, none smaller than a crop.
        members: which of them.
        form: of one crop.
        seed: shuffles, and says where crops are taken and how they are turned.
        flip: mirror half of the crops drawn, left to right; square ones are also turned by quarters.
    """

    def __init__(
        self, shelf: Shelf, members: Tensor, *, form: Form, codec: Codec, fingerprint: str, seed: int, flip: bool
    ) -> None:
        self.shelf, self.members, self.seed, self.flip = shelf, members, seed, flip
        self.form, self.codec, self.fingerprint = form, codec, fingerprint
        height, width = form.shape[1:]
        area = torch.from_numpy(shelf.sizes)[members].prod(1).float().mean()
        self.each = max(1, round((float(area) / (height * width)) ** 0.5))
        """Crops of one picture in a pass: as many as fit beside one another along a side."""
        self._cache: tuple[int, _Pass] | None = None

    def __len__(self) -> int:
        return len(self.members) * self.each

    def draw(self, start: int, count: int) -> Batch:
        """See `Dataset.draw`."""
        crops, ids = list[Tensor](), list[int]()
        for position in range(start, start + count):
            number, place = divmod(position, len(self))
            passed = self._pass(number)
            which = int(passed.order[place])
            crops.append(_turned(self._crop(which, passed.places[place]), passed.flips[place]))
            ids.append(which)
        return self._batch(crops, ids)

    def take(self, indices: Tensor) -> Batch:
        """See `Dataset.take`; the same crops every time, neither mirrored nor turned."""
        crops = []
        for index in indices.tolist():
            generator = torch.Generator().manual_seed(derive_seed("crop", self.seed, index))
            crops.append(self._crop(index % len(self.members), torch.rand(2, generator=generator)))
        return self._batch(crops, [index % len(self.members) for index in indices.tolist()])

    def wholes(self) -> Iterator[Batch]:
        """See `Dataset.wholes`: the pictures at their own sizes."""
        for member in self.members.tolist():
            yield Batch(to_unit(self.shelf.picture(member))[None], id=torch.tensor([int(self.shelf.indices[member])]))

    def _batch(self, crops: list[Tensor], which: list[int]) -> Batch:
        samples = torch.stack(crops) if crops else torch.empty(0, *self.form.shape, dtype=torch.uint8)
        return Batch(to_unit(samples), id=torch.from_numpy(self.shelf.indices)[self.members[which]])

    def _crop(self, which: int, place: Tensor) -> Tensor:
        picture = self.shelf.picture(int(self.members[which]))
        height, width = self.form.shape[1:]
        top = int(place[0] * (picture.shape[1] - height + 1))
        left = int(place[1] * (picture.shape[2] - width + 1))
        return picture[:, top : top + height, left : left + width]

    def _pass(self, number: int) -> _Pass:
        if self._cache is None or self._cache[0] != number:
            generator = torch.Generator().manual_seed(derive_seed("pass", self.seed, number))
            order = torch.randperm(len(self), generator=generator) % len(self.members)
            places = torch.rand(len(self), 2, generator=generator)
            flips = torch.randint(2, (len(self), 3), generator=generator).bool() & self.flip
            flips[:, 1:] &= self.form.shape[1] == self.form.shape[2]
            self._cache = (number, _Pass(order, places, flips))
        return self._cache[1]


def _turned(crop: Tensor, flips: Tensor) -> Tensor:
    """Mirrored left to right, upside down, about the diagonal, as the three of `flips` say."""
    crop = crop.flip(2) if flips[0] else crop
    crop = crop.flip(1) if flips[1] else crop
    return crop.transpose(1, 2) if flips[2] else crop
