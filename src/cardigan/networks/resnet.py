"""Residual networks in the manner of WGAN-GP (arXiv:1704.00028) and SNGAN (arXiv:1802.05957), for any size."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field, PositiveInt
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
from cardigan.networks.layers.attention import SelfAttention
from cardigan.networks.layers.deviation import MinibatchDeviation
from cardigan.networks.layers.labels import Head, LatentInput, classes_of, required
from cardigan.networks.layers.normalisation import Kind, Normalisation
from cardigan.networks.layers.pictures import channels, check_depth, crop_centre, halvings, picture_shape, start_size
from cardigan.networks.layers.pixels import ToPixels
from cardigan.networks.layers.precision import full
from cardigan.networks.layers.recomputation import recomputable
from cardigan.networks.layers.resampling import DownConvolution, UpConvolution
from cardigan.networks.layers.spectral import normalise_spectrally
from cardigan.sample import Form


class ResNetLatent(Latent):
    """The generator's noise."""

    dimension: Units = 128
    """Numbers in one latent vector."""


class ResNetGeneratorSettings(Width):
    """The generator of the family `resnet`; its depth counts blocks, each of which doubles the size."""

    normalisation: Kind = "batch"
    """Before every rectifier: "batch", "layer" or "none". Where there is one, labels choose its gains and biases; where
    there is none, their embedding stands beside the latent."""


class ResNetDiscriminatorSettings(Width):
    """The discriminator of the family `resnet`; its depth counts blocks, the first of which halve the size."""

    normalisation: Kind = "none"
    """Before every rectifier but the first: "none", "layer" or "batch". Gradient penalties want no "batch"."""
    spectral: bool = False
    """Whether weights are spectrally normalised, as in SNGAN."""
    pool: Literal["sum", "mean"] = "sum"
    """What is taken over the last block's pixels: the sum as in SNGAN, the mean as in WGAN-GP."""
    deviation_group: Group | None = None
    """Minibatch standard deviation: neighbours in the batch whose deviation is shown to the last block, so that
    fakes that are alike are noticed; published: 4; null: none."""


class ResNet(Family):
    """Residual blocks of two 3x3 convolutions; by default the 32x32 networks of the papers, with 128 channels.

    The generator doubles the size from 4..7 pixels up; the discriminator halves it down to at most 8, then keeps it.
    Initial weights are Xavier's uniform as in SNGAN: gain sqrt 2 within blocks, 1 elsewhere, biases 0.
    """

    family: Literal["resnet"] = "resnet"
    width: Units = 128
    """Channels at the full size."""
    depth: Depth | None = None
    """Blocks of each player; null: doublings from at most 7 pixels; halvings to at most 8 pixels, and two blocks."""
    growth: Annotated[float, Field(ge=1, le=2)] = 1.0
    """Factor from one size's channels to the next smaller one's, up to 8 times as many; 1: the same everywhere."""
    attention: PositiveInt | None = None
    """Side, in pixels, of the maps with self-attention after their block, or the nearest there is; null: none."""
    latent: ResNetLatent = ResNetLatent()
    generator: ResNetGeneratorSettings = ResNetGeneratorSettings()
    discriminator: ResNetDiscriminatorSettings = ResNetDiscriminatorSettings()

    def build_generator(self, form: Form, labels: Labels = "none") -> "ResNetGenerator":
        """A generator of pictures in [-1, 1].

        Raises:
            CardiganError: samples that are no pictures, labels asked for and not there, too many doublings.
        """
        picture_shape(form, self.family)
        own = self.generator
        depth = pick([own.depth, self.depth, max(halvings(form, 7), 1)])
        check_depth(depth, form, player_key("generator", "depth", own.depth))
        levels = channels(pick([own.width, self.width]), depth + 1, self.growth)[::-1]
        sides = [min(start_size(form, depth)) << block for block in range(1, depth + 1)]
        attending = _nearest(sides, self.attention)
        network = ResNetGenerator(form, self.latent, levels, attending, own, classes_of(form, labels))
        _init_as_sngan(network)
        return network

    def build_discriminator(self, form: Form, labels: Labels = "none") -> "ResNetDiscriminator":
        """A discriminator of pictures.

        Raises:
            CardiganError: samples that are no pictures; labels asked for and not there.
        """
        picture_shape(form, self.family)
        own, side, most = self.discriminator, min(form.shape[1:]), halvings(form, 8)
        depth = pick([own.depth, self.depth, most + 2])
        halving = min(depth, most)
        levels = channels(pick([own.width, self.width]), max(halving, 1), self.growth)
        levels += [levels[-1]] * (depth - len(levels))
        attending = _nearest([side >> min(block, halving) for block in range(1, depth + 1)], self.attention)
        network = ResNetDiscriminator(form, levels, halving, attending, own, labels)
        _init_as_sngan(network)
        if own.spectral:
            normalise_spectrally(network)
        return network


