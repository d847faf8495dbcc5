"""What a sample is to the rest of the package: its form, and a typed batch of them."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from math import prod

import torch
from torch import Tensor


@dataclass(frozen=True)
class Form:
    """Shape and labels of one sample.

    Attributes:
        shape: of one sample: (C, H, W) for pictures in [-1, 1], (D,) for points, (T,) for sentences of up to T tokens.
        classes: number of class labels; 0 where samples carry none.
        source: shape of what a sample is made from, in translation and restoration; None where there is no such thing.
        vocabulary: number of tokens that samples and sources are made of; 0 where their values are no tokens.
    """

    shape: tuple[int, ...]
    classes: int = 0
    source: tuple[int, ...] | None = None
    vocabulary: int = 0

    @property
    def size(self) -> int:
        """Numbers in one sample."""
        return prod(self.shape)


@dataclass(frozen=True)
class Batch:
    """Samples drawn together; absent parts are None. N is the number of samples.

    Attributes:
        sample: (N, *form.shape), float32; pictures in [-1, 1]; tokens int64.
        label: (N,) int64 class indices.
        source: (N, ...) what a sample is made from, in translation and restoration.
        mask: (N, ...) bool, True where the sample is real content rather than padding.
        length: (N,) int64, in tokens or frames.
        id: (N,) int64, the position of each sample in its source; (N, k) of samples that are made of k.
    """

    sample: Tensor
    label: Tensor | None = None
    source: Tensor | None = None
    mask: Tensor | None = None
    length: Tensor | None = None
    id: Tensor | None = None

    def __len__(self) -> int:
        return len(self.sample)

    def to(self, device: torch.device) -> "Batch":
        """The same batch on `device`; a CUDA device is not waited for."""
        return self._each(lambda part: part.to(device, non_blocking=torch.device(device).type == "cuda"))

    def pinned(self) -> "Batch":
        """The same batch in memory that a CUDA device can read by itself."""
        return self._each(Tensor.pin_memory)

    def _each(self, change: Callable[[Tensor], Tensor]) -> "Batch":
        parts = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(self, **{name: change(part) for name, part in parts.items() if part is not None})
