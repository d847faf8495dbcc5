"""The game `contrastive`: unpaired and one-sided; patches of input and output must tell each other apart (CUT)."""

from collections.abc import Mapping
from typing import Annotated, Literal

import torch
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor, nn

from cardigan.errors import CardiganError
from cardigan.games.adversary import Adversary
from cardigan.games.base import GameSettings, Guide, Match, Step, Turn
from cardigan.games.translating import TranslatingGame
from cardigan.networks import DISCRIMINATORS, TRANSLATORS
from cardigan.networks.base import DiscriminatorFamily, Judgement, TranslatorFamily, Units
from cardigan.networks.compilation import judged
from cardigan.networks.layers.projector import PatchProjector
from cardigan.networks.patch import Patch
from cardigan.objectives.adversarial import OBJECTIVES, ObjectiveName
from cardigan.objectives.contrastive import patch_nce, sample_patches
from cardigan.objectives.penalties import Penalties
from cardigan.sample import Form
from cardigan.settings import Choice


class Contrastive(GameSettings):
    """Park et al. 2020, "Contrastive learning for unpaired image-to-image translation"."""

    kind: Literal["contrastive"] = "contrastive"
    generator: Annotated[TranslatorFamily, Choice("family", TRANSLATORS)]
    """Makes samples of sources; its first half is the encoder that patches are compared by."""
    discriminator: Annotated[DiscriminatorFamily, Choice("family", DISCRIMINATORS)] = Patch()
    """Tells real samples from made ones."""
    objective: ObjectiveName = "least-squares"
    """The pair of adversarial losses."""
    penalties: Penalties = Penalties()
    """Of the discriminator."""
    weight: PositiveFloat = 1.0
    """Factor of the contrastive loss between input and output."""
    identity: NonNegativeFloat = 1.0
    """Factor of the contrastive loss between a sample and what the generator makes of it."""
    patches: PositiveInt = 256
    """Places compared in every layer of every picture; at most as many as the layer has."""
    temperature: PositiveFloat = 0.07
    """Of the softmax over patches."""
    projection: Units = 256
    """Numbers in the vector by which a patch is compared."""

    def build(self, form: Form, guide: Guide | None = None) -> "ContrastiveGame":
        """See `GameSettings.build`.

        Raises:
            CardiganError: data without sources or of another shape, or a generator that gives no activations.
        """
        if form.source is None or form.source != form.shape:
            raise CardiganError(
                "game.kind: contrastive needs two domains of pictures of one size; allowed data.kind here: domains"
            )
        return ContrastiveGame(self, form)


class ContrastiveGame(TranslatingGame):
    """Three players: generator, projector (the heads that patches are compared by), discriminator."""

    def __init__(self, settings: Contrastive, form: Form) -> None:
        self.settings, self.form = settings, form
        self.adversary = Adversary(OBJECTIVES[settings.objective], settings.penalties)
        self.generator = settings.generator.build(form)
        self.projector = PatchProjector(self._channels(), settings.projection)
        self.discriminator = settings.discriminator.build(form, False)
        self.players: dict[str, nn.Module] = {
            "generator": self.generator,
            "projector": self.projector,
            "discriminator": self.discriminator,
        }
        self.turns = (
            Turn(("discriminator",), self.discriminator_loss),
            Turn(("generator", "projector"), self.generator_loss),
        )

    def exhibit(self, players: Mapping[str, nn.Module], **inputs: Tensor) -> dict[str, Tensor]:
        """Input and output; the truth is not known."""
        return {"input": inputs["source"], "output": self.show(players, **inputs)}

    def matches(self, step: Step) -> dict[str, Match]:
        """See `Game.matches`."""
        return {"discriminator": Match(step.batch.sample, self._made(step)[0], self._judge)}

    def discriminator_loss(self, step: Step) -> dict[str, Tensor]:
        """The objective on real and made samples, and the penalties that are due."""
        return self.adversary.discriminator(self._judge, step.batch.sample, self._made(step)[0], step).terms

    def generator_loss(self, step: Step) -> dict[str, Tensor]:
        """The objective and PatchNCE, between input and output and between sample and itself translated."""
        sample, source = step.batch.sample, step.batch.source
        assert source is not None
        fake, same = self._made(step)
        step.made.clear()
        terms = {"adversarial": self.adversary.generator(self._judge, sample, fake).terms["adversarial"]}
        terms["contrastive"] = self.settings.weight * self._contrast(source, fake, step)
        if same is not None:
            terms["identity"] = self.settings.identity * self._contrast(sample, same, step)
        return terms

    def _made(self, step: Step) -> tuple[Tensor, Tensor | None]:
        """Translated sources and samples, made once for both players."""
        if "made" not in step.made:
            sample, source = step.batch.sample, step.batch.source
            assert source is not None
            same = self.generator(sample).to(sample) if self.settings.identity else None
            step.made["made"] = self.generator(source).to(sample), same
        made: tuple[Tensor, Tensor | None] = step.made["made"]
        return made

    def _contrast(self, source: Tensor, made: Tensor, step: Step) -> Tensor:
        """Equation 4, a mean over layers: a patch of the output is to find the input's patch at its place."""
        with torch.no_grad():
            seen = self.generator.encode(source)
        queries, keys = sample_patches(self.generator.encode(made), seen, self.settings.patches, step.random)
        with torch.no_grad():
            keys = self.projector(keys)
        pairs = zip(self.projector(queries), keys, strict=True)
        return torch.stack([patch_nce(query, key, self.settings.temperature).mean() for query, key in pairs]).mean()

    def _channels(self) -> list[int]:
        """Channels of the activations that patches are compared by."""
        with torch.no_grad():
            side = 4 * self.generator.multiple
            return [each.shape[1] for each in self.generator.encode(torch.zeros(1, self.form.shape[0], side, side))]

    def _judge(self, sample: Tensor) -> Judgement:
        return judged(self.discriminator, sample)
