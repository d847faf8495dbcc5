"""Sampling, completing, beam search and soft samples, against what can be computed by hand or by trying everything."""

from itertools import product

import pytest
import torch
import torch.nn.functional as F
from scipy.stats import chisquare
from sentences import LENGTH, SOURCE, VOCABULARY, sentences, written_by
from torch import Tensor, nn

from cardigan.errors import CardiganError
from cardigan.networks.sequences.base import State, Writer
from cardigan.networks.sequences.sampling import (
    Sampling,
    beam,
    chosen,
    filtered,
    roll_out,
    roll_outs,
    soft_write,
    write,
    write_with,
)
from cardigan.networks.sequences.vocabulary import NEVER
from cardigan.randomness import Random
from cardigan.tokens import BEGIN, END, PAD, content, padded

both_kinds = pytest.mark.parametrize("name", ["lstm", "gru-deep", "transformer"])
with_and_without = pytest.mark.parametrize("paired", [False, True], ids=["alone", "source"])


class Chain(Writer):
    """A Markov chain: the logits of the next token are a row of a table, chosen (or mixed) by the one before it."""

    def __init__(self, table: Tensor) -> None:
        super().__init__()
        self.table = nn.Parameter(table.clone())
        self.table.data[:, [PAD, BEGIN]] = NEVER
        self.vocabulary = len(table)

    def hidden(self, tokens: Tensor, source: Tensor | None = None) -> Tensor:
        return self.table[F.pad(tokens[:, :-1], (1, 0), value=BEGIN)]

    def logits(self, hidden: Tensor) -> Tensor:
        return hidden

    def begin(self, count: int, length: int, source: Tensor | None = None) -> State:
        return (torch.zeros(count, 1),)

    def step(self, token: Tensor, state: State) -> tuple[Tensor, State]:
        return token @ self.table if token.is_floating_point() else self.table[token], state


def build(name: str, paired: bool) -> Writer:
    """A writer in eval mode that prefers some tokens clearly, END among them."""
    return written_by(name, paired, 0.3)


def sources(paired: bool, count: int) -> Tensor | None:
    return sentences([1 + row % (SOURCE + 1) for row in range(count)], SOURCE, seed=1) if paired else None


def greedy(writer: Writer, count: int, source: Tensor | None) -> Tensor:
    """The likeliest token again and again, without states."""
    written = torch.full((count, LENGTH), PAD)
    for place in range(LENGTH):
        written[:, place] = writer(written, source)[:, place].argmax(dim=1)
    return padded(written)


def test_samples_follow_the_model() -> None:
    writer = Chain(torch.randn(6, 6, generator=torch.Generator().manual_seed(0)))
    count = 20_000
    written = write(writer, count, 2, Random("chi"))
    table = writer.table.detach().double()
    expected = table[BEGIN].softmax(dim=0)[:, None] * table.softmax(dim=1)
    expected[END] = F.one_hot(torch.tensor(PAD), 6) * expected[END].sum()
    observed = torch.zeros(6, 6).index_put((written[:, 0], written[:, 1]), torch.ones(count), accumulate=True)
    possible = expected > 0
    assert observed[~possible].sum() == 0
    assert 0.001 < chisquare(observed[possible].double(), expected[possible] * count).pvalue < 0.999


@with_and_without
@both_kinds
def test_samples_follow_every_writer(name: str, paired: bool) -> None:
    writer, count = build(name, paired), 4000
    source = sentences([3], SOURCE).expand(count, -1) if paired else None
    written = write(writer, count, 3, Random("chi", name), source=source)
    kept = (written[:, 0] != END) & (written[:, 1] != END)
    for place in (0, 2):
        # Of the third token: the mean over the prefixes that were written.
        logits = writer(written, source)[kept if place else slice(None), place]
        expected = logits.softmax(dim=1).mean(dim=0).detach()
        observed = torch.bincount(written[kept if place else slice(None), place], minlength=VOCABULARY)
        scale = observed.sum() / expected[2:].sum()
        assert observed[:2].sum() == 0
        assert chisquare(observed[2:].double(), (expected[2:] * scale).double(), sum_check=False).pvalue > 0.001


