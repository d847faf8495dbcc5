"""The check of texts before the first step: what `cardigan inspect` says of them, and the recipe it proposes."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cardigan.data.base import Watch, silent
from cardigan.data.sources.source import shown
from cardigan.files import writable, write_text
from cardigan.text_proposal import TextProposal, propose_text

FOLDER = Path("inspections")
"""Where the report of a check goes, a folder for each source."""


@dataclass(frozen=True)
class TextCheck:
    """What was found.

    Attributes:
        proposal: a recipe, and what it rests on.
        folder: holds recipe.yaml, report.json.
    """

    proposal: TextProposal
    folder: Path

    def lines(self, everything: bool = False) -> list[str]:
        """The report for a terminal."""
        found = self.proposal
        width = max((len(f"{key}={value}") for key, value, _ in found.reasons), default=0)
        lines = [*found.survey.lines(), "", "Proposed recipe"]
        lines += [f"  {f'{key}={value}':<{width}}  {reason}" for key, value, reason in found.reasons]
        lines += ["", "In its tokens", f"  a sample    {found.lengths}"]
        if found.source_lengths:
            lines.append(f"  an input    {found.source_lengths}")
        unknown = ", ".join(f"{share:.2%} of {split}" for split, share in found.unknown.items())
        lines.append(f"  vocabulary  {found.vocabulary:,} tokens; unknown: {unknown or 'none'}")
        path, source = self.folder / "recipe.yaml", shown(found.survey.source)
        return [*lines, "", f"To train it: cardigan train auto --data {source}", f"or edit {path}"]


def check_text(
    source: str, overrides: Iterable[str] = (), *, out: str | Path | None = None, watch: Watch = silent
) -> TextCheck:
    """Look at the texts of `source` and propose a recipe for them.

    Args:
        overrides: such as "data.tokens=bpe", "data.inputs=de", "training.minutes=30".
        out: folder for recipe and report; by default inspections/NAME.

    Raises:
        CardiganError: in one line, what is wrong with the source and where.
    """
    proposal = propose_text(source, overrides, watch)
    folder = Path(out) if out is not None else FOLDER / proposal.recipe.name
    with writable(folder):
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / "recipe.yaml", proposal.recipe.yaml())
        write_text(folder / "report.json", json.dumps(_report(proposal), indent=1, ensure_ascii=False))
    return TextCheck(proposal, folder)


def _report(found: TextProposal) -> dict[str, Any]:
    return {
        **found.survey.as_json(),
        "source": shown(found.survey.source),
        "lengths": vars(found.lengths),
        "source_lengths": found.source_lengths and vars(found.source_lengths),
        "vocabulary": found.vocabulary,
        "unknown": found.unknown,
        "proposal": [{"key": key, "value": value, "reason": reason} for key, value, reason in found.reasons],
    }
