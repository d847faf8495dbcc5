"""Sentences from writers: sampling, completing what was begun, beam search, and samples that gradients pass through."""

from dataclasses import dataclass
from math import inf

import torch
import torch.nn.functional as F
from torch import Tensor

from cardigan.errors import CardiganError
from cardigan.networks.sequences.base import State, Writer
from cardigan.networks.sequences.vocabulary import NEVER
from cardigan.randomness import Random
from cardigan.tokens import BEGIN, END, PAD, content

FEW = 256
"""Tokens that mostly hold all the probability that nucleus sampling asks for."""


@dataclass(frozen=True)
class Sampling:
    """How tokens are chosen from a writer's logits.

    Attributes:
        temperature: what logits are divided by; below 1 safer, 0: always the likeliest token.
        top_k: only so many of the likeliest tokens are ever chosen (Fan et al., 2018, arXiv:1805.04833); 0: all.
        top_p: only the fewest likeliest tokens that have this probability together (nucleus sampling: Holtzman et al.,
            2020, arXiv:1904.09751); 1: all.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0

    def __post_init__(self) -> None:
        """One-line errors that name the option."""
        if not 0 <= self.temperature < inf:
            raise CardiganError(f"--temperature: {self.temperature:g} is out of range; allowed: 0 (greedy) or more")
        if self.top_k < 0:
            raise CardiganError(f"--top-k: {self.top_k} is out of range; allowed: 0 (all tokens) or more")
        if not 0 < self.top_p <= 1:
            raise CardiganError(f"--top-p: {self.top_p:g} is out of range; allowed: above 0, up to 1 (all tokens)")


def filtered(logits: Tensor, how: Sampling) -> Tensor:
    """(N, V) logits -> (N, V), those of tokens that `how` leaves out at `NEVER`, the others divided by its temperature.

    First the temperature, then top-k, then top-p among what is left.
    """
    if how.temperature == 0:
        return _keeping(logits, logits.argmax(dim=1, keepdim=True))
    logits = logits / how.temperature if how.temperature != 1 else logits
    if 0 < how.top_k < logits.shape[1]:
        logits = _keeping(logits, logits.topk(how.top_k, dim=1).indices)
    if how.top_p < 1:
        logits = logits.masked_fill(~_nucleus(torch.softmax(logits, dim=1), how.top_p), NEVER)
    return logits


def chosen(logits: Tensor, uniforms: Tensor, how: Sampling) -> Tensor:
    """(N, V) logits and (N,) numbers from U[0, 1) -> (N,) tokens, by inverting the distribution function.

    One number per token, whatever the vocabulary: a third of the time that V Gumbel numbers take.
    """
    if how.temperature == 0:
        return logits.argmax(dim=1)
    # In double precision no token of probability 0 is ever hit, and u * total < total.
    reached = torch.softmax(filtered(logits, how), dim=1).cumsum(dim=1, dtype=torch.float64)
    wanted = uniforms.to(reached)[:, None] * reached[:, -1:]
    return torch.searchsorted(reached, wanted, right=True).squeeze(1)


@torch.no_grad()
def write(
    writer: Writer,
    count: int,
    length: int,
    random: Random,
    how: Sampling | None = None,
    source: Tensor | None = None,
    prompt: Tensor | None = None,
) -> Tensor:
    """Sentences sampled token after token, without gradient.

    Args:
        writer: used in the mode that it is in.
        count: N, sentences of this process.
        length: T, tokens at most.
        random: gives one number per token, drawn before all else.
        how: tokens are chosen.
        source: (N, S), where sentences are made from something.
        prompt: (N, P) with which they begin; tokens are sampled where it has PAD, so that prompts may differ in length.

    Returns:
        (N, T) int64, PAD after END; no END where a sentence is cut off.
    """
    return write_with(writer, random.uniform(count, length).to(_device(writer)), how, source, prompt)


@torch.no_grad()
def write_with(
    writer: Writer,
    uniforms: Tensor,
    how: Sampling | None = None,
    source: Tensor | None = None,
    prompt: Tensor | None = None,
) -> Tensor:
    """`write` with the numbers (N, T) from U[0, 1) given: equal numbers, equal sentences."""
    count, length = uniforms.shape
    state = writer.begin(count, length, source)
    return _continued(writer, state, uniforms, how or Sampling(), prompt)


@torch.no_grad()
def roll_out(
    writer: Writer,
    tokens: Tensor,
    kept: int | Tensor,
    random: Random,
    how: Sampling | None = None,
    source: Tensor | None = None,
) -> Tensor:
    """Beginnings of sentences, completed: a step of SeqGAN's Monte-Carlo search (Yu et al., 2017, arXiv:1609.05473).

    Args:
        writer: used in the mode that it is in.
        tokens: (N, T).
        kept: tokens kept of all sentences, or (N,) of each.
        random: gives one number per token.
        how: tokens are chosen.
        source: (N, S), where sentences are made from something.

    Returns:
        (N, T) int64, PAD after END.
    """
    count, length = tokens.shape
    places = torch.arange(length, device=tokens.device)
    ends = kept[:, None] if isinstance(kept, Tensor) else kept
    return write(writer, count, length, random, how, source, tokens.masked_fill(places >= ends, PAD))


@torch.no_grad()
def roll_outs(
    writer: Writer,
    tokens: Tensor,
    random: Random,
    how: Sampling | None = None,
    source: Tensor | None = None,
) -> Tensor:
    """One completion of every beginning of every sentence: T - 1 `roll_out`s in T steps.

    The prefix is replayed once. From every place a copy of the state sets out, and all that are under way are stepped
    together; beginnings that have ended do not set out.

    Args:
        writer: used in the mode that it is in.
        tokens: (N, T).
        random: gives (T - 1) * T numbers per sentence.
        how: tokens are chosen.
        source: (N, S), where sentences are made from something.

    Returns:
        (T - 1, N, T) int64: at k - 1 the sentences of which k tokens were kept; PAD after END.
    """
    how = how or Sampling()
    count, length = tokens.shape
    uniforms = random.uniform(count, max(length - 1, 0), length).to(tokens.device).transpose(0, 1).flatten(0, 1)
    open_ = content(tokens) & (tokens != END)
    written = tokens.masked_fill(~content(tokens), PAD).repeat(max(length - 1, 0), 1)
    state, rows = writer.begin(count, length, source), torch.arange(count, device=tokens.device)
    last, under_way = rows.new_full((count,), BEGIN), rows[:0]
    for place in range(length):
        # The first `count` rows replay; those under way, whose rows of `written` are `under_way`, follow.
        logits, state = writer.step(last, state)
        sampled = chosen(logits[count:], uniforms[under_way, place], how)
        written[under_way, place] = sampled
        going = (sampled != END).nonzero().squeeze(1)
        starting = rows[open_[:, place]] if place < length - 1 else rows[:0]
        state = select(state, torch.cat([rows, going + count, starting]))
        last = torch.cat([tokens[:, place], sampled[going], tokens[starting, place]])
        under_way = torch.cat([under_way[going], starting + place * count])
        written[starting + place * count, place + 1 :] = PAD
    return written.unflatten(0, (-1, count)) if length > 1 else written.new_empty(0, count, length)


@torch.no_grad()
def beam(writer: Writer, source: Tensor, length: int, width: int = 4, length_penalty: float = 0.0) -> Tensor:
    """The likeliest sentences that beam search finds.

    Candidates that have ended stay in the beam; all are ranked by log p / ((5 + tokens) / 6)^length_penalty (Wu et al.,
    2016, arXiv:1609.08144, eq. 14).

    Args:
        writer: used in the mode that it is in.
        source: (N, S).
        length: T, tokens at most.
        width: candidates per sentence; 1: greedy.
        length_penalty: 0: none; above, longer sentences are preferred.

    Returns:
        (N, T) int64, PAD after END.
    """
    count, device = len(source), source.device
    first = torch.arange(count, device=device)[:, None] * width
    state = select(writer.begin(count, length, source), torch.arange(count, device=device).repeat_interleave(width))
    written = torch.full((count, width, length), PAD, device=device)
    score = torch.full((count, width), -inf, device=device)  # all candidates are the same at first: one is kept
    score[:, 0] = 0
    last, ended, used = written.new_full((count, width), BEGIN), torch.zeros_like(score).bool(), torch.zeros_like(score)
    for place in range(length):
        logits, state = writer.step(last.flatten(), state)
        gains = torch.log_softmax(logits, dim=1).unflatten(0, (count, width)).masked_fill(ended[..., None], -inf)
        gains[..., PAD] = torch.where(ended, 0.0, gains[..., PAD])
        total = (score[..., None] + gains).flatten(1)
        ranked = total / _penalty(used + ~ended, length_penalty)[..., None].expand_as(gains).flatten(1)
        best = ranked.topk(width, dim=1).indices
        score, parent, last = total.gather(1, best), best // gains.shape[2], best % gains.shape[2]
        state = select(state, (first + parent).flatten())
        written = written.gather(1, parent[..., None].expand_as(written))
        written[..., place] = last
        used = used.gather(1, parent) + ~ended.gather(1, parent)
        ended = ended.gather(1, parent) | (last == END)
        # The best has ended and no other can still pass it: a score only falls, a penalty at most grows to that of T.
        hope = torch.where(ended, -inf, score / _penalty(used * 0 + length, max(length_penalty, 0.0)))
        if bool((ended[:, 0] & (hope.amax(dim=1) <= score[:, 0] / _penalty(used[:, 0], length_penalty))).all()):
            break
    return written[:, 0]


def soft_write(
    writer: Writer,
    count: int,
    length: int,
    temperature: float | Tensor,
    uniforms: Tensor,
    source: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Samples with straight-through gradients (Gumbel-softmax: Jang et al., 2017, arXiv:1611.01144).

    Forwards, weights are exactly one-hot: the argmax of logits and Gumbel numbers, which is a sample of the writer
    whatever the temperature. Backwards, they are softmax((logits + Gumbel) / temperature). Weights are what the next
    step reads, so that gradients pass through time.

    Args:
        writer: used in the mode that it is in.
        count: N.
        length: T, tokens at most.
        temperature: above 0; a number or a tensor without axes.
        uniforms: (N, T, V) from U[0, 1).
        source: (N, S), where sentences are made from something.

    Returns:
        (N, T, V) float32 weights, after END those of PAD without gradient; and (N, T) int64 tokens.
    """
    tiny = torch.finfo(uniforms.dtype).tiny
    state = writer.begin(count, length, source)
    token: Tensor = torch.full((count,), BEGIN, device=uniforms.device)
    padding = F.one_hot(token.new_full((count,), PAD), writer.vocabulary).to(uniforms.dtype)
    ended = torch.zeros(count, dtype=torch.bool, device=uniforms.device)
    weights, tokens = [], []
    for place in range(length):
        if bool(ended.all()):
            break
        logits, state = writer.step(token, state)
        gumbel = -torch.log(-torch.log(uniforms[:, place].clamp_min(tiny)))
        soft = torch.softmax((logits + gumbel.to(logits)) / temperature, dim=1)
        sampled = soft.argmax(dim=1)
        straight = F.one_hot(sampled, writer.vocabulary).to(soft) + (soft - soft.detach())
        token = torch.where(ended[:, None], padding.to(soft), straight)
        weights.append(token)
        tokens.append(sampled.masked_fill(ended, PAD))
        ended = ended | (sampled == END)
    missing = length - len(tokens)
    weights += [padding.to(weights[0])] * missing
    tokens += [torch.full_like(tokens[0], PAD)] * missing
    return torch.stack(weights, dim=1), torch.stack(tokens, dim=1)


