"""The cache of pictures: whatever happens to who builds it, the next one gets what memory would give."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import forms
import numpy as np
import pytest
import torch

from cardigan.cli import main
from cardigan.data import decoded, store
from cardigan.data.decoded import Decoded, cached, in_memory
from cardigan.data.pictures import Pictures
from cardigan.data.sources import Encoded
from cardigan.data.sources.fitting import Wanted
from cardigan.errors import CardiganError

COUNT = 600
WANTED = Wanted(1, (6, 5))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CARDIGAN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(decoded, "_BLOCK_PICTURES", 50)
    return tmp_path / "cache"


def part(delay: float = 0.0, bad: tuple[int, ...] = (7, 301)) -> Encoded:
    stack = forms.pictures(COUNT)

    def read(index: int) -> bytes:
        time.sleep(delay)
        return b"no picture" if index in bad else forms.png(stack[index])

    return Encoded([f"{index}.png" for index in range(COUNT)], read)


def same(one: Decoded, other: Decoded) -> bool:
    arrays = [(getattr(one, name), getattr(other, name)) for name in ("pixels", "indices", "digests")]
    failures = [[(each.name, each.reason) for each in found.failures] for found in (one, other)]
    return all(np.array_equal(left, right) for left, right in arrays) and failures[0] == failures[1]


class Steps:
    """A `Watch` that notes what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int, int]] = []

    def __call__(self, what: str, done: int, total: int) -> None:
        self.told.append((what, done, total))


def test_the_cache_gives_what_memory_gives() -> None:
    first, again, memory = Steps(), Steps(), in_memory(part(), WANTED)
    built = cached(part(), WANTED, "key", "source", first)
    assert same(built, memory) and isinstance(built.pixels, np.memmap)
    assert [each.name for each in built.failures] == ["7.png", "301.png"] and len(built.indices) == COUNT - 2
    assert first.told[0][1:] == (0, COUNT) and first.told[-1][1:] == (COUNT, COUNT)
    assert same(cached(part(), WANTED, "key", "source", again), memory) and again.told == []
    built.pixels[:] = 0  # nothing that is done to it reaches the file
    assert same(cached(part(), WANTED, "key", "source"), memory)


BUILD = """
import sys
sys.path[:0] = [{tests!r}]
import test_cache as t
t.decoded._BLOCK_PICTURES = 50
t.decoded.cached(t.part({delay}), t.WANTED, "key", "source", lambda what, done, total: print(what, done, flush=True))
"""


def builder(delay: float = 0.005) -> "subprocess.Popen[str]":
    """Another process that builds the entry, `delay` seconds a picture."""
    code = BUILD.format(tests=str(Path(__file__).parent), delay=delay)
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)


def wait_for(process: "subprocess.Popen[str]", done: int) -> None:
    assert process.stdout
    for line in process.stdout:
        if int(line.split()[-1]) >= done:
            return
    raise AssertionError("the builder ended early")


def eventually(holds: Callable[[], bool], seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.05)
    return holds()


@pytest.mark.slow
def test_killed_while_writing_it_goes_on_from_there() -> None:
    for done in (100, 300):
        with builder() as process:
            wait_for(process, done)
            process.kill()
        assert eventually(lambda: [entry.state for entry in store.entries()] == ["partial"])
    steps = Steps()
    assert same(cached(part(), WANTED, "key", "source", steps), in_memory(part(), WANTED))
    assert steps.told[0][1] >= 300
    (entry,) = store.entries()
    assert entry.state == "complete" and entry.source == "source"


@pytest.mark.slow
def test_two_at_once_build_it_once() -> None:
    with builder(0.02) as first:
        wait_for(first, 50)
        with builder() as second:
            said, waited = first.communicate(timeout=60)[0], second.communicate(timeout=60)[0]
    assert first.returncode == second.returncode == 0
    assert said.splitlines()[-1].endswith(str(COUNT))
    assert waited.splitlines() == ["waiting for another process that reads the same pictures 0"]
    assert same(cached(part(), WANTED, "key", "source"), in_memory(part(), WANTED))


