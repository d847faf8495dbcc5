"""What every metric demands of features: numbers that are finite, enough samples, one dimension on both sides."""

import torch
from torch import Tensor

from cardigan.errors import CardiganError


def checked(features: Tensor, name: str = "features", least: int = 1) -> Tensor:
    """(N, ...) as (N, D), where N is at least `least` and every number is finite.

    Raises:
        CardiganError: it is not so; `name` says whose features they are.
    """
    if features.dim() < 2:
        raise CardiganError(f"{name}: a shape of {tuple(features.shape)}; allowed: (samples, numbers of each)")
    if len(features) < least:
        raise CardiganError(f"{name}: {_samples(len(features))}; this metric needs at least {least}")
    features = features.detach().flatten(1)
    if features.shape[1] == 0:
        raise CardiganError(f"{name}: samples without a single number")
    damaged = int((~torch.isfinite(features).all(1)).sum())
    if damaged:
        raise CardiganError(f"{name}: {damaged} of {_samples(len(features))} hold NaN or infinite numbers")
    return features


def both(generated: Tensor, reference: Tensor, least: int = 1) -> tuple[Tensor, Tensor]:
    """Generated and reference features, (N, D) and (M, D), each `checked`.

    Raises:
        CardiganError: one of them is unfit, or they differ in D.
    """
    generated, reference = (
        checked(generated, "generated samples", least),
        checked(reference, "reference samples", least),
    )
    same_dimension(generated, reference)
    return generated, reference


def same_dimension(generated: Tensor, reference: Tensor) -> None:
    """Refuse (N, D) and (M, E) features unless D = E.

    Raises:
        CardiganError: it is not.
    """
    if generated.shape[1] != reference.shape[1]:
        raise CardiganError(
            f"generated samples have {generated.shape[1]} features, reference samples {reference.shape[1]}; "
            "allowed: the same extractor for both"
        )


def _samples(count: int) -> str:
    return f"{count} sample" if count == 1 else f"{count} samples"
