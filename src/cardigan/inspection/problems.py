"""What is wrong with a data set, in plain words, with the names of the pictures and what to do."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from cardigan.data.faulty import MOST_BAD
from cardigan.data.sources.source import shown
from cardigan.inspection.duplicates import Duplicates
from cardigan.inspection.faults import KINDS, Kind
from cardigan.inspection.figures import classes, crosses
from cardigan.inspection.groups import Integers
from cardigan.inspection.survey import Survey

UNBALANCED = 10.0
"""Ratio of the largest class to the smallest from which on it is worth a word."""
_MEMBERS = 4
"""Names of one group of duplicates that are told."""


@dataclass(frozen=True)
class Problem:
    """One kind of fault.

    Attributes:
        what: how many pictures, and what is wrong with them.
        advice: what to do.
        names: the pictures, or groups of them, all of them.
    """

    what: str
    advice: str
    names: Sequence[str] = ()


_BROKEN: dict[Kind, tuple[str, str]] = {
    "empty": ("{} empty", "copy or download {them} again; training leaves {them} out"),
    "not a picture": ("{} no picture, whatever the name says", "rename or remove {them}; training leaves {them} out"),
    "truncated": ("{} truncated", "copy or download {them} again; training leaves {them} out"),
    "bomb": ("{} too large to be opened safely", "reduce or remove {them}; training leaves {them} out"),
    "other": ("{} unreadable", "see the reason; training leaves {them} out"),
}


def problems(survey: Survey, found: Duplicates | None = None) -> list[Problem]:
    """Everything worth mending, the worst first. No picture is named for the same reason twice."""
    return [*_broken(survey), *_copied(survey, found), *_blank(survey), *_classes(survey)]


def short(survey: Survey, name: str) -> str:
    """`name` without the place of the source, which is the same for all."""
    source = survey.source
    prefixes = [f"{shown(source.name)}: ", f"{shown(source.name).rstrip('/')}/"]
    if len(source.files) == 1:  # a known name stands for an archive elsewhere ...
        prefixes.append(f"{shown(source.files[0])}: ")
    elif 1 < len(source.files) < 100:  # ... or for a folder of tables
        prefixes.append(f"{shown(source.files[0].parent)}/")
    for prefix in prefixes:
        if name.startswith(prefix):
            return name.removeprefix(prefix)
    return name


def counted(count: int, thing: str = "picture") -> str:
    """ "1 picture", "1,200 pictures"."""
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def _broken(survey: Survey) -> Iterator[Problem]:
    for split, total in survey.totals.items():
        bad = sum(failure.split == split for failure in survey.failures)
        if bad > MOST_BAD * total and not survey.sampled:
            what = f"{bad:,} of the {total:,} pictures of {split} cannot be read, more than {MOST_BAD:.0%}"
            yield Problem(what, "training refuses until fewer are left; they are:")
    for kind in KINDS:
        mine = [failure for failure in survey.failures if failure.kind == kind]
        if mine:
            what, advice = _BROKEN[kind]
            detailed = kind in ("not a picture", "other")
            names = [
                short(survey, failure.name) + (f" ({failure.reason[:80]})" if detailed else "") for failure in mine
            ]
            verb = f"{counted(len(mine))} {'is' if len(mine) == 1 else 'are'}"
            yield Problem(what.format(verb), advice.format(them="it" if len(mine) == 1 else "them"), names)


def _copied(survey: Survey, found: Duplicates | None) -> Iterator[Problem]:
    """Each group once: across splits weighs most, then across classes."""
    if found is None:
        return
    for kind, groups in (("equal", found.exact), ("nearly equal", found.near)):
        splits = [group for group in groups if crosses(survey, group, "split")]
        rest = [group for group in groups if not crosses(survey, group, "split")]
        labels = [group for group in rest if crosses(survey, group, "label")]
        within = [group for group in rest if not crosses(survey, group, "label")]
        for chosen, where, advice in (
            (splits, " across splits", "keep each in one split, or test scores will be too good"),
            (labels, " across classes", "decide which class is right, unless both are meant"),
            (within, "", "keep one of each, unless they are meant to count more often"),
        ):
            if chosen:
                names = [_members(survey, group, " = " if kind == "equal" else " ~ ") for group in chosen]
                yield Problem(f"{counted(len(chosen), 'group')} of {kind} pictures{where}", advice, names)


def _members(survey: Survey, group: Integers, joint: str) -> str:
    """Of each group the first of every split, then others."""
    firsts = [int(group[np.argmax(survey.rows["split"][group] == s)]) for s in np.unique(survey.rows["split"][group])]
    order = list(dict.fromkeys([*firsts, *map(int, group[:_MEMBERS])]))[:_MEMBERS]
    more = f" and {len(group) - len(order):,} more" if len(group) > len(order) else ""
    return joint.join(short(survey, survey.name_of(row)) for row in sorted(order)) + more


def _blank(survey: Survey) -> Iterator[Problem]:
    rows = np.flatnonzero(survey.rows["blank"])
    if len(rows):
        what = f"{counted(len(rows))} of one colour all over (transparency laid on white)"
        yield Problem(what, "remove, unless meant", [short(survey, survey.name_of(int(row))) for row in rows])


def _classes(survey: Survey) -> Iterator[Problem]:
    balance = classes(survey)
    if balance is None:
        return
    missing = [each["name"] for each in balance["classes"] if not each.get("train") and not survey.sampled]
    if missing:
        what = "1 class has" if len(missing) == 1 else f"{len(missing):,} classes have"
        yield Problem(f"{what} no picture to train on", "add some, or leave them out", missing)
    if balance["ratio"] >= UNBALANCED:
        some = [each for each in balance["classes"] if each["pictures"]]
        ends = [max(some, key=lambda each: each["pictures"]), min(some, key=lambda each: each["pictures"])]
        yield Problem(
            f"the largest class has {balance['ratio']:,.0f} times the pictures of the smallest",
            "small classes will be learned badly; add pictures, or leave them out",
            [f"{each['name']}: {each['pictures']:,}" for each in ends],
        )
