"""The game `sequence`: a writer of sentences, trained by likelihood and then against a discriminator of sentences."""

import copy
from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, ClassVar, Literal, Self

import torch
from pydantic import NonNegativeFloat, PositiveFloat, model_validator
from torch import Tensor, nn

from cardigan.errors import CardiganError
from cardigan.games.base import Examples, Game, GameSettings, Guide, Match, Step, Turn
from cardigan.games.rewards import REWARDS, Reward, Scorer, score
from cardigan.games.sequence_methods import METHODS, Method, Move, PolicyGradient, steady
from cardigan.games.symptoms import of_sentences
from cardigan.networks.base import Judgement
from cardigan.networks.sequences import SENTENCE_DISCRIMINATORS, WRITERS
from cardigan.networks.sequences.base import SentenceDiscriminatorFamily, Writer, WriterFamily
from cardigan.networks.sequences.recurrent_judge import TextRecurrent
from cardigan.networks.sequences.sampling import write, write_with
from cardigan.objectives.policy import divergence, logistic, per_sentence, placed
from cardigan.randomness import Random
from cardigan.sample import Form
from cardigan.settings import Choice, Clock, resolve
from cardigan.tokens import content

ANCHOR = "anchor."
"""How names of the anchor's weights begin in the game's state."""


class Sequence(GameSettings):
    """Likelihood first, then adversarial (SeqGAN, ScratchGAN, RelGAN); with sources: dialogue, machine translation."""

    kind: Literal["sequence"] = "sequence"
    writes: ClassVar[bool] = True
    generator: Annotated[WriterFamily, Choice("family", WRITERS)]
    """Writes token after token."""
    discriminator: Annotated[SentenceDiscriminatorFamily, Choice("family", SENTENCE_DISCRIMINATORS)] = TextRecurrent()
    """Tells real sentences from written ones, token by token or as a whole; sees the source where there is one."""
    method: Annotated[Method, Choice("kind", METHODS)] = PolicyGradient()
    """How its judgement reaches the generator."""
    adversarial_weight: NonNegativeFloat = 1.0
    """Factor of the method's adversarial term; 0: likelihood alone, at the same pace when the game would have begun."""
    start: Clock = 0
    """Samples drawn by likelihood alone before the discriminator joins."""
    warmup: Clock = 0
    """Samples that the discriminator then learns from before the generator moves again."""
    pace: PositiveFloat = 0.1
    """Factor of the generator's (and the critic's) learning rate once it plays: what likelihood taught is soon lost."""
    replay: NonNegativeFloat = 0.0
    """Weight of the likelihood of real sentences while the generator plays."""
    anchor: NonNegativeFloat = 0.0
    """Weight of KL(generator || generator as likelihood left it), token by token along what it writes."""
    rewards: tuple[Reward, ...] = ()
    """Scoring functions of sentences that are added to the discriminator's reward."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.rewards and not isinstance(self.method, PolicyGradient):
            raise ValueError("rewards are paid by the policy gradient alone; allowed: method policy-gradient")
        for each in self.rewards:
            resolve(each.function, REWARDS, "rewards.function")
        return self

    @property
    def begins(self) -> int:
        """The clock at which the generator begins to play."""
        return self.start + self.warmup

    def build(self, form: Form, guide: Guide | None = None) -> "SequenceGame":
        """See `GameSettings.build`.

        Raises:
            CardiganError: samples that are no sentences.
        """
        if not form.vocabulary:
            raise CardiganError("game.kind: sequence needs samples made of tokens; allowed data.kind here: sentences")
        return SequenceGame(self, form)


class SequenceGame(Game):
    """Until `start` the generator alone; then the discriminator alone for `warmup`; then both in turn."""

    def __init__(self, settings: Sequence, form: Form) -> None:
        self.settings, self.form = settings, form
        self.generator: Writer = settings.generator.build(form)
        self.discriminator = settings.discriminator.build(form, form.source is not None)
        extra = settings.method.players(self)
        self.critic = extra.get("critic")
        self.players: dict[str, nn.Module] = {"generator": self.generator, "discriminator": self.discriminator, **extra}
        self.anchor: Writer | None = None
        self.scorers: list[tuple[float, Scorer]] = [
            (each.weight, resolve(each.function, REWARDS, "rewards.function")) for each in settings.rewards
        ]
        self.turns = (
            Turn(("generator",), self.likelihood_loss, end=settings.start),
            Turn(("discriminator",), self.discriminator_loss, start=settings.start),
            Turn(("generator", *extra), self.generator_loss, start=settings.begins, pace=settings.pace),
        )
        if settings.adversarial_weight == 0:
            self.turns = (
                Turn(("generator",), self.likelihood_loss, end=settings.begins),
                Turn(("generator",), self.likelihood_loss, start=settings.begins, pace=settings.pace),
            )

    def likelihood_loss(self, step: Step) -> dict[str, Tensor]:
        """Minus the log-probability of real sentences, in nats per place of the longest sentence."""
        return {"likelihood": self._likelihood(step)}

    def discriminator_loss(self, step: Step) -> dict[str, Tensor]:
        """Cross-entropy of real sentences and of those that the generator writes."""
        real, fake = step.batch.sample, self.fake(step)
        found = {}
        for name, tokens in (("real", real), ("fake", fake)):
            logits, mask = self.judge(step, tokens).logits[0], content(tokens)
            found[name] = logistic(logits, mask, real=name == "real").mean()
            step.signals[f"{name}_logit"] = (logits[mask] if logits.dim() == 2 else logits).detach().float().mean()
        step.signals["length"] = content(fake).sum(dim=1).float().mean()
        return {"adversarial": found["real"] + found["fake"]}

    def generator_loss(self, step: Step) -> dict[str, Tensor]:
        """What the method makes of the judgement, the distance from the likelihood model, real sentences."""
        settings = self.settings
        if settings.anchor and self.anchor is None:
            self.anchor = _frozen(self.generator)
        played = settings.method.move(self, step)
        step.made.clear()
        terms = {**played.terms, "adversarial": settings.adversarial_weight * played.terms["adversarial"]}
        if self.anchor is not None:
            terms["anchor"] = settings.anchor * self._strayed(step, played)
        if settings.replay:
            terms["replay"] = settings.replay * self._likelihood(step)
        return terms

    def matches(self, step: Step) -> dict[str, Match]:
        """See `Game.matches`."""
        if self.settings.adversarial_weight == 0 or step.clock < self.settings.start:
            return {}
        return {"discriminator": Match(step.batch.sample, self.fake(step), partial(self.judge, step))}

    def symptoms(self, step: Step, match: Match) -> dict[str, Tensor]:
        """See `Game.symptoms`."""
        return of_sentences(match)

    @torch.no_grad()
    def fake(self, step: Step) -> Tensor:
        """(N, T) sentences of the generator as it is, written once a round for both players."""
        if "fake" not in step.made:
            count, length = step.batch.sample.shape
            with steady(self.generator):
                step.made["fake"] = write(self.generator, count, length, step.random, source=step.batch.source)
        fake: Tensor = step.made["fake"]
        return fake

    def judge(self, step: Step, sentences: Tensor) -> Judgement:
        """The discriminator on tokens (N, T) or weights (N, T, V), beside this batch's sources."""
        judged: Judgement = self.discriminator(sentences, step.batch.source)
        return judged

    def scored(self, step: Step, tokens: Tensor) -> Tensor:
        """(N,) the weighted sum of the user's scoring functions; 0 where there are none."""
        if not self.scorers or step.decode is None:
            return torch.zeros(len(tokens), device=tokens.device)
        texts, truths = step.decode(tokens), step.decode(step.batch.sample)
        return sum(weight * score(function, texts, truths, tokens.device) for weight, function in self.scorers)  # type: ignore[return-value]

    def state_dict(self) -> dict[str, Any]:
        """The weights of the anchor."""
        if self.anchor is None:
            return {}
        return {f"{ANCHOR}{name}": value for name, value in self.anchor.state_dict().items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See `Game.load_state_dict`."""
        weights = {name.removeprefix(ANCHOR): value for name, value in state.items() if name.startswith(ANCHOR)}
        self.anchor = None
        if weights:
            self.anchor = _frozen(self.generator)
            self.anchor.load_state_dict(weights)

    def showcase(self, count: int, random: Random, examples: Examples) -> dict[str, Tensor]:
        """A number for every token to be drawn; sources and what they should become, of the validation split."""
        inputs = {"uniforms": random.uniform(count, self.form.shape[0])}
        if self.form.source is None:
            return inputs
        batch = examples(count)
        assert batch.source is not None
        return {**inputs, "source": batch.source, "truth": batch.sample}

    def show(self, players: Mapping[str, nn.Module], **inputs: Tensor) -> Tensor:
        """Sentences that the generator writes."""
        writer = players["generator"]
        assert isinstance(writer, Writer)
        return write_with(writer, inputs["uniforms"], source=inputs.get("source"))

    def exhibit(self, players: Mapping[str, nn.Module], **inputs: Tensor) -> dict[str, Tensor]:
        """The sentences; beside sources and truth where there are such."""
        made = self.show(players, **inputs)
        if "source" not in inputs:
            return {"sample": made}
        return {"input": inputs["source"], "output": made, "truth": inputs["truth"]}

    def _likelihood(self, step: Step) -> Tensor:
        tokens = step.batch.sample
        mask = content(tokens)
        found = self.generator.log_probabilities(tokens, step.batch.source)
        step.signals["nats"] = -found.detach()[mask].mean()
        return -per_sentence(found, mask).mean()

    def _strayed(self, step: Step, played: Move) -> Tensor:
        """KL of the generator from the anchor along what it wrote."""
        assert self.anchor is not None
        tokens, source, logits = played.tokens, step.batch.source, played.logits
        mask = content(tokens)
        with steady(self.generator):
            logits = self.generator.counting(tokens, source) if logits is None else logits
        with torch.no_grad():
            theirs = self.anchor.counting(tokens, source)
        return per_sentence(placed(divergence(logits, theirs), mask), mask).mean()


def _frozen(writer: Writer) -> Writer:
    return copy.deepcopy(writer).eval().requires_grad_(False)
