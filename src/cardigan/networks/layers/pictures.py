"""Sizes of pictures on their way through convolutional networks."""

from torch import Tensor

from cardigan.errors import CardiganError
from cardigan.sample import Form

WIDEST = 8
"""The small end of a network is at most this many times as wide as its large end."""


def picture_shape(form: Form, family: str) -> tuple[int, int, int]:
    """(C, H, W) of `form`.

    Raises:
        CardiganError: samples that are not pictures of at least 2x2 pixels.
    """
    if len(form.shape) != 3 or min(form.shape[1:]) < 2:
        raise CardiganError(
            f"game.networks.family: {family!r} is for pictures of at least 2x2 pixels, and samples here have shape "
            f"{form.shape}; allowed here: mlp"
        )
    channels, height, width = form.shape
    return channels, height, width


def halvings(form: Form, smallest: int) -> int:
    """How often the shorter side is halved, rounding up, until it is at most `smallest` pixels."""
    side, count = min(form.shape[1:]), 0
    while side > smallest:
        side, count = (side + 1) // 2, count + 1
    return count


def check_depth(depth: int, form: Form, key: str) -> int:
    """`depth`, if that many stages of factor 2 fit the pictures of `form`.

    Raises:
        CardiganError: naming `key`, when halving that often leaves less than a pixel.
    """
    most = min(form.shape[1:]).bit_length() - 1
    if depth > most:
        raise CardiganError(
            f"{key}: {depth} stages halve pictures of {form.shape[1]}x{form.shape[2]} too often; allowed: 1 to {most}"
        )
    return depth


def start_size(form: Form, depth: int) -> tuple[int, int]:
    """(h, w) that `depth` doublings bring to the size of `form` or just beyond."""
    height, width = form.shape[1:]
    return -(-height >> depth), -(-width >> depth)


def crop_centre(x: Tensor, form: Form) -> Tensor:
    """(N, C, H', W') -> (N, C, H, W): the middle of what was made a little too large."""
    height, width = form.shape[1:]
    top, left = (x.shape[2] - height) // 2, (x.shape[3] - width) // 2
    return x[:, :, top : top + height, left : left + width]


def channels(width: int, levels: int, growth: float = 2.0) -> list[int]:
    """Channels of each level from the largest picture to the smallest: `width` times powers of `growth`, up to 8."""
    return [round(width * min(growth**level, WIDEST)) for level in range(levels)]
