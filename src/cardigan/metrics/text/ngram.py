"""The n-gram language model with interpolated modified Kneser-Ney smoothing: what a text generator has to beat.

p(w | h) = max(a(hw) - D(a(hw)), 0) / sum over x of a(hx) + gamma(h) p(w | h')
gamma(h) = (D1 N1(h) + D2 N2(h) + D3 N3+(h)) / sum over x of a(hx)

h' is h without its first token; the lowest order goes on to 1 / V. a is the count of an n-gram where its order is the
highest or it begins with the start of the sentence, else the number of different tokens before it. N_j(h) is how many
x have a(hx) = j. With t_j n-grams of an order having a = j and Y = t1 / (t1 + 2 t2):

D1 = 1 - 2 Y t2 / t1        D2 = 2 - 3 Y t3 / t2        D3 = 3 - 4 Y t4 / t3

Chen & Goodman 1999, "An empirical study of smoothing techniques for language modeling"; the start of a sentence as in
Heafield et al. 2013, "Scalable modified Kneser-Ney language model estimation". Where t1 ... t4 are not all there, or
a D is not between 0 and its j, which happens in tiny corpora, D = 0.5, 1, 1.5, as KenLM offers.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cardigan.errors import CardiganError
from cardigan.metrics.text.grams import Sentences, Whole, plain, some

if TYPE_CHECKING:
    import torch

HIGHEST = 5
"""The highest order there is."""
FALLBACK = (0.5, 1.0, 1.5)
"""Discounts where the corpus is too small to estimate them."""
ROWS = 64
"""Sentences sampled at once, whose distributions over all tokens are held."""
Real = NDArray[np.float64]


@dataclass(frozen=True)
class _Level:
    """The n-grams of one order, ascending by key: number of the first n - 1 tokens, then the last token.

    Attributes:
        keys: (G,).
        words: (G,) last tokens.
        discounted: (G,) first term of p(w | h).
        backoff: (H,) gamma of each (n - 1)-gram; 1 where it is never followed by anything.
        begins: (H + 1,) where the n-grams of each (n - 1)-gram begin.
    """

    keys: Whole
    words: Whole
    discounted: Real
    backoff: Real
    begins: Whole


class NGram:
    """A language model of sentences: lists of tokens, each followed by an end.

    Args:
        sentences: to count.
        order: of the n-grams, 1 to 5.

    Attributes:
        vocabulary: the tokens it has seen. In distributions the end of the sentence comes behind them, and then all
            tokens that it has not seen, as one.

    Raises:
        CardiganError: no sentences, or another order.
    """

    def __init__(self, sentences: Sentences, order: int = HIGHEST) -> None:
        some(sentences, "n-gram model: train")
        if not 1 <= order <= HIGHEST:
            raise CardiganError(f"n-gram model: order {order}; allowed: 1 to {HIGHEST}")
        self.order = order
        flat = [plain(each) for each in sentences]
        self.vocabulary: list[Hashable] = list(dict.fromkeys(token for each in flat for token in each))
        self._numbers = {token: number for number, token in enumerate(self.vocabulary)}
        self._end = len(self.vocabulary)
        self._unknown, self._start, self._size = self._end + 1, self._end + 2, self._end + 3
        self._levels = self._counted(*self._row(flat))
        unigrams = np.full(self._unknown + 1, self._levels[0].backoff[0] / (self._unknown + 1))
        unigrams[self._levels[0].words[:-1]] += self._levels[0].discounted[:-1]  # the last is the start
        self._unigrams = unigrams

    def log_probability(self, sentence: Sequence[Hashable]) -> float:
        """Natural logarithm of the probability of a sentence with its end."""
        return float(self.log_probabilities([sentence])[0])

    def log_probabilities(self, sentences: Sentences, *, ends: bool = True) -> Real:
        """(N,) natural logarithms of the probabilities of sentences with their ends.

        Args:
            ends: whether those of the ends count.
        """
        tokens, owner = self._row([plain(each) for each in sentences])
        probability = np.append(self._unigrams, 0.0)[tokens]
        grams = self._find(0, np.zeros(len(tokens), dtype=np.int64), tokens)
        for order in range(2, len(self._levels) + 1):
            # By where they end: the (order - 1)-gram before each token, and with it.
            history = self._shifted(grams, owner, order)
            grams_here = self._find(order - 1, history, tokens)
            known = history >= 0
            level = self._levels[order - 1]
            probability[known] *= level.backoff[history[known]]
            seen = grams_here >= 0
            probability[seen] += level.discounted[grams_here[seen]]
            grams = grams_here
        predicted = (tokens != self._start) & (ends | (tokens != self._end))
        logarithms = np.log(probability[predicted])
        return np.bincount(owner[predicted], weights=logarithms, minlength=len(sentences)).astype(np.float64)

    def perplexity(self, sentences: Sentences) -> float:
        """exp of the mean negative log-probability of a token, ends among them.

        Raises:
            CardiganError: no sentences.
        """
        some(sentences, "perplexity: sentences")
        tokens = sum(len(each) + 1 for each in sentences)
        return float(np.exp(-self.log_probabilities(sentences).sum() / tokens))

    def distribution(self, history: Sequence[Hashable] = (), *, start: bool = True) -> Real:
        """(V + 2,) probabilities of what comes next: the vocabulary, the end, all that is unknown.

        Args:
            history: tokens before.
            start: whether they begin a sentence.
        """
        state = self._initial(1, start)
        for token in plain(history):
            state = self._after(state, np.array([self._numbers.get(token, self._unknown)]))
        return self._distributions(state)[0]

    def sample(
        self, count: int, length: int, generator: "torch.Generator", temperature: float = 1.0
    ) -> list[list[Hashable]]:
        """Sentences drawn token by token from p^(1 / temperature), up to their ends or to `length` tokens.

        Raises:
            CardiganError: a temperature that is not above 0.
        """
        if not temperature > 0:
            raise CardiganError(f"n-gram model: temperature {temperature}; allowed: above 0")
        import torch

        chances = torch.rand(count, length, generator=generator, dtype=torch.float64).numpy()
        return [
            sentence
            for start in range(0, count, ROWS)
            for sentence in self._drawn(chances[start : start + ROWS], temperature)
        ]

    def _drawn(self, chances: Real, temperature: float) -> list[list[Hashable]]:
        sentences: list[list[Hashable]] = [[] for _ in chances]
        going, state = np.arange(len(chances)), self._initial(len(chances), True)
        for place in range(chances.shape[1]):
            sums = self._distributions(state, 1 / temperature)[:, : self._unknown].cumsum(1)
            threshold = chances[going, place, None] * sums[:, -1:]
            drawn = (sums <= threshold).sum(1).clip(max=self._end)
            more = drawn != self._end
            going, drawn, state = going[more], drawn[more], state[more]
            for which, token in zip(going.tolist(), drawn.tolist(), strict=True):
                sentences[which].append(self.vocabulary[token])
            if not len(going):
                break
            state = self._after(state, drawn)
        return sentences

    def _distributions(self, state: Whole, power: float = 1.0) -> Real:
        """(B, V + 2) probabilities after (B, levels) histories; to a power, up to a factor of each row."""
        kept = np.ones((len(self._levels) + 1, len(state)))  # what the orders above leave to each
        for order in range(len(self._levels), 1, -1):
            history = state[:, order - 1]
            kept[order - 1] = kept[order] * np.where(history >= 0, self._levels[order - 1].backoff[history], 1.0)
        probability = kept[1][:, None] * self._unigrams
        for order in range(len(self._levels), 1, -1):
            row, place = self._following(order, state[:, order - 1])
            word = self._levels[order - 1].words[place]
            probability[row, word] += kept[order][row] * self._levels[order - 1].discounted[place]
        if power == 1:
            return probability
        # Few tokens followed the last one before; all others are a factor times their unigrams.
        greatest = probability.max(1)
        likeliest = self._unigrams.max()  # taken out, so that no factor is above 1 and no power overflows
        powered = ((kept[1] * likeliest / greatest) ** power)[:, None] * (self._unigrams / likeliest) ** power
        if len(self._levels) > 1:
            powered[row, word] = (probability[row, word] / greatest[row]) ** power
        return powered

    def _following(self, order: int, history: Whole) -> tuple[Whole, Whole]:
        """Which row and which n-gram, for all n-grams that go on from each row's history."""
        begins = self._levels[order - 1].begins
        rows = np.flatnonzero(history >= 0)
        begin, many = begins[history[rows]], begins[history[rows] + 1] - begins[history[rows]]
        row = np.repeat(rows, many)
        return row, np.arange(len(row)) + np.repeat(begin - (many.cumsum() - many), many)

    def _initial(self, count: int, start: bool) -> Whole:
        """(B, levels) numbers of the n-grams, n = 0, 1, ..., that the history ends with; -1 where never seen."""
        state = np.full((count, len(self._levels)), -1, dtype=np.int64)
        state[:, 0] = 0
        return self._after(state, np.full(count, self._start)) if start else state

    def _after(self, state: Whole, tokens: Whole) -> Whole:
        longer = [self._find(order - 1, state[:, order - 1], tokens) for order in range(1, len(self._levels))]
        return np.stack([np.zeros(len(state), dtype=np.int64), *longer], axis=1)

    def _find(self, place: int, history: Whole, tokens: Whole) -> Whole:
        """Numbers of the n-grams of a history and a token; -1 where never seen."""
        keys = self._levels[place].keys
        wanted = np.where(history >= 0, history * self._size + tokens, -1)
        found = np.searchsorted(keys, wanted).clip(max=len(keys) - 1)
        return np.where(keys[found] == wanted, found, -1)

    @staticmethod
    def _shifted(grams: Whole, owner: Whole, order: int) -> Whole:
        """The number of the (order - 1)-gram that ends before each token; -1 where the sentence is too short."""
        back = np.concatenate([np.full(order - 1, -1), owner])[: len(owner)]
        return np.where(back == owner, np.append(-1, grams[:-1]), -1)

    def _row(self, sentences: list[Sequence[Hashable]]) -> tuple[Whole, Whole]:
        """Start, tokens and end of all sentences behind one another, and the sentence of each."""
        tokens = []
        for each in sentences:
            tokens.append(self._start)
            tokens.extend(self._numbers.get(token, self._unknown) for token in each)
            tokens.append(self._end)
        lengths = [len(each) + 2 for each in sentences]
        return np.array(tokens, dtype=np.int64), np.repeat(np.arange(len(sentences)), lengths)

    def _counted(self, tokens: Whole, owner: Whole) -> list[_Level]:
        """The levels of the orders 1, 2, ..., by what `_row` gives."""
        histories = np.zeros(len(tokens), dtype=np.int64)  # by where they end
        found: list[tuple[Whole, Whole]] = []
        grams, at_start = np.empty(0, dtype=np.int64), np.empty(0, dtype=np.bool_)
        for order in range(1, self.order + 1):
            if order > 1:
                histories = self._shifted(grams, owner, order)
            there = np.flatnonzero(histories >= 0)
            if not len(there):  # no sentence is so long: such orders would change nothing
                break
            keys, first, number, count = np.unique(
                histories[there] * self._size + tokens[there],
                return_index=True,
                return_inverse=True,
                return_counts=True,
            )
            if order > 1:  # of the n-grams without their first tokens, one more token that comes before
                shorter, times = found[-1]
                before = np.bincount(grams[there[first]], minlength=len(shorter))
                found[-1] = shorter, np.where(at_start, times, before)
            grams = np.full(len(tokens), -1, dtype=np.int64)
            grams[there] = number
            at_start = tokens[there[first] - order + 1] == self._start
            found.append((keys, count))
        above = [1, *(len(keys) for keys, _ in found)]
        return [self._level(keys, times, histories) for (keys, times), histories in zip(found, above, strict=False)]

    def _level(self, keys: Whole, times: Whole, histories: int) -> _Level:
        """Both terms of p(w | h), from a(hw)."""
        history, words = np.divmod(keys, self._size)
        times = np.where(words == self._start, 0, times)  # nothing is followed by a start
        discount = _discounts(times)[times.clip(max=3)]
        total = np.bincount(history, weights=times, minlength=histories)
        kept = np.bincount(history, weights=discount, minlength=histories)
        followed = total > 0
        backoff = np.divide(kept, total, out=np.ones(histories), where=followed)
        discounted = np.divide(times - discount, total[history], out=np.zeros(len(keys)), where=followed[history])
        begins = np.searchsorted(history, np.arange(histories + 1))
        return _Level(keys, words, discounted, backoff, begins)


def _discounts(times: Whole) -> Real:
    """(4,) discounts of n-grams with a = 0, 1, 2 and 3 or more."""
    t = np.bincount(times.clip(max=5), minlength=6)[1:5].astype(np.float64)
    found = np.array(FALLBACK)
    if (t > 0).all():
        j = np.arange(1, 4)
        estimated = j - (j + 1) * t[0] / (t[0] + 2 * t[1]) * t[1:] / t[:-1]
        found = estimated if ((estimated > 0) & (estimated <= j)).all() else found
    return np.append(0.0, found)
