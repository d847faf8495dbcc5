"""Training the small network on real data: to tell classes apart, or views of one sample from views of others, or to
guess hidden tokens of sentences."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from cardigan.data.base import Watch
from cardigan.extractors.sentence_network import SentenceNetwork
from cardigan.extractors.views import cropped_and_tinted, jittered, shifted
from cardigan.machine import bf16_pays
from cardigan.randomness import derive_seed
from cardigan.sample import Batch
from cardigan.tokens import SPECIAL, content

BATCH = 128
RATE = 3e-3
TEMPERATURE = 0.2
"""Of the contrastive loss."""
HIDDEN = 0.15
"""Share of the tokens of sentences that are to be guessed."""
Draw = Callable[[int], Batch]
"""Step -> the real samples of this step."""
Loss = Callable[[nn.Module, Batch, torch.Generator], Tensor]


def fit(network: nn.Module, draw: Draw, loss: Loss, steps: int, seed: int, watch: Watch) -> None:
    """Train `network` for `steps` by AdamW under a one-cycle schedule; leaves it in evaluation mode.

    Equal seeds give equal networks on one machine; the global random generators are left as they were.
    """
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(network.parameters(), RATE, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=max(2, steps))
    halved = bf16_pays()
    network.train()
    with torch.enable_grad(), _seeded(seed):
        for step in range(steps):
            watch("training an extractor on the real data, once", step, steps)
            optimizer.zero_grad()
            # anew in every step: autocast keeps its copies of the weights until it is left
            with torch.autocast("cpu", torch.bfloat16, enabled=halved):
                value = loss(network, draw(step), generator)
            value.backward()
            optimizer.step()
            schedule.step()
    network.eval().requires_grad_(False)


def classification(network: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
    """Cross entropy of the labels, pictures shifted a little."""
    assert batch.label is not None
    samples = shifted(batch.sample, generator) if batch.sample.dim() == 4 else batch.sample
    return cross_entropy(network(samples)[1].float(), batch.label, label_smoothing=0.05)


def contrast(network: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
    """The normalised temperature-scaled cross entropy of SimCLR (Chen et al. 2020, equation 1)."""
    look = cropped_and_tinted if batch.sample.dim() == 4 else jittered
    pair = torch.cat([look(batch.sample, generator), look(batch.sample, generator)])
    points = normalize(network(pair)[1].float(), dim=1)
    likeness = points @ points.T / TEMPERATURE
    likeness.fill_diagonal_(float("-inf"))
    count = len(batch)
    return cross_entropy(likeness, torch.arange(2 * count).roll(count))


def guess(network: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
    """Cross entropy of tokens to be guessed, END among them (Devlin et al. 2019, arXiv:1810.04805, section 3.1).

    Of those, 8 in 10 are hidden, 1 is another token and 1 is left, so that whole sentences are nothing new.
    """
    tokens = batch.sample
    chosen, coin = _to_guess(tokens, generator), torch.rand(tokens.shape, generator=generator)
    others = torch.randint(
        len(SPECIAL), max(_guessing(network).hidden, len(SPECIAL) + 1), tokens.shape, generator=generator
    )
    given = tokens.masked_fill(chosen & (coin < 0.8), _guessing(network).hidden)
    return _guessed(network, torch.where(chosen & (coin > 0.9), others, given), tokens, chosen)[0]


@torch.no_grad()
def guessed(network: nn.Module, tokens: Tensor, seed: int = 0) -> tuple[float, int]:
    """Share of hidden tokens of (N, T) that are guessed, and how many were hidden."""
    generator, right, total = torch.Generator().manual_seed(seed), 0, 0
    for some in tokens.split(BATCH):
        chosen = _to_guess(some, generator)
        logits = _guessed(network, some.masked_fill(chosen, _guessing(network).hidden), some, chosen)[1]
        right += int((logits.argmax(1) == some[chosen]).sum())
        total += int(chosen.sum())
    return right / max(1, total), total


def _guessing(network: nn.Module) -> SentenceNetwork:
    assert isinstance(network, SentenceNetwork)
    return network


def _to_guess(tokens: Tensor, generator: torch.Generator) -> Tensor:
    chosen = content(tokens) & (torch.rand(tokens.shape, generator=generator) < HIDDEN)
    chosen[0, 0] |= not bool(chosen.any())  # a loss of nothing is no number
    return chosen


def _guessed(network: nn.Module, given: Tensor, tokens: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor]:
    """Loss and logits at the places `chosen` of what stands there in `tokens`."""
    encoder = _guessing(network)
    seen = encoder.look(given, content(tokens))[1]
    logits = encoder.head(seen[chosen[:, : seen.shape[1]]]).float()
    return cross_entropy(logits, tokens[chosen]), logits


@torch.no_grad()
def accuracy(network: nn.Module, batches: Iterator[Batch]) -> float:
    """Share of labelled samples that `network` gives their class."""
    right = total = 0
    for batch in batches:
        assert batch.label is not None
        right += int((network(batch.sample)[1].argmax(1) == batch.label).sum())
        total += len(batch)
    return right / max(1, total)


@torch.no_grad()
def recognition(network: nn.Module, samples: Tensor, seed: int = 0) -> float:
    """Share of samples of which one view is told from another view's (N - 1) neighbours; chance is 1 / N."""
    generator = torch.Generator().manual_seed(seed)
    look = cropped_and_tinted if samples.dim() == 4 else jittered
    one, other = (normalize(network(look(samples, generator))[1], dim=1) for _ in range(2))
    return float(((one @ other.T).argmax(1) == torch.arange(len(samples))).float().mean())


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Global random numbers from `seed` (dropout takes them), and back to what was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed("fit", seed))
        yield
