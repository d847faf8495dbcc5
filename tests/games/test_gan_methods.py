"""Stabilising methods in the game `gan`: what they add to its losses, its state and its log; and what is refused."""

import math
from functools import cache
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor

from cardigan import CardiganError, load_recipe
from cardigan.data.base import Data, Dataset
from cardigan.games.gan import GanGame
from cardigan.training.checkpoint import load_checkpoint, save_checkpoint
from cardigan.training.engine import EngineChoice
from cardigan.training.loop import Loop

ADAPTIVE = "game.augmentation.adaptive={speed: 200, interval: 2}"
METHODS: dict[str, tuple[list[str], set[str]]] = {
    "adaptive": ([ADAPTIVE], {"discriminator/augmentation_probability"}),
    "fixed": (["game.augmentation.adaptive={probability: 0.5, target: null}"], set()),
    "lecam": (["game.lecam={}"], {"discriminator/lecam"}),
    "consistency": (
        ["game.consistency={fake: 10}"],
        {"discriminator/consistency_real", "discriminator/consistency_fake"},
    ),
    "noise": (["game.instance_noise={samples: 100}"], {"discriminator/instance_noise"}),
    "features": (["game.feature_matching=1"], {"generator/feature_matching"}),
    "top-k": (["game.top_k={samples: 100}"], set()),
    "pack": (["game.pack=2"], set()),
    "deviation": (["game.networks.discriminator.deviation_group=4"], set()),
    "turns": (["game.self_supervision={}"], {"discriminator/rotation", "generator/rotation"}),
}
"""Overrides, and what they add to the log."""
each_method = pytest.mark.parametrize("method", METHODS)
WHOLE_BATCH = ("features", "top-k")
"""What accumulated slices only come near to."""


@cache
def loaded(data: Data) -> Dataset:
    return data.load("train", 0)


def digits(*overrides: str) -> Loop:
    recipe = load_recipe("digits").but(
        "training.batch=16",
        "game.networks={family: dcgan, width: 4}",
        "game.networks.generator={normalisation: none}",
        "game.networks.discriminator={normalisation: none}",
        "game.penalties={r1: {weight: 1}, r2: {weight: 1, interval: 2}}",
        *overrides,
        data={"kind": "pictures", "source": "digits", "size": 16, "channels": 1},
    )
    choice = EngineChoice(precision="fp64", threads=1)
    return Loop(recipe, loaded(recipe.data), choice, Fabric(accelerator="cpu", devices=1))


def played(rounds: int, *overrides: str) -> Loop:
    loop = digits(*overrides)
    for _ in range(rounds):
        loop.round()
    return loop


@cache
def plainly_played() -> Loop:
    return played(4)


def weights(loop: Loop) -> list[Tensor]:
    return [each for player in loop.game.players.values() for each in player.parameters()]


def agree(one: Loop, other: Loop) -> bool:
    return all(
        torch.allclose(mine, theirs, rtol=1e-6, atol=1e-8)
        for mine, theirs in zip(weights(one), weights(other), strict=True)
    )


@each_method
def test_each_plays_is_logged_and_changes_the_game(method: str) -> None:
    overrides, named = METHODS[method]
    loop, plain = played(4, *overrides), plainly_played()
    means = loop.meter.read()
    assert named == means.keys() - plain.meter.sums.keys()
    assert all(math.isfinite(value) for value in means.values())
    sizes = [[each.shape for each in weights(each)] for each in (loop, plain)]
    assert sizes[0] != sizes[1] or not agree(loop, plain)


@each_method
def test_slices_of_a_batch_play_as_the_whole(method: str) -> None:
    overrides, _ = METHODS[method]
    whole, sliced = played(4, *overrides), played(4, *overrides, "training.accumulate=2")
    assert agree(whole, sliced) == (method not in WHOLE_BATCH)
    for name, value in whole.game.state_dict().items():
        torch.testing.assert_close(sliced.game.state_dict()[name], value)


def test_p_moves_as_the_discriminator_learns() -> None:
    """Every second turn by 2 * 16 / 200, up or down, and no further than from 0 to 0.8."""
    loop, found = digits(ADAPTIVE, "training.rates={generator: 1e-9}"), []
    for _ in range(12):
        loop.round()
        found.append(float(loop.game.state_dict()["augmentation.probability"]))
    moves = [after - before for before, after in zip([0.0, *found], found, strict=False)]
    assert all(move == 0 for move in moves[::2])
    assert max(found) > 0.1 and all(0 <= each <= 0.8 + 1e-6 for each in found)
    assert any(move == pytest.approx(0.16) for move in moves[1::2])


def test_a_second_look_at_a_batch_moves_nothing() -> None:
    adaptive = "game.augmentation.adaptive={interval: 100}"
    for look, turns in (("same", 3), ("new", 6)):
        loop = played(3, adaptive, f"training={{turns: simultaneous, extragradient: {look}}}")
        assert loop.game.state_dict()["augmentation.turns"] == turns


STATEFUL = [ADAPTIVE, "game.lecam={}"]


