"""Scoring functions of sentences, added to the discriminator's reward: where reinforcement learning meets GANs."""

from collections.abc import Callable

import torch
from torch import Tensor

from cardigan.errors import CardiganError
from cardigan.metrics.text.molecules import molecules
from cardigan.metrics.text.verse import form_kept
from cardigan.settings import Settings

REWARDS = {
    "verse": "cardigan.games.rewards:verse",
    "drug-likeness": "cardigan.games.rewards:drug_likeness",
}
"""Scoring functions known by name: name -> "module:function"."""


class Reward(Settings):
    """One scoring function and its weight."""

    function: str
    """A known name, or "my_module:my_function" in a module that the user trusts by name (`--trust my_module`): takes a
    list of sentences (strings), returns as many numbers."""
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


def score(function: Callable[[list[str]], list[float]], texts: list[str], device: torch.device) -> Tensor:
    """(N,) float32 numbers that `function` gives `texts`.

    Raises:
        CardiganError: it gives another number of them, or something else than finite numbers.
    """
    name = getattr(function, "__name__", "reward")
    try:
        values = torch.tensor([float(each) for each in function(texts)])
    except (TypeError, ValueError) as error:
        raise CardiganError(f"game.rewards: {name} does not give numbers: {error}") from None
    if len(values) != len(texts) or not values.isfinite().all():
        raise CardiganError(f"game.rewards: {name} must give one finite number for each of {len(texts)} sentences")
    return values.to(device)
