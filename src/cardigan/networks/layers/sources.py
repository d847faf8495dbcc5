"""Sources on their way into networks: what fits what, and how sizes are brought together."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from cardigan.errors import CardiganError
from cardigan.networks.layers.normalisation import MapKind
from cardigan.sample import Form

FAR = 32
"""Pixels around a tile that are worth keeping where statistics of the whole picture reach everywhere anyway."""


def source_shape(form: Form, family: str) -> tuple[int, int, int]:
    """(C', h, w) of the sources of `form`.

    Raises:
        CardiganError: samples or sources that are no pictures.
    """
    if form.source is None or len(form.source) != 3 or len(form.shape) != 3:
        given = "nothing" if form.source is None else f"sources of shape {form.source}"
        raise CardiganError(
            f"game.generator.family: {family!r} makes pictures from pictures, and samples here have shape {form.shape} "
            f"and are made from {given}; allowed here: data of pictures with sources (C, H, W)"
        )
    channels, height, width = form.source
    return channels, height, width


def scale_of(form: Form, family: str, allowed: Sequence[int] = (1,)) -> int:
    """How many times as large as a source a sample of `form` is.

    Raises:
        CardiganError: not pictures, or not one of the `allowed` scales.
    """
    _, height, width = source_shape(form, family)
    for scale in allowed:
        if form.shape[1:] == (height * scale, width * scale):
            return scale
    raise CardiganError(
        f"game.generator.family: {family!r} cannot make pictures of {form.shape[1]}x{form.shape[2]} from "
        f"{height}x{width}; allowed: sides {' or '.join(map(str, allowed))} times as long"
    )


def check_added(form: Form, key: str, way: str, others: str) -> None:
    """Nothing, if samples of `form` can be their source's first channels and a correction.

    Raises:
        CardiganError: naming `key`, when sources have fewer channels than samples.
    """
    if form.source is not None and form.source[0] < form.shape[0]:
        raise CardiganError(
            f"{key}: {way!r} adds to the source, which has {form.source[0]} channels where samples have "
            f"{form.shape[0]}; allowed here: {others}"
        )


def judged_channels(form: Form, family: str, conditional: bool) -> int:
    """Channels of what a discriminator of `form` sees: the sample's, and beside them the source's if `conditional`.

    Raises:
        CardiganError: samples that are no pictures; a condition asked for and no pictures as sources.
    """
    if len(form.shape) != 3:
        raise CardiganError(
            f"game.discriminator.family: {family!r} judges pictures, and samples here have shape {form.shape}; "
            "allowed here: none"
        )
    if not conditional:
        return form.shape[0]
    if form.source is None or len(form.source) != 3:
        raise CardiganError(
            f"game.discriminator.family: {family!r} should judge pictures beside their sources, and samples here have "
            f"{'none' if form.source is None else f'some of shape {form.source}'}; allowed: sources (C, H, W)"
        )
    return form.shape[0] + form.source[0]


def beside(sample: Tensor, condition: Tensor | None) -> Tensor:
    """(N, C, H, W) and their sources (N, C', h, w) -> (N, C + C', H, W), the sources brought to H and W bilinearly."""
    if condition is None:
        raise CardiganError("this discriminator judges pictures beside their sources, and none were given")
    if condition.shape[2:] != sample.shape[2:]:
        condition = F.interpolate(condition, size=sample.shape[2:], mode="bilinear", align_corners=False)
    return torch.cat([sample, condition.to(sample.dtype)], dim=1)


def padded(x: Tensor, multiple: int, least: int = 1) -> Tensor:
    """(N, C, H, W) -> (N, C, H', W'), at least `least` and multiples of `multiple`: right and bottom edges repeated."""
    right, bottom = (-(-max(side, least) // multiple) * multiple - side for side in (x.shape[3], x.shape[2]))
    return F.pad(x, (0, right, 0, bottom), mode="replicate") if right or bottom else x


def cropped(x: Tensor, like: Tensor) -> Tensor:
    """(N, C, H', W') -> (N, C, H, W): what `padded` added to `like` is cut off again."""
    return x[..., : like.shape[2], : like.shape[3]]


def worth_keeping(reach: int, kind: MapKind) -> int:
    """`margin` of a network whose layers reach so far: all of it, or `FAR` at most where whole maps are normalised.

    With "batch" it is exact in eval mode.
    """
    return min(reach, FAR) if kind in ("instance", "layer") else reach
