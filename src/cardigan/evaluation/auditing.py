"""`cardigan audit`: who is over- and who is under-represented among what a run generates."""

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import torch

from cardigan.data.base import Data, Dataset, Watch, silent
from cardigan.data.pictures import Pictures
from cardigan.data.sources import absolute
from cardigan.errors import CardiganError
from cardigan.evaluation.audit import Audit, audit
from cardigan.evaluation.evaluate import THREADS, folder_for
from cardigan.evaluation.report.audited import write_audit
from cardigan.evaluation.subject import Candidate, candidate
from cardigan.extractors import open_extractor, usual
from cardigan.files import check_folder, writable, write_text
from cardigan.randomness import derive_seed

LABEL = "label"
"""The attribute that the data themselves carry."""
SAMPLES = 5_000
ASKED = (
    "the generator was asked for labels as often as they occur in its train split: shares of labels only show obedience"
)


def audit_subject(
    subject: str,
    attribute: str = LABEL,
    *,
    against: str | None = None,
    overrides: Iterable[str] = (),
    samples: int | None = None,
    checkpoint: str = "best",
    seed: int = 0,
    out: str | Path | None = None,
    watch: Watch = silent,
) -> tuple[Audit, Path]:
    """Audit a run, or a folder of pictures against a source; writes audit.json and audit.html.

    Args:
        attribute: "label": the labels of the data; or a CSV file that gives an attribute by file name.
        samples: generated samples, 5,000 if nothing else is asked for.
        out: folder of the two files; by default the run's, or evaluations/NAME.

    Returns:
        What was found, and the folder of the two files.

    Raises:
        CardiganError: data without labels, a table that does not fit, a classifier no better than chance.
    """
    torch.set_num_threads(min(torch.get_num_threads(), THREADS))
    if out is not None:
        check_folder(Path(out))
    who = candidate(subject, against, overrides, checkpoint=checkpoint, watch=watch)
    if who.form.vocabulary:
        raise CardiganError(f"{subject}: it writes sentences, which carry no labels; allowed: runs that make pictures")
    data = _labelled(who.data, attribute)
    count = min(samples or SAMPLES, who.most or samples or SAMPLES)
    found = audit(
        _generated(who, count, seed, who.data.load("train", 0, watch)),
        data.load("train", 0, watch),
        data.load("test", 0, watch),
        extractor=open_extractor(usual(who.form), who.data, who.form, watch),
        attribute=attribute if attribute == LABEL else Path(attribute).stem,
        seed=seed,
        watch=watch,
    )
    if who.labelled and attribute == LABEL:
        found = replace(found, remarks=(*found.remarks, ASKED))
    folder = folder_for(who, out)
    with writable(folder):
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / "audit.json", json.dumps({"subject": vars(who.subject), **found.plain()}, indent=1))
        write_audit(found, who.subject, folder / "audit.html")
    return found, folder


def _labelled(data: Data, attribute: str) -> Data:
    if attribute == LABEL:
        return data
    if not isinstance(data, Pictures):
        raise CardiganError(f"--attribute: a table by file name needs data of pictures; allowed here: {LABEL}")
    if not Path(attribute).is_file():
        raise CardiganError(
            f"--attribute: {attribute} is no file; allowed: {LABEL}, or a CSV with an attribute by file name"
        )
    return data.model_copy(update={"labels": absolute(attribute)})


def _generated(who: Candidate, count: int, seed: int, train: Dataset) -> torch.Tensor:
    """As the generator is meant to be used: labels, where it takes them, as often as in its train split.

    Args:
        train: with the labels that the generator knows, which need not be the attribute that is audited.
    """
    labels = train.draw(0, count).label if who.labelled else None
    made = [who.codec.rounded(batch) for batch in who.stream(count, derive_seed("audit", seed), labels, train)]
    return torch.cat(made)
