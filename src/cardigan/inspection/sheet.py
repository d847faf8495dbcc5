"""Pictures of pictures: what a source holds, what training would see of it, and what stands there twice."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cardigan.data.sources.fitting import Wanted, brought, kept_box
from cardigan.data.sources.pixels import original
from cardigan.errors import CardiganError
from cardigan.inspection.drawing import ACCENT, FAINT, canvas, font, on_checks, place, save, whole, write
from cardigan.inspection.duplicates import Duplicates
from cardigan.inspection.groups import Integers
from cardigan.inspection.survey import Survey

if TYPE_CHECKING:
    from PIL.Image import Image

CLASSES = 12
"""Rows of a contact sheet, at most."""
_COLUMNS = 10
_GAP, _MARGIN, _LINE = 6, 14, 18


def contact_sheet(survey: Survey, path: Path, most: int = 100, side: int = 96, seed: int = 0) -> Path:
    """Draw up to `most` pictures, chosen by `seed`, each whole: one row for each class, or all together.

    Raises:
        CardiganError: no readable pictures, or the file cannot be written.
    """
    if not len(survey.rows):
        raise CardiganError(f"{path.name}: no readable pictures to show")
    rows = _rows_of_classes(survey, most, seed) or _rows_of_all(survey, most, seed)
    label = _label_width([name for name, _ in rows])
    columns = max(len(chosen) for _, chosen in rows)
    step, width = side + _GAP, 2 * _MARGIN + label
    sheet = canvas(2 * _MARGIN + len(rows) * step - _GAP, width + columns * step - _GAP)
    for line, (name, chosen) in enumerate(rows):
        top = _MARGIN + line * step
        write(sheet, (_MARGIN, top + side // 2 - 8), name, label - _GAP)
        for column, row in enumerate(chosen):
            place(sheet, whole(_picture(survey, int(row)), side), (_MARGIN + label + column * step, top), side)
    return save(sheet, path)


def crop_preview(survey: Survey, wanted: Wanted, path: Path, side: int = 256) -> Path:
    """Draw pictures of extreme and of usual shape: what of each is kept, and beside it what training sees.

    Raises:
        CardiganError: no readable pictures, or the file cannot be written.
    """
    chosen = telling_shapes(survey)
    if not len(chosen):
        raise CardiganError(f"{path.name}: no readable pictures to show")
    columns = 2 if len(chosen) > 1 else 1
    cell, step = 2 * side + _GAP, side + _LINE + 2 * _GAP
    lines = -(-len(chosen) // columns)
    sheet = canvas(2 * _MARGIN + lines * step, 2 * _MARGIN + columns * (cell + 2 * _MARGIN) - 2 * _MARGIN)
    for number, row in enumerate(map(int, chosen)):
        left = _MARGIN + number % columns * (cell + 2 * _MARGIN)
        top = _MARGIN + number // columns * step
        image, name = _picture(survey, row), survey.name_of(row)
        place(sheet, _kept(image, wanted, side), (left, top), side)
        place(sheet, _trained(image, wanted, name, side), (left + side + _GAP, top), side)
        sizes = f"{image.height}x{image.width} -> {wanted.size[0]}x{wanted.size[1]}"
        write(sheet, (left, top + side + 3), sizes, side, FAINT)
        write(sheet, (left + side + _GAP, top + side + 3), _short(name), side, FAINT)
    return save(sheet, path)


def duplicate_sheet(survey: Survey, found: Duplicates, path: Path, most: int = 24, side: int = 112) -> Path:
    """Draw up to `most` pairs that stand in the source twice, near ones first, with their splits and names.

    Raises:
        CardiganError: there are none, or the file cannot be written.
    """
    pairs = _pairs_to_show(survey, found, most)
    if not pairs:
        raise CardiganError(f"{path.name}: no duplicates to show")
    columns = min(4, len(pairs))
    cell, step = 2 * side + _GAP, side + 3 * _LINE + 2 * _GAP
    lines = -(-len(pairs) // columns)
    sheet = canvas(2 * _MARGIN + lines * step - _GAP, 2 * _MARGIN + columns * (cell + 2 * _MARGIN) - 2 * _MARGIN)
    for number, (kind, one, other) in enumerate(pairs):
        left, top = _MARGIN + number % columns * (cell + 2 * _MARGIN), _MARGIN + number // columns * step
        splits = [survey.split_of(row) for row in (one, other)]
        crossing = splits[0] != splits[1]
        write(sheet, (left, top), f"{kind}: {' and '.join(dict.fromkeys(splits))}", cell, ACCENT if crossing else FAINT)
        for index, row in enumerate((one, other)):
            picture = whole(_picture(survey, row), side)
            place(sheet, picture, (left + index * (side + _GAP), top + _LINE), side)
            write(sheet, (left, top + side + (1 + index) * _LINE + 4), _short(survey.name_of(row)), cell)
    return save(sheet, path)


def telling_shapes(survey: Survey, most: int = 8) -> Integers:
    """Rows of up to `most` pictures: the widest, the tallest, the smallest, the largest, and usual ones between."""
    rows = survey.rows
    if not len(rows):
        return np.empty(0, np.int64)
    ratio, area = rows["width"] / rows["height"], rows["width"].astype(np.int64) * rows["height"]
    by_ratio, by_area = np.argsort(ratio, kind="stable"), np.argsort(area, kind="stable")
    extremes = [by_ratio[-1], by_ratio[0], by_area[-1], by_area[0]]
    between = by_ratio[(np.linspace(0, 1, most + 1)[1:-1] * (len(rows) - 1)).astype(int)]
    middle = [between[i] for i in np.argsort(np.abs(np.arange(len(between)) - len(between) / 2), kind="stable")]
    return np.asarray(list(dict.fromkeys(map(int, [*extremes, *middle])))[:most], np.int64)


def _rows_of_classes(survey: Survey, most: int, seed: int) -> list[tuple[str, Integers]]:
    """(class, some rows of it), several lines for each where there are few classes; nothing where there are none."""
    labels = survey.rows["label"]
    counts = np.bincount(labels[labels >= 0], minlength=len(survey.classes))
    largest = np.sort(np.argsort(-counts, kind="stable")[:CLASSES])
    shown = [int(label) for label in largest if counts[label]]
    each, rng = most // max(1, len(shown)), np.random.default_rng(seed)
    columns = max(1, min(_COLUMNS, each))
    lines: list[tuple[str, Integers]] = []
    for label in shown:
        chosen = _some(rng, np.flatnonzero(labels == label), max(columns, each // columns * columns))
        starts = range(0, len(chosen), columns)
        lines += [("" if start else survey.classes[label], chosen[start : start + columns]) for start in starts]
    return lines


def _rows_of_all(survey: Survey, most: int, seed: int) -> list[tuple[str, Integers]]:
    chosen = _some(np.random.default_rng(seed), np.arange(len(survey.rows)), most)
    columns = min(_COLUMNS, int(np.ceil(np.sqrt(len(chosen)))))
    return [("", chosen[start : start + columns]) for start in range(0, len(chosen), columns)]


def _some(rng: np.random.Generator, rows: Integers, count: int) -> Integers:
    return np.sort(rng.choice(rows, min(count, len(rows)), replace=False))


def _label_width(names: Sequence[str]) -> int:
    longest = max(font().getlength(name) for name in names)
    return min(150, int(longest) + 2 * _GAP) if longest else 0


def _picture(survey: Survey, row: int) -> "Image":
    part, index = survey.part_of(row)
    return original(part, index)[0]


def _short(name: str) -> str:
    """The end of a name that tells pictures apart: the archive or folder is the same for all."""
    return name.rsplit(": ", 1)[-1] if ": " in name else "/".join(name.split("/")[-2:])


def _kept(image: "Image", wanted: Wanted, side: int) -> "Image":
    """`image` whole, what training does not see of it dimmed, what it sees outlined."""
    from PIL import Image, ImageDraw

    shown = whole(image, side)
    box = kept_box(image.size, wanted.size, wanted.fit)
    if box is None:
        return shown
    scale = shown.width / image.width
    left, top, right, bottom = (round(edge * scale) for edge in box)
    dimmed = Image.blend(shown, Image.new("RGB", shown.size, (255, 255, 255)), 0.65)
    dimmed.paste(shown.crop((left, top, right, bottom)), (left, top))
    ImageDraw.Draw(dimmed).rectangle((left, top, right - 1, bottom - 1), outline=ACCENT, width=2)
    return dimmed


def _trained(image: "Image", wanted: Wanted, name: str, side: int) -> "Image":
    """What training sees, magnified pixel by pixel."""
    from PIL import Image

    pixels = brought(image, wanted, name).transpose(1, 2, 0)
    seen = Image.fromarray(np.ascontiguousarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels))
    if max(seen.size) * 2 > side:  # a whole factor would leave the cell half empty
        scale = side / max(seen.size)
        size = (max(1, round(seen.width * scale)), max(1, round(seen.height * scale)))
        return on_checks(seen.resize(size, Image.Resampling.NEAREST if scale >= 1 else Image.Resampling.LANCZOS))
    return whole(seen, side)


def _pairs_to_show(survey: Survey, found: Duplicates, most: int) -> list[tuple[str, int, int]]:
    """(kind, row, row): pairs across splits first, then near ones evenly from alike to less alike."""
    order = np.argsort(found.differences, kind="stable")
    near = [("near", int(one), int(other)) for one, other in found.pairs[order]]
    exact = [("exact", int(group[0]), _farthest(survey, group)) for group in found.exact]
    chosen: list[tuple[str, int, int]] = []
    for pairs, room in ((near, most - min(len(exact), most // 3)), (exact, most)):
        pairs = sorted(pairs, key=lambda pair: survey.split_of(pair[1]) == survey.split_of(pair[2]))
        room = min(room, most - len(chosen), len(pairs))
        chosen += [pairs[place] for place in np.linspace(0, len(pairs) - 1, room).astype(int)] if room else []
    return chosen


def _farthest(survey: Survey, group: Integers) -> int:
    """Of an exact group, a picture to show beside the first: one of another split if there is one."""
    splits = survey.rows["split"][group]
    return int(group[np.argmax(splits != splits[0])] if (splits != splits[0]).any() else group[1])
