"""The game `gan`: a generator of noise against a discriminator, unconditional or class-conditional."""

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Literal

import torch
from pydantic import NonNegativeFloat, PositiveInt
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from cardigan.errors import CardiganError
from cardigan.games.adversary import Adversary
from cardigan.games.augmentation import Augmentation, augment
from cardigan.games.base import Examples, Game, GameSettings, Guide, Match, Step, Turn
from cardigan.networks import FAMILIES
from cardigan.networks.base import Family, Judgement, Labels
from cardigan.objectives.adversarial import OBJECTIVES, ObjectiveName, Smoothing, smooth
from cardigan.objectives.constraints import Clipping, clip_weights
from cardigan.objectives.penalties import Penalties
from cardigan.randomness import Random
from cardigan.sample import Form
from cardigan.settings import Choice


class Gan(GameSettings):
    """Goodfellow et al. 2014, with the objectives, penalties and conditions of its literature."""

    kind: Literal["gan"] = "gan"
    networks: Annotated[Family, Choice("family", FAMILIES)]
    objective: ObjectiveName = "relativistic"
    """The pair of adversarial losses."""
    smoothing: Smoothing = Smoothing()
    penalties: Penalties = Penalties()
    clipping: Clipping | None = None
    """Bound on the discriminator's weights after each of its steps (WGAN); null: none."""
    labels: Labels = "none"
    """How class labels are used: not at all, by projection (Miyato & Koyama 2018), by an auxiliary classifier."""
    auxiliary_weight: NonNegativeFloat = 1.0
    """Weight of the auxiliary classifier's cross-entropy, in both players' losses."""
    auxiliary_fakes: bool = False
    """Whether the discriminator's classifier learns from fakes too, as AC-GAN was published; the players may then agree
    on a hidden mark for every class that nobody else can see (docs/log.md)."""
    augmentation: Augmentation = Augmentation()
    """Of what the discriminator sees, real and fake alike: helps where pictures are few."""
    n_critic: PositiveInt = 1
    """Turns of the discriminator for one of the generator, each on new real samples."""

    def build(self, form: Form, guide: Guide | None = None) -> "GanGame":
        """See `GameSettings.build`.

        Raises:
            CardiganError: labels asked of data that has none, or settings that do not go together.
        """
        if self.labels != "none" and form.classes < 2:
            raise CardiganError(f"game.labels: {self.labels!r} needs data with class labels; allowed here: none")
        if self.augmentation.active and len(form.shape) != 3:
            raise CardiganError("game.augmentation: changes pictures, and these samples are none; allowed here: {}")
        return GanGame(self, form)


class GanGame(Game):
    """Two players; the discriminator moves `n_critic` times, then the generator."""

    def __init__(self, settings: Gan, form: Form) -> None:
        self.settings, self.form = settings, form
        objective = smooth(OBJECTIVES[settings.objective], settings.smoothing.real, settings.smoothing.fake)
        self.adversary = Adversary(objective, settings.penalties)
        self.generator = settings.networks.build_generator(form, settings.labels)
        self.discriminator = settings.networks.build_discriminator(form, settings.labels)
        self.players: dict[str, nn.Module] = {"generator": self.generator, "discriminator": self.discriminator}
        self.turns = (
            Turn(("discriminator",), self.discriminator_loss, repeats=settings.n_critic, after=self._clip),
            Turn(("generator",), self.generator_loss),
        )

    def discriminator_loss(self, step: Step) -> dict[str, Tensor]:
        """The objective on real and detached fake samples, the penalties that are due, the auxiliary classifier."""
        played = self.adversary.discriminator(partial(self._judge, step), step.batch.sample, self._fake(step), step)
        assert played.real is not None
        classified = [played.real, played.fake] if self.settings.auxiliary_fakes else [played.real]
        return played.terms | self._classify(step, *classified)

    def generator_loss(self, step: Step) -> dict[str, Tensor]:
        """The objective on the fakes of the discriminator's turn, judged anew; the auxiliary classifier."""
        played = self.adversary.generator(partial(self._judge, step), step.batch.sample, self._fake(step))
        step.made.clear()  # frees the fakes' graph as soon as this turn's backward is through
        return played.terms | self._classify(step, played.fake)

    def matches(self, step: Step) -> dict[str, Match]:
        """See `Game.matches`."""
        judge, labels = partial(self._judge, step), self._condition(step)
        return {"discriminator": Match(step.batch.sample, self._fake(step), judge, labels)}

    def showcase(self, count: int, random: Random, examples: Examples) -> dict[str, Tensor]:
        """Fixed latents, and labels class by class where the generator is conditional."""
        latents = self.generator.sample_latents(count, random)
        if self.settings.labels == "none":
            return {"latents": latents}
        return {"latents": latents, "labels": torch.arange(count) * self.form.classes // count}

    def show(self, players: Mapping[str, nn.Module], **inputs: Tensor) -> Tensor:
        """Samples of the generator among `players`."""
        samples: Tensor = players["generator"](inputs["latents"], inputs.get("labels"))
        return samples

    def _fake(self, step: Step) -> Tensor:
        """The step's fakes, made once for both players, with the graph that the generator's turn needs."""
        if "fake" not in step.made:
            latents = self.generator.sample_latents(len(step.batch), step.random).to(step.batch.sample)
            step.made["fake"] = self.generator(latents, self._condition(step)).to(step.batch.sample)
        fake: Tensor = step.made["fake"]
        return fake

    def _judge(self, step: Step, sample: Tensor) -> Judgement:
        if self.settings.augmentation.active:
            sample = augment(sample, self.settings.augmentation, step.random)
        judgement: Judgement = self.discriminator(sample, self._condition(step))
        return judgement

    def _condition(self, step: Step) -> Tensor | None:
        """Fakes take the labels of the real batch: their distribution is right, and relativistic pairs share one."""
        return None if self.settings.labels == "none" else step.batch.label

    def _classify(self, step: Step, *judgements: Judgement) -> dict[str, Tensor]:
        """Cross-entropy of the class logits: Odena et al. 2017, AC-GAN, equation 3."""
        if self.settings.labels != "auxiliary" or self.settings.auxiliary_weight == 0:
            return {}
        assert step.batch.label is not None
        losses = [
            cross_entropy(each.class_logits.float(), step.batch.label)
            for each in judgements
            if each.class_logits is not None
        ]
        return {"auxiliary": self.settings.auxiliary_weight * torch.stack(losses).mean()}

    def _clip(self) -> None:
        if self.settings.clipping is not None:
            clip_weights(self.discriminator, self.settings.clipping.limit)
