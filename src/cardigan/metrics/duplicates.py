"""Whether a generator repeats itself: near duplicates among its samples, and how many different ones it can make.

What is near is told by the real samples: few of them (1%) have another real one within that distance, among as many.
"""

from dataclasses import dataclass
from math import log, log1p, sqrt

from torch import Tensor

from cardigan.errors import CardiganError
from cardigan.metrics.distances import CHUNK, distances, nearest
from cardigan.metrics.features import both, checked

SHARE = 0.01
"""Share of real samples with another one nearer than the threshold."""


@dataclass(frozen=True)
class Duplicates:
    """Near duplicates among generated samples, and among as many real ones.

    Attributes:
        rate: share of the generated samples with another one within the threshold, 0..1.
        real_rate: the same of real samples: about 1%, more where they hold true duplicates.
        threshold: distance.
        count: samples of each side that were looked at: the smaller count.
        pairs: of generated samples within the threshold, each sample with its nearest; the nearest pair first.
    """

    rate: float
    real_rate: float
    threshold: float
    count: int
    pairs: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Birthday:
    """How many different samples there are, from how often two are the same.

    Attributes:
        collisions: pairs within the threshold.
        pairs: pairs looked at.
        batch: samples among which there are two alike with probability 1/2; a lower bound if nothing collided.
        support: its square, the estimate of how many different samples there are; likewise.
        low: lower end of the 95% interval of the support.
        high: upper end; infinite if nothing collided.
    """

    collisions: int
    pairs: int
    batch: float
    support: float
    low: float
    high: float

    @property
    def is_bound(self) -> bool:
        """Whether nothing collided, so that batch and support are at least these."""
        return self.collisions == 0


def duplicates(generated: Tensor, real: Tensor, share: float = SHARE) -> Duplicates:
    """Near duplicates among the first samples of (N, ...) and (M, ...), as many of each: features or samples.

    Raises:
        CardiganError: fewer than two samples on a side, numbers that are not finite, or different D.
    """
    generated, real = both(generated, real, least=2)
    count = min(len(generated), len(real))
    threshold = duplicate_threshold(real[:count], share)
    apart, other = (each[:, 0] for each in nearest(generated[:count]))
    alike = (apart <= threshold).nonzero().flatten()
    alike = alike[apart[alike].argsort(stable=True)]
    pairs = dict.fromkeys(tuple(sorted((one, int(other[one])))) for one in alike.tolist())  # mutual ones once
    real_rate = duplicate_rate(real[:count], threshold)
    return Duplicates(len(alike) / count, real_rate, threshold, count, tuple(pairs))


def duplicate_threshold(real: Tensor, share: float = SHARE) -> float:
    """The distance within which a share of the real samples has another real one.

    The nearest is nearer the more samples there are: give as many real samples as generated ones are to be judged.

    Raises:
        CardiganError: fewer than two samples, or numbers that are not finite.
    """
    apart = nearest(checked(real, "real samples", least=2))[0][:, 0]
    return float(apart.kthvalue(max(1, round(share * len(apart)))).values)


def duplicate_rate(samples: Tensor, threshold: float) -> float:
    """The share of (N, ...) samples or features with another one within the threshold, 0..1.

    Raises:
        CardiganError: fewer than two samples, or numbers that are not finite.
    """
    return float((nearest(checked(samples, "samples", least=2))[0][:, 0] <= threshold).double().mean())


def birthday(samples: Tensor, threshold: float, chunk: int = CHUNK) -> Birthday:
    """How many different samples there are among those that (N, ...) were drawn from, by the birthday paradox.

    Arora, Risteski & Zhang 2018, "Do GANs learn the distribution? Some theory and empirics": where a batch of s holds
    two alike with probability 1/2, the support is about s^2. Instead of trying batches, the rate at which pairs collide
    is measured over all pairs; s then solves 1 - (1 - rate)^(s (s - 1) / 2) = 1/2. The interval takes collisions for
    Poisson, which holds while they are rare; where nothing collides, its lower end is all there is to say.

    Args:
        samples: (N, ...) samples or features.
        threshold: distance within which two are taken for the same, see `duplicate_threshold`. Real samples have a
            finite support by it too: compare with theirs.
        chunk: samples whose distances to all others are held at once.

    Raises:
        CardiganError: fewer than two samples, numbers that are not finite, or a threshold that is no distance.
    """
    from scipy.stats import chi2

    samples = checked(samples, "samples", least=2)
    if not threshold >= 0:
        raise CardiganError(f"duplicates: a threshold of {threshold}; allowed: a distance from 0")
    pairs = len(samples) * (len(samples) - 1) // 2
    alike = sum(int((distances(rows, samples) <= threshold).sum()) for rows in samples.split(chunk))
    collisions = (alike - len(samples)) // 2
    most = float(chi2.ppf(0.975, 2 * collisions + 2)) / 2
    least = float(chi2.ppf(0.025, 2 * collisions)) / 2 if collisions else 0.0
    batch = _batch(collisions / pairs if collisions else most / pairs)
    high = _batch(least / pairs) ** 2 if collisions else float("inf")
    return Birthday(collisions, pairs, batch, batch**2, _batch(most / pairs) ** 2, high)


def _batch(rate: float) -> float:
    """s with s (s - 1) / 2 = log(1/2) / log(1 - rate)."""
    if rate >= 1:
        return 1.0
    return (1 + sqrt(1 + 8 * log(0.5) / log1p(-rate))) / 2
