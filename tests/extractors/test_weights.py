"""Weights that come over a line that breaks, lies or is not there, and files that would like to run."""

import hashlib
import multiprocessing
import os
import pickle
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from cardigan.data import store
from cardigan.errors import CardiganError
from cardigan.extractors import weights
from cardigan.extractors.weights import Weights, find, places, read

CONTENT = bytes(range(256)) * 20_000


class Site(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.asked.append(self.path)  # type: ignore[attr-defined]
        if self.path == "/missing.pth":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        with suppress(BrokenPipeError):  # of those who hang up
            self._send()

    def _send(self) -> None:
        if self.path == "/truncated.pth":
            self.wfile.write(CONTENT[:1_000_000])
        elif self.path == "/changed.pth":
            self.wfile.write(CONTENT[:-1] + b"!")
        elif self.path == "/slow.pth":
            self.wfile.write(CONTENT[:3_000_000])
            self.wfile.flush()
            time.sleep(20)
        else:
            self.wfile.write(CONTENT)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def site() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    server.daemon_threads = True
    server.asked = []  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(store.VARIABLE, str(tmp_path / "cache"))
    monkeypatch.delenv(weights.VARIABLE, raising=False)
    for proxy in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(proxy, raising=False)


def published(site: ThreadingHTTPServer, name: str = "good.pth", digits: int = 64) -> Weights:
    digest = hashlib.sha256(CONTENT).hexdigest()[:digits]
    return Weights(name, f"http://127.0.0.1:{site.server_port}/{name}", digest, len(CONTENT))


def left(tmp_path: Path) -> list[str]:
    """Files in the cache but the lock."""
    return [path.name for path in (tmp_path / "cache").rglob("*") if path.is_file() and path.suffix != ".lock"]


@pytest.mark.parametrize("digits", [64, 8])
def test_download_arrives_once_and_is_kept(site: ThreadingHTTPServer, tmp_path: Path, digits: int) -> None:
    seen: list[tuple[str, int, int]] = []
    known = published(site, digits=digits)
    path = find(known, lambda *told: seen.append(told))
    assert path == tmp_path / "cache/weights/good.pth" and path.read_bytes() == CONTENT
    assert seen[-1] == ("downloading good.pth", len(CONTENT), len(CONTENT)) and len(seen) > 2
    assert find(known) == path and site.asked == ["/good.pth"]  # type: ignore[attr-defined]
    assert left(tmp_path) == ["good.pth"]


def test_what_the_user_placed_comes_first(
    site: ThreadingHTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/good.pth").write_bytes(CONTENT)
    monkeypatch.setenv(weights.VARIABLE, str(tmp_path / "mine"))
    assert find(published(site)) == tmp_path / "mine/good.pth"
    assert not site.asked  # type: ignore[attr-defined]


def test_wrong_file_of_the_user_is_refused_and_left_alone(
    site: ThreadingHTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(weights.VARIABLE, str(tmp_path))
    (tmp_path / "good.pth").write_bytes(b"something else")
    with pytest.raises(CardiganError, match=r"good\.pth is not the published file: its sha256 is .*should be"):
        find(published(site))
    assert (tmp_path / "good.pth").is_file()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("truncated.pth", r"1,000,000 of 5,120,000 bytes came"),
        ("changed.pth", r"not the published file, its sha256 is [0-9a-f]{64}"),
        ("missing.pth", r"Not Found"),
    ],
)
def test_bad_download_leaves_nothing_and_says_what_to_place_where(
    site: ThreadingHTTPServer, tmp_path: Path, name: str, reason: str
) -> None:
    known = published(site, name)
    with pytest.raises(CardiganError, match=reason) as caught:
        find(known)
    told = str(caught.value)
    assert known.url in told and known.sha256 in told and str(tmp_path / "cache/weights" / name) in told
    assert left(tmp_path) == []


def test_more_than_announced_is_not_taken(site: ThreadingHTTPServer, tmp_path: Path) -> None:
    known = published(site)
    with pytest.raises(CardiganError, match="more than 1,000 bytes came"):
        find(Weights(known.file, known.url, known.sha256, 1000))
    assert left(tmp_path) == []


def test_refused_connection_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(CardiganError, match=r"could not be downloaded: .*refused.*; place http.* at ") as caught:
        find(Weights("good.pth", "http://127.0.0.1:9/good.pth", "0" * 64, 1))
    assert "\n" not in str(caught.value)


def test_silence_ends_at_the_timeout(
    site: ThreadingHTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "TIMEOUT", 0.3)
    with pytest.raises(CardiganError, match="timed out"):
        find(published(site, "slow.pth"))
    assert left(tmp_path) == []


def test_killed_download_leaves_no_file_and_the_next_one_succeeds(site: ThreadingHTTPServer, tmp_path: Path) -> None:
    process = multiprocessing.get_context("fork").Process(target=find, args=(published(site, "slow.pth"),))
    process.start()
    partial = tmp_path / "cache/weights/.slow.pth.partial"
    deadline = time.monotonic() + 20
    while not (partial.is_file() and partial.stat().st_size >= 2**20) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert left(tmp_path) == [partial.name]
    good = published(site)
    path = find(Weights("slow.pth", good.url, good.sha256, good.size))
    assert path.read_bytes() == CONTENT and left(tmp_path) == ["slow.pth"]


def test_two_that_want_the_same_file_fetch_it_once(site: ThreadingHTTPServer) -> None:
    threads = [threading.Thread(target=find, args=(published(site),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert site.asked == ["/good.pth"]  # type: ignore[attr-defined]


def test_a_folder_that_cannot_be_made_is_one_line(
    site: ThreadingHTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv(store.VARIABLE, str(tmp_path / "file"))
    with pytest.raises(CardiganError, match="cannot be written"):
        find(published(site))


class Hostile:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.mark,)


def test_reading_runs_nothing(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    torch.save({"weight": Hostile(mark)}, tmp_path / "zip.pth")
    (tmp_path / "plain.pth").write_bytes(pickle.dumps(Hostile(mark), protocol=2))
    (tmp_path / "noise.safetensors").write_bytes(CONTENT)
    torch.save({"weight": torch.ones(1), "epoch": 3}, tmp_path / "more.pth")
    for name in ("zip.pth", "plain.pth", "noise.safetensors", "more.pth", "absent.pth"):
        with pytest.raises(CardiganError, match="no file of weights") as caught:
            read(tmp_path / name)
        assert "\n" not in str(caught.value)
    assert not mark.exists()


def test_both_formats_are_read(tmp_path: Path) -> None:
    tensors = {"weight": torch.arange(3.0)}
    torch.save(tensors, tmp_path / "one.pth")
    save_file(tensors, tmp_path / "two.safetensors")
    for name in ("one.pth", "two.safetensors"):
        assert torch.equal(read(tmp_path / name)["weight"], tensors["weight"])


def test_places_are_the_users_folder_and_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert places("a") == [tmp_path / "cache/weights/a"]
    monkeypatch.setenv(weights.VARIABLE, str(tmp_path / "mine"))
    assert places("a") == [tmp_path / "mine/a", tmp_path / "cache/weights/a"]
