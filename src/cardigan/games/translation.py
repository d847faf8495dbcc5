"""The game `translation`: paired; a generator makes samples of sources, a discriminator sees both side by side."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache, cached_property, partial
from typing import Annotated, Any, Literal, Self

from pydantic import NonNegativeFloat, model_validator
from torch import Tensor, nn

from cardigan.errors import CardiganError
from cardigan.extractors.base import Maps
from cardigan.extractors.vgg import Kind, vgg
from cardigan.games.adversary import Adversary
from cardigan.games.base import GameSettings, Guide, Match, Step, Turn
from cardigan.games.composite import KeptPixels, composite
from cardigan.games.translating import TranslatingGame
from cardigan.networks import DISCRIMINATORS, TRANSLATORS
from cardigan.networks.base import DiscriminatorFamily, Judgement, Translator, TranslatorFamily
from cardigan.networks.compilation import judged
from cardigan.networks.patch import Patch
from cardigan.objectives.adversarial import OBJECTIVES, ObjectiveName
from cardigan.objectives.penalties import Penalties
from cardigan.objectives.perceptual import perceptual
from cardigan.objectives.reconstruction import (
    Terms,
    feature_matching,
    gradient_difference,
    reconstruction,
    total_variation,
)
from cardigan.sample import Form
from cardigan.settings import Choice, Clock

COMPARED = ("reconstruction", "perceptual", "gradient_difference", "total_variation")
"""Terms of the generator that need no discriminator."""


class Translation(GameSettings):
    """Isola et al. 2017 (pix2pix), and restoration as translation: super-resolution, inpainting, denoising."""

    kind: Literal["translation"] = "translation"
    generator: Annotated[TranslatorFamily, Choice("family", TRANSLATORS)]
    """Makes samples of sources."""
    discriminator: Annotated[DiscriminatorFamily, Choice("family", DISCRIMINATORS)] = Patch()
    """Tells real samples from made ones."""
    objective: ObjectiveName = "nonsaturating"
    """The pair of adversarial losses."""
    adversarial_weight: NonNegativeFloat = 1.0
    """Factor of the adversarial loss of the generator; 0: it learns from the other terms alone, without discriminator
    turns."""
    start: Clock = 0
    """Samples drawn before the discriminator joins: until then the generator learns from the distance between pixels
    alone (`terms.reconstruction`)."""
    conditional: bool = True
    """Whether the discriminator sees the source beside the sample."""
    penalties: Penalties = Penalties()
    """Of the discriminator."""
    terms: Terms = Terms()
    """What else the generator is held to."""
    composite: bool = False
    """Whether what the source shows is kept as it is: the pixels outside of a hole, the brightness of a grey
    picture."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.adversarial_weight == 0 and not self.terms.compares:
            raise ValueError(
                "adversarial_weight is 0 and so are all terms that compare with the truth: nothing to learn"
            )
        if self.adversarial_weight and self.start and not self.terms.reconstruction:
            raise ValueError(f"start is {self.start:,}, but terms.reconstruction is 0: until then nothing is learnt")
        return self

    @property
    def guided(self) -> bool:
        """See `GameSettings.guided`: the perceptual term looks through the guide."""
        return self.terms.perceptual > 0 and self.terms.eye == "local"

    def build(self, form: Form, guide: Guide | None = None) -> "TranslationGame":
        """See `GameSettings.build`.

        Raises:
            CardiganError: data without sources, networks or `composite` that do not fit them.
        """
        if form.source is None:
            raise CardiganError(
                "game.kind: translation needs samples that are made from something; allowed data.kind here: pairs"
            )
        return TranslationGame(self, form, guide)


