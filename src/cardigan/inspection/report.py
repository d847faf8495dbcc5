"""A survey in words, for the terminal: first what is wrong, then what there is; and as plain data."""

import textwrap
from collections.abc import Sequence
from typing import Any

from cardigan.data.sources.source import shown
from cardigan.inspection import figures
from cardigan.inspection.duplicates import Duplicates
from cardigan.inspection.mirror import ENOUGH
from cardigan.inspection.problems import Problem, counted, problems
from cardigan.inspection.survey import Survey

LINES = 45
"""What a terminal shows at once."""
WIDTH = 110
_LABEL = 12
_BAR = 40
_BARS = 12
"""Classes up to which each is shown with a bar."""
_SHOWN = ((5, True), (5, False), (3, False), (1, False), (0, False))
"""Names for each problem, and whether classes have bars: the first that fits into LINES is taken."""


def describe(
    survey: Survey, found: Duplicates | None = None, alike: float | None = None, everything: bool = False
) -> list[str]:
    """What there is to say of `survey`, at most 45 lines.

    Args:
        found: its duplicates.
        alike: what `mirrored_alike` says of it.
        everything: name all pictures that something is wrong with, a line each, however many lines that takes.
    """
    wrong = problems(survey, found)
    if everything:
        return [*_problems(wrong, None), "", *_facts(survey, found, alike, True)]
    for names, bars in _SHOWN:
        lines = [*_problems(wrong, names), "", *_facts(survey, found, alike, bars)]
        if len(lines) <= LINES:
            break
    return lines[:LINES]


def as_json(survey: Survey, found: Duplicates | None = None, alike: float | None = None) -> dict[str, Any]:
    """The same as plain data: numbers, names, lists and dictionaries; every picture that is wrong is named."""
    return {
        "source": shown(survey.source.name),
        "remarks": [shown(remark) for remark in survey.source.remarks],
        "sampled": survey.sampled,
        "splits": figures.splits(survey),
        "failures": [
            {"split": each.split, "index": each.index, "name": each.name, "kind": each.kind, "reason": each.reason}
            for each in survey.failures
        ],
        "sizes": figures.sizes(survey),
        "storage": figures.storage(survey),
        "light": figures.light(survey),
        "balance": figures.classes(survey),
        "sentences": figures.sentences(survey),
        "blank": [survey.name_of(int(row)) for row in survey.rows["blank"].nonzero()[0]],
        "duplicates": None if found is None else figures.copies(survey, found),
        "mirrored_alike": alike,
        "problems": [{"what": each.what, "advice": each.advice} for each in problems(survey, found)],
    }


def _problems(wrong: Sequence[Problem], most: int | None) -> list[str]:
    if not wrong:
        return ["Problems: none found"]
    lines = ["Problems"]
    for each in wrong:
        lines.append(_cut(f"  {each.what}: {each.advice}"))
        if most is None:
            lines += [f"      {name}" for name in each.names]
        elif most and each.names:
            lines += _listed(each.names, most)
    return lines


def _listed(names: Sequence[str], most: int) -> list[str]:
    """The first names on at most two lines, and how many there are more."""
    shown_names = list(names[:most])
    while True:
        more = len(names) - len(shown_names)
        text = "; ".join(shown_names) + (f" and {more:,} more" if more else "")
        lines = textwrap.wrap(text, WIDTH - 6, break_long_words=False, break_on_hyphens=False)
        if len(lines) <= 2 or len(shown_names) == 1:
            return [_cut(f"      {line}") for line in lines[:2]]
        shown_names.pop()


def _facts(survey: Survey, found: Duplicates | None, alike: float | None, bars: bool) -> list[str]:
    lines = [*_counts(survey)]
    if len(survey.rows):
        lines += [*_sizes(survey), *_storage(survey)]
    lines += [*_classes(survey, bars), *_sentences(survey)]
    if found is not None:
        lines += _duplicates(survey, found)
    if alike is not None:
        verdict = "flipping may double the data" if alike >= ENOUGH else "do not flip"
        lines += _line("mirror", f"{alike:.2f} alike (1: a mirrored picture cannot be told from others); {verdict}")
    return lines


def _counts(survey: Survey) -> list[str]:
    lines = [_cut(f"{shown(survey.source.name)}: {counted(sum(survey.totals.values()))}")]
    for split, count in figures.splits(survey).items():
        looked = f", {count['looked_at']:,} looked at" if count["looked_at"] < count["pictures"] else ""
        broken = f", {count['unreadable']:,} unreadable" if count["unreadable"] else ""
        lines += _line(split, f"{count['pictures']:,}{looked}{broken}")
    for remark in survey.source.remarks[:3]:
        lines += _line("remark", shown(remark))
    return lines


