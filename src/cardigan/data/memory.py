"""A data set that can be indexed as one tensor, in memory or mapped into it: shuffled anew in every pass."""

import copy
from dataclasses import dataclass

import torch
from torch import Tensor

from cardigan.data.base import Codec, Dataset
from cardigan.data.moved import Moved
from cardigan.randomness import derive_seed
from cardigan.sample import Batch, Form

DEVICE_SHARE = 0.5
"""Of a GPU's free memory that the samples may take; a larger data set stays where it is."""


def to_unit(samples: Tensor) -> Tensor:
    """Bytes 0..255 -> float32 in [-1, 1], tokens -> int64; samples that are float32 already pass unchanged."""
    if samples.dtype == torch.int32:
        return samples.long()
    return samples.float().div_(127.5).sub_(1) if samples.dtype == torch.uint8 else samples


@dataclass(frozen=True)
class _Pass:
    """One pass over the data: `order` (N,) int64, a permutation; `flips` (N,) bool, which positions are mirrored."""

    order: Tensor
    flips: Tensor | None

    def piece(self, start: int, stop: int) -> "_Pass":
        return _Pass(self.order[start:stop], None if self.flips is None else self.flips[start:stop])


class InMemory(Dataset):
    """All samples of a split in one tensor; a batch is one indexing operation.

    Args:
        samples: (M, *form.shape), M >= 1; uint8, then given out as float32 in [-1, 1]; int32 (tokens), given out as
            int64; or float32, given out as it is. May be mapped from a file.
        labels: (N,) int64 class indices, or None.
        form: shape and number of classes of one sample.
        codec: turns samples into files.
        fingerprint: hash of the content and the settings that shaped it.
        seed: shuffles, and decides which samples are mirrored.
        flip: mirror half of the drawn pictures, left to right; what `take` gives is never mirrored.
        ids: (N,) int64, the position of each sample in its source; counted from 0 if None.
        rows: (N,) int64, which of `samples` belong to the data set; all of them if None.
    """

    def __init__(
        self,
        samples: Tensor,
        labels: Tensor | None,
        *,
        form: Form,
        codec: Codec,
        fingerprint: str,
        seed: int = 0,
        flip: bool = False,
        ids: Tensor | None = None,
        rows: Tensor | None = None,
    ) -> None:
        if len(samples) == 0 or samples.shape[1:] != form.shape:
            raise ValueError(f"samples of shape {tuple(samples.shape)} are not one or more of {form.shape}")
        if samples.dtype not in (torch.uint8, torch.int32, torch.float32):
            raise ValueError(f"samples must be uint8, int32 or float32, not {samples.dtype}")
        self.form, self.codec, self.fingerprint = form, codec, fingerprint
        self.seed, self.flip = seed, flip
        self.samples, self.labels, self.rows = samples, labels, rows
        self.ids = torch.arange(len(self)) if ids is None else ids
        self._cache: tuple[int, _Pass] | None = None

    def __len__(self) -> int:
        return len(self.samples if self.rows is None else self.rows)

    @property
    def device(self) -> torch.device:
        """Where the samples lie, and where batches are made."""
        return self.samples.device

    def to(self, device: torch.device | str) -> Dataset:
        """The same data set on `device`: equal draws, made there; where it does not fit, sent there batch by batch."""
        device = torch.device(device)
        if device == self.device or device.type == self.device.type == "cpu":
            return self
        if device.type == "cuda" and len(self) * self.samples[0].nbytes > DEVICE_SHARE * _free(device):
            return Moved(self, device)
        moved = copy.copy(self)
        moved.samples = (self.samples if self.rows is None else self.samples.index_select(0, self.rows)).to(device)
        moved.rows, moved.ids = None, self.ids.to(device)
        moved.labels = None if self.labels is None else self.labels.to(device)
        moved._cache = None
        return moved

    def draw(self, start: int, count: int) -> Batch:
        """Samples number `start` to `start + count` of the endless shuffled sequence.

        A function of its arguments alone. A draw may cross passes and may be larger than the data set.
        """
        if start < 0 or count < 0:
            raise ValueError(f"cannot draw {count} samples from position {start}")
        pieces = self._pieces(start, count)
        order = torch.cat([piece.order for piece in pieces]) if len(pieces) > 1 else pieces[0].order
        flips = [piece.flips for piece in pieces if piece.flips is not None]
        return self._batch(order, torch.cat(flips) if flips else None)

    def take(self, indices: Tensor) -> Batch:
        """The samples at `indices` (int64, 0 to len - 1), neither shuffled nor mirrored."""
        return self._batch(indices.to(self.device), None)

    def _batch(self, indices: Tensor, flips: Tensor | None) -> Batch:
        samples = self._samples(indices)
        if flips is not None:
            samples = mirrored(samples, flips)
        return Batch(to_unit(samples), self._labels(indices), id=self.ids.index_select(0, indices))

    def _samples(self, indices: Tensor) -> Tensor:
        return self.samples.index_select(0, indices if self.rows is None else self.rows.index_select(0, indices))

    def _labels(self, indices: Tensor) -> Tensor | None:
        return None if self.labels is None else self.labels.index_select(0, indices)

    def _pieces(self, start: int, count: int) -> list[_Pass]:
        """The pieces of passes that make up positions `start` to `start + count`; at least one, maybe empty."""
        size, pieces = len(self), []
        for number in range(start // size, max(start, start + count - 1) // size + 1):
            first = number * size
            pieces.append(self._pass(number).piece(max(start - first, 0), min(start + count - first, size)))
        return pieces

    def _pass(self, number: int) -> _Pass:
        if self._cache is None or self._cache[0] != number:
            self._cache = (number, self._make_pass(number))
        return self._cache[1]

    def _make_pass(self, number: int) -> _Pass:
        # Made on the CPU whatever the device: its random numbers are the same everywhere, those of CUDA are not.
        generator = torch.Generator().manual_seed(derive_seed("pass", self.seed, number))
        order = torch.randperm(len(self), generator=generator).to(self.device)
        if not self.flip:
            return _Pass(order, None)
        coins = torch.randint(2, (len(self),), generator=generator, dtype=torch.uint8)
        return _Pass(order, coins.bool().to(self.device))


def _free(device: torch.device) -> int:
    return torch.cuda.mem_get_info(device)[0]


def mirrored(samples: Tensor, flips: Tensor) -> Tensor:
    """`samples` (N, C, H, W), those marked in `flips` (N,) mirrored left to right."""
    return torch.where(flips[:, None, None, None], samples.flip(-1), samples)
