"""Translation's trajectories: resumed bit for bit with pools, stages and guide; one process against two; slices."""

from pathlib import Path

import pytest
import torch
from runs import HALF, cardigan, loop_of, same_bits, state_of, tensors

from cardigan import CardiganError, Recipe, load_recipe, train
from cardigan.run import Run
from cardigan.training import checkpoint

PAIRS = ["data.source=digits", "data.size=16", "data.crop=null", "data.channels=3", "game.start=48"]
DOMAINS = ["data.source=digits", "data.inputs='3'", "data.outputs='7'", "data.size=16", "game.pool=5"]
SHALLOW = "game.discriminator.depth=2"
NARROW = ["training.batch=16", "game.generator.width=8", "game.discriminator.width=8"]
GAMES = {
    "super-resolution-x4": [*PAIRS, "training.accumulate=2"],
    "inpainting": [*PAIRS, SHALLOW, "game.generator.dropout=0.3", "game.penalties.r1={weight: 1, interval: 2}"],
    "colourisation": [*PAIRS, SHALLOW],
    "summer-to-winter": DOMAINS,
    "summer-to-winter-cut": DOMAINS[:-1],
}


def small(name: str) -> Recipe:
    return load_recipe(name, [*GAMES[name], *NARROW])


@pytest.mark.parametrize("name", GAMES)
def test_a_loop_continues_from_its_checkpoint_bit_for_bit(name: str, tmp_path: Path) -> None:
    straight = loop_of(small(name), HALF)
    for _ in range(5):  # the discriminator joins in the fourth
        straight.round()
    saved = checkpoint.save_checkpoint(straight, tmp_path)
    for _ in range(6):
        straight.round()
    resumed = loop_of(small(name), HALF)
    checkpoint.load_checkpoint(resumed, saved)
    for _ in range(6):
        resumed.round()
    assert (resumed.clock, resumed.counts) == (straight.clock, straight.counts)
    assert same_bits(state_of(resumed), state_of(straight))


def test_a_checkpoint_with_another_guide_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loop = loop_of(small("super-resolution-x4"), "fp32")
    saved = checkpoint.save_checkpoint(loop, tmp_path)
    other = loop_of(small("super-resolution-x4"), "fp32")
    monkeypatch.setattr(other.game.eye, "digest", "another")  # type: ignore[attr-defined]
    with pytest.raises(CardiganError, match="guide of the perceptual term is not the one"):
        checkpoint.load_checkpoint(other, saved)


@pytest.mark.parametrize("name", ["colourisation", "inpainting"])
def test_accumulated_slices_equal_the_whole_batch(name: str) -> None:
    recipe = small(name).but("game.generator.dropout=0")
    whole, sliced = loop_of(recipe, "fp64"), loop_of(recipe.but("training.accumulate=4"), "fp64")
    for _ in range(6):
        whole.round()
        sliced.round()
    for mine, theirs in zip(whole.game.players.values(), sliced.game.players.values(), strict=True):
        for left, right in zip(mine.parameters(), theirs.parameters(), strict=True):
            torch.testing.assert_close(left, right, rtol=1e-8, atol=1e-10)


@pytest.mark.slow
def test_one_process_and_two_agree(tmp_path: Path) -> None:
    options = [
        *(each for each in GAMES["inpainting"] if "penalties" not in each),
        *NARROW,
        *("engine.device=cpu", "engine.precision=fp64", "engine.matmul=highest", "engine.threads=1"),
        "training.samples=800",
    ]
    two = cardigan("train", "inpainting", "--out", tmp_path / "two", *options, "engine.devices=2")
    assert two.returncode == 0, two.stderr
    train("inpainting", options, out=tmp_path / "one")
    one, other = tensors(tmp_path / "one"), tensors(tmp_path / "two")
    assert one.keys() == other.keys() and Run(tmp_path / "two").clocks()[-1] == 800
    for key in one:
        if key.startswith(("players/", "average/", "optimizers/")):
            torch.testing.assert_close(one[key], other[key], rtol=1e-8, atol=1e-10)
