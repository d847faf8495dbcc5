"""The numbers of a survey as plain data, ready for JSON: counts, sizes, modes, balance, duplicates."""

from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cardigan.data.sources.source import shown
from cardigan.inspection.duplicates import Duplicates
from cardigan.inspection.groups import Integers
from cardigan.inspection.measure import FORMATS, MODES
from cardigan.inspection.survey import Survey

_EXAMPLE = 90
"""Letters of an example sentence."""


def splits(survey: Survey) -> dict[str, dict[str, int]]:
    """Split -> how many pictures there are, were looked at, could be read and could not."""
    found: dict[str, dict[str, int]] = {}
    for number, split in enumerate(survey.splits):
        readable = int((survey.rows["split"] == number).sum())
        broken = sum(failure.split == split for failure in survey.failures)
        counts = {"looked_at": readable + broken, "readable": readable, "unreadable": broken}
        found[split] = {"pictures": survey.totals[split], **counts}
    return found


def spread(values: NDArray[Any]) -> dict[str, float] | None:
    """Smallest, middle and largest of `values`; None where there are none."""
    if not len(values):
        return None
    return {"min": float(values.min()), "median": float(np.median(values)), "max": float(values.max())}


def sizes(survey: Survey) -> dict[str, Any]:
    """Heights, widths and aspect ratios (width / height), and the sizes that occur most."""
    height, width = survey.rows["height"], survey.rows["width"]
    pairs, counts = np.unique(np.stack([height, width], 1), axis=0, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    common = [{"height": int(pairs[i, 0]), "width": int(pairs[i, 1]), "pictures": int(counts[i])} for i in order[:5]]
    aspect = width / np.maximum(height, 1)
    shape = {"wide": int((aspect > 1).sum()), "square": int((aspect == 1).sum()), "tall": int((aspect < 1).sum())}
    whole = {"height": spread(height), "width": spread(width), "aspect": spread(aspect)}
    return {**whole, **shape, "different": len(pairs), "most_common": common}


def storage(survey: Survey) -> dict[str, Any]:
    """Modes, formats, bytes, and how many pictures need something done to them before they are 8 bits and upright."""
    rows = survey.rows
    modes = Counter(MODES[number] for number in rows["mode"])
    formats = Counter(FORMATS[number] for number in rows["format"])
    flags = {"alpha": rows["alpha"], "animated": rows["animated"], "deep": rows["deep"], "blank": rows["blank"]}
    marks = {name: int(values.sum()) for name, values in flags.items()}
    turned = {"rotated": int((rows["orientation"] > 1).sum()), "cmyk": modes.get("CMYK", 0)}
    sized = {"total": int(rows["bytes"].sum()), "each": spread(rows["bytes"])}
    return {
        "modes": dict(modes.most_common()),
        "formats": dict(formats.most_common()),
        "bytes": sized,
        **marks,
        **turned,
    }


def light(survey: Survey) -> dict[str, Any]:
    """Brightness (mean luma) and contrast (its standard deviation), 0 to 255."""
    return {"brightness": spread(survey.rows["brightness"]), "contrast": spread(survey.rows["contrast"])}


def classes(survey: Survey) -> dict[str, Any] | None:
    """Pictures of each class, over all splits and in each; None where there are no classes.

    `ratio` is that of the largest class to the smallest that has any; `effective` is exp(entropy), the number of
    equally large classes that would be as varied.
    """
    if not survey.classes:
        return None
    labels, number = survey.rows["label"], survey.rows["split"]
    counts = np.bincount(labels[labels >= 0], minlength=len(survey.classes))
    per_split = {}
    for index, split in enumerate(survey.splits):
        mine = labels[(number == index) & (labels >= 0)]
        per_split[split] = np.bincount(mine, minlength=len(survey.classes))
    some = counts[counts > 0]
    share = some / max(1, some.sum())
    names = [
        {"name": name, "pictures": int(counts[i]), **{split: int(each[i]) for split, each in per_split.items()}}
        for i, name in enumerate(survey.classes)
    ]
    ratio = float(some.max() / some.min()) if len(some) else 0.0
    effective = float(np.exp(-(share * np.log(share)).sum())) if len(some) else 0.0
    return {"classes": names, "ratio": ratio, "effective": effective, "unlabelled": int((labels < 0).sum())}


def sentences(survey: Survey) -> dict[str, Any] | None:
    """How many sentences there are, for how many pictures, with two examples; None where there are none."""
    total, described, examples = 0, 0, list[str]()
    for number, split in enumerate(survey.splits):
        said = survey.source.parts[split]().sentences
        if said is None:
            continue
        for index in survey.rows["index"][survey.rows["split"] == number]:
            here = said[int(index)]
            total, described = total + len(here), described + bool(here)
            examples += [shown(here[0])[:_EXAMPLE]] if here and len(examples) < 2 else []
    return {"sentences": total, "pictures": described, "examples": examples} if total else None


def copies(survey: Survey, found: Duplicates) -> dict[str, Any]:
    """Groups of duplicates by name, with how many cross splits and classes, and copies beyond the first by split."""
    return {"exact": _groups(survey, found.exact), "near": _groups(survey, found.near), "unchecked": found.unchecked}


def crosses(survey: Survey, group: Integers, field: str) -> bool:
    """Whether the rows of `group` differ in "split" or "label"."""
    values = survey.rows[field][group]
    return bool((values != values[0]).any())


def _groups(survey: Survey, groups: tuple[Integers, ...]) -> dict[str, Any]:
    surplus: Counter[str] = Counter(survey.split_of(int(row)) for group in groups for row in group[1:])
    return {
        "groups": [[survey.name_of(int(row)) for row in group] for group in groups],
        "surplus": dict(surplus),
        "across_splits": sum(crosses(survey, group, "split") for group in groups),
        "across_classes": sum(crosses(survey, group, "label") for group in groups),
    }
