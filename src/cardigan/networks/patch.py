"""Discriminators of patches: PatchGAN (Isola et al., 2017, arXiv:1611.07004)."""

from itertools import pairwise
from typing import Annotated, Literal

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from cardigan.errors import CardiganError
from cardigan.networks.base import Discriminator, DiscriminatorFamily, Judgement, Units
from cardigan.networks.layers.initialisation import init_normal
from cardigan.networks.layers.normalisation import MapKind, Normalisation
from cardigan.networks.layers.pictures import channels
from cardigan.networks.layers.precision import full, no_autocast
from cardigan.networks.layers.recomputation import Chain
from cardigan.networks.layers.sources import beside, judged_channels
from cardigan.networks.layers.spectral import normalise_spectrally
from cardigan.sample import Form


class Patch(DiscriminatorFamily):
    """4x4 convolutions, whose logits each see one patch: of 16, 34, 70, 142 pixels a side with a depth of 1, 2, 3, 4.

    By default the paper's network. Initial weights are N(0, 0.02), or torch's default without normalisation.
    """

    family: Literal["patch"] = "patch"
    width: Units = 64
    """Channels at half the size: doubled at every smaller one, up to 8 times as many."""
    depth: Annotated[int, Field(ge=1, le=8)] = 3
    """Halvings of the size; two more convolutions follow."""
    normalisation: MapKind = "instance"
    """After every convolution but the first and the last: "instance", "batch" (the paper's; its batches of one make it
    "instance"), "layer" or "none". Gradient penalties want no "batch"."""
    spectral: bool = False
    """Whether weights are spectrally normalised; then `normalisation` is best "none"."""
    scales: Annotated[int, Field(ge=1, le=8)] = 1
    """Networks like this one, each of which sees pictures of half the side that the one before it sees (pix2pixHD:
    Wang et al., 2018, arXiv:1711.11585)."""

    def build(self, form: Form, conditional: bool) -> "PatchDiscriminator":
        """A discriminator of pictures, beside their sources if `conditional`.

        Raises:
            CardiganError: samples or sources that are no pictures; pictures of which nothing would be left.
        """
        inputs = judged_channels(form, self.family, conditional)
        self._check_size(form)
        network = PatchDiscriminator(inputs, conditional, self)
        if self.normalisation != "none":
            init_normal(network)
        if self.spectral:
            normalise_spectrally(network)
        return network

    def _check_size(self, form: Form) -> None:
        """Three pixels must be left after the halvings, of which the last two convolutions take two."""
        side = -(-min(form.shape[1:]) >> (self.scales - 1))
        most = (side // 3).bit_length() - 1
        if self.depth > most:
            allowed = f"1 to {most}" if most > 0 else "larger pictures, or fewer scales"
            raise CardiganError(
                f"game.discriminator.depth: {self.depth} stages with game.discriminator.scales {self.scales} leave "
                f"nothing of pictures of {form.shape[1]}x{form.shape[2]}; allowed: {allowed}"
            )


class PatchNetwork(nn.Module):
    """Pictures (N, C, H, W) -> logits (N, h, w), one for each patch.

    Args:
        inputs: C.
        settings: the fields.
    """

    def __init__(self, inputs: int, settings: Patch) -> None:
        super().__init__()
        depth, kind = settings.depth, settings.normalisation
        levels = channels(settings.width, depth + 1)
        kinds: list[MapKind] = ["none", *[kind] * depth]
        self.stages = nn.ModuleList(
            Chain(
                nn.Conv2d(*pair, 4, stride=2 if stage < depth else 1, padding=1, bias=each == "none"),
                Normalisation(each, pair[1]),
                nn.LeakyReLU(0.2),
            )
            for stage, (pair, each) in enumerate(zip(pairwise([inputs, *levels]), kinds, strict=True))
        )
        self.end = nn.Conv2d(levels[-1], 1, 4, padding=1)

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Pictures (N, C, H, W) -> logits (N, h, w), in full precision, and the output of every stage."""
        hidden = [x]
        for stage in self.stages:
            hidden.append(stage(hidden[-1]))
        last = full(hidden[-1])
        with no_autocast(last):
            return self.end(last).squeeze(1), hidden[1:]


class PatchDiscriminator(Discriminator):
    """Pictures (N, C, H, W) -> one tensor of logits (N, h, w) for each scale; features: those of all scales.

    Args:
        inputs: channels of samples, and of their sources where they are seen beside them.
        conditional: whether they are.
        settings: the fields.
    """

    def __init__(self, inputs: int, conditional: bool, settings: Patch) -> None:
        super().__init__()
        self.conditional = conditional
        self.networks = nn.ModuleList(PatchNetwork(inputs, settings) for _ in range(settings.scales))

    def forward(self, sample: Tensor, condition: Tensor | None = None, features: bool = False) -> Judgement:
        """Pictures (N, C, H, W) and their sources (N, C', h, w) -> logits (N, h, w), one tensor for each scale."""
        x = beside(sample, condition) if self.conditional else sample
        logits, seen = [], []
        for scale, network in enumerate(self.networks):
            if scale:
                x = F.avg_pool2d(x, 3, stride=2, padding=1, count_include_pad=False)
            judged, hidden = network(x)
            logits.append(judged)
            seen.extend(hidden)
        return Judgement(tuple(logits), features=tuple(seen) if features else ())
