"""What readings are made of: pure functions of logits, features and recent values.

Logits are (N,), one number per sample; features (N, D). All results are scalars, Python's or tensors of no axes.
"""

import torch
from torch import Tensor

from cardigan.objectives.adversarial import widen

FAR = 10.0
NEIGHBOURS = 5


def per_sample(logits: tuple[Tensor, ...], mask: Tensor | None = None) -> Tensor:
    """One number (N,) for all logits of each sample: the mean over places (tokens that count), summed over scales."""
    found = []
    for each in logits:
        values = widen(each).flatten(1) if each.dim() > 1 else widen(each)[:, None]
        counts = torch.ones_like(values) if mask is None or mask.shape != each.shape else mask.flatten(1).to(values)
        found.append((values * counts).sum(1) / counts.sum(1).clamp(min=1))
    return torch.stack(found).sum(0)


def pair_accuracy(real: Tensor, fake: Tensor) -> Tensor:
    """Share of all pairs in which the real sample has the larger logit (the area under the ROC curve); 0.5: it guesses.

    Unlike the share of logits above 0 it means the same for every objective.
    """
    difference = real[:, None] - fake[None]
    return (difference > 0).float().mean() + (difference == 0).float().mean() / 2


def overfit(train: Tensor, held_out: Tensor, fake: Tensor) -> Tensor:
    """ADA's r_v: 0 where held-out samples are taken for real like those of the train split, 1 where for fake.

    Cut off at `FAR` either way; 0 where fakes are taken for no less real than train samples.

    Karras et al. 2020, "Training generative adversarial networks with limited data", equation 1.
    """
    gap = train.mean() - fake.mean()
    return torch.where(gap > 1e-6, (train.mean() - held_out.mean()) / gap.clamp(min=1e-6), 0.0).clamp(-FAR, FAR)


def standardised(train: Tensor, held_out: Tensor) -> Tensor:
    """Difference of two means in its standard errors: from 3 on it is no accident."""
    error = (train.var() / len(train) + held_out.var() / len(held_out)).sqrt()
    return (train.mean() - held_out.mean()) / error.clamp(min=1e-12)


def signs(real: Tensor) -> Tensor:
    """ADA's r_t: mean sign of the logits of real samples of the train split."""
    return real.sign().mean()


def spread(features: Tensor) -> Tensor:
    """Mean distance between different samples."""
    return torch.pdist(features).mean()


def duplicates(features: Tensor, distance: Tensor | float) -> Tensor:
    """Share of samples that have another one no farther away than `distance`."""
    # The fast way, by products, puts equal samples a little apart.
    apart = torch.cdist(features, features, compute_mode="donot_use_mm_for_euclid_dist").fill_diagonal_(torch.inf)
    return (apart.amin(1) <= distance).float().mean()


def cluster(features: Tensor, count: int, rounds: int = 10) -> Tensor:
    """(count, D) centres of k-means (Lloyd, 1982), begun from points far apart; a function of `features` alone."""
    centres = features[:1]
    while len(centres) < min(count, len(features)):
        farthest = torch.cdist(features, centres).amin(1).argmax()
        centres = torch.cat([centres, features[farthest][None]])
    for _ in range(rounds):
        nearest = torch.cdist(features, centres).argmin(1)
        sums = torch.zeros_like(centres).index_add_(0, nearest, features)
        sizes = torch.bincount(nearest, minlength=len(centres))[:, None]
        centres = torch.where(sizes > 0, sums / sizes.clamp(min=1), centres)
    return centres


def coverage(found: Tensor, expected: Tensor, least: float = 0.2) -> Tensor:
    """Share of the real samples that lies in parts which generated ones reach.

    Args:
        found: (K,) generated samples in each part.
        expected: (K,) share of real samples in each.
        least: a part is reached by this share of the samples that are due there.
    """
    reached = found >= (least * expected * found.sum()).clamp(min=1)
    return (expected * reached).sum() / expected.sum()


def expected_classes(shares: Tensor, count: int) -> Tensor:
    """How many classes of these `shares` (K,) are expected among `count` samples: all, unless there are very many."""
    return (1 - (1 - shares.double()) ** count).sum()


def neighbours_class(features: Tensor, known: Tensor, labels: Tensor) -> Tensor:
    """(N,) the class that most of the nearest `known` samples have."""
    nearest = torch.cdist(features, known).topk(min(NEIGHBOURS, len(known)), largest=False).indices
    return labels[nearest].mode(1).values


def oscillation(values: Tensor) -> tuple[float, float]:
    """How much of the variance of a series (T,) is one slow wave, and how large the series' deviation is to its mean.

    The share of the strongest frequency and its two neighbours, between two waves in the series and one in eight
    values; the trend is taken out. White noise of 256 values has 0.1.
    """
    series = values.double()
    count = len(series)
    if count < 64 or not bool(series.isfinite().all()):
        return 0.0, 0.0
    time = torch.linspace(-1, 1, count, dtype=torch.float64)
    centred = series - series.mean()
    centred = centred - time * (time @ centred) / (time @ time)
    power = torch.fft.rfft(centred * torch.hann_window(count, periodic=False, dtype=torch.float64)).abs().square()
    waves = power[1:].unfold(0, 3, 1).sum(1)[1 : count // 8]  # the first is centred at two waves
    total = float(power[1:].sum())
    share = float(waves.max()) / total if total > 0 else 0.0
    return share, float(centred.std() / series.abs().mean().clamp(min=1e-12))
