"""A run killed at any moment and resumed ends bit-equal to the run never interrupted."""

import os
import random
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from runs import ENGINE, HALF, TINY, cardigan, command, loop_of, same_bits, state_of, tensors, untimed

from cardigan import CardiganError, load, load_recipe, resume, train
from cardigan.run import Run
from cardigan.training import checkpoint
from cardigan.training.loop import Loop

KILLS = int(os.environ.get("CARDIGAN_KILLS", "3"))
"""Kills after the first checkpoint; more by hand: CARDIGAN_KILLS=20 pytest tests/trajectories -k killed."""
SAMPLES = 640 * (8 + 6 * KILLS)

PICTURES = [
    "mnist-mlp",
    "mnist-dcgan",
    "mnist-wgan",
    "mnist-wgan-gp",
    "mnist-lsgan",
    "mnist-dragan",
    "mnist-hinge",
    "mnist-relativistic",
    "mnist-conditional",
    "mnist-acgan",
    "cifar10-resnet",
]


EVERYTHING = [
    "game.networks.generator.normalisation=batch",
    "game.networks.discriminator.dropout=0.3",
    "game.labels=projection",
    "game.n_critic=3",
    "game.penalties={r1: {weight: 1, interval: 3}, gradient: {weight: 1, interval: 2}}",
    "training.average.half_life=500",
    "training.rates={generator: 1e-3}",
    "training.schedule={warmup: 200, decay_start: 300, decay_end: 900, shape: cosine}",
]
"""Batch normalisation, dropout, labels, n-critic, lazy penalties, two rates, a schedule: all in one loop."""

METHODS = [
    "game.augmentation.adaptive={speed: 300, interval: 3, cutout: 0.3}",
    "game.lecam={}",
    "game.consistency={fake: 10}",
    "game.instance_noise={samples: 200}",
    "game.self_supervision={}",
    "game.feature_matching=1",
    "game.top_k={samples: 200}",
    "game.networks.discriminator.deviation_group=4",
]
"""Stabilising methods that can be combined: some keep state, some fade with the clock, all draw random numbers."""

LOOPS = [
    *((name, []) for name in PICTURES),
    ("mnist-mlp", EVERYTHING),
    ("mnist-mlp", [*EVERYTHING, "training.optimizer={kind: sgd, momentum: 0.9}"]),
    ("mnist-mlp", [*EVERYTHING, "training.optimizer={kind: adamw, weight_decay: 0.01}"]),
    ("mnist-dcgan", METHODS),
    ("mnist-mlp", [*METHODS, "game.objective=relativistic", "training.accumulate=2"]),
    ("mnist-mlp", ["game.pack=2", *METHODS[:4], "game.n_critic=2"]),
    ("mnist-dcgan", ["training.accumulate=2", "game.networks.discriminator.spectral=true", "game.labels=auxiliary"]),
]


def small_loop(name: str, *overrides: str, seed: int = 0) -> Loop:
    """The loop of a shipped recipe on the 8x8 digits, narrow, in half precision where it pays, channels_last."""
    recipe = load_recipe(name).but(
        f"training.seed={seed}",
        "training.batch=16",
        "game.networks.width=8",
        *overrides,
        data={"kind": "pictures", "source": "digits", "size": 16, "channels": 1, "flip": True},
    )
    return loop_of(recipe, HALF)


@pytest.mark.parametrize(("name", "overrides"), LOOPS)
def test_a_loop_continues_from_its_checkpoint_bit_for_bit(name: str, overrides: list[str], tmp_path: Path) -> None:
    straight = small_loop(name, *overrides)
    for _ in range(7):
        straight.round()
    saved = checkpoint.save_checkpoint(straight, tmp_path)
    for _ in range(9):
        straight.round()
    torch.rand(3)  # whatever else drew from the global generator in between
    resumed = small_loop(name, *overrides)
    checkpoint.load_checkpoint(resumed, saved)
    for _ in range(9):
        resumed.round()
    assert (resumed.clock, resumed.rounds, resumed.counts) == (straight.clock, straight.rounds, straight.counts)
    assert same_bits(state_of(resumed), state_of(straight))


def test_equal_seeds_give_equal_bits_and_others_do_not() -> None:
    loops = [small_loop("mnist-mlp", seed=seed) for seed in (0, 0, 1)]
    for loop in loops:
        for _ in range(3):
            loop.round()
    first, second, other = map(state_of, loops)
    assert same_bits(first, second)
    assert not same_bits(first, other)


def start(*arguments: str | Path) -> "subprocess.Popen[str]":
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command(*arguments), env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def wait_for(condition: Callable[[], bool], process: "subprocess.Popen[str]") -> None:
    while process.poll() is None and not condition():
        time.sleep(0.005)


