"""Translation scores are sacreBLEU's, and their intervals and differences are the bootstrap's."""

import numpy as np
import pytest

from cardigan.errors import CardiganError
from cardigan.metrics.text.corpus import CorpusScore, corpus_bleu, corpus_chrf, difference

WORDS = [f"word{number}" for number in range(30)]


def sentences(count: int, seed: int) -> list[str]:
    random = np.random.default_rng(seed)
    return [" ".join(random.choice(WORDS, random.integers(6, 14))) + "." for _ in range(count)]


def spoiled(lines: list[str], share: float, seed: int) -> list[str]:
    random = np.random.default_rng(seed)
    return [" ".join("other" if random.random() < share else word for word in line.split()) for line in lines]


REFERENCES = sentences(200, 0)
GOOD, BAD = spoiled(REFERENCES, 0.1, 1), spoiled(REFERENCES, 0.3, 2)


def test_scores_and_signatures_are_sacrebleus() -> None:
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

    others = sentences(200, 3)
    for ours, metric in (
        (corpus_bleu(BAD, REFERENCES, others), BLEU()),
        (corpus_chrf(BAD, REFERENCES, others), CHRF()),
    ):
        theirs = metric.corpus_score(BAD, [REFERENCES, others])
        assert ours.value == theirs.score
        assert ours.signature == metric.get_signature().format()
    assert ours.name == "chrF2" and "nrefs:2" in ours.signature


@pytest.mark.parametrize("score", [corpus_bleu, corpus_chrf])
def test_sums_of_statistics_give_the_score(score: type) -> None:
    found: CorpusScore = score(BAD, REFERENCES)
    assert found.formula(found.statistics.sum(0)) == pytest.approx(found.value, abs=1e-9)
    half = score(BAD[:100], REFERENCES[:100])
    assert found.formula(found.statistics[:100].sum(0)) == pytest.approx(half.value, abs=1e-9)


@pytest.mark.parametrize("score", [corpus_bleu, corpus_chrf])
def test_the_interval_is_as_wide_as_scores_scatter(score: type) -> None:
    trials = []
    for seed in range(30):
        lines = sentences(100, 100 + seed)
        trials.append(score(spoiled(lines, 0.3, 200 + seed), lines, resamples=1).value)
    found: CorpusScore = score(BAD[:100], REFERENCES[:100])
    assert found.low < found.value < found.high
    assert (found.high - found.low) / (2 * 1.96) == pytest.approx(np.std(trials, ddof=1), rel=0.35)


def test_a_worse_system_is_told() -> None:
    good, bad = corpus_bleu(GOOD, REFERENCES), corpus_bleu(BAD, REFERENCES)
    found = difference(good, bad)
    assert found.value == good.value - bad.value
    assert 0 < found.low < found.value < found.high
    assert found.p_value == pytest.approx(1 / 1001)
    back = difference(bad, good)
    assert (back.value, back.low, back.high) == pytest.approx((-found.value, -found.high, -found.low))


def test_drawing_both_together_narrows_the_difference() -> None:
    """Sentences that are hard for one are hard for the other."""
    hard = [line if index % 2 else "nothing right here at all" for index, line in enumerate(REFERENCES)]
    one, other = corpus_chrf(spoiled(hard, 0.1, 1), REFERENCES), corpus_chrf(spoiled(hard, 0.1, 2), REFERENCES)
    found = difference(one, other)
    assert found.high - found.low < 0.5 * (one.high - one.low)


def test_equal_systems_differ_in_about_5_of_100() -> None:
    below = 0
    for seed in range(80):
        lines = REFERENCES[:60]
        one, other = (corpus_bleu(spoiled(lines, 0.2, 2 * seed + k), lines, resamples=1) for k in (100, 101))
        below += difference(one, other, resamples=200).p_value < 0.05
    assert below / 80 < 0.13


def test_a_system_does_not_differ_from_itself() -> None:
    found = difference(corpus_bleu(BAD, REFERENCES), corpus_bleu(BAD, REFERENCES))
    assert (found.value, found.low, found.high, found.p_value) == (0, 0, 0, 1)


def test_equal_seeds_give_equal_intervals() -> None:
    assert corpus_bleu(BAD, REFERENCES, seed=3) == corpus_bleu(BAD, REFERENCES, seed=3)
    assert corpus_bleu(BAD, REFERENCES, seed=3).low != corpus_bleu(BAD, REFERENCES, seed=4).low


def test_perfect_empty_and_single_sentences() -> None:
    assert corpus_bleu(REFERENCES, REFERENCES).value == pytest.approx(100)
    assert corpus_chrf(REFERENCES, REFERENCES).low == pytest.approx(100)
    assert corpus_bleu([""] * 3, REFERENCES[:3]).value == 0
    one = corpus_bleu(BAD[:1], REFERENCES[:1])
    assert one.low == one.value == one.high


def test_what_does_not_belong_together_is_refused() -> None:
    with pytest.raises(CardiganError, match="2 sentences, 1 references"):
        corpus_bleu(["a", "b"], ["a"])
    with pytest.raises(CardiganError, match="nothing to compare"):
        corpus_bleu([], [])
    with pytest.raises(CardiganError, match="nothing to compare"):
        corpus_chrf(["a"])
    with pytest.raises(CardiganError, match="of the same"):
        difference(corpus_bleu(BAD, REFERENCES), corpus_bleu(BAD, REFERENCES, lowercase=True))
    with pytest.raises(CardiganError, match="200 and 10 sentences"):
        difference(corpus_bleu(BAD, REFERENCES), corpus_bleu(BAD[:10], REFERENCES[:10]))
