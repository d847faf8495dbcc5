"""The game `gan`: a generator of noise against a discriminator, unconditional or class-conditional."""

from collections.abc import Mapping
from contextlib import nullcontext
from functools import partial
from typing import Annotated, Any, Literal, Self

import torch
from pydantic import NonNegativeFloat, PositiveInt, model_validator
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from cardigan.errors import CardiganError
from cardigan.games.adversary import Adversary, Round
from cardigan.games.augmentation import Augmentation, augment
from cardigan.games.base import Examples, Game, GameSettings, Guide, Match, Step, Turn
from cardigan.games.consistency import Consistency, consistency, varied
from cardigan.games.instance_noise import InstanceNoise, noised
from cardigan.games.memory import Memories, Memory
from cardigan.games.packing import form_of_packs, packed, unpacked
from cardigan.games.self_supervision import SelfSupervision, form_of_turns, rotation_loss
from cardigan.games.steering import Steering
from cardigan.networks import FAMILIES
from cardigan.networks.base import Discriminator, Family, Judgement, Labels
from cardigan.networks.compilation import judged
from cardigan.objectives.adversarial import OBJECTIVES, ObjectiveName, Smoothing, over_scales, smooth
from cardigan.objectives.constraints import Clipping, clip_weights
from cardigan.objectives.feature_means import feature_means
from cardigan.objectives.lecam import Anchors, LeCam, lecam
from cardigan.objectives.penalties import Penalties
from cardigan.objectives.top_k import TopK
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
    instance_noise: InstanceNoise | None = None
    """Fading noise on what the discriminator sees; null: none."""
    lecam: LeCam | None = None
    """Holds real and fake logits to each other's averages (LeCam); null: not used."""
    consistency: Consistency | None = None
    """Holds the discriminator to one opinion of a picture however it is shifted (CR-GAN, bCR); null: not used."""
    self_supervision: SelfSupervision | None = None
    """The discriminator also tells how pictures were turned (SS-GAN); null: not used."""
    pack: PositiveInt = 1
    """Samples that the discriminator sees at once (PacGAN); 1: one by one."""
    feature_matching: NonNegativeFloat = 0.0
    """Factor of the distance between mean activations of real and fake samples, in the generator's loss; 0: off."""
    top_k: TopK | None = None
    """Limits the generator's adversarial loss to the fakes judged highest; null: all count."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.pack > 1 and self.labels != "none":
            raise ValueError(f"pack: samples of one pack have labels of their own; allowed with {self.labels!r}: 1")
        if self.self_supervision is not None and self.labels != "none":
            raise ValueError(f"self_supervision: turns are the classes; allowed with labels {self.labels!r}: null")
        if self.self_supervision is not None and self.pack > 1:
            raise ValueError(f"self_supervision: pictures are turned one by one; allowed with pack {self.pack}: null")
        return self

    def build(self, form: Form, guide: Guide | None = None) -> "GanGame":
        """See `GameSettings.build`.

        Raises:
            CardiganError: labels asked of data that has none, or settings that do not go together.
        """
        if self.labels != "none" and form.classes < 2:
            raise CardiganError(f"game.labels: {self.labels!r} needs data with class labels; allowed here: none")
        if self.augmentation.active and len(form.shape) != 3:
            raise CardiganError("game.augmentation: changes pictures, and these samples are none; allowed here: {}")
        if self.consistency is not None and len(form.shape) != 3:
            raise CardiganError("game.consistency: shifts pictures, and these samples are none; allowed here: null")
        return GanGame(self, form)

    def build_discriminator(self, form: Form) -> Discriminator:
        """The discriminator of samples of `form`: of packs of them, and of their turns, where asked for.

        Raises:
            CardiganError: samples that cannot be turned.
        """
        if self.self_supervision is not None:
            return self.networks.build_discriminator(form_of_turns(form), "auxiliary")
        return self.networks.build_discriminator(form_of_packs(form, self.pack), self.labels)


class GanGame(Game):
    """Two players; the discriminator moves `n_critic` times, then the generator."""

    def __init__(self, settings: Gan, form: Form) -> None:
        self.settings, self.form = settings, form
        objective = smooth(OBJECTIVES[settings.objective], settings.smoothing.real, settings.smoothing.fake)
        self.adversary = Adversary(objective, settings.penalties)
        self.generator = settings.networks.build_generator(form, settings.labels)
        self.discriminator = settings.build_discriminator(form)
        self.players: dict[str, nn.Module] = {"generator": self.generator, "discriminator": self.discriminator}
        adaptive = settings.augmentation.adaptive
        self.probability: float | Tensor = 0.0 if adaptive is None else adaptive.probability
        self.steering = (
            Steering(adaptive, objective.undecided) if adaptive is not None and adaptive.target is not None else None
        )
        self.anchors = None if settings.lecam is None else Anchors(settings.lecam.half_life)
        memories: dict[str, Memory | None] = {"augmentation": self.steering, "lecam": self.anchors}
        self.memories = Memories({name: each for name, each in memories.items() if each is not None}, tuple(memories))
        self.turns = (
            Turn(("discriminator",), self.discriminator_loss, repeats=settings.n_critic, after=self._after),
            Turn(("generator",), self.generator_loss),
        )

    def discriminator_loss(self, step: Step) -> dict[str, Tensor]:
        """The objective on real and detached fake samples, the penalties that are due, the terms asked for."""
        with nullcontext() if step.shared else torch.no_grad():
            fake = self._packed(self._fake(step))
        real = self._packed(step.batch.sample)
        together = partial(self._judge_both, step) if self.discriminator.one_pass else None
        played = self.adversary.discriminator(partial(self._judge, step), real, fake, step, together)
        assert played.real is not None
        self.memories.hear(played.real, played.fake, step)
        self._signal(step)
        classified = [played.real, played.fake] if self.settings.auxiliary_fakes else [played.real]
        return (
            played.terms
            | self._classify(step, *classified)
            | self._lecam(played)
            | self._consistency(step, played, real, fake.detach())
            | self._rotation(step, step.batch.sample, "discriminator")
        )

    def generator_loss(self, step: Step) -> dict[str, Tensor]:
        """The objective on the fakes of the discriminator's turn, judged anew; the terms asked for."""
        fake, matching = self._fake(step), self.settings.feature_matching
        share = 1.0 if self.settings.top_k is None else self.settings.top_k.at(step.clock)
        judge = partial(self._judge, step, features=matching > 0)
        real = self._packed(step.batch.sample)
        played = self.adversary.generator(judge, real, self._packed(fake), see_real=matching > 0, share=share)
        step.made.clear()  # frees the fakes' graph as soon as this turn's backward is through
        terms = played.terms | self._classify(step, played.fake)
        if matching and played.real is not None:
            terms["feature_matching"] = matching * feature_means(played.real, played.fake)
        return terms | self._rotation(step, fake, "generator")

    def matches(self, step: Step) -> dict[str, Match]:
        """See `Game.matches`. The judge packs what it is given; what is left over goes unjudged."""
        labels = self._condition(step)
        return {"discriminator": Match(step.batch.sample, self._fake(step), partial(self._judge_alone, step), labels)}

    def state_dict(self) -> dict[str, Any]:
        """The probability of augmentation and the averages of logits, where they are used."""
        return self.memories.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See `Game.load_state_dict`. What an option that was off has not left begins anew.

        Raises:
            ValueError: state that no option of this game leaves.
        """
        self.memories.load_state_dict(state)

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
        """The step's fakes, made once for both players, with the graph that the generator's turn needs, if it comes."""
        if "fake" not in step.made:
            latents = self.generator.sample_latents(len(step.batch), step.random).to(step.batch.sample)
            step.made["fake"] = self.generator(latents, self._condition(step)).to(step.batch.sample)
        fake: Tensor = step.made["fake"]
        return fake

    def _packed(self, samples: Tensor) -> Tensor:
        return packed(samples, self.settings.pack)

    def _judge(self, step: Step, packs: Tensor, features: bool = False) -> Judgement:
        """What the discriminator says of packs (of one sample as a rule), changed as the settings ask."""
        return judged(self.discriminator, self._seen(step, packs), self._condition(step), features)

    def _judge_both(self, step: Step, real: Tensor, fake: Tensor) -> tuple[Judgement, Judgement]:
        """What it says of real and of fake packs, in one pass."""
        condition = self._condition(step)
        seen = torch.cat([self._seen(step, real), self._seen(step, fake)])
        with step.random.in_batches(2):
            judgement = self.discriminator(seen, None if condition is None else condition.repeat(2))
        return judgement.halves()

    def _seen(self, step: Step, packs: Tensor) -> Tensor:
        """Packs, changed as the settings ask."""
        sample = unpacked(packs, self.settings.pack)
        if self.settings.augmentation.active:
            probability = self.probability if self.steering is None else self.steering.probability
            sample = augment(sample, self.settings.augmentation, step.random, probability)
        if self.settings.instance_noise is not None:
            sample = noised(sample, self.settings.instance_noise.at(step.clock), step.random)
        return self._packed(sample)

    def _judge_alone(self, step: Step, samples: Tensor) -> Judgement:
        """What the discriminator says of (N, ...) samples, whether or not N is a multiple of a pack."""
        return self._judge(step, self._packed(samples[: len(samples) // self.settings.pack * self.settings.pack]))

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

    def _lecam(self, played: Round) -> dict[str, Tensor]:
        """LeCam's term, once there are averages; all slices of a turn are held to those of the turn before."""
        if self.settings.lecam is None or self.anchors is None or played.real is None:
            return {}
        if self.anchors.real is None or self.anchors.fake is None:
            return {"lecam": torch.zeros((), device=played.fake.logits[0].device)}
        term = partial(lecam, real_anchor=self.anchors.real, fake_anchor=self.anchors.fake)
        values = over_scales(term, played.real.logits, played.fake.logits)
        return {"lecam": self.settings.lecam.weight * values.mean()}

    def _consistency(self, step: Step, played: Round, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """Terms of packs of real and fake samples against what is said of them when they are varied."""
        settings = self.settings.consistency
        if settings is None:
            return {}
        terms = {}
        sides = {"real": (settings.real, real, played.real), "fake": (settings.fake, fake, played.fake)}
        for side, (weight, packs, judgement) in sides.items():
            if weight and judgement is not None:
                changed = self._packed(varied(unpacked(packs, self.settings.pack), settings, step.random))
                term = consistency(judgement, self._judge(step, changed)).mean()
                terms[f"consistency_{side}"] = weight * term
        return terms

    def _rotation(self, step: Step, samples: Tensor, player: str) -> dict[str, Tensor]:
        """The auxiliary task of self-supervision, on `samples` (N, C, H, W), in the loss of `player`."""
        weight = getattr(self.settings.self_supervision, player, 0.0)
        return {"rotation": weight * rotation_loss(self.discriminator, samples, step.random)} if weight else {}

    def _signal(self, step: Step) -> None:
        """What changes as training goes on, for the log."""
        if self.steering is not None:
            step.signals["augmentation_probability"] = self.steering.probability
        if self.settings.instance_noise is not None:
            step.signals["instance_noise"] = torch.tensor(self.settings.instance_noise.at(step.clock))

    def _after(self) -> None:
        """The discriminator's weights have moved."""
        self.memories.update()
        if self.settings.clipping is not None:
            clip_weights(self.discriminator, self.settings.clipping.limit)