@pytest.mark.slow
def test_a_run_killed_at_random_moments_ends_bit_equal(tmp_path: Path) -> None:
    budget = f"training.samples={SAMPLES}"
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert cardigan("train", "digits", "--out", whole, *TINY, budget).returncode == 0
    dice = random.Random(KILLS)
    process = start("train", "digits", "--out", killed, *TINY, budget)
    wait_for(lambda: (killed / "samples").is_dir(), process)
    process.kill()  # before the first checkpoint: the run begins again at 0
    process.wait()
    kills = 0
    while kills < KILLS:
        before = Run(killed).clocks()[-1:]
        process = start("resume", killed)
        wait_for(lambda before=before: Run(killed).clocks()[-1:] != before, process)
        time.sleep(dice.uniform(0, 0.15))
        process.send_signal(signal.SIGKILL)
        if process.wait() != -signal.SIGKILL:
            break
        kills += 1
    assert kills == KILLS, "the run was over before it could be killed often enough"
    assert cardigan("resume", killed).returncode == 0
    assert same_bits(tensors(killed), tensors(whole))
    assert untimed(Run(killed).scalars()) == untimed(Run(whole).scalars())
    assert load(killed).generate(4).equal(load(whole).generate(4))
    assert sorted(path.name for path in (killed / "samples").iterdir()) == sorted(
        path.name for path in (whole / "samples").iterdir()
    )


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_a_checkpoint_and_the_line_that_resumes(number: int, code: int, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    process = start("train", "digits", "--out", folder, *TINY, "training.samples=100M", "records.checkpoint=100M")
    wait_for(lambda: len(list((folder / "samples").glob("*"))) > 1 if (folder / "samples").is_dir() else False, process)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == code, errors
    assert errors.strip().splitlines()[-1].endswith(f"cardigan resume {folder}")
    assert "Traceback" not in errors
    (clock,) = Run(folder).clocks()
    assert Run(folder).scalars()[-1]["samples"] == clock
    budget = f"training.samples={clock + 320}"
    resume(folder, [budget])
    straight = train("digits", [*TINY, budget], out=tmp_path / "straight")
    assert same_bits(tensors(folder), tensors(straight.folder))


@pytest.mark.parametrize("lost", [[], ["environment.json"], ["environment.json", "codec"]])
def test_a_run_killed_before_its_first_checkpoint_begins_again(lost: list[str], tmp_path: Path) -> None:
    options = [*TINY, "training.samples=640"]
    straight = train("digits", options, out=tmp_path / "straight")
    killed = train("digits", options, out=tmp_path / "killed")
    for name in ["checkpoints", "samples", *lost]:
        path = killed.folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(CardiganError, match="no checkpoint yet" if "codec" not in lost else "codec"):
        load(killed)
    resume(killed)
    assert same_bits(tensors(killed.folder), tensors(straight.folder))
    assert untimed(killed.scalars()) == untimed(straight.scalars())
    assert load(killed).generate(2).equal(load(straight).generate(2))


def test_a_killed_writer_s_half_line_is_dropped(tmp_path: Path) -> None:
    run = train("digits", [*TINY, "training.samples=640"], out=tmp_path / "run")
    rows = run.scalars()
    with run.scalars_file.open("ab") as file:
        file.write(b'{"samples": 672, "minu\xff\x00')
    assert run.scalars() == rows
    resume(run, ["training.samples=1280"])
    assert untimed(run.scalars()[: len(rows)]) == untimed(rows)
    assert run.scalars()[-1]["samples"] == 1280


def test_the_engine_choice_is_what_was_asked_for(tmp_path: Path) -> None:
    engine = train("digits", [*TINY, "training.samples=64"], out=tmp_path / "run").environment["engine"]
    assert [f"engine.{key}={str(value).lower()}" for key, value in engine.items()] == [
        each for each in ENGINE if "device=" not in each
    ]


def test_training_goes_on_while_a_checkpoint_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    overrides = [*TINY, "training.samples=1280"]
    plain = train("digits", overrides, out=tmp_path / "plain")
    play, write, later = Loop.round, checkpoint.write_folder, threading.Event()

    def played(loop: Loop) -> None:
        play(loop)
        if loop.clock > 700:
            later.set()

    def written(target: Path, *content: Any) -> Path:
        if target.name == checkpoint.name_of(640):
            assert later.wait(60)
        return write(target, *content)

    monkeypatch.setattr(Loop, "round", played)
    monkeypatch.setattr(checkpoint, "write_folder", written)
    slow = train("digits", overrides, out=tmp_path / "slow")
    assert slow.clocks() == plain.clocks() == [640, 1280]
    assert same_bits(tensors(slow.folder, 640), tensors(plain.folder, 640))


def test_a_checkpoint_that_cannot_be_written_is_told_at_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = checkpoint.write_folder

    def written(target: Path, *content: Any) -> Path:
        if target.name == checkpoint.name_of(640):
            raise CardiganError(f"{target}: the checkpoint could not be written: no space")
        return write(target, *content)

    monkeypatch.setattr(checkpoint, "write_folder", written)
    with pytest.raises(CardiganError, match="000000640: the checkpoint could not be written"):
        train("digits", [*TINY, "training.samples=6400"], out=tmp_path / "run")
    assert Run(tmp_path / "run").scalars()[-1]["samples"] <= 1280
