"""The audit command: labels of the data, a table by file name, folders; what it writes and what it refuses."""

import csv
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from cardigan import CardiganError, train
from cardigan.data.base import Dataset
from cardigan.data.pictures import Pictures
from cardigan.evaluation import audit as audits
from cardigan.evaluation import auditing
from cardigan.evaluation.auditing import audit_subject
from cardigan.evaluation.subject import Candidate
from cardigan.extractors import local
from cardigan.run import Run
from cardigan.sample import Batch

SMALL = [
    "engine={device: cpu, precision: fp32, memory_format: contiguous, matmul: highest, threads: 1}",
    "game.networks.generator.width=8",
    "game.networks.discriminator.width=8",
    "training.batch=16",
    "training.samples=160",
    "data.size=8",
    "records.grid=4",
]


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "MOST", 3_000)
    monkeypatch.setattr(audits, "SEEN", 6_000)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """480 digits as files, without labels of their own, and a table that says which are odd."""
    place = tmp_path_factory.mktemp("digits")
    data = Pictures(source="digits", size=8)
    some = [data.load(split).take(torch.arange(count)) for split, count in (("train", 400), ("test", 80))]
    digits = Batch(*(torch.cat([getattr(each, name) for each in some]) for name in ("sample", "label")))
    assert digits.label is not None
    (place / "pictures").mkdir()
    with (place / "parity.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["file", "label"])
        for index, (sample, label) in enumerate(zip(digits.sample, digits.label.tolist(), strict=True)):
            Image.fromarray(((sample[0] + 1) * 127.5).round().byte().numpy()).save(place / "pictures" / f"{index}.png")
            table.writerow([f"{index}.png", "odd" if label % 2 else "even"])
    return place


@pytest.fixture(scope="module")
def run(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train("digits", SMALL, data=str(folder / "pictures"), out=tmp_path_factory.mktemp("runs") / "plain")


def test_a_table_by_file_name_is_an_attribute(run: Run, folder: Path) -> None:
    found, place = audit_subject(str(run.folder), str(folder / "parity.csv"), samples=200)
    assert place == run.folder
    assert found.attribute == "parity"
    assert {group.name for group in found.groups} == {"odd", "even"}
    assert abs(sum(group.share for group in found.groups) - 1) < 1e-6
    saved = json.loads((run.folder / "audit.json").read_text())
    assert saved["groups"][0]["low"] <= saved["groups"][0]["share"] <= saved["groups"][0]["high"]
    page = (run.folder / "audit.html").read_text()
    assert "Shares by parity" in page
    assert "http" not in page.replace("http-equiv", "")


def test_a_conditional_run_is_asked_for_its_own_labels(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten digits are asked for, whatever two groups are counted among them."""
    digits = Pictures(source="digits", size=8).load("train").take(torch.arange(480))
    assert digits.label is not None
    for index, digit in enumerate(digits.label.tolist()):
        (tmp_path / "pictures" / str(digit)).mkdir(parents=True, exist_ok=True)
        (tmp_path / "pictures" / str(digit) / f"{index}.png").write_bytes(
            (folder / "pictures" / f"{index}.png").read_bytes()
        )
    options = [*SMALL, "game.labels=projection"]
    run = train("digits", options, data=str(tmp_path / "pictures"), out=tmp_path / "run")
    asked, found_candidate = list[torch.Tensor](), auditing.candidate

    def noting(*arguments: Any, **named: Any) -> Candidate:
        who = found_candidate(*arguments, **named)

        def stream(count: int, seed: int, labels: torch.Tensor | None, real: Dataset) -> Iterator[torch.Tensor]:
            assert labels is not None
            asked.append(labels)
            return who.stream(count, seed, labels, real)

        return replace(who, stream=stream)

    monkeypatch.setattr(auditing, "candidate", noting)
    found, _ = audit_subject(str(run.folder), str(folder / "parity.csv"), samples=200)
    assert {group.name for group in found.groups} == {"odd", "even"}
    assert set(asked[0].tolist()) == set(range(10)) and auditing.ASKED not in found.remarks


def test_a_skewed_folder_is_found(folder: Path, tmp_path: Path) -> None:
    """Pictures from elsewhere, judged against labelled real ones: four fifths of them are noughts and ones."""
    digits = Pictures(source="digits", size=8).load("train")
    everything = digits.take(torch.arange(len(digits)))
    assert everything.label is not None
    few, many = torch.nonzero(everything.label > 1)[:60, 0], torch.nonzero(everything.label <= 1)[:240, 0]
    (tmp_path / "made").mkdir()
    for index, sample in enumerate(everything.sample[torch.cat([few, many])]):
        Image.fromarray(((sample[0] + 1) * 127.5).round().byte().numpy()).save(tmp_path / "made" / f"{index}.png")
    found, _ = audit_subject(str(tmp_path / "made"), against="digits", out=tmp_path / "out")
    assert found.biased
    shares = {group.name: group for group in found.groups}
    assert shares["0"].verdict == "over-represented"
    assert shares["1"].verdict == "over-represented"
    assert 0.7 < shares["0"].share + shares["1"].share < 0.9


def test_data_without_labels_are_refused(run: Run) -> None:
    with pytest.raises(CardiganError, match="no labels"):
        audit_subject(str(run.folder), samples=100)
