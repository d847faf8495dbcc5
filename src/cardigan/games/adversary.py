"""What every game with a discriminator shares: its two losses, from an objective and penalties."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from cardigan.games.base import Step
from cardigan.networks.base import Judgement
from cardigan.networks.compilation import differentiated_twice
from cardigan.objectives.adversarial import Objective, over_scales
from cardigan.objectives.penalties import Contest, Penalties, due, leaves
from cardigan.objectives.top_k import top_mean

Judge = Callable[[Tensor], Judgement]
"""The discriminator, with condition and augmentation bound in: samples (N, ...) -> judgement."""
JudgeBoth = Callable[[Tensor, Tensor], tuple[Judgement, Judgement]]
"""The same of real and fake samples, (N, ...) each, in one pass."""


@dataclass(frozen=True)
class Round:
    """A turn's adversarial terms and what was judged on the way.

    Attributes:
        terms: by name, scalars.
        fake: judgement of the fakes.
        real: judgement of the real samples; None where nobody asked.
    """

    terms: dict[str, Tensor]
    fake: Judgement
    real: Judgement | None = None


@dataclass(frozen=True)
class Adversary:
    """The losses of one discriminator and of who plays against it.

    Attributes:
        objective: the pair of adversarial losses.
        penalties: of the discriminator.
    """

    objective: Objective
    penalties: Penalties

    def discriminator(
        self, judge: Judge, real: Tensor, fake: Tensor, step: Step, judge_both: JudgeBoth | None = None
    ) -> Round:
        """The objective on real and detached fake samples (N, ...), and the penalties that are due.

        Args:
            judge_both: faster than two calls of `judge`, for samples that do not see one another; None: there is no
                such thing. Not taken where a penalty differentiates what is said of either alone.
        """
        wanted = leaves(self.penalties, step.count)
        real = real.detach().requires_grad_(wanted.real)
        fake = fake.detach().requires_grad_(wanted.fake)
        if judge_both is not None and not any(wanted):
            real_judgement, fake_judgement = judge_both(real, fake)
        else:
            with differentiated_twice() if any(wanted) else nullcontext():  # both alike: running statistics are shared
                real_judgement, fake_judgement = judge(real), judge(fake)
        values = over_scales(self.objective.discriminator, real_judgement.logits, fake_judgement.logits)
        contest = Contest(real, fake, real_judgement, fake_judgement, judge, step.random)
        terms = {"adversarial": values.mean()}
        for penalty in due(self.penalties, step.count):
            terms[penalty.name] = penalty.weight * penalty.function(contest).mean()
        step.signals |= _signals(real_judgement, fake_judgement)
        return Round(terms, fake_judgement, real_judgement)

    def generator(self, judge: Judge, real: Tensor, fake: Tensor, see_real: bool = False, share: float = 1.0) -> Round:
        """The objective on fakes, judged with their graph.

        Args:
            see_real: whether real samples are judged too (feature matching) where the objective does without.
            share: of the fakes of the global batch, those judged highest, that count.
        """
        judgement, real_judgement = judge(fake), None
        if self.objective.generator_needs_real or see_real:
            with torch.no_grad():
                real_judgement = judge(real)
        logits = real_judgement.logits if real_judgement is not None and self.objective.generator_needs_real else None
        values = over_scales(self.objective.generator, logits, judgement.logits)
        mean = values.mean() if share == 1 else top_mean(values, _scores(judgement), share)
        return Round({"adversarial": mean}, judgement, real_judgement)


def _scores(judgement: Judgement) -> Tensor:
    """(N,): each sample's mean logit, summed over scales."""
    return torch.stack([each.detach().float().reshape(len(each), -1).mean(1) for each in judgement.logits]).sum(0)


def _signals(real: Judgement, fake: Judgement) -> dict[str, Tensor]:
    """Mean logits of real and fake samples: the gap between them tells who is winning."""
    return {
        "real_logit": torch.stack([each.detach().float().mean() for each in real.logits]).mean(),
        "fake_logit": torch.stack([each.detach().float().mean() for each in fake.logits]).mean(),
    }
