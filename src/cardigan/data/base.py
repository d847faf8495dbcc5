"""The interface between kinds of data and everything else: settings, data sets, codecs."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from cardigan.data.sources.source import Split
from cardigan.sample import Batch, Form
from cardigan.settings import Settings

Watch = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done and how much there is; 0 of 0 where that is unknown."""


def silent(what: str, done: int, total: int) -> None:
    """A `Watch` that says nothing."""


class Codec(Settings, ABC):
    """How samples become files and back; saved as codec/codec.json, so that a run can be used without its data."""

    kind: str
    classes: tuple[str, ...] = ()
    """Names of the class labels, in the order of their indices."""

    @property
    @abstractmethod
    def extension(self) -> str:
        """Ending of a rendered file, such as ".png"."""

    @abstractmethod
    def decode(self, samples: Tensor) -> list[Any]:
        """(N, *form.shape) samples as a generator makes them -> N objects people use (PIL pictures, arrays, text)."""

    def rounded(self, samples: Tensor) -> Tensor:
        """Samples as their files will hold them: what is judged is what people get."""
        return samples

    @abstractmethod
    def write(self, sample: Tensor, path: Path) -> None:
        """Write one sample (*form.shape) as a file of its own."""

    @abstractmethod
    def render(self, samples: Tensor, path: Path) -> None:
        """Write many samples (N, *form.shape) as one file to be looked at: a grid, a scatter plot."""


class Dataset(ABC):
    """The samples of one split, and an endless shuffled sequence of them."""

    form: Form
    codec: Codec
    fingerprint: str
    """Hash of the content and of the settings that shaped it."""
    remarks: tuple[str, ...] = ()
    """What the user should know about how the data was read, a line each."""
    settled: Mapping[str, Any] = MappingProxyType({})
    """Fields of the data's settings that loading decided by what this machine has; a resumed run must decide alike."""

    @abstractmethod
    def __len__(self) -> int:
        """Number of samples in the split."""

    @abstractmethod
    def draw(self, start: int, count: int) -> Batch:
        """Samples number `start` to `start + count` of the endless shuffled sequence; a function of these alone.

        Every pass over the data is a new permutation derived from (seed, pass), so that the number of samples drawn so
        far is all there is to remember of the position in the data.
        """

    @abstractmethod
    def take(self, indices: Tensor) -> Batch:
        """The samples at `indices` (int64), unshuffled."""

    def to(self, device: torch.device) -> "Dataset":
        """The same data, with its batches on `device`."""
        return self if device.type == "cpu" else Moved(self, device)

    def close(self) -> None:  # noqa: B027 - most have nothing to end
        """End what reads ahead, if anything does; the data set is of no more use."""


class Moved(Dataset):
    """Another data set whose batches are made on the CPU and then sent to `device`."""

    def __init__(self, dataset: Dataset, device: torch.device) -> None:
        self.dataset, self.device = dataset, device
        self.form, self.fingerprint, self.settled = dataset.form, dataset.fingerprint, dataset.settled

    @property
    def codec(self) -> Codec:  # type: ignore[override]
        """See `Dataset.codec`."""
        return self.dataset.codec

    @property
    def remarks(self) -> tuple[str, ...]:  # type: ignore[override]
        """See `Dataset.remarks`."""
        return self.dataset.remarks

    def close(self) -> None:
        """See `Dataset.close`."""
        self.dataset.close()

    def __len__(self) -> int:
        return len(self.dataset)

    def draw(self, start: int, count: int) -> Batch:
        """See `Dataset.draw`."""
        return self.dataset.draw(start, count).to(self.device)

    def take(self, indices: Tensor) -> Batch:
        """See `Dataset.take`."""
        return self.dataset.take(indices.cpu()).to(self.device)


class Data(Settings, ABC):
    """What to train on, as a recipe names it."""

    kind: str
    source: str
    """A name (mnist), or a path to a file or folder."""

    def anchored(self) -> dict[str, Any]:
        """The fields that name files, in words that mean the same from any working folder; names stay names."""
        return {}

    @abstractmethod
    def load(self, split: Split = "train", seed: int = 0, watch: Watch = silent) -> Dataset:
        """Read one split; `seed` shuffles it; `watch` is told how far reading has come.

        Raises:
            CardiganError: in one line, what is wrong with the source and where.
        """
