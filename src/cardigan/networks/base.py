"""What every generator and discriminator offers, and how a family of networks is described in a recipe."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from cardigan.errors import CardiganError
from cardigan.randomness import Random
from cardigan.sample import Form
from cardigan.settings import Settings

Labels = Literal["none", "projection", "auxiliary"]
Units = Annotated[int, Field(ge=1, le=65536)]
"""Channels or units of a layer."""
Depth = Annotated[int, Field(ge=1, le=256)]
"""Blocks or layers of a network."""

Group = Annotated[int, Field(ge=2, le=65536)]
"""Samples whose standard deviation is taken together."""


class Latent(Settings):
    """The generator's noise."""

    dimension: Units = 64
    """Numbers in one latent vector."""
    distribution: Literal["normal", "uniform"] = "normal"
    """N(0, 1), or U[-1, 1]."""


class Width(Settings):
    """Width and depth of one player where they differ from the family's."""

    width: Units | None = None
    """Channels (or units) of this player; null: the family's `width`."""
    depth: Depth | None = None
    """Blocks (or layers) of this player; null: the family's `depth`."""


@dataclass(frozen=True)
class Slope:
    """How what is said of samples changes with them.

    Attributes:
        seen: (N, ...) the samples, as the discriminator was handed them.
        value: (N, ...) the gradient of the sum of all logits by `seen`, itself differentiable.
    """

    seen: Tensor
    value: Tensor


@dataclass(frozen=True)
class Judgement:
    """What a discriminator says of N samples.

    Attributes:
        logits: (N, ...) real-or-fake logits, one tensor per scale; positive means real.
        class_logits: (N, classes), from discriminators that classify (AC-GAN).
        features: intermediate activations, when asked for.
        mask: True where a per-token logit counts; None where all do.
        slope: from compiled discriminators, where gradients are differentiated (`networks.compilation`).
    """

    logits: tuple[Tensor, ...]
    class_logits: Tensor | None = None
    features: tuple[Tensor, ...] = ()
    mask: Tensor | None = None
    slope: Slope | None = None

    def total(self) -> Tensor:
        """The sum of all logits, in at least float32.

        One sum over the batch serves all samples: sample i appears in the logits of sample i alone.
        """
        widened = [each.to(torch.promote_types(each.dtype, torch.float32)) for each in self.logits]
        return torch.stack([each.sum() for each in widened]).sum()

    def halves(self) -> tuple["Judgement", "Judgement"]:
        """What is said of the first N / 2 samples, and of the others."""
        first, second = zip(*map(_halves, (self.logits, self.class_logits, self.features, self.mask)), strict=True)
        return Judgement(*first), Judgement(*second)


def _halves(values: Any) -> tuple[Any, Any]:
    if values is None:
        return None, None
    if isinstance(values, Tensor):
        first, second = values.chunk(2)
        return first, second
    halves = [_halves(each) for each in values]
    return tuple(each for each, _ in halves), tuple(each for _, each in halves)