@with_and_without
@both_kinds
def test_writing_ends_and_is_repeatable(name: str, paired: bool) -> None:
    writer, source = build(name, paired), sources(paired, 20)
    written = write(writer, 20, LENGTH, Random(1), source=source)
    assert written.shape == (20, LENGTH) and written.dtype == torch.int64
    assert torch.equal(padded(written), written) and not (written[content(written)] < END).any()
    assert torch.equal(write(writer, 20, LENGTH, Random(1), source=source), written)
    assert not torch.equal(write(writer, 20, LENGTH, Random(2), source=source), written)
    assert torch.equal(write_with(writer, Random(1).uniform(20, LENGTH), source=source), written)
    assert not written.requires_grad


@with_and_without
@both_kinds
def test_samples_do_not_depend_on_processes(name: str, paired: bool) -> None:
    writer, source = build(name, paired), sources(paired, 12)
    whole = write(writer, 12, LENGTH, Random(1), source=source)
    ways = roll_outs(writer, whole, Random(2), source=source)
    for shard in range(2):
        part = slice(6 * shard, 6 * shard + 6)
        own = None if source is None else source[part]
        written = write(writer, 6, LENGTH, Random(1, shard=shard, shards=2), source=own)
        assert torch.equal(written, whole[part])
        assert torch.equal(roll_outs(writer, written, Random(2, shard=shard, shards=2), source=own), ways[:, part])


@with_and_without
@both_kinds
def test_temperature_zero_is_greedy(name: str, paired: bool) -> None:
    writer, source = build(name, paired), sources(paired, 9)
    expected = greedy(writer, 9, source)
    for how in (Sampling(temperature=0), Sampling(temperature=0, top_k=3, top_p=0.5), Sampling(top_k=1)):
        assert torch.equal(write(writer, 9, LENGTH, Random(1), how, source), expected)


@with_and_without
@both_kinds
def test_prompts_are_kept_and_may_differ_in_length(name: str, paired: bool) -> None:
    writer, source = build(name, paired), sources(paired, 3)
    prompt = torch.tensor([[5, 6, 7], [8, PAD, PAD], [9, END, PAD]])
    written = write(writer, 3, LENGTH, Random(1), source=source, prompt=prompt)
    assert written[0, :3].tolist() == [5, 6, 7] and written[1, 0] == 8
    assert written[2].tolist() == [9, END, PAD, PAD, PAD, PAD]
    assert written[1, 1] != PAD and torch.equal(padded(written), written)
    cold = write(writer, 3, LENGTH, Random(1), Sampling(temperature=0), source, prompt)
    assert cold[0, 3] == writer(cold, source)[0, 3].argmax()


def naively_filtered(logits: Tensor, how: Sampling) -> set[int]:
    """Tokens that may be chosen, by the definition."""
    probabilities = (logits / how.temperature).softmax(dim=0).double().tolist()
    order = sorted(range(len(probabilities)), key=lambda token: -probabilities[token])
    order = order[: how.top_k] if how.top_k else order
    scale, reached, kept = sum(probabilities[token] for token in order), 0.0, set()
    for token in order:
        kept.add(token)
        reached += probabilities[token] / scale
        if reached >= how.top_p:
            break
    return kept


@pytest.mark.parametrize("vocabulary", [7, 300, 3000])
@pytest.mark.parametrize("spread", [0.1, 3.0])
def test_filters_against_their_definition(vocabulary: int, spread: float) -> None:
    logits = spread * torch.randn(4, vocabulary)
    for how in (
        Sampling(top_k=3),
        Sampling(top_p=0.9),
        Sampling(top_p=0.3, temperature=0.5),
        Sampling(2.0, top_k=5, top_p=0.7),
        Sampling(top_k=10_000, top_p=1e-9),
    ):
        result = filtered(logits, how)
        for row in range(4):
            kept = naively_filtered(logits[row], how)
            assert set(torch.nonzero(result[row] > NEVER / 2).flatten().tolist()) == kept
            for token in kept:
                torch.testing.assert_close(result[row, token], logits[row, token] / how.temperature)


