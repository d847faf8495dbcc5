"""What only a kind of game can tell of its health: translators that do not translate, writers that go in circles.

All take samples (N, ...) of one step and give scalars by name, which `cardigan.health.rules` knows.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from cardigan.games.base import Match
from cardigan.health.statistics import pair_accuracy, per_sample
from cardigan.metrics.text.diversity import loops, unique_share
from cardigan.randomness import Random
from cardigan.tokens import lengths, rows

GREY_LEVEL = 2 / 255
"""One of 256, in pictures that go from -1 to 1."""


def of_translation(made: Tensor, source: Tensor, truth: Tensor) -> dict[str, Tensor]:
    """How much what is `made` differs from source to source, and from its own source.

    - effect: mean distance between what is made of two sources, as a share of that between two real samples;
    - changed: mean distance of what is made from its source, as a share of the range, where the two have one shape;
      changed_real: the same of real samples.
    """
    found = dict[str, Tensor]()
    if len(made) > 1:
        found["effect"] = _apart(made, made.roll(1, 0)) / _apart(truth, truth.roll(1, 0)).clamp(min=1e-6)
    if made.shape == source.shape:
        found |= {"changed": _apart(made, source) / 2, "changed_real": _apart(truth, source) / 2}
    return found


def of_cycle(source: Tensor, made: Tensor, back: Callable[[Tensor], Tensor], random: Random) -> dict[str, Tensor]:
    """hidden: how many times as wrong the way back is when a grey level of noise lies on what was made.

    A translator may hide its source in a pattern that nobody sees, by which the way back finds it (Chu et al. 2017,
    "CycleGAN, a master of steganography"); such a pattern does not survive noise, what can be seen does.
    """
    noise = GREY_LEVEL * (2 * random.integers(2, *made.shape).to(made) - 1)
    plain, disturbed = (_apart(back(each), source) for each in (made, made + noise))
    return {"hidden": disturbed / plain.clamp(min=GREY_LEVEL / 4)}


def of_sentences(match: Match) -> dict[str, Tensor]:
    """Whether sentences go in circles, come again, and are told by their length.

    - loops, loops_real: share of sentences that repeat themselves;
    - unique, unique_real: share of different ones in this batch;
    - length: how well the number of tokens alone tells real from written, 0.5 (not at all) to 1;
    - length_linked: correlation of the discriminator's judgement with that number.
    """
    found = dict[str, Tensor]()
    for ending, sentences in (("", match.fake), ("_real", match.real)):
        texts = rows(sentences)
        found[f"loops{ending}"] = torch.tensor(float(loops(texts).mean()))
        found[f"unique{ending}"] = torch.tensor(float(unique_share(texts)))
    real, fake = lengths(match.real).float(), lengths(match.fake).float()
    alone = pair_accuracy(real, fake)
    judged = [match.judge(each) for each in (match.real, match.fake)]
    logits = torch.cat([per_sample(each.logits, each.mask) for each in judged])
    linked = torch.corrcoef(torch.stack([logits, torch.cat([real, fake]).to(logits)]))[0, 1]
    return {**found, "length": torch.maximum(alone, 1 - alone), "length_linked": linked.nan_to_num(0.0)}


def _apart(one: Tensor, other: Tensor) -> Tensor:
    return (one.float() - other.float()).abs().mean()