@pytest.mark.slow
def test_readers_die_with_a_killed_parent() -> None:
    def children(process: int) -> list[int]:
        found = Path(f"/proc/{process}/task/{process}/children")
        return [int(each) for each in found.read_text().split()] if found.exists() else []

    if sys.platform != "linux":
        pytest.skip("looks into /proc")
    with builder() as process:
        wait_for(process, 100)
        readers = children(process.pid)
        process.send_signal(signal.SIGKILL)
    assert readers and eventually(lambda: not any(_runs(reader) for reader in readers))


def _runs(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("place", ["posix_fallocate", "pwrite", "fsync"])
def test_a_full_disk_is_one_line_and_the_next_run_is_right(
    place: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def fail(*arguments: Any) -> None:
        calls.append(arguments)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, place, fail)
    with pytest.raises(CardiganError, match="No space left on device") as error:
        cached(part(), WANTED, "key", "source")
    assert calls and "\n" not in str(error.value) and "cardigan cache clear" in str(error.value)
    monkeypatch.undo()
    monkeypatch.setenv("CARDIGAN_CACHE", str(cache))
    assert store.entries() == []  # half an entry would keep the disk full
    assert same(cached(part(), WANTED, "key", "source"), in_memory(part(), WANTED))


def test_what_was_damaged_is_made_again(cache: Path) -> None:
    memory = in_memory(part(), WANTED)
    cached(part(), WANTED, "key", "source")
    folder = cache / "pictures" / "key"

    def truncate(name: str, to: int) -> None:
        with (folder / name).open("r+b") as file:
            file.truncate(to)

    for name, to in (("pixels.u8", 1000), ("found.npz", 100), ("found.npz", 0), ("failures.json", 3)):
        truncate(name, to)
        assert same(cached(part(), WANTED, "key", "source"), memory)
    (folder / "entry.json").unlink()
    assert same(cached(part(), WANTED, "key", "source"), memory)


def test_blocks_that_are_not_whole_are_read_again(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(path: Path, text: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(decoded, "write_text", stop)
    with pytest.raises(KeyboardInterrupt):
        cached(part(), WANTED, "key", "source")
    monkeypatch.undo()
    monkeypatch.setenv("CARDIGAN_CACHE", str(cache))
    partial = cache / "pictures" / ".key.partial"
    blocks = sorted(partial.glob("block-*"))
    assert len(blocks) > 0
    blocks[0].write_bytes(blocks[0].read_bytes()[:50])
    with (partial / "pixels.u8").open("r+b") as file:
        file.seek(400 * 30)
        file.write(b"damage")
    steps = Steps()
    monkeypatch.setattr(decoded, "_BLOCK_PICTURES", 50)
    assert same(cached(part(), WANTED, "key", "source", steps), in_memory(part(), WANTED))
    assert steps.told[0][1] == COUNT - 100


def test_an_entry_is_known_by_content_wherever_it_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cardigan.data.storage.FEW", 10)
    stack, marks = forms.pictures(60), forms.labels(60)
    place = forms.folder(tmp_path / "photos", stack, marks)

    def load(folder: Path, **fields: Any) -> Any:
        return Pictures(source=str(folder), **fields).load()

    def entries() -> int:
        return sum(entry.kind == "pictures" for entry in store.entries())

    first = load(place)
    assert first.rows is not None and entries() == 1
    moved = tmp_path / "elsewhere"
    shutil.copytree(place, moved)
    again = load(moved)
    assert entries() == 1 and first.fingerprint == again.fingerprint
    assert np.array_equal(first.draw(0, 99).sample, load(place, storage="memory").draw(0, 99).sample)
    load(place, size=4)
    load(place, channels=3)
    load(place, background="black")
    assert entries() == 4

    changed = next(place.rglob("*.png"))
    before, stamp = changed.read_bytes(), changed.stat()
    assert before == changed.read_bytes()
    pixels = 255 - stack[int(changed.stem)]
    other = forms.png(pixels)
    changed.write_bytes(other[: len(before)].ljust(len(before), b"\0"))
    os.utime(changed, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert load(place).fingerprint != first.fingerprint and entries() == 5


def test_little_stays_in_memory_and_what_does_not_fit_is_streamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = forms.folder(tmp_path / "photos", forms.pictures(60))
    kind = lambda: type(Pictures(source=str(place), size=4, channels=1).load()).__name__  # noqa: E731
    assert Pictures(source=str(place)).load().rows is None and not store.entries()
    monkeypatch.setattr("cardigan.data.storage.FEW", 10)
    monkeypatch.setattr(store, "room", lambda: 0)
    assert kind() == "InMemory" and not store.entries()
    monkeypatch.setattr("cardigan.data.storage.machine_memory", lambda: 100)
    assert kind() == "Streamed"
    monkeypatch.setattr(store, "room", lambda: 10**9)
    assert kind() == "InMemory" and len(store.entries()) > 0


def labelled(path: Path, classes: tuple[str, ...] = ("a", "b")) -> Path:
    """A zip of 20 pictures in each class."""
    stack = forms.pictures(20 * len(classes))
    content = {f"{classes[index % len(classes)]}/{index}.png": forms.png(each) for index, each in enumerate(stack)}
    return forms.zipped(path, content)


def test_what_is_chosen_from_a_source_has_an_entry_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the one who comes second gets the pictures of the first."""
    monkeypatch.setattr("cardigan.data.storage.FEW", 10)
    source = labelled(tmp_path / "photos.zip")
    rows = [f"{name}/{index}.png,{index % 3}\n" for index, name in enumerate(["a", "b"] * 20)]
    (tmp_path / "even.csv").write_text("file,label\n" + "".join(rows[::2]))
    (tmp_path / "odd.csv").write_text("file,label\n" + "".join(rows[1::2]))
    monkeypatch.chdir(tmp_path)
    fields: list[dict[str, Any]] = [
        {},
        {"classes": ("a",)},
        {"classes": ("b",)},
        {"labels": "even.csv"},
        {"labels": str(tmp_path / "odd.csv")},
    ]
    for each in fields:
        plain = {"source": source.name, "test": 0, "validation": 0, "size": 6, "channels": 1, **each}
        chosen = [Pictures(**plain, storage=storage).load() for storage in ("cache", "memory")]
        left, right = (data.take(torch.arange(len(data))) for data in chosen)
        assert torch.equal(left.sample, right.sample) and chosen[0].fingerprint == chosen[1].fingerprint
        assert len(chosen[0]) == (40 if not each else 20)


def test_only_what_is_ours_is_cleared(cache: Path) -> None:
    """Somebody may let the cache lie in a folder of their own."""
    letter = cache / "documents" / "letters" / "to-mother.txt"
    letter.parent.mkdir(parents=True)
    letter.write_text("Dear mother")
    (cache / "pictures" / "holidays").mkdir(parents=True)
    cached(part(), WANTED, "key", "source")
    assert [entry.key for entry in store.entries()] == ["key"]
    store.clear()
    assert letter.exists() and (cache / "pictures" / "holidays").is_dir() and not store.entries()


def test_a_begun_entry_is_gone_on_with_though_its_own_room_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cardigan.data.storage.FEW", 10)
    monkeypatch.setattr("cardigan.data.storage.machine_memory", lambda: 100)
    place = forms.folder(tmp_path / "photos", forms.pictures(60))

    def load() -> str:
        return type(Pictures(source=str(place), size=4, channels=1).load()).__name__

    write = decoded._write_block
    monkeypatch.setattr(decoded, "_write_block", lambda *arguments: (write(*arguments), 1 / 0))
    with pytest.raises(ZeroDivisionError):
        load()
    monkeypatch.setattr(decoded, "_write_block", write)
    monkeypatch.setattr(store, "room", lambda: 0)  # the begun entry has taken it
    assert load() == "InMemory"


def test_a_broken_link_is_one_unreadable_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cardigan.data.storage.FEW", 10)
    place = forms.folder(tmp_path / "photos", forms.pictures(60))
    (place / "lost.png").symlink_to(tmp_path / "nowhere.png")
    for storage in ("auto", "memory", "stream"):
        dataset = Pictures(source=str(place), storage=storage, size=4, channels=1, test=0, validation=0).load()
        dataset.draw(0, 61)
        assert any(remark.startswith("1 of 61 pictures cannot be read") for remark in dataset.remarks)


def test_what_we_made_ourselves_is_no_data(tmp_path: Path) -> None:
    """Runs and checks may lie in the folder of pictures, where somebody works."""
    place = forms.folder(tmp_path / "photos", forms.pictures(30))
    before = Pictures(source=str(place)).load().fingerprint
    grid = forms.png(forms.pictures(1)[0])
    run = {"recipe.yaml": "", "environment.json": "", "samples/000.png": grid}
    forms.files(place / "runs" / "auto-0001", run)
    forms.files(place / "inspections" / "photos", {"recipe.yaml": "", "report.json": "", "contact-sheet.png": grid})
    assert Pictures(source=str(place)).load().fingerprint == before


def test_little_and_streams_are_not_read_to_know_them_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(files: Any, watch: Any) -> str:
        raise AssertionError(f"{len(files)} files were read from end to end")

    monkeypatch.setattr(store, "_content", fail)
    few = forms.folder(tmp_path / "few", forms.pictures(40))
    Pictures(source=str(few)).load()
    monkeypatch.setattr("cardigan.data.storage.FEW", 10)
    for storage in ("stream", "memory"):
        Pictures(source=str(few), storage=storage).load()
    with pytest.raises(AssertionError, match="40 files"):
        Pictures(source=str(few)).load()


def test_a_numpy_file_is_not_called_cached(tmp_path: Path) -> None:
    np.save(tmp_path / "pictures.npy", forms.pictures(40))
    dataset = Pictures(source=str(tmp_path / "pictures.npy")).load()
    assert not any("cache" in remark for remark in dataset.remarks) and not store.entries()
    np.save(tmp_path / "pictures.npy", np.zeros((40, 6, 5), np.uint8))
    assert dataset.draw(0, 34).sample.std() > 0.1  # the file may change; what was loaded does not


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CARDIGAN_CACHE", str(tmp_path / "file" / "cache"))
    assert store.room() == 0
    with pytest.raises(CardiganError, match=r"cannot be written: Not a directory.*data\.storage=memory"):
        cached(part(), WANTED, "key", "source")


def test_the_command_lists_and_clears(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def say(*arguments: str) -> str:
        with pytest.raises(SystemExit) as stop:
            main(["cache", *arguments])
        said = capsys.readouterr()
        assert stop.value.code == (2 if said.err else 0)
        return said.out + said.err

    assert "empty" in say() and str(cache) in say()
    cached(part(), WANTED, "abcdef", "photos.zip")
    cached(part(), WANTED, "123456", "others.zip")
    (cache / "pictures" / ".killed.partial").mkdir()
    listed = say()
    assert "photos.zip" in listed and "abcdef" in listed and "others.zip" in listed and "partial" in listed
    assert "no entry 'zzz'" in say("clear", "zzz")
    assert "1 entry" in say("clear", "abc")
    assert [entry.key for entry in store.entries() if entry.state == "complete"] == ["123456"]
    assert "2 entries" in say("clear")
    assert store.entries() == [] and "empty" in say() and "nothing to remove" in say("clear")
    assert json.dumps(store.entries()) == "[]"
