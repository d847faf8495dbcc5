"""One process, two processes, accumulated slices: the same trajectory, to rounding."""

import json
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from PIL import Image
from runs import cardigan, tensors

from cardigan import load_recipe, train
from cardigan.run import Run
from cardigan.training.engine import EngineChoice
from cardigan.training.loop import Loop

EXACT = [
    "engine.device=cpu",
    "engine.precision=fp64",
    "engine.matmul=highest",
    "engine.threads=1",
    "game.networks.width=32",
    "game.networks.discriminator.dropout=0.2",
    "training.batch=32",
    "training.samples=1600",
]
"""Fifty steps in double precision."""

SLICE_ONLY = pytest.mark.xfail(strict=True, reason="statistics over the batch see their slice alone")


def agree(left: Path, right: Path, tolerance: float = 1e-9) -> None:
    one, two = tensors(left), tensors(right)
    assert one.keys() == two.keys()
    assert Run(left).clocks()[-1] == Run(right).clocks()[-1] == 1600
    for name in one:
        if name.startswith(("players/", "average/", "optimizers/")):
            torch.testing.assert_close(one[name], two[name], rtol=tolerance, atol=tolerance / 100)
        if name.startswith("recent/"):  # losses and signals of the whole batch, some of them told in single precision
            torch.testing.assert_close(one[name], two[name], rtol=1e-6, atol=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize("penalty", ["gradient", "dragan"])
def test_one_process_and_two_agree(penalty: str, tmp_path: Path) -> None:
    penalties = f"game.penalties={{{penalty}: {{weight: 10}}, r1: null, r2: null}}"
    options = [*EXACT, "game.objective=relativistic-average", penalties]
    two = cardigan("train", "toy-ring", "--out", tmp_path / "two", *options, "engine.devices=2")
    assert two.returncode == 0, two.stderr
    train("toy-ring", options, out=tmp_path / "one")
    agree(tmp_path / "one", tmp_path / "two")


@pytest.mark.slow
def test_one_process_and_two_agree_with_every_method_for_points(tmp_path: Path) -> None:
    methods = ["game.lecam={}", "game.instance_noise={samples: 800}", "game.feature_matching=1"]
    methods += ["game.top_k={samples: 800}", "game.pack=2", "game.networks.discriminator.deviation_group=4"]
    two = cardigan("train", "toy-ring", "--out", tmp_path / "two", *EXACT, *methods, "engine.devices=2")
    assert two.returncode == 0, two.stderr
    train("toy-ring", [*EXACT, *methods], out=tmp_path / "one")
    agree(tmp_path / "one", tmp_path / "two")


@pytest.mark.slow
@pytest.mark.parametrize(("before", "after"), [(2, 1), (1, 2)])
def test_another_number_of_processes_goes_on(before: int, after: int, tmp_path: Path) -> None:
    options = [*EXACT, "game.networks.generator.normalisation=batch"]
    parted = tmp_path / "parted"
    half = ("train", "toy-ring", "--out", parted, *options, f"engine.devices={before}", "training.samples=800")
    rest = ("resume", parted, f"engine.devices={after}", "training.samples=1600")
    for each in (half, rest):
        done = cardigan(*each)
        assert done.returncode == 0, done.stderr
    assert load_recipe(parted / "recipe.yaml").engine.devices == after
    train("toy-ring", options, out=tmp_path / "one")
    agree(tmp_path / "one", parted)


def stream_drawn(folder: Path, rank: int, processes: int, clocks: range) -> list[list[int]]:
    """What process `rank` of some draws at `clocks` of a stream that it opens anew, as after resuming: ids."""
    settings = [f"data.source={folder}", "data.storage=stream", "data.size=8", "training.batch=8"]
    recipe = load_recipe("digits", [*settings, "game.networks={family: mlp, width: 4}"])
    place = SimpleNamespace(global_rank=rank, world_size=processes, device=torch.device("cpu"))
    with closing(recipe.data.load("train", 0)) as data:
        loop = Loop(recipe, data, EngineChoice(), place)  # type: ignore[arg-type]
        drawn = list[list[int]]()
        for loop.clock in clocks:
            (step,) = loop.draw()
            assert step.batch.id is not None
            drawn.append(step.batch.id.tolist())
    return drawn


def test_processes_share_a_stream_without_overlap_and_go_on_where_they_were(tmp_path: Path) -> None:
    for index, picture in enumerate(np.random.default_rng(0).integers(0, 256, (200, 8, 8), np.uint8)):
        Image.fromarray(picture).save(tmp_path / f"{index:03}.png")
    clocks = range(0, 8 * 40, 8)
    alone = stream_drawn(tmp_path, 0, 1, clocks)
    first, second = (stream_drawn(tmp_path, rank, 2, clocks) for rank in range(2))
    assert alone == [mine + theirs for mine, theirs in zip(first, second, strict=True)]
    once = [each for batch in alone for each in batch][: len({each for batch in alone for each in batch})]
    assert len(once) == len(set(once)) > 100  # a pass: every sample once, whoever drew it
    assert stream_drawn(tmp_path, 1, 2, clocks[17:]) == second[17:]  # resumed in the middle of a pass
    assert stream_drawn(tmp_path, 2, 4, clocks[17:]) == [batch[4:6] for batch in alone[17:]]  # and by four


@pytest.mark.slow
def test_two_processes_resume_and_are_refused_like_one(tmp_path: Path) -> None:
    options = [*EXACT, "game.penalties={r1: {weight: 1}, r2: {weight: 1, interval: 2}}"]
    parted = tmp_path / "parted"
    first = cardigan("train", "toy-ring", "--out", parted, *options, "engine.devices=2", "training.samples=800")
    assert first.returncode == 0, first.stderr
    with Run(parted).locked():
        refused = cardigan("resume", parted, "training.samples=1600", timeout=60)
    assert refused.returncode == 2
    assert "is being trained by process" in refused.stderr
    assert "Traceback" not in refused.stderr
    second = cardigan("resume", parted, "training.samples=1600")
    assert second.returncode == 0, second.stderr
    train("toy-ring", options, out=tmp_path / "one")
    agree(tmp_path / "one", parted)


@pytest.mark.parametrize(
    "settings",
    [
        "game.objective=relativistic",
        pytest.param("game.objective=relativistic-average", marks=SLICE_ONLY),
        "game.penalties={gradient: {weight: 10}, r1: null, r2: null}",
        "game.penalties={r1: {weight: 1, interval: 2}, r2: null}",  # real and fake in one pass in every other turn
        pytest.param("game.penalties={dragan: {weight: 10}, r1: null, r2: null}", marks=SLICE_ONLY),
        "game.n_critic=2",
        "game.labels=auxiliary",
        "game.lecam={}",
        "game.instance_noise={samples: 400}",
        "game.pack=2",
        "game.networks.discriminator.deviation_group=4",
        pytest.param("game.feature_matching=1", marks=SLICE_ONLY),
        pytest.param("game.top_k={samples: 1}", marks=SLICE_ONLY),
    ],
)
def test_accumulated_slices_equal_the_whole_batch(settings: str) -> None:
    def loop(accumulate: int) -> Loop:
        recipe = load_recipe("toy-ring", [*EXACT, settings, f"training.accumulate={accumulate}"])
        choice = EngineChoice(precision="fp64", threads=1)
        return Loop(recipe, recipe.data.load("train", 0), choice, Fabric(accelerator="cpu", devices=1))

    whole, sliced = loop(1), loop(4)
    for _ in range(20):
        whole.round()
        sliced.round()
    for mine, theirs in zip(whole.game.players.values(), sliced.game.players.values(), strict=True):
        for left, right in zip(mine.parameters(), theirs.parameters(), strict=True):
            torch.testing.assert_close(left, right, rtol=1e-9, atol=1e-11)


@pytest.mark.slow
def test_adaptive_augmentation_is_steered_by_the_whole_batch(tmp_path: Path) -> None:
    narrow = [f"game.networks.{player}width=8" for player in ("", "generator.", "discriminator.")]
    steered = "game.augmentation={adaptive: {target: 0.1, speed: 2000, probability: 0.3}}"
    exact = [each for each in EXACT if not each.startswith("game.networks")]
    options = [*exact, *narrow, "game.networks.generator.normalisation=batch", steered, "health.interval=null"]
    two = cardigan("train", "digits", "--out", tmp_path / "two", *options, "engine.devices=2")
    assert two.returncode == 0, two.stderr
    train("digits", options, out=tmp_path / "one")
    agree(tmp_path / "one", tmp_path / "two", 1e-7)
    name = "game/augmentation.probability"
    one, other = (tensors(tmp_path / each)[name] for each in ("one", "two"))
    assert one.equal(other) and one > 0.5  # it has moved


@pytest.mark.slow
def test_readings_of_health_and_records_are_those_of_the_whole_batch(tmp_path: Path) -> None:
    options = [*EXACT, "game.networks.generator.normalisation=batch", "health.interval=400", "records.scalars=400"]
    two = cardigan("train", "toy-ring", "--out", tmp_path / "two", *options, "engine.devices=2")
    assert two.returncode == 0, two.stderr
    train("toy-ring", options, out=tmp_path / "one")
    for name in ("health.jsonl", "scalars.jsonl"):
        one, other = (
            [json.loads(line) for line in (tmp_path / each / name).read_text("utf-8").splitlines()]
            for each in ("one", "two")
        )
        assert [each["samples"] for each in one] == [each["samples"] for each in other] != []
        for mine, theirs in zip(map(numbers, one), map(numbers, other), strict=True):
            assert mine == pytest.approx(theirs, rel=1e-4, abs=1e-5)


def numbers(row: dict[str, Any]) -> dict[str, float]:
    """What a row tells of the trajectory, not of the clock on the wall."""
    told = {**row, **row.get("signals", {})}
    timed = ("minutes", "data/waiting", "samples_per_second")
    return {name: value for name, value in told.items() if isinstance(value, int | float) and name not in timed}
