"""Convolutional networks in the manner of DCGAN (Radford et al., 2016, arXiv:1511.06434), for any size of picture."""

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from cardigan.networks.base import (
    Depth,
    Discriminator,
    Family,
    Generator,
    Group,
    Judgement,
    Labels,
    Latent,
    Units,
    Width,
    pick,
    player_key,
)
from cardigan.networks.layers.deviation import MinibatchDeviation
from cardigan.networks.layers.dropout import Dropout
from cardigan.networks.layers.labels import Head, LatentInput, classes_of, required
from cardigan.networks.layers.normalisation import BatchNorm, Kind, Normalisation
from cardigan.networks.layers.pictures import channels, check_depth, crop_centre, halvings, picture_shape, start_size
from cardigan.networks.layers.pixels import ToPixels, TransposedConvolution
from cardigan.networks.layers.precision import full
from cardigan.networks.layers.recomputation import Chain, recomputable
from cardigan.networks.layers.resampling import UpConvolution
from cardigan.networks.layers.spectral import normalise_spectrally
from cardigan.sample import Form

Upsample = Literal["transposed", "resize"]
Init = Literal["dcgan", "default"]


class DCGANLatent(Latent):
    """The generator's noise."""

    dimension: Units = 100
    """Numbers in one latent vector."""


class DCGANGeneratorSettings(Width):
    """The generator of the family `dcgan`."""

    upsample: Upsample = "transposed"
    """How sizes double: a 4x4 transposed convolution of stride 2, or nearest neighbours and a 3x3 convolution."""
    refine: bool = False
    """Whether a 3x3 convolution at full size, from `width` channels, makes the picture; false: the last doubling does,
    as in the paper."""
    normalisation: Kind = "batch"
    """After every layer but the last: "batch", "layer" or "none". Where there is one, labels choose its gains and
    biases; where there is none, their embedding stands beside the latent."""
    slope: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Slope of the rectifiers below zero; 0: ReLU, as in the paper."""


class DCGANDiscriminatorSettings(Width):
    """The discriminator of the family `dcgan`."""

    normalisation: Kind = "batch"
    """After every convolution but the first: "batch", "layer" or "none". Gradient penalties want no "batch"."""
    spectral: bool = False
    """Whether weights are spectrally normalised; then `normalisation` is best "none"."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Probability with which an activation is dropped after each stage, in steps of 1/256; 0: no dropout."""
    deviation_group: Group | None = None
    """Minibatch standard deviation: neighbours in the batch whose deviation is shown to the last stage, so that
    fakes that are alike are noticed; published: 4; null: none."""


class DCGAN(Family):
    """Stages of doubled size in the generator, of halved size in the discriminator.

    By default the paper's network, with its initialisation. Sizes that are no multiple of 2^depth are made a little
    too large and cropped.
    """

    family: Literal["dcgan"] = "dcgan"
    width: Units = 64
    """Channels at the largest size that has any: doubled at every smaller one, up to 8 times as many."""
    depth: Depth | None = None
    """Stages, each of factor 2 in size; null: until the shorter side has at most 7 pixels."""
    init: Init = "dcgan"
    """Initial weights: N(0, 0.02) with gains N(1, 0.02) as in the paper, or torch's default."""
    latent: DCGANLatent = DCGANLatent()
    generator: DCGANGeneratorSettings = DCGANGeneratorSettings()
    discriminator: DCGANDiscriminatorSettings = DCGANDiscriminatorSettings()

    def build_generator(self, form: Form, labels: Labels = "none") -> "DCGANGenerator":
        """A generator of pictures in [-1, 1].

        Raises:
            CardiganError: samples that are no pictures, labels asked for and not there, too many stages.
        """
        depth = self._depth(form, "generator")
        width = pick([self.generator.width, self.width])
        network = DCGANGenerator(form, self.latent, width, depth, self.generator, classes_of(form, labels))
        INITS[self.init](network)
        return network

    def build_discriminator(self, form: Form, labels: Labels = "none") -> "DCGANDiscriminator":
        """A discriminator of pictures.

        Raises:
            CardiganError: samples that are no pictures, labels asked for and not there, too many stages.
        """
        depth = self._depth(form, "discriminator")
        width = pick([self.discriminator.width, self.width])
        network = DCGANDiscriminator(form, width, depth, self.discriminator, labels)
        INITS[self.init](network)
        if self.discriminator.spectral:
            normalise_spectrally(network)
        return network

    def _depth(self, form: Form, player: Literal["generator", "discriminator"]) -> int:
        picture_shape(form, self.family)
        own = getattr(self, player).depth
        depth = pick([own, self.depth, max(halvings(form, 7), 1)])
        return check_depth(depth, form, player_key(player, "depth", own))


