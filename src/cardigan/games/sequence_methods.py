"""How a discriminator's judgement of sentences reaches the generator: by a policy gradient, or through soft tokens."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import torch
from pydantic import Field, NonNegativeInt, PositiveFloat
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, softplus

from cardigan.games.base import Step
from cardigan.networks.sequences.critic import Critic
from cardigan.networks.sequences.sampling import roll_outs, soft_write
from cardigan.objectives.adversarial import widen
from cardigan.objectives.policy import RewardName, per_sentence, placed, policy_gradient, returns, reward
from cardigan.settings import Count, Settings
from cardigan.tokens import content

if TYPE_CHECKING:
    from cardigan.games.sequence import SequenceGame


@dataclass(frozen=True)
class Move:
    """What the generator wrote in its turn, and what it is to minimise.

    Attributes:
        tokens: (N, T) int64, what was written.
        logits: (M, V) of the generator at the M tokens that count, with their graph; None where the method needs none.
        terms: by name, scalars.
    """

    tokens: Tensor
    logits: Tensor | None
    terms: dict[str, Tensor]


class Method(Settings, ABC):
    """A way from judgements to the generator's weights."""

    kind: str

    def players(self, game: "SequenceGame") -> dict[str, nn.Module]:
        """Players beside generator and discriminator, which move in the generator's turn."""
        return {}

    @abstractmethod
    def move(self, game: "SequenceGame", step: Step) -> Move:
        """Write a batch, have it judged, and say what is to be minimised."""


class PolicyGradient(Method):
    """REINFORCE on rewards for each token, less a learned baseline (SeqGAN; ScratchGAN)."""

    kind: Literal["policy-gradient"] = "policy-gradient"
    reward: RewardName = "centred"
    """What is made of the discriminator's logits; see `objectives.policy.reward`."""
    discount: Annotated[float, Field(ge=0, le=1)] = 0.95
    """Factor of a later token's reward; a whole sentence's single reward is not discounted."""
    roll_outs: NonNegativeInt = 0
    """Completions of every prefix by which a token's value is estimated, where whole sentences are judged (SeqGAN's
    Monte-Carlo search); each costs as many samplings as a sentence has tokens. 0: the last token is paid for all."""
    critic: Annotated[int, Field(ge=1, le=4096)] | None = 64
    """Width of the learned baseline; null: the mean return of the batch at each place."""

    def players(self, game: "SequenceGame") -> dict[str, nn.Module]:
        """The critic."""
        if self.critic is None:
            return {}
        return {"critic": Critic(game.form.vocabulary, self.critic, game.form.source is not None)}

    def move(self, game: "SequenceGame", step: Step) -> Move:
        """Sentences of this round, the gradient of their expected return, the critic's error."""
        tokens, source = game.fake(step), step.batch.source
        mask = content(tokens)
        with torch.no_grad(), steady(game.generator), steady(game.discriminator):
            gains = self._returns(game, step, tokens, mask)
        with steady(game.generator):
            logits = game.generator.counting(tokens, source)
        terms = {}
        if game.critic is None:
            expected = _mean_by_place(gains, mask)
        else:
            expected = game.critic(tokens, source)
            terms["critic"] = per_sentence((expected - gains).square(), mask).mean()
        found = placed(-cross_entropy(logits, tokens[mask], reduction="none"), mask)
        terms["adversarial"] = policy_gradient(found, gains - expected, mask).mean()
        step.signals["return"] = gains[:, 0].mean()
        return Move(tokens, logits, terms)

    def _returns(self, game: "SequenceGame", step: Step, tokens: Tensor, mask: Tensor) -> Tensor:
        """(N, T) what each token brings from there on."""
        judged = self._paid(game, step, tokens)
        extra = game.scored(step, tokens)
        last = mask.sum(dim=1, keepdim=True) - 1
        if judged.dim() == 2:
            judged = judged.scatter_add(1, last, extra[:, None].to(judged))
            return returns(judged, mask, self.discount)
        whole = (judged + extra)[:, None]
        values = self._searched(game, step, tokens, whole) if self.roll_outs else whole.expand_as(mask)
        return values.masked_fill(~mask, 0.0)

    def _paid(self, game: "SequenceGame", step: Step, tokens: Tensor) -> Tensor:
        return reward(game.judge(step, tokens).logits[0], self.reward, content(tokens))

    def _searched(self, game: "SequenceGame", step: Step, tokens: Tensor, whole: Tensor) -> Tensor:
        """(N, T) mean reward of completions of each prefix; at the last place that of the sentence itself, (N, 1)."""
        found = torch.stack([self._completed(game, step, tokens) for _ in range(self.roll_outs)]).mean(dim=0)
        return torch.cat([found, whole], dim=1)

    def _completed(self, game: "SequenceGame", step: Step, tokens: Tensor) -> Tensor:
        """(N, T - 1) rewards of one completion of each prefix."""
        ways = roll_outs(game.generator, tokens, step.random, source=step.batch.source)
        paid = [self._paid(game, step, way) + game.scored(step, way) for way in ways]
        return torch.stack(paid, dim=1) if paid else tokens.new_empty(len(tokens), 0).float()


class Gumbel(Method):
    """Straight-through Gumbel-softmax: one-hot tokens forwards, the softmax's gradient backwards.

    Jang et al., 2017 (arXiv:1611.01144); for text RelGAN (Nie et al., 2019), whose temperature falls exponentially too.
    """

    kind: Literal["gumbel"] = "gumbel"
    temperature: PositiveFloat = 1.0
    """Of the softmax when the game begins."""
    final: PositiveFloat = 0.2
    """Of the softmax after `anneal` samples."""
    anneal: Count = 100_000
    """Samples over which the temperature falls."""

    def at(self, samples: int) -> float:
        """The temperature `samples` after the game has begun."""
        share = min(1.0, max(0, samples) / self.anneal)
        return float(self.temperature * (self.final / self.temperature) ** share)

    def move(self, game: "SequenceGame", step: Step) -> Move:
        """Soft sentences and the non-saturating loss of their judgement."""
        count, length = step.batch.sample.shape
        uniforms = step.random.uniform(count, length, game.form.vocabulary)
        temperature = self.at(step.clock - game.settings.begins)
        with steady(game.generator), steady(game.discriminator):
            weights, tokens = soft_write(game.generator, count, length, temperature, uniforms, step.batch.source)
            logits = widen(game.judge(step, weights).logits[0])
        values = softplus(-logits)
        if values.dim() == 2:
            values = per_sentence(values, content(tokens))
        step.signals["temperature"] = torch.tensor(temperature)
        return Move(tokens, None, {"adversarial": values.mean()})


@contextmanager
def steady(module: nn.Module) -> Iterator[None]:
    """Within this context `module` drops nothing: the policy that writes is the one that learns, for a steady reward.

    cuDNN's recurrent layers, which drop nothing here, stay as they are: their backward wants to be in training.
    """
    stilled = [each for each in module.modules() if each.training and not isinstance(each, nn.RNNBase)]
    for each in stilled:
        each.training = False
    try:
        yield
    finally:
        for each in stilled:
            each.training = True


def _mean_by_place(gains: Tensor, mask: Tensor) -> Tensor:
    counting = mask.to(gains)
    return (gains * counting).sum(dim=0) / counting.sum(dim=0).clamp(min=1)


METHODS = {
    "policy-gradient": "cardigan.games.sequence_methods:PolicyGradient",
    "gumbel": "cardigan.games.sequence_methods:Gumbel",
}
"""Methods a recipe may name: tag -> settings class."""