def test_no_token_of_probability_zero_is_chosen() -> None:
    logits = torch.full((1, 9), NEVER)
    logits[0, [3, 6]] = torch.tensor([0.0, 1.0])
    share = torch.tensor([0.0, 1.0]).softmax(dim=0)[0].item()
    uniforms = torch.tensor([0.0, share * 0.999, share * 1.001, 1 - 2**-24])
    assert chosen(logits.expand(4, -1), uniforms, Sampling()).tolist() == [3, 3, 6, 6]


@pytest.mark.parametrize(
    ("wrong", "option"),
    [
        ({"temperature": -1.0}, "--temperature: -1"),
        ({"temperature": float("nan")}, "--temperature: nan"),
        ({"temperature": float("inf")}, "--temperature: inf"),
        ({"top_k": -1}, "--top-k: -1"),
        ({"top_p": 0.0}, "--top-p: 0"),
        ({"top_p": 1.5}, "--top-p: 1.5"),
    ],
)
def test_impossible_sampling_is_refused(wrong: dict[str, float], option: str) -> None:
    with pytest.raises(CardiganError, match=f"{option} is out of range; allowed: "):
        Sampling(**wrong)  # type: ignore[arg-type]


@with_and_without
@both_kinds
def test_roll_outs_keep_beginnings_and_follow_the_model(name: str, paired: bool) -> None:
    writer, source = build(name, paired), sources(paired, 16)
    tokens = write(writer, 16, LENGTH, Random(1), source=source)
    ways = roll_outs(writer, tokens, Random(2), source=source)
    assert ways.shape == (LENGTH - 1, 16, LENGTH)
    for kept, way in enumerate(ways, start=1):
        assert torch.equal(way[:, :kept], tokens[:, :kept]) and torch.equal(padded(way), way)
        assert not (way[content(way)] < END).any()
    # The likeliest completions are those of single roll-outs; and greedy sentences are completed to themselves.
    cold = Sampling(temperature=0)
    for kept, way in enumerate(roll_outs(writer, tokens, Random(2), cold, source), start=1):
        assert torch.equal(way, roll_out(writer, tokens, kept, Random(3), cold, source))
    best = greedy(writer, 16, source)
    assert (roll_outs(writer, best, Random(2), cold, source) == best).all()
    each = torch.arange(16) % LENGTH
    mixed = roll_out(writer, tokens, each, Random(3), source=source)
    assert all(torch.equal(mixed[row, :kept], tokens[row, :kept]) for row, kept in enumerate(each.tolist()))


def test_roll_outs_of_one_beginning_are_samples() -> None:
    writer = Chain(torch.randn(6, 6, generator=torch.Generator().manual_seed(0)))
    ways = roll_outs(writer, torch.tensor([[4, 5, 3]]).expand(8000, -1), Random("roll"))
    for kept, last in ((1, 4), (2, 5)):
        observed = torch.bincount(ways[kept - 1, :, kept], minlength=6)[2:].double()
        expected = writer.table[last, 2:].detach().double().softmax(dim=0) * 8000
        assert chisquare(observed, expected, sum_check=False).pvalue > 0.001


def test_sentences_of_one_token_have_no_roll_outs() -> None:
    assert roll_outs(build("lstm", False), torch.tensor([[4], [END]]), Random(1)).shape == (0, 2, 1)


def score(writer: Writer, tokens: Tensor, source: Tensor, penalty: float) -> Tensor:
    """log p of (N, T) sentences over their length penalty."""
    gains = writer(tokens, source).log_softmax(dim=2).gather(2, tokens[..., None]).squeeze(2) * content(tokens)
    return gains.sum(dim=1) / ((5 + content(tokens).sum(dim=1)) / 6) ** penalty


@both_kinds
def test_a_beam_of_one_is_greedy(name: str) -> None:
    writer, source = build(name, True), sources(True, 9)
    assert source is not None
    for penalty in (0.0, 1.0):
        assert torch.equal(beam(writer, source, LENGTH, 1, penalty), greedy(writer, 9, source))


@both_kinds
@pytest.mark.parametrize("penalty", [0.0, 0.6, 2.0])
def test_a_wide_beam_finds_the_best_sentence(name: str, penalty: float) -> None:
    writer, source, length = build(name, True), sources(True, 3), 3
    assert source is not None
    words = range(END, VOCABULARY)
    every = torch.tensor(list(product(words, repeat=length)))
    every = padded(every).unique(dim=0)
    found = beam(writer, source, length, 9**2, penalty)
    for row in range(3):
        scores = score(writer, every, source[row : row + 1].expand(len(every), -1), penalty)
        assert torch.equal(found[row], every[scores.argmax()])


