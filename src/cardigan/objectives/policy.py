"""Terms of sequence games: likelihood, returns, the policy gradient, divergence from a reference. Pure functions.

Tokens, rewards and masks are (N, T). Values per sentence are sums over its tokens divided by T, the most tokens that a
sentence can have: a constant, so that slices of a batch and processes add up to the whole batch exactly.
"""

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import log_softmax, softplus

from cardigan.distributed import global_mean
from cardigan.objectives.adversarial import widen

RewardName = Literal["centred", "probability", "logit", "density-ratio"]
"""Names of what is made of a discriminator's logits: see `reward`."""


def placed(values: Tensor, mask: Tensor) -> Tensor:
    """(M,) values of the tokens that count, sentence by sentence -> (N, T), 0 elsewhere."""
    return torch.zeros(mask.shape, dtype=values.dtype, device=values.device).masked_scatter(mask, values)


def per_sentence(values: Tensor, mask: Tensor) -> Tensor:
    """(N, T) values of tokens -> (N,), the sum of those that count, divided by T."""
    return values.masked_fill(~mask, 0.0).sum(dim=1) / values.shape[1]


def logistic(logits: Tensor, mask: Tensor, real: bool) -> Tensor:
    """Cross-entropy of a discriminator, (N, T) or (N,) logits -> (N,): the mean over the tokens that count."""
    values = softplus(-widen(logits) if real else widen(logits))
    if values.dim() == 1:
        return values
    counting = mask.to(values)
    return (values * counting).sum(dim=1) / counting.sum(dim=1).clamp(min=1)


def reward(logits: Tensor, name: RewardName, mask: Tensor | None = None) -> Tensor:
    """What a generator is paid for a judgement l: (N,) logits, or (N, T) of which those count that `mask` marks.

    - probability: sigmoid(l), SeqGAN (Yu et al., 2017, arXiv:1609.05473);
    - centred: 2 sigmoid(l) - 1, ScratchGAN (de Masson d'Autume et al., 2019, arXiv:1905.09922);
    - logit: l, the log of the density ratio, whose expectation is -KL(generated || real) at the best discriminator;
    - density-ratio: e^l over its mean in the global batch, minus 1, MaliGAN (Che et al., 2017, arXiv:1702.07983), whose
      weights are e^l / sum(e^l) with a baseline; l is cut off at 10.
    """
    logits = widen(logits)
    if name == "probability":
        return torch.sigmoid(logits)
    if name == "centred":
        return torch.tanh(logits / 2)
    if name == "logit":
        return logits
    ratio = logits.clamp(max=10.0).exp()
    if mask is None or ratio.dim() == 1:
        return ratio / global_mean(ratio).clamp(min=1e-8) - 1
    mean = global_mean(ratio.masked_fill(~mask, 0.0)) / global_mean(mask.to(ratio)).clamp(min=1e-8)
    return ratio / mean.clamp(min=1e-8) - 1


def returns(rewards: Tensor, mask: Tensor, discount: float) -> Tensor:
    """R_t = r_t + discount R_{t+1}: (N, T) rewards of tokens -> (N, T); 0 beyond the end."""
    rewards = rewards.masked_fill(~mask, 0.0)
    ahead, found = torch.zeros_like(rewards[:, 0]), []
    for step in reversed(rewards.unbind(1)):
        ahead = step + discount * ahead
        found.append(ahead)
    return torch.stack(found[::-1], dim=1)


def policy_gradient(log_probabilities: Tensor, advantages: Tensor, mask: Tensor) -> Tensor:
    """REINFORCE (Williams, 1992): (N,) whose gradient is that of minus the expected return, up to the factor 1 / T.

    Args:
        log_probabilities: (N, T) of the tokens written, with their graph.
        advantages: (N, T) return minus a baseline that does not depend on the token.
        mask: (N, T) tokens that count.
    """
    return -per_sentence(log_probabilities * advantages.detach(), mask)


def divergence(logits: Tensor, reference: Tensor) -> Tensor:
    """KL(policy || reference) of the next token, exact over the vocabulary: (M, V) logits of both -> (M,)."""
    mine, theirs = log_softmax(widen(logits), dim=-1), log_softmax(widen(reference), dim=-1)
    weight = mine.exp()
    return torch.where(weight > 0, weight * (mine - theirs), 0.0).sum(dim=-1)