class UpBlock(nn.Module):
    """Normalise, rectify, double, convolve; normalise, rectify, convolve; and add the input, doubled.

    Args:
        inputs: I channels.
        outputs: O channels.
        kind: of normalisation.
        classes: number of classes that choose its gains; 0: one gain for all.
    """

    def __init__(self, inputs: int, outputs: int, kind: Kind, classes: int) -> None:
        super().__init__()
        self.first_norm = Normalisation(kind, inputs, classes)
        # Every way out of a block leads through a normalisation; the one over the batch takes each channel's constant.
        bias = kind != "batch"
        self.first = UpConvolution(inputs, outputs, bias)
        self.second_norm = Normalisation(kind, outputs, classes)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1, bias=bias)
        self.shortcut = nn.Conv2d(inputs, outputs, 1, bias=bias)

    @recomputable
    def forward(self, x: Tensor, labels: Tensor | None) -> Tensor:
        """(N, I, H, W) and (N,) labels -> (N, O, 2H, 2W)."""
        hidden = self.first(F.relu(self.first_norm(x, labels)))
        hidden = self.second(F.relu(self.second_norm(hidden, labels)))
        # A 1x1 convolution and copying pixels commute: convolving first costs a quarter.
        return hidden + F.interpolate(self.shortcut(x), scale_factor=2, mode="nearest")


class DownBlock(nn.Module):
    """Rectify, convolve; rectify, convolve and halve where asked; and add the input, halved likewise.

    Args:
        inputs: I channels.
        outputs: O channels.
        kind: of normalisation before the rectifiers.
        halves: whether the size is halved.
        opens: whether this is the first block, which must not rectify the picture itself.
    """

    def __init__(self, inputs: int, outputs: int, kind: Kind, halves: bool, opens: bool) -> None:
        super().__init__()
        self.halves, self.opens = halves, opens
        self.first_norm = nn.Identity() if opens else Normalisation(kind, inputs)
        bias = kind != "batch"  # as in UpBlock
        self.first = nn.Conv2d(inputs, outputs, 3, padding=1, bias=bias)
        self.second_norm = Normalisation(kind, outputs)
        self.second: nn.Module
        if halves:
            self.second = DownConvolution(outputs, outputs, bias)
        else:
            self.second = nn.Conv2d(outputs, outputs, 3, padding=1, bias=bias)
        changes = halves or inputs != outputs
        self.shortcut = nn.Conv2d(inputs, outputs, 1, bias=bias) if changes else nn.Identity()

    @recomputable
    def forward(self, x: Tensor) -> Tensor:
        """(N, I, H, W) -> (N, O, H, W), or (N, O, H // 2, W // 2)."""
        hidden = x if self.opens else F.relu(self.first_norm(x))
        hidden = self.second(F.relu(self.second_norm(self.first(hidden))))
        return hidden + self.shortcut(F.avg_pool2d(x, 2) if self.halves else x)


