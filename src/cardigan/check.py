"""The data check before the first step: what `cardigan inspect` says, shows and proposes."""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

from cardigan.data.base import Watch, silent
from cardigan.data.pictures import Pictures
from cardigan.data.sources.source import shown
from cardigan.data.storage import choose_storage
from cardigan.data.streamed import BUFFER_BYTES
from cardigan.errors import CardiganError
from cardigan.files import writable, write_text
from cardigan.inspection.duplicates import Duplicates, duplicates
from cardigan.inspection.mirror import mirrored_alike
from cardigan.inspection.report import as_json, describe
from cardigan.inspection.sheet import contact_sheet, crop_preview, duplicate_sheet
from cardigan.inspection.survey import Survey, survey
from cardigan.proposal import Proposal, asked_for, propose
from cardigan.recipe import AUTO
from cardigan.sample import Form
from cardigan.training.estimate import Estimate, duration, estimate, size

FOLDER = Path("inspections")
"""Where the pictures and the report of a check go, a folder for each source."""


@dataclass(frozen=True)
class Check:
    """What was found.

    Attributes:
        survey: every picture looked at.
        duplicates: what stands there more than once.
        alike: 0..1, how much the set looks the same in a mirror.
        proposal: a recipe for it, with reasons.
        estimate: what that recipe takes on this machine; None where it was not asked for.
        folder: holds contact-sheet.png, crop.png, duplicates.png (if there are any), recipe.yaml, report.json.
        files: the pictures among them.
    """

    survey: Survey
    duplicates: Duplicates
    alike: float
    proposal: Proposal
    estimate: Estimate | None
    folder: Path
    files: tuple[Path, ...]

    def lines(self, everything: bool = False) -> list[str]:
        """The report for a terminal; with `everything`, each picture that something is wrong with is named."""
        lines = describe(self.survey, self.duplicates, self.alike, everything)
        lines += ["", "Proposed recipe"] + [f"  {line}" for line in self.proposal.lines()]
        if self.estimate:
            lines += ["", "On this machine", *(f"  {line}" for line in _in_words(self.estimate, self))]
        source = shown(self.survey.source.name)
        lines += ["", "Look at"] + [f"  {path}" for path in self.files]
        return [*lines, "", f"To train it: cardigan train {AUTO} --data {source}", f"or edit {self.folder}/recipe.yaml"]


def check(
    source: str,
    overrides: Iterable[str] = (),
    *,
    out: str | Path | None = None,
    most: int | None = None,
    timed: bool = True,
    watch: Watch = silent,
) -> Check:
    """Look at the pictures of `source` and propose a recipe for them.

    Args:
        overrides: such as "data.size=128" or "data.classes=[cat]".
        out: folder for the sheets and the report; by default inspections/NAME, replacing what an earlier check left.
        most: look at so many pictures of each split only, chosen at random.
        timed: play a few rounds to tell how long training will take.

    Raises:
        CardiganError: in one line, what is wrong with the source and where.
    """
    overrides = list(overrides)
    opened = asked_for(source, overrides).open()
    found = survey(opened, most, lambda done, total: watch("looking at pictures", done, total))
    if not len(found.rows):
        first = found.failures[0]
        raise CardiganError(f"{shown(source)}: no picture can be read; {first.name}: {first.reason}")
    watch("looking for duplicates", 0, 1)
    twice = duplicates(found)
    alike = mirrored_alike(found.rows["luma"])
    proposal = propose(source, overrides, opened)
    told = None
    if timed:
        watch("playing a few rounds to tell the time", 0, 1)
        told = estimate(proposal.recipe, form_of(proposal, len(found.classes)))
    folder = Path(out) if out is not None else FOLDER / proposal.recipe.name.removeprefix(f"{AUTO}-")
    checked = Check(found, twice, alike, proposal, told, folder, ())
    with writable(folder):
        folder.mkdir(parents=True, exist_ok=True)
        return replace(checked, files=tuple(_write(checked)))


def form_of(proposal: Proposal, classes: int) -> Form:
    """The form of the samples that the proposed recipe trains on."""
    data = proposal.recipe.data
    assert isinstance(data, Pictures) and data.sides is not None and data.channels is not None
    return Form((data.channels, *data.sides), classes)


def _write(checked: Check) -> list[Path]:
    """The sheets, the recipe and the report; the paths of the sheets."""
    folder, data = checked.folder, checked.proposal.recipe.data
    assert isinstance(data, Pictures)
    for name in ("contact-sheet.png", "crop.png", "duplicates.png"):
        (folder / name).unlink(missing_ok=True)
    sheets = [contact_sheet(checked.survey, folder / "contact-sheet.png")]
    sheets.append(crop_preview(checked.survey, data.wanted(checked.survey.source), folder / "crop.png"))
    if checked.duplicates.exact or checked.duplicates.near:
        sheets.append(duplicate_sheet(checked.survey, checked.duplicates, folder / "duplicates.png"))
    write_text(folder / "recipe.yaml", checked.proposal.recipe.yaml())
    write_text(folder / "report.json", json.dumps(_report(checked), indent=1))
    return sheets


def _report(checked: Check) -> dict[str, Any]:
    reasons = [{"key": key, "value": value, "reason": reason} for key, value, reason in checked.proposal.reasons]
    told = checked.estimate
    timing = None if told is None else {**vars(told), "cores": os.cpu_count()}
    return {**as_json(checked.survey, checked.duplicates, checked.alike), "proposal": reasons, "estimate": timing}


def _in_words(told: Estimate, checked: Check) -> list[str]:
    training, data = checked.proposal.recipe.training, checked.proposal.recipe.data
    source = checked.survey.source
    assert isinstance(data, Pictures)
    pixels = prod(form_of(checked.proposal, 0).shape) * checked.survey.totals["train"]
    kept = data.storage
    if kept == "auto":
        kept = choose_storage(source, "train", source.parts["train"](), data.wanted(source))
    places = {"memory": f"pictures in memory {size(pixels)}", "cache": f"pictures in the cache {size(pixels)}"}
    memory = told.memory + (pixels if kept == "memory" else 2 * BUFFER_BYTES if kept == "stream" else 0)
    budget = f"{training.samples:,} samples" if training.samples else f"{training.minutes} minutes"
    return [
        f"{told.rate:,.0f} samples/s ({told.engine}): {budget} take {duration(told.seconds)}; "
        "training.minutes=30 ends earlier",
        f"memory about {size(memory)}, checkpoints {size(told.disk)}, {places.get(kept, 'pictures streamed')}",
    ]
