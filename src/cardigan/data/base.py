"""The interface between kinds of data and everything else: settings, data sets, codecs."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cardigan.data.sources.source import Split
from cardigan.sample import Batch, Form
from cardigan.settings import Settings


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

    @abstractmethod
    def __len__(self) -> int:
        """Number of samples in the split."""

    @abstractmethod
    def draw(self, start: int, count: int) -> Batch:
        """Samples number `start` to `start + count` of the endless shuffled sequence; a function of these alone.

        Every pass over the data is a new permutation derived from (seed, pass), so that the number of samples drawn so
        far is all there is to remember of the position in the data.
        """

    def to(self, device: torch.device) -> "Dataset":
        """The same data, with its batches on `device`."""
        return self

    @abstractmethod
    def take(self, indices: Tensor) -> Batch:
        """The samples at `indices` (int64), unshuffled."""


class Data(Settings, ABC):
    """What to train on, as a recipe names it."""

    kind: str
    source: str
    """A name (mnist), or a path to a file or folder."""

    def anchored(self) -> str:
        """The source in words that mean the same from any working folder: paths are absolute, names stay names."""
        return self.source

    @abstractmethod
    def load(self, split: Split = "train", seed: int = 0) -> Dataset:
        """Read one split; `seed` shuffles it.

        Raises:
            CardiganError: in one line, what is wrong with the source and where.
        """