class ResNetGenerator(Generator):
    """Latents (N, L) -> small maps -> blocks of doubled size -> pictures (N, C, H, W) in [-1, 1].

    Args:
        form: of the pictures.
        latent: of the noise.
        levels: channels from the smallest size to the full one.
        attending: index of the block that self-attention follows; None: there is none.
        settings: normalisation.
        classes: number of classes; 0: unconditional.
    """

    def __init__(
        self,
        form: Form,
        latent: Latent,
        levels: Sequence[int],
        attending: int | None,
        settings: ResNetGeneratorSettings,
        classes: int = 0,
    ) -> None:
        super().__init__(form, latent)
        kind = settings.normalisation
        self.classes = classes
        self.size = (levels[0], *start_size(form, len(levels) - 1))
        self.input = LatentInput(latent.dimension, classes if kind == "none" else 0)
        self.start = nn.Linear(self.input.size, levels[0] * self.size[1] * self.size[2])
        self.blocks = nn.ModuleList(UpBlock(*pair, kind, classes) for pair in pairwise(levels))
        self.attention = _attention_after(attending, levels[1:])
        self.end_norm = Normalisation(kind, levels[-1])
        self.end = ToPixels(levels[-1], form.shape[0])

    def synthesize(self, mapped: Tensor, labels: Tensor | None = None) -> Tensor:
        """(N, L) latents and (N,) labels -> pictures (N, C, H, W) in [-1, 1]."""
        labels = required(labels) if self.classes else None
        x = self.start(self.input(mapped, labels)).unflatten(1, self.size)
        for block, attention in zip(self.blocks, self.attention, strict=True):
            x = attention(block(x, labels))
        x = self.end(F.relu(self.end_norm(x)))
        return torch.tanh(full(crop_centre(x, self.form)))


class ResNetDiscriminator(Discriminator):
    """Pictures (N, C, H, W) -> logits (N,); features: the output of every block.

    Args:
        form: of the pictures.
        levels: channels after each block.
        halving: how many of the blocks, from the first, halve the size.
        attending: index of the block that self-attention follows; None: there is none.
        settings: the other fields.
        labels: "none", "projection" or "auxiliary".
    """

    def __init__(
        self,
        form: Form,
        levels: Sequence[int],
        halving: int,
        attending: int | None,
        settings: ResNetDiscriminatorSettings,
        labels: Labels = "none",
    ) -> None:
        super().__init__()
        group = settings.deviation_group
        sizes = list(pairwise([form.shape[0], *levels]))
        if group is not None:
            sizes[-1] = (sizes[-1][0] + 1, sizes[-1][1])
        self.blocks = nn.ModuleList(
            DownBlock(*pair, settings.normalisation, halves=block < halving, opens=block == 0)
            for block, pair in enumerate(sizes)
        )
        if group is not None:
            self.blocks[-1] = nn.Sequential(MinibatchDeviation(group), self.blocks[-1])
        self.attention = _attention_after(attending, levels)
        self.end_norm = Normalisation(settings.normalisation, levels[-1])
        self.mean = settings.pool == "mean"
        self.head = Head(levels[-1], form, labels)

    def forward(self, sample: Tensor, condition: Tensor | None = None, features: bool = False) -> Judgement:
        """Pictures (N, C, H, W) and (N,) labels -> one tensor of logits (N,), class logits (N, classes)."""
        hidden = [sample]
        for block, attention in zip(self.blocks, self.attention, strict=True):
            hidden.append(attention(block(hidden[-1])))
        pixels = full(F.relu(self.end_norm(hidden[-1]))).flatten(2)
        pooled = pixels.mean(dim=2) if self.mean else pixels.sum(dim=2)
        return self.head(pooled, condition, hidden[1:] if features else ())


def _nearest(sides: Sequence[int], side: int | None) -> int | None:
    """Index of the block whose output's shorter side comes nearest to `side`."""
    if side is None:
        return None
    return min(range(len(sides)), key=lambda block: abs(sides[block] - side))


def _attention_after(attending: int | None, levels: Sequence[int]) -> nn.ModuleList:
    """What follows each block: self-attention after the one, the identity after the others."""
    return nn.ModuleList(
        SelfAttention(level) if block == attending else nn.Identity() for block, level in enumerate(levels)
    )


def _init_as_sngan(network: nn.Module) -> None:
    """Xavier's uniform weights, gain sqrt 2 where a rectifier is near and 1 elsewhere; biases 0 (the authors' code)."""
    for name, layer in network.named_modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            within = name.endswith((".first", ".second"))
            nn.init.xavier_uniform_(layer.weight, 2**0.5 if within else 1.0)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