def test_options_may_join_and_leave_a_game_under_way(tmp_path: Any) -> None:
    both, none = played(3, *STATEFUL), played(3)
    state = both.game.state_dict()
    assert set(state) == {
        "augmentation.probability", "augmentation.seen", "augmentation.turns", "lecam.real", "lecam.fake",
    }  # fmt: skip
    assert none.game.state_dict() == {}
    saved = {name: save_checkpoint(loop, tmp_path / name) for name, loop in (("both", both), ("none", none))}
    leaving, joining = digits(), digits(*STATEFUL)
    load_checkpoint(leaving, saved["both"])
    load_checkpoint(joining, saved["none"])
    assert leaving.game.state_dict() == {}
    assert joining.game.state_dict() == digits(*STATEFUL).game.state_dict()
    other = digits("game.lecam={}", "game.instance_noise={}", "game.penalties.r1=null", "game.objective=hinge")
    load_checkpoint(other, saved["both"])
    assert other.game.state_dict() == {name: state[name] for name in ("lecam.real", "lecam.fake")}
    for loop in (leaving, joining, other):
        loop.round()


def test_a_game_that_was_under_way_forgets_what_it_is_not_given() -> None:
    loop = played(3, *STATEFUL)
    loop.game.load_state_dict({})
    assert loop.game.state_dict() == digits(*STATEFUL).game.state_dict()


def test_state_of_nobody_is_refused() -> None:
    game = digits().game
    with pytest.raises(ValueError, match="unknown"):
        game.load_state_dict({"unknown": 1})
    with pytest.raises(LookupError):
        digits(*STATEFUL).game.load_state_dict({"lecam.real": torch.zeros(())})


@pytest.mark.parametrize("method", ["adaptive", "pack", "turns", "noise"])
def test_a_match_may_be_asked_without_leaving_a_trace(method: str) -> None:
    loop = played(2, *METHODS[method][0])
    before = loop.game.state_dict()
    match = loop.game.matches(loop.draw()[0])["discriminator"]
    assert match.real.shape == match.fake.shape == (16, 1, 16, 16)
    pack = 2 if method == "pack" else 1
    with torch.no_grad():
        assert match.judge(match.real).logits[0].shape == (16 // pack,)
        assert match.judge(match.fake[:15]).logits[0].shape == (15 // pack,)
    assert loop.game.state_dict() == before
    assert isinstance(loop.game, GanGame) and not loop.game.memories.heard


def test_batches_that_cannot_be_packed_are_named() -> None:
    with pytest.raises(CardiganError, match=r"game\.pack: 16 samples.*packs of 3"):
        digits("game.pack=3").round()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["game.pack=2", "game.labels=projection"], r"pack: .*allowed with 'projection': 1"),
        (["game.self_supervision={}", "game.labels=auxiliary"], r"self_supervision: .*'auxiliary': null"),
        (["game.self_supervision={}", "game.pack=2"], r"self_supervision: .*pack 2: null"),
        (["game.lecam.half_life=0"], r"game\.lecam\.half_life"),
        (["game.lecam.weight=-1"], r"game\.lecam\.weight"),
        (["game.consistency.translation=1"], r"game\.consistency\.translation"),
        (["game.instance_noise.deviation=0"], r"game\.instance_noise\.deviation"),
        (["game.top_k.share=0"], r"game\.top_k\.share"),
        (["game.pack=0"], r"game\.pack"),
        (["game.feature_matching=-1"], r"game\.feature_matching"),
        (["game.self_supervision.generator=-1"], r"game\.self_supervision\.generator"),
        (["game.augmentation.adaptive.target=1"], r"game\.augmentation\.adaptive\.target"),
        (["game.augmentation.adaptive.probability=2"], r"game\.augmentation\.adaptive\.probability"),
        (["game.augmentation.adaptive={probability: 0.9}"], r"game\.augmentation\.adaptive: .*up to most, 0\.8"),
        (["game.networks.discriminator.deviation_group=1"], r"game\.networks\.discriminator\.deviation_group"),
    ],
)
def test_refusals_name_the_key(overrides: list[str], message: str) -> None:
    with pytest.raises(CardiganError, match=message) as error:
        load_recipe("digits", overrides)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ("game.augmentation.adaptive={}", r"game\.augmentation"),
        ("game.consistency={}", r"game\.consistency"),
        ("game.self_supervision={}", r"game\.self_supervision"),
    ],
)
def test_points_have_nothing_to_shift_or_turn(override: str, key: str) -> None:
    recipe = load_recipe("toy-ring", [override])
    with pytest.raises(CardiganError, match=f"{key}: .*allowed here: "):
        recipe.game.build(recipe.data.load("train", 0).form)


@pytest.mark.parametrize("labels", ["none", "projection", "auxiliary"])
def test_real_and_fake_judged_in_one_pass_are_judged_as_in_two(labels: str) -> None:
    def losses(one_pass: bool) -> list[Tensor]:
        loop = digits(
            "game.networks={family: mlp, width: 8, discriminator: {dropout: 0}}",
            "game.penalties={}",
            f"game.labels={labels}",
        )
        assert isinstance(loop.game, GanGame) and loop.game.discriminator.one_pass
        loop.game.discriminator.one_pass = one_pass
        (step,) = loop.draw()
        return list(loop.game.discriminator_loss(step).values())

    torch.testing.assert_close(losses(True), losses(False), rtol=1e-12, atol=1e-12)
