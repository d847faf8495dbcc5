"""Sharded training: the trajectory of whole weights, each process with its part; what cannot be is refused."""

import json
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import torch.distributed as dist
from runs import cardigan, tensors
from test_processes import agree, numbers
from test_translation import small

from cardigan import CardiganError, Recipe, load_recipe, resume, train
from cardigan.generate import load
from cardigan.run import Run
from cardigan.training import checkpoint, loop, sharding
from cardigan.training.engine import EngineChoice
from cardigan.training.loop import Loop
from cardigan.training.monitor import Monitor

SHARDED = ["engine.strategy=sharded", "engine.devices=2", "guard.enabled=false"]
FREE = "game.penalties={r1: null, r2: null}"
"""No penalty, and so no gradient that is differentiated."""
NARROW = [FREE, *(f"game.networks.{player}width=8" for player in ("", "generator.", "discriminator."))]
POINTS = ["game.networks.width=16", "game.objective=hinge", FREE]
METHODS = ["game.lecam={}", "game.feature_matching=1", "game.top_k={samples: 100}", "game.self_supervision={}"]
CASES: dict[str, tuple[str, list[str]]] = {
    "one after another": ("digits", [*NARROW, "game.networks.generator.normalisation=batch", "game.n_critic=2"]),
    "at once, in slices": (
        "toy-ring",
        [*POINTS, "training.turns=simultaneous", "training.accumulate=2", "training.optimizer=sgd"],
    ),
    "clipped": ("mnist-wgan", ["data.source=digits", "training.clip=0.1", "training.average.half_life=null"]),
    "spectral normalisation": ("cifar10-resnet", ["data.source=digits", "data.size=32", *NARROW]),
    "methods": ("digits", [*NARROW, *METHODS, "training.optimizer={kind: adamw, weight_decay: 0.01}"]),
    "computed again": (
        "cifar10-resnet",
        ["data.source=digits", "data.size=16", *NARROW, "engine.recompute=true"],
    ),
    "translation": ("inpainting", []),
    "cycle": ("summer-to-winter", []),
    "contrastive": ("summer-to-winter-cut", []),
}


def recipe_of(case: str, *more: str) -> Recipe:
    name, options = CASES[case]
    small_batch = ["training.batch=8", "health.samples=16", *more]
    return load_recipe(name, [*options, *small_batch]) if options else small(name).but(*small_batch)


def in_a_pair(rank: int, store: str) -> None:
    """One of two processes: plays every case sharded and whole, and compares what is left and read."""
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    torch.set_num_threads(1)
    fabric = SimpleNamespace(global_rank=rank, world_size=2, device=torch.device("cpu"), is_global_zero=rank == 0)
    loop.share_out = partial(sharding.share_out, least=500)  # type: ignore[attr-defined]
    for case in CASES:
        played = list[tuple[Loop, dict[str, float]]]()
        for strategy in ("replicated", "sharded"):
            recipe = recipe_of(case, f"engine.strategy={strategy}")
            choice = EngineChoice("fp64", "channels_last", threads=1)
            each = Loop(recipe, recipe.data.load("train", 0), choice, fabric)  # type: ignore[arg-type]
            monitor = Monitor(each)
            for _ in range(4):
                each.motions = {}
                each.round()
            played.append((each, monitor.read(0.1)))
        (replicated, expected), (sharded, found) = played
        assert found == pytest.approx(expected, rel=1e-6, abs=1e-9), case
        same_state(replicated, sharded, case, rank)
        holds_its_part(replicated, sharded, case)
    dist.barrier()
    dist.destroy_process_group()


def same_state(replicated: Loop, sharded: Loop, case: str, rank: int) -> None:
    """What checkpoints of both would hold is equal to rounding."""
    (expected, numbers_expected), (found, numbers_found) = map(checkpoint.capture, (replicated, sharded))
    if rank > 0:  # it took part, and keeps nothing
        return
    assert numbers_found["counts"] == numbers_expected["counts"] and found.keys() == expected.keys(), case
    for group, tensors_ in expected.items():
        assert found[group].keys() == tensors_.keys(), (case, group)
        for name, value in tensors_.items():
            torch.testing.assert_close(
                found[group][name], value, rtol=1e-8, atol=1e-10, msg=lambda text, at=(case, name): f"{at}: {text}"
            )


