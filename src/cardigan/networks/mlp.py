"""Fully connected networks: the first GAN of most tutorials, and the players of toy distributions."""

from itertools import pairwise
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from cardigan.errors import CardiganError
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
from cardigan.networks.layers.labels import Head, LatentInput, classes_of
from cardigan.networks.layers.normalisation import BatchNorm
from cardigan.networks.layers.precision import full
from cardigan.sample import Form

MOST_UNITS = 65536
"""Of one layer; beyond it lies a mistake in width, depth or growth."""


class MLPLatent(Latent):
    """The generator's noise."""

    dimension: Units = 100
    """Numbers in one latent vector."""


class MLPGeneratorSettings(Width):
    """The generator of the family `mlp`."""

    normalisation: Literal["none", "batch"] = "none"
    """Batch normalisation after every hidden layer but the first, or none."""


class MLPDiscriminatorSettings(Width):
    """The discriminator of the family `mlp`."""

    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.3
    """Probability with which a hidden unit is dropped, in steps of 1/256; 0: no dropout."""
    deviation_group: Group | None = None
    """Minibatch standard deviation: neighbours in the batch whose deviation is shown to the last hidden layer, so that
    fakes that are alike are noticed; published: 4; null: none."""


class MLP(Family):
    """Fully connected networks with LeakyReLU 0.2, for samples of any shape (Goodfellow et al., 2014).

    By default the tutorials' network for MNIST: 100-256-512-1024-784 against 784-1024-512-256-1 with dropout 0.3, in
    torch's initialisation.
    """

    family: Literal["mlp"] = "mlp"
    width: Units = 256
    """Units of the layer that is narrowest: the generator's first, the discriminator's last."""
    depth: Depth = 3
    """Hidden layers of each player."""
    growth: Annotated[float, Field(ge=1, le=4)] = 2.0
    """Factor from one layer's units to the next wider one's; 1: all layers equally wide."""
    latent: MLPLatent = MLPLatent()
    generator: MLPGeneratorSettings = MLPGeneratorSettings()
    discriminator: MLPDiscriminatorSettings = MLPDiscriminatorSettings()

    def build_generator(self, form: Form, labels: Labels = "none") -> "MLPGenerator":
        """A generator; pictures end in tanh, samples of one axis are not bounded.

        Raises:
            CardiganError: labels asked for and not there; layers too wide.
        """
        return MLPGenerator(form, self.latent, self._widths("generator"), self.generator, classes_of(form, labels))

    def build_discriminator(self, form: Form, labels: Labels = "none") -> "MLPDiscriminator":
        """A discriminator, its layers those of the generator in reverse.

        Raises:
            CardiganError: labels asked for and not there; layers too wide.
        """
        return MLPDiscriminator(form, self._widths("discriminator")[::-1], self.discriminator, labels)

    def _widths(self, player: Literal["generator", "discriminator"]) -> list[int]:
        own = getattr(self, player)
        width, depth = pick([own.width, self.width]), pick([own.depth, self.depth])
        widest = width * self.growth ** (depth - 1)
        if widest > MOST_UNITS:
            raise CardiganError(
                f"{player_key(player, 'depth', own.depth)}: {depth} layers that grow from {width} units by "
                f"{self.growth:g} become too wide; allowed: up to {MOST_UNITS} units"
            )
        return [round(width * self.growth**layer) for layer in range(depth)]


class MLPGenerator(Generator):
    """Latents (N, L) -> samples (N, *form.shape); the label's embedding beside the latent.

    Args:
        form: of the samples.
        latent: of the noise.
        widths: units of each hidden layer.
        settings: normalisation.
        classes: number of classes; 0: unconditional.
    """

    def __init__(
        self, form: Form, latent: Latent, widths: list[int], settings: MLPGeneratorSettings, classes: int = 0
    ) -> None:
        super().__init__(form, latent)
        self.input = LatentInput(latent.dimension, classes)
        layers: list[nn.Module] = []
        for index, (inputs, outputs) in enumerate(pairwise([self.input.size, *widths])):
            layers.append(nn.Linear(inputs, outputs))
            if settings.normalisation == "batch" and index > 0:
                layers.append(BatchNorm(outputs))
            layers.append(nn.LeakyReLU(0.2))
        self.layers = nn.Sequential(*layers, nn.Linear(widths[-1], form.size))
        self.bounded = len(form.shape) > 1

    def synthesize(self, mapped: Tensor, labels: Tensor | None = None) -> Tensor:
        """(N, L) latents and (N,) labels -> (N, *form.shape); in [-1, 1] where samples have more than one axis."""
        values = full(self.layers(self.input(mapped, labels)))
        return (torch.tanh(values) if self.bounded else values).unflatten(1, self.form.shape)


class MLPDiscriminator(Discriminator):
    """Samples (N, *form.shape) -> logits (N,); features: every hidden layer's units.

    Args:
        form: of the samples.
        widths: units of each hidden layer.
        settings: dropout.
        labels: "none", "projection" or "auxiliary".
    """

    def __init__(self, form: Form, widths: list[int], settings: MLPDiscriminatorSettings, labels: Labels) -> None:
        super().__init__()
        group = settings.deviation_group
        self.one_pass = group is None
        sizes = list(pairwise([form.size, *widths]))
        if group is not None:
            sizes[-1] = (sizes[-1][0] + 1, sizes[-1][1])
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Linear(inputs, outputs), nn.LeakyReLU(0.2), Dropout(settings.dropout))
            for inputs, outputs in sizes
        )
        if group is not None:
            self.layers[-1] = nn.Sequential(MinibatchDeviation(group), self.layers[-1])
        self.head = Head(widths[-1], form, labels)

    def forward(self, sample: Tensor, condition: Tensor | None = None, features: bool = False) -> Judgement:
        """Samples (N, *form.shape) and (N,) labels -> one tensor of logits (N,), class logits (N, classes)."""
        hidden = [sample.flatten(1)]
        for layer in self.layers:
            hidden.append(layer(hidden[-1]))
        return self.head(hidden[-1], condition, hidden[1:] if features else ())
