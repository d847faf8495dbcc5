"""Watching changes nothing; the guard acts, and a resumed run acts again as it had acted."""

import json
from pathlib import Path

import pytest
from runs import TINY, same_bits, tensors

from cardigan import CardiganError, load_recipe, resume, train
from cardigan.health.diagnosis import Reading
from cardigan.health.history import read
from cardigan.health.interventions import Intervention
from cardigan.run import Run
from cardigan.training.guard import Guard
from cardigan.training.progress import Progress

DIGITS = [*TINY, "data.size=8", "game.networks.generator.depth=1", "game.networks.discriminator.depth=2"]
TOO_STEEP = [
    *DIGITS,
    "training.optimizer.rate=0.002",
    "game.penalties.r1.weight=1e6",
    "training.samples=12k",
    "health.interval=500",
    "records.checkpoint=6k",
]


def test_watching_changes_no_bit(tmp_path: Path) -> None:
    for name, options in (("watched", ["health.interval=500"]), ("alone", ["health.interval=null"])):
        train("digits", [*DIGITS, "training.samples=3200", *options], out=tmp_path / name)
    assert same_bits(tensors(tmp_path / "watched"), tensors(tmp_path / "alone"))
    readings = read(Run(tmp_path / "watched").health_file)
    assert len(readings) > 3 and not Run(tmp_path / "alone").health_file.exists()
    signals = readings[-1].reading.signals
    assert {"discriminator/accuracy", "generator/step", "samples/coverage", "discriminator/overfit"} <= signals.keys()


def test_watching_goes_on_after_a_break(tmp_path: Path) -> None:
    options = [*DIGITS, "health.interval=500", "records.checkpoint=1600"]
    train("digits", [*options, "training.samples=3200"], out=tmp_path / "whole")
    train("digits", [*options, "training.samples=1600"], out=tmp_path / "parts")
    resume(tmp_path / "parts", ["training.samples=3200"])

    def numbers(name: str) -> list[tuple[int, dict[str, float]]]:
        timed = ("data/waiting", "progress")
        entries = read(Run(tmp_path / name).health_file)
        return [
            (each.reading.clock, {key: value for key, value in each.reading.signals.items() if key not in timed})
            for each in entries
        ]

    assert numbers("whole") == numbers("parts")


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose penalty drowns the game, with the guard."""
    folder = tmp_path_factory.mktemp("guarded") / "run"
    train("digits", [*TOO_STEEP, "guard.enabled=true"], out=folder)
    return folder


def test_the_guard_acts_and_says_why(guarded: Path) -> None:
    run = Run(guarded)
    first, *_ = (json.loads(line) for line in run.guard_file.read_text().splitlines())
    assert first["diagnosis"] == "penalty-dominates" and first["reason"]
    assert any(change.startswith("training.optimizer.rate=0.0005") for change in first["changes"])
    assert run.recipe == load_recipe("digits", [*TOO_STEEP, "guard.enabled=true"])  # the recipe stays as it was
    assert Guard.of(run, run.recipe, 64, 1).recipe.training.optimizer.rate == pytest.approx(0.0005)
    state = json.loads((run.checkpoint_folder / f"{run.clocks()[-1]:09d}" / "state.json").read_text())
    assert state["interventions"] >= 1
    assert state["clock"] + state["thrown"] == pytest.approx(12_000, abs=32)
    assert run.summary().state == "finished"


class Killed(BaseException):
    """The process is gone, without a word."""


class Killer(Progress):
    """Kills at a round that begins after `clock`, once there were so many interventions."""

    def __init__(self, clock: int, interventions: int) -> None:
        self.clock, self.left = clock, interventions

    def intervened(self, intervention: Intervention) -> None:
        self.left -= 1

    def advance(self, clock: int, minutes: float) -> None:
        if self.left <= 0 and clock >= self.clock:
            raise Killed


@pytest.mark.parametrize(("clock", "interventions"), [(1_900, 0), (2_500, 1), (4_000, 1)])
def test_a_killed_run_acts_again_as_it_had_acted(guarded: Path, tmp_path: Path, clock: int, interventions: int) -> None:
    with pytest.raises(Killed):
        killer = Killer(clock, interventions)
        train("digits", [*TOO_STEEP, "guard.enabled=true"], out=tmp_path / "run", progress=killer)
    resume(tmp_path / "run")
    assert Run(tmp_path / "run").guard_file.read_text() == Run(guarded).guard_file.read_text()
    assert same_bits(tensors(guarded), tensors(tmp_path / "run"))


def test_a_run_that_nothing_helps_is_ended_with_a_verdict(tmp_path: Path) -> None:
    options = [*DIGITS, "training.optimizer.rate=1e-12", "training.samples=30k", "health.interval=500", "guard.most=1"]
    with pytest.raises(CardiganError, match="1 interventions did not help"):
        train("digits", [*options, "guard.enabled=true", "game.penalties.r1.weight=1e7"], out=tmp_path / "run")
    run = Run(tmp_path / "run")
    assert run.summary().state == "finished" and run.clocks()[-1] < 30_000
    assert json.loads(run.guard_file.read_text().splitlines()[-1])["ends"]


def test_nothing_is_begun_afresh_where_nobody_knows_how_much_is_left(tmp_path: Path) -> None:
    def worthwhile(clock: int, *options: str) -> bool:
        return Guard(Run(tmp_path), load_recipe("digits", [*TOO_STEEP, *options]), 64)._worthwhile(clock)

    assert worthwhile(8_000) and not worthwhile(10_000)  # of 12,000
    assert not worthwhile(100, "training={samples: null, minutes: 5}")


COLLAPSED = {"samples/diversity": 0.1, "samples/distance": 2.0, "data/distance": 1.0, "data/spread": 40.0}


@pytest.mark.parametrize(("back_to", "known"), [(None, 44_000), (0, 52_000)])
def test_that_it_is_gone_is_said_once_it_would_have_been_named_again(
    tmp_path: Path, back_to: int | None, known: int
) -> None:
    """What samples gained is not known before a third more of them were drawn, nor what is still being learnt."""
    done = Intervention(30_000, "something was done", back_to=back_to, diagnosis="mode-collapse")
    first, progress = (31_000, {"progress": 0.5}) if back_to is None else (1_000, {})

    def effect(signals: dict[str, float], until: int) -> str:
        signals = {**signals, **progress}
        guard = Guard(Run(tmp_path), load_recipe("digits", TOO_STEEP), 64, [done])
        for last in range(first, until + 1, 1_000):
            guard.judge([Reading(clock, signals) for clock in range(first, last + 1, 1_000)])
        return guard.entries[0].effect

    assert effect({}, known - 1_000) == "" and effect({}, known) == "gone"
    assert effect(COLLAPSED, known - 1_000) == "" and effect(COLLAPSED, known).startswith("came again")


def test_the_guard_names_the_discriminators_that_there_are(tmp_path: Path) -> None:
    won = {"samples/distance": 3.0, "data/distance": 1.0}
    judges = ("forward_discriminator", "backward_discriminator")
    for name in judges:
        won |= {f"{name}/accuracy": 1.0, f"{name}/gap": 9.0}
    guard = Guard(Run(tmp_path), load_recipe("summer-to-winter"), 3 * 128 * 128)
    decided = guard.decide([Reading(clock, won) for clock in range(60_000, 130_000, 10_000)], [])
    assert decided is not None and decided.diagnosis == "discriminator-wins"
    assert set(guard.recipe.but(*decided.changes).training.rates) == set(judges)