def holds_its_part(replicated: Loop, sharded: Loop, case: str) -> None:
    """This process has half of weights, moments and averages, and frees what it gathers."""
    for player in sharded.parameters:
        parts = [each.to_local() for each in sharded.parameters[player]]  # type: ignore[attr-defined]
        counts = [each.numel() for each in replicated.parameters[player]]
        first = [-(-len(each) // 2) * each[0].numel() for each in replicated.parameters[player]]
        share = first if sharded.fabric.global_rank == 0 else [a - b for a, b in zip(counts, first, strict=True)]
        assert [each.numel() for each in parts] == share, case
        for parameter, count in zip(sharded.parameters[player], share, strict=True):
            moments = [each for each in sharded.optimizers[player].state[parameter].values() if torch.is_tensor(each)]
            assert all(each.to_local().numel() == count for each in moments if each.dim()), case
        assert all(leaf.untyped_storage().size() == 0 and leaf.grad is None for leaf in sharded.leaves[player]), case
    for player, average in sharded.average.players.items():
        mine, theirs = average.parameters(), sharded.game.players[player].parameters()
        for one, other in zip(mine, theirs, strict=True):
            assert one.to_local().shape == other.to_local().shape, case


@pytest.mark.slow
def test_sharded_loops_follow_the_trajectory_of_whole_ones_and_hold_their_parts(tmp_path: Path) -> None:
    torch.multiprocessing.spawn(in_a_pair, (str(tmp_path / "store"),), nprocs=2)


RUN = [
    "engine.device=cpu",
    "engine.precision=fp64",
    "engine.matmul=highest",
    "engine.threads=1",
    *POINTS,
    "game.networks.generator.normalisation=batch",
    "training.batch=32",
    "training.clip=1",
    "records.scalars=320",
    "records.grid=4",
    "records.first_grid=320",
    "health.interval=320",
    "guard.enabled=false",
    "scoring={interval: 640, samples: 50}",
]


@pytest.mark.slow
def test_a_sharded_run_resumes_sharded_and_then_whole_and_is_that_of_one_process(tmp_path: Path) -> None:
    one, parted = tmp_path / "one", tmp_path / "parted"
    for arguments in (
        ("train", "toy-ring", "--out", parted, *RUN, *SHARDED, "training.samples=640"),
        ("resume", parted, "training.samples=1280"),  # 40 steps until here
    ):
        done = cardigan(*arguments)
        assert done.returncode == 0, done.stderr
        assert "Warning" not in done.stderr
    assert load(parted).generate(3).isfinite().all()
    resume(parted, ["engine.strategy=replicated", "engine.devices=1", "training.samples=1600"])
    train("toy-ring", [*RUN, "training.samples=1600"], out=one)
    agree(one, parted)
    for name in ("health.jsonl", "scalars.jsonl"):
        mine, theirs = (
            [json.loads(line) for line in (folder / name).read_text("utf-8").splitlines()] for folder in (one, parted)
        )
        theirs = [row for row in theirs if row["samples"] in {each["samples"] for each in mine}]
        for left, right in zip(map(numbers, mine), map(numbers, theirs), strict=True):
            same = {key: value for key, value in left.items() if key != "progress"}  # of a budget that was another
            assert same == pytest.approx({key: right[key] for key in same}, rel=1e-4, abs=1e-5)
    grids = [{path.name for path in (folder / "samples").iterdir()} for folder in (one, parted)]
    assert grids[0] <= grids[1]
    assert all(value.isfinite().all() for value in tensors(parted, 1280).values())
    assert Run(parted).best() == Run(one).best()


REFUSED = [
    (["engine.devices=1"], ["engine.strategy: sharded needs several processes", "allowed with one: replicated"]),
    (["game.penalties.r1.weight=1"], ["game.penalties.r1: differentiates a gradient", "allowed", "null"]),
    (["game.penalties={dragan: {}}"], ["game.penalties.dragan: differentiates a gradient"]),
    (["training.turns=simultaneous", "training.extragradient=new"], ["training.extragradient", "null"]),
    (["training.lookahead={}"], ["training.lookahead", "null"]),
    (["training.optimizer=optimistic-sgd"], ["training.optimizer: optimistic-sgd", "allowed", "adamw, rmsprop"]),
    (["engine.precision=fp16"], ["engine.precision: fp16", "allowed", "bf16"]),
    (["guard.enabled=true"], ["guard.enabled", "false"]),
]


@pytest.mark.parametrize(("settings", "needles"), REFUSED)
def test_what_cannot_be_sharded_is_refused_before_anything_begins(
    settings: list[str], needles: list[str], tmp_path: Path
) -> None:
    with pytest.raises(CardiganError) as error:
        train("toy-ring", [FREE, *SHARDED, *settings], out=tmp_path / "run")
    text = str(error.value)
    assert "\n" not in text and all(needle in text for needle in needles), text
    assert not (tmp_path / "run").exists() and not dist.is_initialized()


def test_sentences_are_refused() -> None:
    with pytest.raises(CardiganError, match=r"game.kind: sequence .* allowed with engine.strategy=sharded: games of"):
        sharding.refuse_unshardable(load_recipe("oracle", SHARDED))


def test_refusals_end_the_program_with_one_line_and_code_2(tmp_path: Path) -> None:
    done = cardigan("train", "digits", "--out", tmp_path / "run", *SHARDED)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert done.stderr.startswith("error: game.penalties.r1: differentiates a gradient")
    assert done.stderr.count("\n") == 1 and not (tmp_path / "run").exists()


def test_a_game_that_does_not_say_that_it_differentiates_twice_is_stopped() -> None:
    value = torch.ones(2, requires_grad=True)
    with sharding.OnceOnly():
        torch.autograd.grad(value.square().sum(), value)
        with pytest.raises(CardiganError, match="differentiates a gradient"):
            torch.autograd.grad(value.square().sum(), value, create_graph=True)


def test_large_layers_are_gathered_by_themselves_inner_ones_first() -> None:
    inner = torch.nn.Sequential(torch.nn.Linear(30, 30), torch.nn.Linear(2, 2))
    player = torch.nn.Sequential(torch.nn.utils.parametrizations.spectral_norm(torch.nn.Linear(30, 30)), inner)
    assert sharding.units(player, 900) == [inner[0], inner, player[0], player]
    assert sharding.units(player, 10_000) == [player]