class TranslationGame(TranslatingGame):
    """Two players: until `start` the generator alone, then the discriminator and the generator in turn."""

    def __init__(self, settings: Translation, form: Form, guide: Guide | None) -> None:
        self.settings, self.form, self.guide = settings, form, guide
        self.adversary = Adversary(OBJECTIVES[settings.objective], settings.penalties)
        self.generator: Translator = settings.generator.build(form)
        if settings.composite:
            self.generator = composite(self.generator, form)
        self.discriminator = settings.discriminator.build(form, settings.conditional)
        self.players: dict[str, nn.Module] = {"generator": self.generator, "discriminator": self.discriminator}
        self.turns = (
            Turn(("generator",), self.pretraining_loss, end=settings.start),
            Turn(("discriminator",), self.discriminator_loss, start=settings.start),
            Turn(("generator",), self.generator_loss, start=settings.start),
        )
        if settings.adversarial_weight == 0:
            self.turns = (Turn(("generator",), self.reconstruction_loss),)

        if guide is not None and settings.terms.perceptual and settings.terms.eye != "local":
            _ = self.eye  # so that weights that cannot be had end a run before its first step

    def pretraining_loss(self, step: Step) -> dict[str, Tensor]:
        """The distance between pixels."""
        return self._terms(step, self._made(step), ("reconstruction",))

    def reconstruction_loss(self, step: Step) -> dict[str, Tensor]:
        """The terms that compare with the truth, where there is no discriminator."""
        return self._terms(step, self._made(step))

    def discriminator_loss(self, step: Step) -> dict[str, Tensor]:
        """The objective on real and made samples, and the penalties that are due."""
        return self.adversary.discriminator(partial(self._judge, step), step.batch.sample, self._fake(step), step).terms

    def generator_loss(self, step: Step) -> dict[str, Tensor]:
        """The objective, feature matching and the terms that compare with the truth."""
        fake = self._fake(step)
        matches = self.settings.terms.feature_matching
        judge = partial(self._judge, step, features=matches > 0)
        played = self.adversary.generator(judge, step.batch.sample, fake, see_real=matches > 0)
        step.made.clear()  # frees the fakes' graph as soon as this turn's backward is through
        terms = {"adversarial": self.settings.adversarial_weight * played.terms["adversarial"]}
        if matches and played.real is not None:
            terms["feature_matching"] = matches * feature_matching(played.real, played.fake).mean()
        return terms | self._terms(step, fake)

    def matches(self, step: Step) -> dict[str, Match]:
        """See `Game.matches`."""
        if self.settings.adversarial_weight == 0 or step.clock < self.settings.start:
            return {}
        return {"discriminator": Match(step.batch.sample, self._fake(step), partial(self._judge, step))}

    def state_dict(self) -> dict[str, Any]:
        """The guide's hash: a run goes on with the guide that it began with."""
        return {"guide": self.eye.digest} if self.settings.guided and self.guide else {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See `Game.load_state_dict`.

        Raises:
            CardiganError: the guide is another one.
        """
        if state and self.settings.guided and self.guide and state.get("guide") != self.eye.digest:
            raise CardiganError(
                "the guide of the perceptual term is not the one that this run began with (trained anew on another "
                "machine or version); the trajectory cannot be continued"
            )

    @cached_property
    def eye(self) -> Maps:
        """What the perceptual term looks through: the data's guide, or VGG."""
        if self.settings.terms.eye != "local":
            return _opened(self.settings.terms.eye)
        assert self.guide is not None
        return self.guide()

    def _terms(self, step: Step, fake: Tensor, names: Sequence[str] = COMPARED) -> dict[str, Tensor]:
        """The terms of these names, weighted; with a hole, distances between pixels count there alone."""
        terms, truth = self.settings.terms, step.batch.sample
        hole = (_source(step)[:, -1:] > 0).to(fake) if isinstance(self.generator, KeptPixels) else None
        wanted: dict[str, Callable[[], Tensor]] = {
            "reconstruction": lambda: reconstruction(fake, truth, terms, hole),
            "perceptual": lambda: perceptual(self._maps(fake), self._maps(truth), terms.perceptual_distance),
            "gradient_difference": lambda: gradient_difference(fake, truth, hole),
            "total_variation": lambda: total_variation(fake, hole),
        }
        return {name: getattr(terms, name) * wanted[name]().mean() for name in names if getattr(terms, name)}

    def _maps(self, samples: Tensor) -> tuple[Tensor, ...]:
        return self.eye.maps(samples)

    def _fake(self, step: Step) -> Tensor:
        """Made once for both players, with the graph that the generator's turn needs."""
        if "fake" not in step.made:
            step.made["fake"] = self._made(step)
        fake: Tensor = step.made["fake"]
        return fake

    def _made(self, step: Step) -> Tensor:
        made: Tensor = self.generator(_source(step)).to(step.batch.sample)
        return made

    def _judge(self, step: Step, sample: Tensor, features: bool = False) -> Judgement:
        return judged(self.discriminator, sample, _source(step) if self.settings.conditional else None, features)


@cache
def _opened(kind: Kind) -> Maps:
    return vgg(kind)


def _source(step: Step) -> Tensor:
    assert step.batch.source is not None
    return step.batch.source