def _sizes(survey: Survey) -> list[str]:
    found = figures.sizes(survey)
    common, total = found["most_common"], len(survey.rows)
    if found["different"] == 1:
        return _line("size", f"all {common[0]['height']}x{common[0]['width']} (height x width)")
    height, width, aspect = found["height"], found["width"], found["aspect"]
    most = [f"{each['height']}x{each['width']} ({_share(each['pictures'], total)})" for each in common[:4]]
    shape = ", ".join(f"{found[name]:,} {name}" for name in ("wide", "square", "tall") if found[name])
    return [
        *_line("height", _range(height)),
        *_line("width", _range(width)),
        *_line("sizes", f"{found['different']:,} different (height x width); most common {', '.join(most)}"),
        *_line("shape", f"{shape}; width / height {aspect['min']:.2f} to {aspect['max']:.2f}"),
    ]


def _storage(survey: Survey) -> list[str]:
    found, total = figures.storage(survey), len(survey.rows)
    modes = ", ".join(f"{mode} {_share(count, total)}" for mode, count in list(found["modes"].items())[:6])
    formats = ", ".join(f"{form} {_share(count, total)}" for form, count in list(found["formats"].items())[:5])
    lines = [*_line("stored as", f"{formats}; mode {modes}")]
    if found["bytes"]["total"]:
        each = found["bytes"]["each"]
        low, middle, high = (_bytes(each[key]) for key in ("min", "median", "max"))
        lines += _line("bytes", f"{_bytes(found['bytes']['total'])} in all; each {low} to {high}, median {middle}")
    words = {
        "alpha": "with transparent pixels",
        "animated": "animated (the first frame counts)",
        "rotated": "turned upright by EXIF",
        "deep": "of 16 bits (rounded to 8)",
        "cmyk": "CMYK (converted to RGB)",
    }
    special = [f"{found[key]:,} {text}" for key, text in words.items() if found[key]]
    return lines + (_line("special", ", ".join(special)) if special else [])


def _classes(survey: Survey, bars: bool) -> list[str]:
    balance = figures.classes(survey)
    if balance is None:
        return []
    each, ratio = balance["classes"], balance["ratio"]
    text = f"{len(each):,}; the largest has {ratio:.1f} times the smallest; as varied as"
    text += f" {balance['effective']:.1f} equal ones"
    lines = _line("classes", text)
    if bars and len(each) <= _BARS:
        longest, most = max(len(one["name"]) for one in each), max(one["pictures"] for one in each)
        for one in each:
            bar = "#" * round(_BAR * one["pictures"] / max(1, most))
            name = one["name"] if longest <= 24 else one["name"][:24]
            lines.append(f"  {'':{_LABEL}}{name:{min(longest, 24)}}  {one['pictures']:>9,}  {bar}")
    else:
        ordered = [f"{one['name'][:24]} {one['pictures']:,}" for one in sorted(each, key=lambda one: -one["pictures"])]
        lines += _line("", ", ".join(ordered if len(ordered) <= 6 else [*ordered[:3], "...", *ordered[-3:]]))
    return lines


def _sentences(survey: Survey) -> list[str]:
    found = figures.sentences(survey)
    if found is None:
        return []
    lines = _line("sentences", f"{found['sentences']:,} for {counted(found['pictures'])}")
    return lines + [line for example in found["examples"] for line in _line("", repr(example))]


def _duplicates(survey: Survey, found: Duplicates) -> list[str]:
    copies, lines = figures.copies(survey, found), list[str]()
    for kind, word in (("exact", "equal"), ("near", "near equal")):
        one = copies[kind]
        text = "none"
        if one["groups"]:
            text = f"{counted(len(one['groups']), 'group')}; too many: "
            text += ", ".join(f"{count:,} in {split}" for split, count in one["surplus"].items())
            text += f"; {one['across_splits']:,} across splits" if len(survey.splits) > 1 else ""
            text += f"; {one['across_classes']:,} across classes" if survey.classes else ""
        lines += _line(word, text)
    if found.unchecked:
        lines += _line("", f"{found.unchecked:,} more pairs look alike and were not checked")
    return lines


def _line(label: str, text: str) -> list[str]:
    return [_cut(f"  {label:{_LABEL}}{text}")]


def _cut(text: str) -> str:
    return text if len(text) <= WIDTH else text[: WIDTH - 3] + "..."


def _range(values: dict[str, float]) -> str:
    return f"{values['min']:,.0f} to {values['max']:,.0f}, median {values['median']:,.0f} pixels"


def _share(count: int, total: int) -> str:
    if count == total:
        return "all"
    share = 100 * count / total
    return f"{share:.0f} %" if share >= 1 else f"{count:,}"


def _bytes(count: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            break
        count /= 1000
    return f"{count:.0f} {unit}" if unit == "bytes" or count >= 100 else f"{count:.1f} {unit}"
