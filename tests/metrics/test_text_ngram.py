"""The n-gram model: probabilities sum to 1, a corpus worked by hand, and samples as frequent as they should be."""

import math
from collections import Counter
from collections.abc import Hashable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cardigan.errors import CardiganError
from cardigan.metrics.text.ngram import NGram, _discounts

SENTENCES = st.lists(st.lists(st.integers(0, 4), max_size=7), min_size=1, max_size=12)
CORPUS = [["a", "b"], ["a", "c"], ["b"]]


class Plain:
    """The formulas with dictionaries, one probability at a time."""

    def __init__(self, sentences: list[list[int]], order: int) -> None:
        self.order = order
        rows = [("<s>", *each, "</s>") for each in sentences]
        self.words = {word for row in rows for word in row} - {"<s>"}
        raw = {k: Counter(row[i : i + k] for row in rows for i in range(len(row) - k + 1)) for k in range(1, order + 2)}
        before: dict[int, Counter[tuple[object, ...]]] = {
            k: Counter(gram[1:] for gram in raw[k + 1]) for k in range(1, order + 1)
        }
        self.times = {
            k: {g: n if k == order or g[0] == "<s>" else before[k][g] for g, n in raw[k].items() if g != ("<s>",)}
            for k in range(1, order + 1)
        }
        self.discounts = {k: _discounts(np.array(list(self.times[k].values()), dtype=np.int64)) for k in self.times}

    def probability(self, word: object, history: tuple[object, ...]) -> float:
        history = history[len(history) - min(len(history), self.order - 1) :]
        lower = self.probability(word, history[1:]) if history else 1 / (len(self.words) + 1)
        k = len(history) + 1
        here = {gram[-1]: times for gram, times in self.times[k].items() if gram[:-1] == history}
        if not here:
            return lower
        discounts, total = self.discounts[k], sum(here.values())
        left = sum(discounts[min(times, 3)] for times in here.values()) / total
        times = here.get(word, 0)
        return (times - discounts[min(times, 3)]) / total + left * lower


@settings(deadline=None)
@given(SENTENCES, st.lists(st.lists(st.integers(0, 6), max_size=7), min_size=1, max_size=4), st.integers(1, 5))
def test_probabilities_are_the_formulas(train: list[list[int]], test: list[list[int]], order: int) -> None:
    model, plain = NGram(train, order), Plain(train, order)
    expected = []
    for each in test:
        known = [token if token in plain.words else "?" for token in each]
        row = ("<s>", *known, "</s>")
        expected.append(sum(math.log(plain.probability(row[i], row[:i])) for i in range(1, len(row))))
    assert model.log_probabilities(test).tolist() == pytest.approx(expected)
    assert model.log_probability(test[0]) == pytest.approx(expected[0])
    tokens = sum(len(each) + 1 for each in test)
    assert model.perplexity(test) == pytest.approx(math.exp(-sum(expected) / tokens))


@settings(deadline=None)
@given(SENTENCES, st.lists(st.integers(0, 6), max_size=8), st.booleans(), st.integers(1, 5))
def test_they_sum_to_1_after_any_history(train: list[list[int]], history: list[int], start: bool, order: int) -> None:
    model = NGram(train, order)
    found = model.distribution(history, start=start)
    assert found.sum() == pytest.approx(1) and (found > 0).all()
    assert len(found) == len(model.vocabulary) + 2


@settings(deadline=None)
@given(SENTENCES, st.lists(st.integers(0, 6), max_size=6), st.integers(1, 5))
def test_a_sentence_is_the_product_of_what_comes_next(train: list[list[int]], sentence: list[int], order: int) -> None:
    model = NGram(train, order)
    place = {token: number for number, token in enumerate(model.vocabulary)}
    logarithm = math.log(model.distribution(sentence)[len(place)])
    for index, token in enumerate(sentence):
        logarithm += math.log(model.distribution(sentence[:index])[place.get(token, len(place) + 1)])
    assert model.log_probability(sentence) == pytest.approx(logarithm)


def test_a_tiny_corpus_by_hand() -> None:
    """Bigrams <s>a 2, <s>b 1, ab 1, ac 1, b</s> 2, c</s> 1; discounts are too few to estimate: 0.5, 1, 1.5.

    Of unigrams, different tokens before: a 1, b 2, c 1, </s> 2, together 6; left over (0.5 + 1 + 0.5 + 1) / 6 = 1/2,
    shared by a, b, c, </s> and the unknown.
    """
    model = NGram(CORPUS, 2)
    unigram = {"a": 0.5 / 6 + 0.1, "b": 1 / 6 + 0.1, "c": 0.5 / 6 + 0.1, "end": 1 / 6 + 0.1, "unknown": 0.1}
    assert model.vocabulary == ["a", "b", "c"]
    assert model.distribution(["?"]).tolist() == pytest.approx(list(unigram.values()))
    after_start = {key: (1 + 0.5) / 3 * value for key, value in unigram.items()}
    after_start["a"] += (2 - 1) / 3
    after_start["b"] += (1 - 0.5) / 3
    assert model.distribution().tolist() == pytest.approx(list(after_start.values()))
    after_b = (2 - 1) / 2 + 1 / 2 * unigram["end"]
    assert model.log_probability(["b"]) == pytest.approx(math.log(after_start["b"] * after_b))


