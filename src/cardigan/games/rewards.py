"""Scoring functions of sentences, added to the discriminator's reward: where reinforcement learning meets GANs."""

from collections.abc import Callable
from inspect import signature

import torch
from torch import Tensor

from cardigan.errors import CardiganError
from cardigan.metrics.text.corpus import sentence_bleu
from cardigan.metrics.text.molecules import molecules
from cardigan.metrics.text.verse import form_kept
from cardigan.settings import Settings

REWARDS = {
    "verse": "cardigan.games.rewards:verse",
    "drug-likeness": "cardigan.games.rewards:drug_likeness",
    "bleu": "cardigan.games.rewards:bleu",
}
"""Scoring functions known by name: name -> "module:function"."""


class Reward(Settings):
    """One scoring function and its weight."""

    function: str
    """A known name, or "my_module:my_function" in a module that the user trusts by name (`--trust my_module`): takes a
    list of sentences (strings), or such a list and a second one of the real sentences of the batch (where there are
    sources: of the same sources), and returns as many numbers."""
    weight: float = 1.0
    """Factor of its numbers beside the discriminator's reward."""


def verse(sentences: list[str]) -> list[float]:
    """1 for four lines of five characters with one mark behind each, else 0."""
    return [float(each) for each in form_kept(sentences)]


def drug_likeness(sentences: list[str]) -> list[float]:
    """QED of a SMILES, 0..1; 0 where it is no molecule.

    Raises:
        CardiganError: RDKit, which comes with the extra "molecules", is not installed.
    """
    found = molecules(sentences)
    values = iter(found.drug_likeness.tolist())
    return [next(values) if valid else 0.0 for valid in found.valid]


def bleu(sentences: list[str], truths: list[str]) -> list[float]:
    """Smoothed BLEU of each translation, 0..1: paid beside a discriminator by Yang et al. 2018 (arXiv:1703.04887)."""
    return [each / 100 for each in sentence_bleu(sentences, truths)]


Scorer = Callable[..., list[float]]
"""A scoring function; see `Reward.function`."""


def compares(function: Scorer) -> bool:
    """Whether `function` wants the real sentences too, as its second argument."""
    needed = [each for each in signature(function).parameters.values() if each.default is each.empty]
    return len(needed) == 2


def score(function: Scorer, texts: list[str], truths: list[str], device: torch.device) -> Tensor:
    """(N,) float32 numbers that `function` gives `texts`, beside as many real ones where it compares.

    Raises:
        CardiganError: it gives another number of them, or something else than finite numbers.
    """
    name = getattr(function, "__name__", "reward")
    try:
        values = torch.tensor(
            [float(each) for each in (function(texts, truths) if compares(function) else function(texts))]
        )
    except (TypeError, ValueError) as error:
        raise CardiganError(f"game.rewards: {name} does not give numbers: {error}") from None
    if len(values) != len(texts) or not values.isfinite().all():
        raise CardiganError(f"game.rewards: {name} must give one finite number for each of {len(texts)} sentences")
    return values.to(device)
