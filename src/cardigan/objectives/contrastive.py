"""Contrastive translation: a patch of the result should remind of its source patch more than of the others.

Park et al. 2020, "Contrastive learning for unpaired image-to-image translation" (CUT), section 3. Activations of a
translator's own encoder are compared (`Translator.encode`), after a projection (`PatchProjector`).
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from cardigan.networks.layers.precision import no_autocast
from cardigan.objectives.adversarial import widen
from cardigan.randomness import Random

TEMPERATURE = 0.07


def patch_nce(query: Tensor, key: Tensor, temperature: float = TEMPERATURE) -> Tensor:
    """-log(exp(q_i.k_i / t) / sum_j exp(q_i.k_j / t)), mean over patches i -> (N,): equations 3 and 4, of one layer.

    q and k are of unit length. Negatives are the other patches of the same picture. No gradient reaches the keys.
    Computed in float32 (float64 stays); with a single patch there is nothing to tell apart, and the value is 0.

    Args:
        query: (N, P, D) patches of what was made.
        key: (N, P, D) patches of what it was made of, at the same places.
        temperature: t, above 0.

    Raises:
        ValueError: shapes that differ, or are not of three axes.
    """
    if query.shape != key.shape or query.dim() != 3:
        raise ValueError(f"needs patches (N, P, D) on both sides, not {tuple(query.shape)} and {tuple(key.shape)}")
    query, key = normalize(widen(query), dim=2), normalize(widen(key.detach()), dim=2)
    with no_autocast(query):
        logits = query @ key.mT / temperature
    same = torch.arange(logits.shape[1], device=logits.device).expand(len(logits), -1)
    return cross_entropy(logits.mT, same, reduction="none").mean(1)


def sample_patches(
    queries: Sequence[Tensor], keys: Sequence[Tensor], count: int, random: Random
) -> tuple[list[Tensor], list[Tensor]]:
    """Up to `count` random places of each layer, (N, D, h, w) -> (N, P, D), the same places in queries and keys.

    The same, too, in all pictures, processes and slices of an accumulated batch, as in the authors' code. Where a layer
    has fewer places, all of them.

    Raises:
        ValueError: the two sides differ in layers or in shapes.
    """
    chosen: tuple[list[Tensor], list[Tensor]] = ([], [])
    for query, key in zip(queries, keys, strict=True):
        if query.shape[2:] != key.shape[2:]:
            raise ValueError(f"needs layers of equal size, not {tuple(query.shape)} and {tuple(key.shape)}")
        places = torch.randperm(query[0, 0].numel(), generator=random.generator, device=random.device)[:count]
        for side, maps in zip(chosen, (query, key), strict=True):
            side.append(maps.flatten(2)[:, :, places.to(maps.device)].mT)
    return chosen