def test_discounts_by_hand() -> None:
    """t = 8, 4, 2, 1: Y = 8 / 16, D1 = 1 - 1/2, D2 = 2 - 3/4, D3 = 3 - 1."""
    times = np.repeat([1, 2, 3, 4, 7], [8, 4, 2, 1, 3])
    assert _discounts(times).tolist() == pytest.approx([0, 0.5, 1.25, 2])
    assert _discounts(np.array([1, 1, 2])).tolist() == [0, 0.5, 1, 1.5]


def test_samples_are_as_frequent_as_they_are_probable() -> None:
    model = NGram([["a", "b"], ["a", "c"], ["b"], ["a", "b", "c"]], 3)
    drawn = Counter(map(tuple, model.sample(20_000, 8, torch.Generator().manual_seed(0))))
    for sentence in ((), ("b",), ("a", "b"), ("a", "c")):
        expected = 1.0
        for index in range(len(sentence) + 1):
            following = model.distribution(sentence[:index])
            where = model.vocabulary.index(sentence[index]) if index < len(sentence) else len(model.vocabulary)
            expected *= following[where] / following[:-1].sum()  # what is unknown is not drawn
        error = math.sqrt(expected * (1 - expected) / 20_000)
        assert drawn[sentence] / 20_000 == pytest.approx(expected, abs=4 * error)


@pytest.mark.parametrize("order", [1, 2, 4])
@pytest.mark.parametrize("temperature", [0.3, 2.0])
def test_temperature_is_a_power_of_the_distribution(order: int, temperature: float) -> None:
    model = NGram(CORPUS, order)
    first = [tuple(each) for each in model.sample(20_000, 1, torch.Generator().manual_seed(0), temperature)]
    expected = model.distribution()[:-1] ** (1 / temperature)
    expected /= expected.sum()
    drawn = Counter(first)
    found = [drawn[(token,)] / 20_000 for token in model.vocabulary] + [drawn[()] / 20_000]
    assert found == pytest.approx(expected.tolist(), abs=4 * 0.5 / math.sqrt(20_000))


def test_cold_samples_are_the_most_probable() -> None:
    model = NGram([list("abcd")] * 5 + [list("xy")], 3)
    assert model.sample(3, 9, torch.Generator().manual_seed(0), 1e-3) == [list("abcd")] * 3
    random = np.random.default_rng(0)
    model = NGram([random.zipf(1.3, 6).clip(max=500).tolist() for _ in range(500)], 4)
    expected: list[Hashable] = []
    while len(expected) < 12 and (best := int(model.distribution(expected)[:-1].argmax())) < len(model.vocabulary):
        expected.append(model.vocabulary[best])
    assert expected
    for temperature in (1e-3, 1e-5):
        assert model.sample(2, 12, torch.Generator().manual_seed(0), temperature) == [expected] * 2


def test_samples_end_at_the_length_and_repeat_with_the_seed() -> None:
    model = NGram([list("abcabcabc")], 2)
    one, other = (model.sample(100, 4, torch.Generator().manual_seed(1)) for _ in range(2))
    assert one == other and max(map(len, one)) == 4


def test_a_markov_chain_needs_its_bigrams() -> None:
    random = np.random.default_rng(0)

    def chain(count: int) -> list[list[int]]:
        found = []
        for _ in range(count):
            row = [int(random.integers(8))]
            while len(row) < 10:
                row.append((3 * row[-1] + int(random.integers(2))) % 8)
            found.append(row)
        return found

    train, test = chain(300), chain(100)
    one, two, five = (NGram(train, order).perplexity(test) for order in (1, 2, 5))
    bits = 3 + 9 * (1 + math.log2(10 / 9)) + math.log2(10)  # one of 8, nine times one of 2 or no end, an end
    assert two == pytest.approx(2 ** (bits / 11), rel=0.02)
    assert one > 3 * two
    assert five == pytest.approx(two, rel=0.05)  # there is nothing more to know


def test_what_it_is_not_made_for_is_refused() -> None:
    with pytest.raises(CardiganError, match="0 sentences"):
        NGram([])
    for order in (0, 6):
        with pytest.raises(CardiganError, match=f"order {order}"):
            NGram(CORPUS, order)
    with pytest.raises(CardiganError, match="temperature 0"):
        NGram(CORPUS).sample(1, 1, torch.Generator(), 0)
    with pytest.raises(CardiganError, match="0 sentences"):
        NGram(CORPUS).perplexity([])
