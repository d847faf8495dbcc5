"""Ways of moving: resumed bit for bit, in slices, in two processes; which batch and which random numbers they see."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.precision import MixedPrecision, Precision
from runs import cardigan, loop_of, same_bits, state_of, tensors
from test_processes import EXACT
from test_resume import EVERYTHING, small_loop
from test_translation import small

from cardigan import CardiganError, load_recipe, train
from cardigan.games.base import Step, Turn
from cardigan.run import Run
from cardigan.training import checkpoint
from cardigan.training.checkpoint import DamagedCheckpointError
from cardigan.training.engine import EngineChoice
from cardigan.training.loop import Loop
from cardigan.training.moves import at_once, in_turn

AT_ONCE = "training.turns=simultaneous"
LOOKAHEAD = "training.lookahead={steps: 3, share: 0.4}"
AHEAD = [AT_ONCE, "training.extragradient=same"]
AHEAD_ANEW = [AT_ONCE, "training.extragradient=new"]
WAYS = {
    "simultaneous": [AT_ONCE],
    "extragradient": AHEAD,
    "extragradient, new batch": AHEAD_ANEW,
    "lookahead": [LOOKAHEAD],
    "optimistic Adam": ["training.optimizer={kind: optimistic-adam, weight_decay: 0.01}"],
    "optimistic SGD": [AT_ONCE, "training.optimizer=optimistic-sgd", "training.clip=0.5"],
    "all at once": [*AHEAD_ANEW, LOOKAHEAD, "training.optimizer={kind: adamw, weight_decay: 0.01}", "training.clip=1"],
}
every_way = pytest.mark.parametrize("way", WAYS)


def played(loop: Loop, rounds: int) -> Loop:
    for _ in range(rounds):
        loop.round()
    return loop


def resumes(make: Callable[[], Loop], folder: Path, before: int = 7, after: int = 6) -> None:
    straight = played(make(), before)
    saved = checkpoint.save_checkpoint(straight, folder)
    played(straight, after)
    resumed = make()
    checkpoint.load_checkpoint(resumed, saved)
    played(resumed, after)
    assert (resumed.clock, resumed.rounds, resumed.counts) == (straight.clock, straight.rounds, straight.counts)
    assert same_bits(state_of(resumed), state_of(straight))


@every_way
@pytest.mark.parametrize("name", ["mnist-mlp", "mnist-dcgan"])
def test_a_loop_continues_from_its_checkpoint_bit_for_bit(name: str, way: str, tmp_path: Path) -> None:
    more = EVERYTHING if name == "mnist-mlp" else ["training.accumulate=2"]
    resumes(lambda: small_loop(name, *more, *WAYS[way]), tmp_path)


@pytest.mark.parametrize(("name", "before"), [("summer-to-winter", 2), ("inpainting", 4)])
def test_games_with_pools_and_stages_may_look_ahead_at_once(name: str, before: int, tmp_path: Path) -> None:
    resumes(lambda: loop_of(small(name).but(*WAYS["all at once"]), "fp32"), tmp_path, before, after=2)


@every_way
def test_accumulated_slices_equal_the_whole_batch(way: str) -> None:
    fabric = Fabric(accelerator="cpu", devices=1)

    def loop(accumulate: int) -> Loop:
        recipe = load_recipe("toy-ring", [*EXACT, "game.n_critic=2", *WAYS[way], f"training.accumulate={accumulate}"])
        return Loop(recipe, recipe.data.load("train", 0), EngineChoice("fp64", threads=1), fabric)

    whole, sliced = played(loop(1), 6), played(loop(4), 6)
    assert whole.clock == sliced.clock
    for mine, theirs in zip(whole.game.players.values(), sliced.game.players.values(), strict=True):
        for left, right in zip(mine.parameters(), theirs.parameters(), strict=True):
            torch.testing.assert_close(left, right, rtol=1e-8, atol=1e-10)


@pytest.mark.slow
@pytest.mark.parametrize("way", ["all at once", "optimistic Adam"])
def test_one_process_and_two_agree(way: str, tmp_path: Path) -> None:
    options = [*EXACT, *WAYS[way], "training.samples=640"]
    done = cardigan("train", "toy-ring", "--out", tmp_path / "two", *options, "engine.devices=2")
    assert done.returncode == 0, done.stderr
    train("toy-ring", options, out=tmp_path / "one")
    one, two = tensors(tmp_path / "one"), tensors(tmp_path / "two")
    assert one.keys() == two.keys() and Run(tmp_path / "two").clocks()[-1] == 640
    for name in one:
        if name.startswith(("players/", "average/", "optimizers/", "slow/")):
            torch.testing.assert_close(one[name], two[name], rtol=1e-8, atol=1e-10)


def quiet_loss(step: Step) -> dict[str, Any]:
    return {}


def test_an_order_is_a_list_of_moves() -> None:
    critic, artist = Turn(("d",), quiet_loss, repeats=3), Turn(("g",), quiet_loss, repeats=2)
    assert [(each.turns, each.draws) for each in in_turn([critic, artist])] == [
        ((critic,), True), ((critic,), True), ((critic,), True), ((artist,), False), ((artist,), True),
    ]  # fmt: skip
    moves = at_once([critic, artist])
    assert [each.turns for each in moves] == [(critic,), (critic,), (artist,), (critic, artist)]
    assert all(each.draws for each in moves)
    assert in_turn([]) == at_once([]) == []


@pytest.mark.parametrize(("way", "samples"), [("simultaneous", 48), ("extragradient", 48), ("lookahead", 48),
                                              ("extragradient, new batch", 96)])  # fmt: skip
def test_the_clock_counts_what_is_drawn(way: str, samples: int) -> None:
    loop = played(small_loop("mnist-mlp", "game.n_critic=3", *WAYS[way]), 1)
    assert loop.clock == samples and loop.counts == {"discriminator": 3, "generator": 1}
    assert len(loop.meter.recent["discriminator/adversarial"]) == 3


@pytest.mark.parametrize("batch", ["same", "new"])
def test_the_second_look_sees_the_same_or_new_samples_and_numbers(batch: str, monkeypatch: pytest.MonkeyPatch) -> None:
    loop = small_loop("mnist-mlp", AT_ONCE, f"training.extragradient={batch}")
    seen = list[tuple[Any, ...]]()
    inner = loop.game.turns[0].loss

    def discriminator_loss(step: Step) -> Any:
        terms = inner(step)
        seen.append((step.batch.sample.float().sum().item(), step.made["fake"].float().sum().item(), step.count))
        return terms

    loop.game.turns = (Turn(("discriminator",), discriminator_loss), *loop.game.turns[1:])
    played(loop, 2)
    first, second, third, _ = seen
    assert first[2] == second[2] == 0 and third[2] == 1
    assert (first[0] == second[0]) == (batch == "same")
    assert first[1] != second[1]  # another generator


def test_simultaneous_fakes_are_judged_by_the_discriminator_that_the_round_found() -> None:
    alternating, at_once_ = (small_loop("mnist-mlp", *each) for each in ([], [AT_ONCE]))
    before = {name: each.clone() for name, each in alternating.game.players["generator"].named_parameters()}
    played(alternating, 1), played(at_once_, 1)
    mine, theirs = (loop.game.players for loop in (alternating, at_once_))
    assert all(a.equal(b) for a, b in zip(mine["discriminator"].parameters(), theirs["discriminator"].parameters(),
                                          strict=True))  # fmt: skip
    moved = dict(theirs["generator"].named_parameters())
    assert any(not each.equal(moved[name]) for name, each in mine["generator"].named_parameters())
    assert any(not each.equal(moved[name]) for name, each in before.items())


def test_weights_are_clipped_at_both_looks() -> None:
    loop = small_loop("mnist-wgan", *AHEAD, "game.clipping={limit: 0.003}", "training.rates={discriminator: 0.05}")
    largest = list[float]()
    judge = loop.game.discriminator  # type: ignore[attr-defined]
    judge.register_forward_pre_hook(
        lambda module, given: largest.append(max(float(each.detach().abs().max()) for each in module.parameters()))
    )
    played(loop, 2)
    assert max(largest[-6:]) <= 0.003 + 1e-8


def test_losses_scaled_for_half_precision_are_unscaled_by_their_own_factor() -> None:
    plain, scaled = (small_loop("mnist-mlp", AT_ONCE, "training.optimizer=sgd") for _ in range(2))

    doubling = torch.amp.GradScaler("cpu", init_scale=256.0, growth_interval=1)
    for loop, scaler in ((plain, None), (scaled, doubling)):
        loop.precision = _scaling(scaler)
        played(loop, 4)
    assert doubling.get_scale() == 256 * 2**8
    for mine, theirs in zip(plain.game.players.values(), scaled.game.players.values(), strict=True):
        for left, right in zip(mine.parameters(), theirs.parameters(), strict=True):
            torch.testing.assert_close(left, right, rtol=1e-5, atol=1e-7)


def _scaling(scaler: Any) -> Any:
    """Precision that scales losses and computes in single precision."""
    if scaler is None:
        return Precision()
    precision = MixedPrecision("16-mixed", "cpu", scaler)
    precision.forward_context = nullcontext  # type: ignore[method-assign]
    return precision


def test_slow_weights_that_are_missing_or_of_another_shape_are_one_line(tmp_path: Path) -> None:
    loop = played(small_loop("mnist-mlp", LOOKAHEAD), 4)
    group, state = checkpoint.capture(loop)
    for broken in ({name: value for name, value in group["slow"].items() if not name.endswith(".0")},
                   {name: value.new_zeros(1) for name, value in group["slow"].items()}):  # fmt: skip
        path = checkpoint.write_folder(tmp_path / "000000001", {**group, "slow": broken}, state)
        with pytest.raises(DamagedCheckpointError, match=r"slow weights|generator\.0"):
            checkpoint.load_checkpoint(small_loop("mnist-mlp", LOOKAHEAD), path)
    path = checkpoint.write_folder(tmp_path / "000000002", {k: v for k, v in group.items() if k != "slow"}, state)
    with pytest.raises(DamagedCheckpointError, match="slow"):
        checkpoint.load_checkpoint(small_loop("mnist-mlp", LOOKAHEAD), path)


@pytest.mark.parametrize(
    ("overrides", "needles"),
    [
        (["training.turns=simultanous"], ["training.turns", "'simultaneous'", "alternating"]),
        (["training.extragradient=same"], ["training", "extragradient", "allowed turns with it: simultaneous"]),
        ([AT_ONCE, "training.extragradient=true"], ["training.extragradient", "same, new"]),
        ([*AHEAD, "training.optimizer=optimistic-adam"], ["optimistic-adam", "adam, adamw, sgd, rmsprop"]),
        (["training.lookahead=5"], ["training.lookahead"]),
        (["training.lookahead.steps=0"], ["training.lookahead.steps", "greater than 0"]),
        (["training.lookahead.share=1"], ["training.lookahead.share", "less than 1"]),
        (["training.lookahead.alpha=0.5"], ["training.lookahead.alpha", "allowed: steps, share"]),
        (["training.optimizer=optimistic"], ["training.optimizer", "optimistic-adam"]),
        (["training.optimizer={kind: optimistic-sgd, momentum: 0.9}"], ["training.optimizer.momentum", "rate"]),
    ],
)
def test_settings_that_cannot_be_are_one_line(overrides: list[str], needles: list[str]) -> None:
    with pytest.raises(CardiganError) as error:
        load_recipe("mnist-dcgan", overrides)
    text = str(error.value)
    assert "\n" not in text and all(needle in text for needle in needles), text


def test_who_else_plays_with_a_batch() -> None:
    def judge_loss(step: Step) -> dict[str, torch.Tensor]:
        return {}

    two, one = Turn(("discriminator",), judge_loss, repeats=2), Turn(("generator",), judge_loss)
    assert [(each.draws, each.shared) for each in in_turn([two, one])] == [(True, False), (True, True), (False, False)]
    assert [(each.draws, each.shared) for each in in_turn([two])] == [(True, False), (True, False)]
    assert [(each.draws, each.shared) for each in at_once([two, one])] == [(True, False), (True, True)]
    assert [(each.draws, each.shared) for each in at_once([one])] == [(True, False)]


@pytest.mark.parametrize(("order", "looks"), [([], 1), ([AT_ONCE], 1), (AHEAD_ANEW, 2)])
def test_fakes_that_only_the_discriminator_sees_have_no_graph(order: list[str], looks: int) -> None:
    loop = loop_of(load_recipe("toy-ring", ["game.n_critic=3", *order]), "fp32")
    graphs, judge = list[bool](), loop.game.turns[0].loss

    def discriminator_loss(step: Step) -> Any:
        terms = judge(step)
        graphs.append(step.made["fake"].requires_grad)
        return terms

    loop.game.turns = (replace(loop.game.turns[0], loss=discriminator_loss), *loop.game.turns[1:])
    loop.round()
    assert graphs == 2 * looks * [False] + looks * [True]
