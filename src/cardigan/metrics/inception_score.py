"""The Inception score: samples that are clearly something, and not always the same thing."""

import math

import torch
from torch import Tensor

from cardigan.errors import CardiganError
from cardigan.metrics.features import checked


def inception_score(logits: Tensor, splits: int = 10) -> tuple[float, float]:
    """exp E_x KL(p(y|x) || p(y)) -> its mean and standard deviation over `splits` consecutive parts; 1 .. classes.

    Salimans et al. 2016, "Improved techniques for training GANs", section 4. It sees no real samples: a generator that
    repeats one sample of each class reaches the highest score.

    Args:
        logits: (N, classes).
        splits: parts of the samples, each scored by itself.

    Raises:
        CardiganError: fewer samples than parts, or logits that are not finite.
    """
    if splits < 1:
        raise CardiganError(f"inception score: {splits} splits; allowed: at least 1")
    logits = checked(logits, "logits", least=splits).double()
    count = len(logits)
    scores = [_score(logits[part * count // splits : (part + 1) * count // splits]) for part in range(splits)]
    spread, mean = torch.std_mean(torch.stack(scores), correction=0)
    return float(mean), float(spread)


def _score(logits: Tensor) -> Tensor:
    logs = logits.log_softmax(1)
    marginal = logs.logsumexp(0) - math.log(len(logs))  # log p(y), finite however certain the classifier is
    return (logs.exp() * (logs - marginal)).sum(1).mean().exp()