def select(state: State, rows: Tensor) -> State:
    """The state of the sentences at `rows` (M,), in that order; a sentence may be named more than once."""
    return tuple(each.index_select(0, rows) for each in state)


def _continued(writer: Writer, state: State, uniforms: Tensor, how: Sampling, prompt: Tensor | None) -> Tensor:
    """(N, T) tokens from `state` on, of (N, T) numbers from U[0, 1)."""
    count, length = uniforms.shape
    written = torch.full((count, length), PAD, device=uniforms.device)
    rows = torch.arange(count, device=uniforms.device)
    last, ended = torch.full_like(rows, BEGIN), torch.zeros_like(rows, dtype=torch.bool)
    for place in range(length):
        logits, state = writer.step(last, state)
        last = chosen(logits, uniforms[rows, place], how)
        if prompt is not None and place < prompt.shape[1]:
            given = prompt[rows, place]
            last = torch.where(given == PAD, last, given)
        last = last.masked_fill(ended, PAD)
        written[rows, place] = last
        ended = ended | (last == END)
        going = (~ended).nonzero().squeeze(1)
        if not len(going):
            break
        # Ended sentences are stepped along until they are half of all: copying the state at every end costs more.
        if 2 * len(going) <= len(rows):
            state, rows, last, ended = select(state, going), rows[going], last[going], ended[going]
    return written


def _keeping(logits: Tensor, indices: Tensor) -> Tensor:
    """(N, V) logits, those not at `indices` (N, K) at `NEVER`."""
    return torch.full_like(logits, NEVER).scatter(1, indices, logits.gather(1, indices))


def _nucleus(probabilities: Tensor, share: float) -> Tensor:
    """(N, V) probabilities -> (N, V) bool, the fewest likeliest that have `share` together.

    The likeliest few are ordered first, all only if those do not suffice: it takes twice as long as the rest of a step.
    """
    likely, order = probabilities.topk(min(FEW, probabilities.shape[1]), dim=1)
    if bool((likely.sum(dim=1) < share).any()):
        likely, order = probabilities.sort(dim=1, descending=True)
    before = likely.double().cumsum(dim=1) - likely  # of all that are likelier: the first always stays
    return torch.zeros_like(probabilities, dtype=torch.bool).scatter(1, order, before < share)


def _penalty(tokens: Tensor, strength: float) -> Tensor:
    """((5 + tokens) / 6)^strength."""
    return ((5 + tokens) / 6) ** strength


def _device(writer: Writer) -> torch.device:
    return next(writer.parameters()).device
