"""The Hugging Face Hub, spoken to on this machine: what is downloaded once is there offline; errors are one line."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import forms
import hubserver
import pytest

from cardigan.data.sources.tables.hub import looks_like_hub, open_hub
from cardigan.errors import CardiganError

STACK, MARKS = forms.pictures(), forms.labels()
CLOSED = "http://127.0.0.1:9"
PROGRAM = """
import hashlib, json, sys, time
from cardigan.data.sources.tables.hub import open_hub
from cardigan.errors import CardiganError

time.sleep = lambda seconds: None  # between its attempts to reach the Hub

for name in sys.argv[1:]:
    try:
        source = open_hub(name)
    except CardiganError as error:
        print(json.dumps(str(error)))
        continue
    found = {"classes": source.classes, "remarks": source.remarks, "files": [str(path) for path in source.files]}
    for split, read in source.parts.items():
        part = read()
        marks = None if part.labels is None else part.labels.tolist()
        said = None if part.sentences is None else [list(each) for each in part.sentences]
        hashes = [hashlib.sha256(part.read(index)).hexdigest() for index in range(len(part))]
        found[split] = {"hashes": hashes, "labels": marks, "sentences": said}
    print(json.dumps(found))
"""


def answers(names: list[str], home: Path, endpoint: str, offline: bool = False) -> list[object]:
    """What a fresh process says of data sets: the libraries read their settings once, when they are imported."""
    settings = {"HF_HOME": str(home), "HF_ENDPOINT": endpoint, "HF_HUB_OFFLINE": str(int(offline))}
    settings |= {"HF_UPDATE_DOWNLOAD_COUNTS": "0", "HF_HUB_DISABLE_TELEMETRY": "1", "NO_PROXY": "127.0.0.1"}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    command = [sys.executable, "-c", PROGRAM, *names]
    done = subprocess.run(command, env=kept | settings, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0 and not done.stderr, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, list[object], list[str]]]:
    """A cache of `datasets` that was filled from the server, what was said then, and what was asked for."""
    pytest.importorskip("datasets", reason="needs the package datasets: pip install 'cardigan[hub]'")
    base = tmp_path_factory.mktemp("hub")
    columns = forms.noted(forms.table(STACK, MARKS))
    forms.pq.write_table(columns, made(base / "tiny/data/train-00000-of-00001.parquet"), row_group_size=7)
    forms.pq.write_table(columns.slice(0, 9), made(base / "tiny/data/test-00000-of-00001.parquet"))
    forms.folder(base / "files" / "train", STACK, MARKS)
    for name in ("a", "b"):
        forms.parquet(base / "several" / name / "train.parquet", STACK, MARKS)
    card = "".join(f"- config_name: {name}\n  data_files: {name}/train.parquet\n" for name in "ab")
    (base / "several" / "README.md").write_text(f"---\nconfigs:\n{card}---\n")
    forms.parquet(base / "private.parquet", STACK, MARKS)
    card = f"---\nconfigs:\n- config_name: default\n  data_files: {base}/private.parquet\n---\n"
    made(base / "thief" / "README.md").write_text(card)
    made(base / "words" / "train.csv").write_text("a,b\n1,2\n")
    names = ["tiny", "files", "several", "several:b", "thief", "words", "none", "gated"]
    folders = {f"owner/{name}": base / name for name in ("tiny", "files", "several", "thief", "words")}
    with hubserver.serving(folders, ("owner/gated",)) as (endpoint, asked):
        said = answers([f"owner/{name}" for name in names], base / "home", endpoint)
    yield base / "home", dict(zip(names, said, strict=True)), asked


def made(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def hashes(count: int = 40) -> list[str]:
    import hashlib

    return [hashlib.sha256(forms.png(pixels)).hexdigest() for pixels in STACK[:count]]


def assert_tiny(found: dict[str, object], home: Path) -> None:
    sentences = [list(forms.SENTENCES[index % 3]) for index in range(40)]
    assert found["train"] == {"hashes": hashes(), "labels": MARKS.tolist(), "sentences": sentences}
    assert found["test"] == {"hashes": hashes(9), "labels": MARKS[:9].tolist(), "sentences": sentences[:9]}
    assert found["classes"] == list(forms.CLASSES)
    assert len(found["files"]) == 2 and all(Path(path).is_relative_to(home) for path in found["files"])
    assert hubserver.COMMIT[:12] in found["remarks"][0]


def test_a_data_set_is_downloaded_and_read(place: tuple[Path, dict[str, dict[str, object]], list[str]]) -> None:
    home, said, asked = place
    assert_tiny(said["tiny"], home)
    assert any("train-00000-of-00001.parquet" in request for request in asked)


def test_the_same_offline(place: tuple[Path, dict[str, dict[str, object]], list[str]]) -> None:
    home, said, _ = place
    tiny, several, none, gated, other = answers(
        ["owner/tiny", "owner/several:b", "owner/none", "owner/gated", "owner/tiny:odd"], home, CLOSED, offline=True
    )
    assert_tiny(tiny, home)
    assert several == said["several:b"]
    assert "unset HF_HUB_OFFLINE" in none and "'owner/none'" in none
    assert "unset HF_HUB_OFFLINE" in gated
    assert "choose one of its configurations, owner/tiny:CONFIGURATION: ['default']" in other


def test_pictures_in_files(place: tuple[Path, dict[str, dict[str, object]], list[str]]) -> None:
    home, said, _ = place
    files = said["files"]
    assert sorted(files["train"]["hashes"]) == sorted(hashes()) and len(files["files"]) == 41
    assert all(Path(path).is_relative_to(home) for path in files["files"])


def test_one_line_each(place: tuple[Path, dict[str, str], list[str]]) -> None:
    _, said, _ = place
    assert "choose one of its configurations, owner/several:CONFIGURATION: ['a', 'b']" in said["several"]
    assert "its card names files outside of its repository" in said["thief"]
    assert "read as csv; allowed: parquet" in said["words"]
    assert "no such data set on the Hugging Face Hub" in said["none"] and "'owner/none'" in said["none"]
    assert "accept its terms at https://huggingface.co/datasets/owner/gated" in said["gated"]
    assert all("\n" not in each and len(each) < 400 for each in said.values() if isinstance(each, str))


def test_the_hub_out_of_reach(place: object, tmp_path: Path) -> None:
    (message,) = answers(["owner/tiny"], tmp_path, CLOSED)
    assert "cannot be reached" in message and "--data FOLDER" in message


def test_the_package_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(CardiganError, match=r"^data source 'owner/tiny': .* pip install 'cardigan\[hub\]'$"):
        open_hub("owner/tiny")


def test_names_of_data_sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "owner" / "here").mkdir(parents=True)
    for name in ("owner/dataset", "owner/dataset:config", "a/b", "o-1/x_y.z:20231101.en"):
        assert looks_like_hub(name)
    bad = ["digits", "./a/b", "../a", "a/b/c", "/a/b", "~/a", "a/", "/b", "a:b", "a/b:", "", "a/b\n", "a b/c"]
    for name in (*bad, "owner/here", "photos/cats.zip", "a/" + "x" * 99, "é/b"):
        assert not looks_like_hub(name)