class Generator(nn.Module, ABC):
    """A generator of noise: latents (N, L) -> mapped -> samples (N, *form.shape), pictures in [-1, 1]."""

    def __init__(self, form: Form, latent: Latent) -> None:
        super().__init__()
        self.form = form
        self.latent = latent

    def sample_latents(self, count: int, random: Random) -> Tensor:
        """(count, L) latents, drawn from `random`."""
        if self.latent.distribution == "normal":
            return random.normal(count, self.latent.dimension)
        return random.uniform(count, self.latent.dimension) * 2 - 1

    def map(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        """(N, L) latents and (N,) labels -> what `synthesize` takes; the space where truncation and mixing happen."""
        return latents

    @abstractmethod
    def synthesize(self, mapped: Tensor, labels: Tensor | None = None) -> Tensor:
        """Mapped latents and (N,) labels -> samples (N, *form.shape)."""

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        """(N, L) latents and (N,) labels -> samples (N, *form.shape)."""
        return self.synthesize(self.map(latents, labels), labels)

    def centre(self, labels: Tensor | None = None) -> Tensor:
        """The mean mapped latent, towards which truncation pulls; broadcasts against `map`'s output."""
        like = next(self.parameters())
        return torch.zeros(1, self.latent.dimension, dtype=like.dtype, device=like.device)


class Discriminator(nn.Module, ABC):
    """Judges samples (N, *form.shape), given (N,) labels where it is conditional.

    Attributes:
        one_pass: whether real and fake samples are judged in one pass, which spares reading its weights twice: for
            networks that are mostly weights, and in which samples of a batch do not see one another.
    """

    one_pass = False

    @abstractmethod
    def forward(self, sample: Tensor, condition: Tensor | None = None, features: bool = False) -> Judgement:
        """Samples and an optional condition -> `Judgement`; `features` asks for activations too."""


class Translator(nn.Module, ABC):
    """A generator of something given: sources (N, *form.source) -> samples (N, *form.shape), pictures in [-1, 1].

    Fully convolutional: it also takes pictures of other sizes than it was trained on.

    Attributes:
        scale: pixels of a sample's side for one of its source's.
        multiple: sides of a source must be multiples of this.
        margin: pixels of the source that are given around a tile, on each side: all on which what is made of its pixels
            depends or, where those are too many (the whole picture under normalisation over it, hundreds of pixels in a
            deep network), as many as are worth their cost.
    """

    scale: int = 1
    multiple: int = 1
    margin: int = 16

    @abstractmethod
    def forward(self, source: Tensor) -> Tensor:
        """Sources (N, C, H, W) -> samples (N, C', H * scale, W * scale)."""

    def encode(self, source: Tensor) -> tuple[Tensor, ...]:
        """Activations (N, D, h, w) on the way in, coarser and coarser: what contrastive terms compare."""
        raise CardiganError(f"game: {type(self).__name__} gives no activations to compare; allowed: resnet-translator")


class Family(Settings, ABC):
    """A family of networks as a recipe names it: widths and depths of both players, and how to build them."""

    family: str
    width: Units = 64
    """Base number of channels (or units) of both players."""
    latent: Latent = Latent()
    generator: Width = Width()
    discriminator: Width = Width()

    @abstractmethod
    def build_generator(self, form: Form, labels: Labels = "none") -> Generator:
        """A freshly initialised generator; conditional on (N,) labels unless `labels` is "none"."""

    @abstractmethod
    def build_discriminator(self, form: Form, labels: Labels = "none") -> Discriminator:
        """A freshly initialised discriminator: projecting or classifying labels as `labels` says."""


class TranslatorFamily(Settings, ABC):
    """A family of translators as a recipe names it."""

    family: str
    width: Units = 64
    """Channels at the largest size."""

    @abstractmethod
    def build(self, form: Form) -> Translator:
        """A freshly initialised translator of `form.source` to `form.shape`.

        Raises:
            CardiganError: shapes that it cannot bring together.
        """


class DiscriminatorFamily(Settings, ABC):
    """A family of discriminators that stand by themselves, whatever generator they play against."""

    family: str
    width: Units = 64
    """Channels at the largest size."""

    @abstractmethod
    def build(self, form: Form, conditional: bool) -> Discriminator:
        """A freshly initialised discriminator of samples of `form`.

        Args:
            conditional: whether it is called with the sources (N, *form.source) as condition; they are brought to the
                size of the samples and seen beside them.

        Raises:
            CardiganError: samples that it cannot judge.
        """


def pick(values: Sequence[int | None]) -> int:
    """The first value that is not None."""
    return next(value for value in values if value is not None)


def player_key(player: Literal["generator", "discriminator"], field: str, own: object) -> str:
    """The dotted key that decides `field` of `player`: the player's `own` if it is set, otherwise the family's."""
    return f"game.networks.{player}.{field}" if own is not None else f"game.networks.{field}"