class DCGANGenerator(Generator):
    """Latents (N, L) -> small maps -> doubled `depth` times -> pictures (N, C, H, W) in [-1, 1].

    Args:
        form: of the pictures.
        latent: of the noise.
        width: channels at the largest size that has any.
        depth: number of doublings.
        settings: the other fields.
        classes: number of classes; 0: unconditional.
    """

    def __init__(
        self, form: Form, latent: Latent, width: int, depth: int, settings: DCGANGeneratorSettings, classes: int = 0
    ) -> None:
        super().__init__(form, latent)
        kind, upsample = settings.normalisation, UPSAMPLINGS[settings.upsample]
        levels = channels(width, depth + settings.refine)[::-1]
        self.classes, self.slope = classes, settings.slope
        self.size = (levels[0], *start_size(form, depth))
        self.input = LatentInput(latent.dimension, classes if kind == "none" else 0)
        # A bias before a normalisation that has its own would have no effect.
        self.start = nn.Linear(self.input.size, levels[0] * self.size[1] * self.size[2], bias=kind == "none")
        self.norms = nn.ModuleList(Normalisation(kind, level, classes) for level in levels)
        self.layers = nn.ModuleList(upsample(*pair, bias=kind == "none") for pair in pairwise(levels))
        end = ToPixels if settings.refine else partial(upsample, bias=True)
        self.end = end(levels[-1], form.shape[0])

    def synthesize(self, mapped: Tensor, labels: Tensor | None = None) -> Tensor:
        """(N, L) latents and (N,) labels -> pictures (N, C, H, W) in [-1, 1]."""
        labels = required(labels) if self.classes else None
        x = self.start(self.input(mapped, labels)).unflatten(1, self.size)
        x = F.leaky_relu(self.norms[0](x, labels), self.slope)
        for layer, norm in zip(self.layers, self.norms[1:], strict=True):
            x = self._doubled(layer, norm, x, labels)
        return torch.tanh(full(crop_centre(self.end(x), self.form)))

    @recomputable
    def _doubled(self, layer: nn.Module, norm: nn.Module, x: Tensor, labels: Tensor | None) -> Tensor:
        return F.leaky_relu(norm(layer(x), labels), self.slope)


class DCGANDiscriminator(Discriminator):
    """Pictures (N, C, H, W) -> logits (N,) by 4x4 convolutions of stride 2; features: the output of every stage.

    Args:
        form: of the pictures.
        width: channels after the first stage.
        depth: number of halvings.
        settings: the other fields.
        labels: "none", "projection" or "auxiliary".
    """

    def __init__(
        self, form: Form, width: int, depth: int, settings: DCGANDiscriminatorSettings, labels: Labels = "none"
    ) -> None:
        super().__init__()
        levels = channels(width, depth)
        kinds: list[Kind] = ["none", *[settings.normalisation] * (depth - 1)]
        group = settings.deviation_group
        sizes = list(pairwise([form.shape[0], *levels]))
        if group is not None:
            sizes[-1] = (sizes[-1][0] + 1, sizes[-1][1])
        self.stages = nn.ModuleList(
            Chain(
                nn.Conv2d(inputs, outputs, 4, stride=2, padding=1, bias=kind == "none"),
                Normalisation(kind, outputs),
                nn.LeakyReLU(0.2),
                Dropout(settings.dropout),
            )
            for (inputs, outputs), kind in zip(sizes, kinds, strict=True)
        )
        if group is not None:
            self.stages[-1] = nn.Sequential(MinibatchDeviation(group), self.stages[-1])
        height, width = form.shape[1:]
        self.head = Head(levels[-1] * (height >> depth) * (width >> depth), form, labels)

    def forward(self, sample: Tensor, condition: Tensor | None = None, features: bool = False) -> Judgement:
        """Pictures (N, C, H, W) and (N,) labels -> one tensor of logits (N,), class logits (N, classes)."""
        hidden = [sample]
        for stage in self.stages:
            hidden.append(stage(hidden[-1]))
        return self.head(hidden[-1].flatten(1), condition, hidden[1:] if features else ())


UPSAMPLINGS: dict[Upsample, Callable[..., nn.Module]] = {"transposed": TransposedConvolution, "resize": UpConvolution}
"""Way of doubling the size -> its constructor, of inputs, outputs and bias."""


def _init_as_dcgan(network: nn.Module) -> None:
    """Weights N(0, 0.02) and biases 0; gains N(1, 0.02): section 3 of the paper and its authors' code."""
    for layer in network.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(layer.weight, 0.0, 0.02)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        elif isinstance(layer, BatchNorm | nn.GroupNorm) and layer.weight is not None:
            nn.init.normal_(layer.weight, 1.0, 0.02)
        elif isinstance(layer, Normalisation) and layer.gain is not None:
            nn.init.normal_(layer.gain.weight, 1.0, 0.02)


def _init_as_torch(network: nn.Module) -> None:
    """Layers initialise themselves so when they are made."""


INITS: dict[Init, Callable[[nn.Module], None]] = {"dcgan": _init_as_dcgan, "default": _init_as_torch}
"""Initialisation -> what sets the weights of a new network."""
