"""BLEU and chrF of translations through sacreBLEU, with intervals and paired differences by the bootstrap.

Post 2018, "A call for clarity in reporting BLEU scores": a score comes with the signature that says how it was
computed. Popović 2015, "chrF: character n-gram F-score for automatic MT evaluation". Koehn 2004, "Statistical
significance tests for machine translation evaluation": sentences are drawn with replacement, and both scores are
functions of sums over sentences, so that a thousand draws need no sentence to be read again.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cardigan.errors import CardiganError

if TYPE_CHECKING:
    from sacrebleu.metrics.base import Metric

RESAMPLES = 1000
"""Draws of the bootstrap."""
Statistics = NDArray[np.float64]


@dataclass(frozen=True)
class CorpusScore:
    """A score of all sentences of one system.

    Attributes:
        name: "BLEU" or "chrF2".
        value: 0..100.
        low: lower end of the 95% interval.
        high: upper end.
        signature: sacreBLEU's, of what the score depends on.
        statistics: (N, S) what of each sentence enters the score.
        formula: from (S,) sums to the score.
    """

    name: str
    value: float
    low: float
    high: float
    signature: str
    statistics: Statistics = field(repr=False, compare=False)
    formula: Callable[[Statistics], float] = field(repr=False, compare=False)


@dataclass(frozen=True)
class Difference:
    """How much more one system scores than another on the same sentences.

    Attributes:
        value: score of the one minus score of the other.
        low: lower end of the 95% interval.
        high: upper end.
        p_value: probability of such a difference, or a greater one of either sign, if there were none.
    """

    value: float
    low: float
    high: float
    p_value: float


def sentence_bleu(hypotheses: Sequence[str], references: Sequence[str], tokenizer: str = "13a") -> list[float]:
    """BLEU of each of N sentences by itself, 0..100, smoothed exponentially, of the orders that its length allows.

    For rewards: averages of it say less than `corpus_bleu`.
    """
    from sacrebleu.metrics import BLEU

    metric = BLEU(tokenize=tokenizer, effective_order=True)
    pairs = zip(hypotheses, references, strict=True)
    return [float(metric.sentence_score(made, [truth]).score) for made, truth in pairs]


def corpus_bleu(
    hypotheses: Sequence[str],
    *references: Sequence[str],
    tokenizer: str = "13a",
    lowercase: bool = False,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> CorpusScore:
    """BLEU-4 of N translations as WMT reports it: of plain text, which sacreBLEU cuts into tokens itself.

    Args:
        hypotheses: N sentences.
        references: one or more lists of N sentences.
        tokenizer: sacreBLEU's name: 13a; "char" or "zh" for languages without spaces; "none" for tokens that are
            separated by spaces already.
        lowercase: whether upper and lower case are the same.
        resamples: draws of the bootstrap.
        seed: of them.

    Raises:
        CardiganError: no sentences, or another number of references.
    """
    from sacrebleu.metrics.bleu import BLEU

    metric = BLEU(tokenize=tokenizer, lowercase=lowercase, force=tokenizer == "none")
    return _score(metric, hypotheses, references, resamples, seed)


def corpus_chrf(
    hypotheses: Sequence[str], *references: Sequence[str], resamples: int = RESAMPLES, seed: int = 0
) -> CorpusScore:
    """chrF2 of N translations: F-score, recall counting twice, of character n-grams up to 6, blanks left out.

    Raises:
        CardiganError: no sentences, or another number of references.
    """
    from sacrebleu.metrics.chrf import CHRF

    return _score(CHRF(), hypotheses, references, resamples, seed)


def difference(one: CorpusScore, other: CorpusScore, resamples: int = RESAMPLES, seed: int = 0) -> Difference:
    """The difference of two systems' scores of the same sentences, which are drawn together.

    p = (1 + draws with |d - mean d| >= |difference|) / (1 + draws): Riezler & Maxwell 2005, "On some pitfalls in
    automatic evaluation and significance testing for MT".

    Raises:
        CardiganError: the scores are of different kinds, or of different numbers of sentences.
    """
    if one.signature != other.signature or one.name != other.name:
        raise CardiganError(
            f"a difference of {one.name} ({one.signature}) and {other.name} ({other.signature}); allowed: of the same"
        )
    if len(one.statistics) != len(other.statistics):
        raise CardiganError(
            f"a difference on {len(one.statistics)} and {len(other.statistics)} sentences; allowed: the same sentences"
        )
    value = one.value - other.value
    drawn = np.array(
        [
            one.formula(times @ one.statistics) - other.formula(times @ other.statistics)
            for times in _draws(len(one.statistics), resamples, seed)
        ]
    )
    beyond = np.abs(drawn - drawn.mean()) >= abs(value) - 1e-12
    return Difference(value, *_interval(drawn), float((1 + beyond.sum()) / (1 + resamples)))


def _score(
    metric: "Metric", hypotheses: Sequence[str], references: Sequence[Sequence[str]], resamples: int, seed: int
) -> CorpusScore:
    if not hypotheses or not references:
        raise CardiganError("translations: nothing to compare; allowed: at least one sentence and one reference of it")
    for each in references:
        if len(each) != len(hypotheses):
            raise CardiganError(f"translations: {len(hypotheses)} sentences, {len(each)} references; allowed: as many")
    score = metric.corpus_score(hypotheses, references)
    statistics = np.array(metric._extract_corpus_statistics(hypotheses, references), dtype=np.float64)

    def formula(sums: Statistics) -> float:
        return float(metric._compute_score_from_stats(sums.tolist()).score)

    drawn = np.array([formula(times @ statistics) for times in _draws(len(statistics), resamples, seed)])
    signature = metric.get_signature().format()
    return CorpusScore(score.name, float(score.score), *_interval(drawn), signature, statistics, formula)


def _draws(count: int, resamples: int, seed: int) -> Iterator[Statistics]:
    """How often each of `count` sentences is drawn, again and again."""
    random = np.random.default_rng(seed)
    for _ in range(resamples):
        yield np.bincount(random.integers(count, size=count), minlength=count).astype(np.float64)


def _interval(drawn: Statistics) -> tuple[float, float]:
    low, high = np.percentile(drawn, (2.5, 97.5))
    return float(low), float(high)
