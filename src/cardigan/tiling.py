"""A translator run over a picture of any size: by tiles that overlap, so that memory is bounded by one row of them.

Along each side a picture is cut into spans of one length that overlap; what is made of two tiles is blended linearly
where they do. Around a tile the network is also given what its pixels depend on (`Translator.margin`), from a place
that `Translator.multiple` divides, so that its strides fall on the same pixels as on the whole picture. Where what is
made of a pixel depends on no more than the margin, tiles agree in their overlap and all is as if made in one go; where
it depends on more (the whole picture under normalisation over it), the blending hides that they do not.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from cardigan.errors import CardiganError
from cardigan.networks.base import Translator
from cardigan.resizing import to_bytes

Rows = Callable[[int, int], Tensor]
"""(top, bottom) -> these rows of a picture, (C, bottom - top, w) in [-1, 1]: it need not be there as a whole."""
Done = Callable[[int, int], None]
"""Told how many tiles are done, and of how many."""
TILE = 512
"""Pixels of a source's side that are made at once, where samples have its size."""
TILE_UPSCALED = 256
"""The same where samples are larger."""
SMALLEST_TILE = 16
LEAST = 16
"""Pixels of a side that a network is given at least: one that pads by reflection cannot do with one or two."""
OVERLAP = 8
"""A tile overlaps the next by a part of its side: one in so many."""


@dataclass(frozen=True)
class _Span:
    """A tile along one side, in pixels of the source.

    Attributes:
        start, stop: what is made of it.
        first, last: what the network is given to make it.
    """

    start: int
    stop: int
    first: int
    last: int


def default_tile(translator: Translator) -> int:
    """Pixels of a source's side in one tile, where nobody says."""
    return TILE if translator.scale == 1 else TILE_UPSCALED


@torch.no_grad()
def translate_batch(translator: Translator, sources: Tensor) -> Tensor:
    """Sources (N, C, h, w) in [-1, 1] -> (N, C', h * scale, w * scale) float32, each in one go, where it computes.

    Raises:
        CardiganError: see `translate_rows`.
    """
    height, width = sources.shape[2:]
    down, across = (reflected(0, _padded(side, translator), side) for side in (height, width))
    made = _made(translator, sources[:, :, down][..., across])
    return made[:, :, : height * translator.scale, : width * translator.scale]


def check_tile(tile: int) -> None:
    """Refuse tiles that are too small.

    Raises:
        CardiganError: less than 16 pixels.
    """
    if tile < SMALLEST_TILE:
        raise CardiganError(f"--tile: {tile} pixels are too few; allowed: {SMALLEST_TILE} and more")


def translate_whole(
    translator: Translator, source: Tensor, tile: int | None = None, overlap: int | None = None
) -> Tensor:
    """What `translator` makes of a picture (C, h, w) in [-1, 1]: (h * scale, w * scale, C') uint8, on the CPU.

    Args:
        tile: see `translate_rows`.
        overlap: see `translate_rows`.

    Raises:
        CardiganError: see `translate_rows`.
    """
    height, width = source.shape[1:]
    return translate_rows(translator, lambda top, bottom: source[:, top:bottom], (height, width), tile, overlap)


@torch.no_grad()
def translate_rows(
    translator: Translator,
    rows: Rows,
    size: tuple[int, int],
    tile: int | None = None,
    overlap: int | None = None,
    done: Done | None = None,
) -> Tensor:
    """As `translate_whole`, of a picture whose rows are made as they are needed.

    Values become bytes as in the codec of pictures: the bytes of a tile are what a file of its floats would hold.

    Args:
        rows: gives parts of the picture.
        size: (height, width) of all of it.
        tile: pixels of a source's side that are made at once, without the margin; the whole side where it is no longer
            than that. None: 512, 256 where samples are larger than sources.
        overlap: pixels of the source in which neighbouring tiles are blended. None: an eighth of `tile`.

    Raises:
        CardiganError: a tile of less than 16 pixels, an overlap of more than a quarter of it, a translator that makes
            another size than its `scale` says.
    """
    tile = default_tile(translator) if tile is None else tile
    overlap = tile // OVERLAP if overlap is None else overlap
    check_tile(tile)
    if not 0 <= overlap <= tile // 4:
        raise CardiganError(f"overlap: {overlap} pixels; allowed: 0 to {tile // 4}, a quarter of a tile")
    down, across = (_spans(side, tile, overlap, translator) for side in size)
    made: Tensor | None = None
    pieces = _pieces(translator, rows, size, (down, across), overlap * translator.scale)
    for number, (top, left, piece) in enumerate(pieces):
        if made is None:
            made = torch.empty(size[0] * translator.scale, size[1] * translator.scale, len(piece), dtype=torch.uint8)
        made[top : top + piece.shape[1], left : left + piece.shape[2]] = piece.permute(1, 2, 0)
        if done is not None:
            done(number + 1, len(down) * len(across))
    assert made is not None
    return made


