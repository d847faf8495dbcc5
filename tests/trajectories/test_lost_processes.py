"""A process that is killed, hangs or ends by itself ends all, with one line, in a time that is known."""

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
from runs import ENGINE
from test_resume import start, wait_for

ENDLESS = [*ENGINE, "game.networks.width=16", "training.batch=48", "training.samples=100M", "records.checkpoint=480"]
pytestmark = pytest.mark.skipif(not Path("/proc").is_dir(), reason="children are found in /proc")


def others(process: "subprocess.Popen[str]") -> list[int]:
    """The processes that `process` has started, in the order of their ranks."""
    found = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return [int(each) for each in found.split()]


def trained(folder: Path, *options: str) -> "subprocess.Popen[str]":
    """Several processes that have written their first checkpoint into `folder`."""
    process = start("train", "toy-ring", "--out", folder, *ENDLESS, *options)
    wait_for(lambda: (folder / "checkpoints" / "000000480").is_dir(), process)
    assert process.poll() is None, process.communicate()[1]
    return process


def ended(pid: int) -> bool:
    """Whether the process `pid` is no more, or waits to be forgotten."""
    try:
        return ") Z" in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True


def wait_until_ended(pids: list[int], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not all(map(ended, pids)):
        assert time.monotonic() < deadline, pids
        time.sleep(0.05)


def ours(said: str) -> str:
    """What is left without torch's own warnings, of a store that has gone with process 0, and the stack they print."""
    theirs = ("[W", "frame #", "Exception raised from", "\n")
    return "".join(line for line in said.splitlines(keepends=True) if not line.startswith(theirs))


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1, 2])
def test_a_killed_process_ends_all_with_one_line(victim: int, tmp_path: Path) -> None:
    process = trained(tmp_path / "run", "engine.devices=3")
    pids = [process.pid, *others(process)]
    began = time.monotonic()
    os.kill(pids[victim], signal.SIGKILL)
    wait_until_ended(pids, 90)
    took = time.monotonic() - began
    said = ours(process.communicate(timeout=10)[1])
    assert process.returncode == (-signal.SIGKILL if victim == 0 else 2)
    # On a busy machine another one may not answer in time and is named too.
    assert re.match(
        rf"error: process(es)? (\d, )*{victim}(, \d)* of 3 ha(s|ve) ended, hangs? or cannot be reached", said
    )
    assert f"cardigan resume {tmp_path / 'run'}" in said
    assert said.count("\n") == 1
    assert took < 90  # far below the timeout


@pytest.mark.slow
def test_a_process_that_hangs_ends_all_within_the_timeout(tmp_path: Path) -> None:
    process = trained(tmp_path / "run", "engine.devices=2", "engine.timeout=12")
    (other,) = others(process)
    began = time.monotonic()
    os.kill(other, signal.SIGSTOP)
    said = process.communicate(timeout=120)[1]
    took = time.monotonic() - began
    assert process.returncode == 2
    assert said.startswith(
        "error: process 1 of 2 has ended, hangs or cannot be reached (noticed within engine.timeout, 12"
    )
    assert said.count("\n") == 1
    assert took < 12 + 15
    wait_until_ended([other], 5)


@pytest.mark.slow
def test_a_process_that_says_why_it_ends_is_the_only_one_to_speak(tmp_path: Path) -> None:
    process = trained(tmp_path / "run", "engine.devices=2")
    pids = [process.pid, *others(process)]
    (tmp_path / "run" / "checkpoints").rename(tmp_path / "elsewhere")
    (tmp_path / "run" / "checkpoints").write_text("in the way")
    said = process.communicate(timeout=30)[1]
    assert process.returncode == 2
    assert "the checkpoint could not be written" in said
    assert said.count("\n") == 1
    wait_until_ended(pids, 5)


@pytest.mark.slow
def test_a_signal_ends_all_with_one_line_and_everything_saved(tmp_path: Path) -> None:
    process = trained(tmp_path / "run", "engine.devices=2")
    pids = [process.pid, *others(process)]
    process.send_signal(signal.SIGTERM)
    said = process.communicate(timeout=30)[1]
    assert process.returncode == 128 + signal.SIGTERM
    assert said.startswith("stopped by SIGTERM; everything is saved")
    assert said.count("\n") == 1
    wait_until_ended(pids, 5)


@pytest.mark.slow
def test_processes_that_do_not_come_together_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"NODE_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}.items():
        monkeypatch.setenv(name, value)
    process = start("train", "toy-ring", "--out", tmp_path / "run", *ENDLESS, "engine.nodes=2", "engine.timeout=2")
    said = process.communicate(timeout=120)[1]
    assert process.returncode == 2
    assert said.startswith("error: engine: 2 processes did not come together at 127.0.0.1:")
    assert said.count("\n") == 1
