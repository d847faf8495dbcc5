"""What every extractor offers: features of samples, and class logits where it knows classes."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Protocol

import torch
from torch import Tensor

CHUNK = 250
"""Samples looked at together."""


@dataclass(frozen=True)
class Features:
    """What an extractor sees in N samples.

    Attributes:
        values: (N, D) float32.
        logits: (N, classes) float32, from extractors that know classes; else None.
    """

    values: Tensor
    logits: Tensor | None = None

    def __len__(self) -> int:
        return len(self.values)


class Eye(Protocol):
    """What a score says of the network that was looked through."""

    @property
    def name(self) -> str:
        """As a user knows it."""

    @property
    def digest(self) -> str:
        """Hash of its weights."""

    @property
    def resizing(self) -> str:
        """What is done to a sample before the network sees it, in words."""

    @property
    def facts(self) -> Mapping[str, Any]:
        """What else should stand beside the score."""


@dataclass(frozen=True)
class _Blind:
    name: str = "none"
    digest: str = "none"
    resizing: str = "none"
    facts: Mapping[str, Any] = field(default_factory=dict)


BLIND = _Blind()
"""The `Eye` of a score for which nobody looks."""


class Maps(Protocol):
    """What a perceptual distance looks through."""

    @property
    def digest(self) -> str:
        """Hash of its weights."""

    def maps(self, samples: Tensor) -> tuple[Tensor, ...]:
        """(N, *form.shape) -> activations (N, D, h, w) layer by layer, differentiable."""


class Extractor(ABC):
    """A fixed network (or none at all) that turns samples of any kind into features.

    Attributes:
        name: as a user writes it: "inception", "local", a file name.
        digest: hash of its weights; scores of two extractors are only comparable where it is equal.
        resizing: what is done to a sample before the network sees it, in words.
        dimension: D, numbers in one feature vector.
        classes: names of the classes of its logits; empty where it has none.
        facts: what else should stand beside every score, such as its accuracy on the test split.
        has_maps: whether `maps` gives activations.
    """

    name: str
    digest: str
    resizing: str
    dimension: int
    classes: tuple[str, ...] = ()
    facts: Mapping[str, Any] = MappingProxyType({})
    has_maps: bool = False

    @abstractmethod
    def extract(self, samples: Tensor) -> Features:
        """(N, *form.shape) (pictures in [-1, 1]) -> features; differentiable where the network is."""

    def maps(self, samples: Tensor) -> tuple[Tensor, ...]:
        """Activations (N, D, h, w) layer by layer, differentiable, of samples of any size: what a perceptual distance
        compares; none where the extractor does not give them."""
        return ()

    @torch.no_grad()
    def __call__(self, samples: Tensor) -> Features:
        """The same on the CPU, without gradients, in full precision, in chunks that bound the memory."""
        with torch.autocast(samples.device.type, enabled=False):
            looked = [self.extract(chunk) for chunk in samples.split(CHUNK)]
        logits = [each.logits for each in looked if each.logits is not None]
        values = torch.cat([each.values for each in looked]).cpu()
        return Features(values, torch.cat(logits).cpu() if logits else None)
