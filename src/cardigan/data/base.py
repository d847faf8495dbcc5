"""The interface between kinds of data and everything else: settings, data sets, codecs."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from cardigan.data.sources.source import Split
from cardigan.errors import CardiganError
from cardigan.sample import Batch, Form
from cardigan.settings import Settings

Watch = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done and how much there is; 0 of 0 where that is unknown."""


def silent(what: str, done: int, total: int) -> None:
    """A `Watch` that says nothing."""


WHOLES = 50
"""Samples that are looked at together, where all are."""


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

    def save(self, folder: Path) -> None:
        """Write what does not fit into fields (a tokenizer) as plain files beside codec.json."""

    def opened(self, folder: Path) -> "Codec":
        """This codec with what `save` wrote to `folder`.

        Raises:
            CardiganError: a file is missing or damaged.
        """
        return self

    def usage(self, run: str) -> str:
        """The command that makes samples of this kind with the run at the path `run`."""
        return f"cardigan generate {run} -n 64 --out samples{self.extension}"

    def holes(self, sources: Tensor) -> Tensor | None:
        """Where something is to be filled in: sources (N, C, h, w) -> (N, 1, h, w) bool; None: nowhere, ever."""
        return None

    def rounded(self, samples: Tensor) -> Tensor:
        """Samples as their files will hold them: what is judged is what people get."""
        return samples

    @abstractmethod
    def write(self, sample: Tensor, path: Path) -> None:
        """Write one sample (*form.shape) as a file of its own."""

    @abstractmethod
    def render(self, samples: Tensor, path: Path) -> None:
        """Write many samples (N, *form.shape) as one file to be looked at: a grid, a scatter plot."""

    def exhibit(self, panels: Mapping[str, Tensor], path: Path) -> None:
        """Write one file to be looked at, of what belongs together for each sample: (N, ...) tensors by name.

        The first of them alone, where a kind of samples has no way to show several side by side.
        """
        self.render(next(iter(panels.values())), path)


class Dataset(ABC):
    """The samples of one split, and an endless shuffled sequence of them."""

    form: Form
    codec: Codec
    fingerprint: str
    """Hash of the content and of the settings that shaped it."""
    remarks: tuple[str, ...] = ()
    """What the user should know about how the data was read, a line each."""
    paired: bool = True
    """Whether each sample is what should be made of its source, where there is one."""
    domains: tuple[str, ...] = ()
    """Names of the domains of sources and of samples, where the two are unpaired; else empty."""
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

    def wholes(self) -> Iterator[Batch]:
        """Every sample once and in order, at its own size where crops are drawn, a few of one size at a time."""
        for start in range(0, len(self), WHOLES):
            yield self.take(torch.arange(start, min(start + WHOLES, len(self))))

    @property
    def sources(self) -> int:
        """Number of different sources that samples are made from; by default one for each sample."""
        return len(self)

    @property
    def baselines(self) -> Mapping[str, Callable[[Tensor], Tensor]]:
        """Ways from sources to samples that need no training, by name; none where samples are made from noise."""
        return {}

    def to(self, device: torch.device) -> "Dataset":
        """The same data, with its batches on `device`."""
        from cardigan.data.moved import Moved  # which is a data set itself

        return self if device.type == "cpu" else Moved(self, device)

    def expect(self, start: int, count: int) -> None:  # noqa: B027 - most have nothing to prepare
        """Be told that `draw(start, count)` will come soon; it may be made meanwhile, and gives the same."""

    def close(self) -> None:  # noqa: B027 - most have nothing to end
        """End what reads ahead, if anything does; the data set is of no more use."""


class Data(Settings, ABC):
    """What to train on, as a recipe names it."""

    kind: str
    source: str
    """A name (mnist), or a path to a file or folder."""

    def still(self) -> "Data":
        """The same data as they are: nothing mirrored at random."""
        return self

    def samples(self) -> "Data":
        """What an extractor for these data is trained on: the samples themselves, still."""
        return self.still()

    def swapped(self) -> "Data":
        """Sources and samples in each other's place.

        Raises:
            CardiganError: there is no way back.
        """
        raise CardiganError("--direction: these data have no way back; allowed: forward")

    def elsewhere(self, source: str, form: Form) -> "Data":
        """The same kind of samples and sources, all pictures of another `source` as its train split.

        Args:
            form: of the samples that a run makes, whose channels the others are brought to.

        Raises:
            CardiganError: these data cannot be taken from elsewhere.
        """
        raise CardiganError("--on: only for samples that are made of pictures of their own (data.degradations)")

    def anchored(self) -> dict[str, Any]:
        """The fields that name files, in words that mean the same from any working folder; names stay names."""
        return {}

    @abstractmethod
    def load(self, split: Split = "train", seed: int = 0, watch: Watch = silent) -> Dataset:
        """Read one split; `seed` shuffles it; `watch` is told how far reading has come.

        Raises:
            CardiganError: in one line, what is wrong with the source and where.
        """