def test_a_beam_goes_on_while_a_longer_sentence_may_still_win() -> None:
    table = torch.full((5, 5), NEVER)
    table[BEGIN, [END, 4]] = torch.tensor([0.5, 0.4]).log()
    table[4, [END, 4]] = torch.tensor([0.01, 0.99]).log()
    source = torch.tensor([[END]])
    assert beam(Chain(table), source, 4, 2, 0.0).tolist() == [[END, PAD, PAD, PAD]]
    assert beam(Chain(table), source, 4, 2, 2.0).tolist() == [[4, 4, 4, 4]]


@both_kinds
def test_wider_beams_find_likelier_sentences(name: str) -> None:
    writer, source = build(name, True), sources(True, 40)
    assert source is not None
    means = [score(writer, beam(writer, source, LENGTH, width), source, 0).mean().item() for width in (1, 3, 12)]
    assert means[0] <= means[1] <= means[2] and means[0] < means[2] - 1


@with_and_without
@both_kinds
def test_soft_samples_are_one_hot_and_end(name: str, paired: bool) -> None:
    writer, source = build(name, paired), sources(paired, 8)
    weights, tokens = soft_write(writer, 8, LENGTH, 0.7, Random(1).uniform(8, LENGTH, VOCABULARY), source)
    assert torch.equal(weights.detach(), F.one_hot(tokens, VOCABULARY).float())
    assert torch.equal(padded(tokens), tokens) and (tokens == END).any() and (tokens[content(tokens)] >= END).all()
    (late,) = torch.autograd.grad(weights[~content(tokens)].square().sum(), writer.words.bias, retain_graph=True)
    assert not late.any()
    (weights * torch.randn_like(weights)).sum().backward()
    assert all(each.grad is not None and each.grad.isfinite().all() for each in writer.parameters())


def test_soft_samples_follow_the_model_at_any_temperature() -> None:
    writer = Chain(torch.randn(6, 6, generator=torch.Generator().manual_seed(0)))
    for temperature in (0.1, 5.0):
        _, tokens = soft_write(writer, 8000, 1, temperature, Random("soft").uniform(8000, 1, 6))
        observed = torch.bincount(tokens[:, 0], minlength=6)[2:].double()
        expected = writer.table[BEGIN, 2:].detach().double().softmax(dim=0) * 8000
        assert chisquare(observed, expected, sum_check=False).pvalue > 0.001


def test_soft_gradients_are_those_of_the_softmax() -> None:
    """Two words: dL/dlogits = J c / temperature, and through the second step J1 M J2 c, worked out by hand."""
    table = torch.full((6, 6), NEVER, dtype=torch.float64)
    table[:, 4:] = torch.randn(6, 2, dtype=torch.float64)
    writer, temperature = Chain(table), 0.8
    uniforms, cost = torch.rand(1, 2, 6, dtype=torch.float64), torch.tensor([1.5, -0.4], dtype=torch.float64)
    weights, tokens = soft_write(writer, 1, 2, temperature, uniforms)
    (gradient,) = torch.autograd.grad((weights[0, 1, 4:] * cost).sum(), writer.table)

    gumbel = -(-uniforms.log()).log()[0, :, 4:]
    first, second = int(tokens[0, 0]), ((table[int(tokens[0, 0]), 4:] + gumbel[1]) / temperature).softmax(dim=0)
    into_second = second[0] * second[1] * (cost[0] - cost[1]) / temperature * torch.tensor([1.0, -1.0]).double()
    expected = torch.zeros(6, 6, dtype=torch.float64)
    expected[first, 4:] = into_second
    through = table[4:, 4:] @ into_second  # d loss / d weights of the first token
    soft = ((table[BEGIN, 4:] + gumbel[0]) / temperature).softmax(dim=0)
    into_first = soft[0] * soft[1] * (through[0] - through[1]) / temperature
    expected[BEGIN, 4:] = into_first * torch.tensor([1.0, -1.0]).double()
    torch.testing.assert_close(gradient, expected)