def _pieces(
    translator: Translator, rows: Rows, size: tuple[int, int], spans: tuple[list[_Span], list[_Span]], overlap: int
) -> Iterator[tuple[int, int, Tensor]]:
    """The finished picture tile by tile: (row, column, (C', rows, columns) uint8), none over another."""
    (down, across), scale = spans, translator.scale
    above: Tensor | None = None  # the last rows of the tiles above, out of which the first of these rise
    for number, place in enumerate(down):
        strip = rows_within(rows, place.first, place.last, size[0])
        for start, part in _row(translator, strip, size[1], place, across, overlap):
            if above is None:
                above = part.new_empty(len(part), overlap, size[1] * scale)
            lying_over = above[:, :, start : start + part.shape[2]]
            part = part if number == 0 else _blended(lying_over, part, 1)
            keep = part.shape[1] - (overlap if number < len(down) - 1 else 0)
            lying_over[:, : part.shape[1] - keep] = part[:, keep:]
            yield place.start * scale, start, to_bytes(part[:, :keep]).to("cpu", torch.uint8)


def _row(
    translator: Translator, strip: Tensor, width: int, place: _Span, across: list[_Span], overlap: int
) -> Iterator[tuple[int, Tensor]]:
    """What is made of one row of tiles, from left to right: (column, (C', rows, columns) float32), blended."""
    scale, left = translator.scale, None
    for number, span in enumerate(across):
        given = strip[:, :, reflected(span.first, span.last, width)]
        made = _made(translator, given[None])[
            0,
            :,
            (place.start - place.first) * scale : (place.stop - place.first) * scale,
            (span.start - span.first) * scale : (span.stop - span.first) * scale,
        ]
        if left is not None:
            made = _blended(left, made, 2)
        keep = made.shape[2] - (overlap if number < len(across) - 1 else 0)
        left = made[:, :, keep:].clone()
        yield span.start * scale, made[:, :, :keep]


def _made(translator: Translator, sources: Tensor) -> Tensor:
    """(N, C, h, w) -> (N, C', h * scale, w * scale) float32, where the network computes."""
    weight = next(translator.parameters(), None)
    made: Tensor = translator(sources if weight is None else sources.to(weight))
    wanted = tuple(side * translator.scale for side in sources.shape[2:])
    if made.ndim != 4 or tuple(made.shape[2:]) != wanted:
        found, given, due = ("x".join(map(str, each)) for each in (made.shape[2:], sources.shape[2:], wanted))
        raise CardiganError(
            f"{type(translator).__name__}: made {found} pixels of {given}; its scale {translator.scale} calls for {due}"
        )
    return made.float()


def _blended(before: Tensor, after: Tensor, axis: int) -> Tensor:
    """`after` (C, h, w), whose first pixels along `axis` rise linearly out of `before`, which lies over them."""
    length = before.shape[axis]
    share = (torch.arange(length, device=after.device) + 0.5) / max(1, length)
    over, rest = after.split([length, after.shape[axis] - length], dim=axis)
    return torch.cat([before.lerp(over, share.view(-1, *[1] * (2 - axis))), rest], dim=axis)


def _spans(side: int, tile: int, overlap: int, translator: Translator) -> list[_Span]:
    """How one side is cut: spans of one length (to a pixel), neighbours overlapping by exactly `overlap`."""
    count = 1 if side <= tile else -(-(side - overlap) // (tile - overlap))
    cuts = [number * (side - overlap) // count for number in range(count)]
    stops = [*(cut + overlap for cut in cuts[1:]), side]
    multiple, margin, end = translator.multiple, translator.margin, _padded(side, translator)
    firsts = [max(0, (start - margin) // multiple * multiple) for start in cuts]
    lasts = [end if stop == side else min(end, _up(stop + margin, multiple)) for stop in stops]
    return [_Span(*each) for each in zip(cuts, stops, firsts, lasts, strict=True)]


def _padded(side: int, translator: Translator) -> int:
    """Pixels that a network is given of a side."""
    return _up(max(side, LEAST), translator.multiple)


def _up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple


def rows_within(rows: Rows, first: int, last: int, height: int) -> Tensor:
    """Rows `first` to `last` of a picture of `height` rows, reflected where they lie beyond it."""
    wanted = reflected(first, last, height)
    low, high = int(wanted.min()), int(wanted.max()) + 1
    found = rows(low, high)
    return found if last <= height else found[:, wanted - low]


def reflected(first: int, last: int, side: int) -> Tensor:
    """(last - first,) int64: which of `side` pixels stand there; beyond the last one they come back, as in a mirror."""
    period = max(1, 2 * (side - 1))
    places = torch.arange(first, last) % period
    return torch.minimum(places, period - places) if side > 1 else torch.zeros_like(places)
