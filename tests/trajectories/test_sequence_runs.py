"""Sentences' trajectories: resumed bit for bit through all stages with the anchor; slices; one process against two."""

from pathlib import Path

import pytest
import torch
from runs import cardigan, loop_of, same_bits, state_of, tensors

from cardigan import Recipe, load_recipe, train
from cardigan.run import Run
from cardigan.training import checkpoint

LINES = str(Path(__file__).parents[1] / "properties" / "sentences.jsonl")
ALONE = ["captions", f"data={{source: '{LINES}', column: text}}"]
PAIRED = ["translate-de-en", f"data={{source: '{LINES}', inputs: source, outputs: text, vocabulary: null}}"]
SMALL = [
    *("game.generator.width=8", "game.discriminator.width=8", "training.batch=16"),
    *("game.start=32", "game.warmup=16", "game.anchor=0.5", "game.replay=0.5", "training.clip=1"),
]
GAMES = {
    "policy": [*ALONE, "game.generator.dropout=0.3", "training.accumulate=2"],
    "roll-outs": [*ALONE, "game.method.roll_outs=1", "game.discriminator=text-convolution"],
    "gumbel": [*ALONE, "game.method=gumbel", "game.generator=transformer", "game.generator.depth=1"],
    "translation": [*PAIRED, "game.method.reward=logit"],
}


def small(name: str, *overrides: str) -> Recipe:
    recipe, *own = GAMES[name]
    return load_recipe(recipe, [*own, *SMALL, *overrides])


@pytest.mark.parametrize("name", GAMES)
def test_a_loop_continues_from_its_checkpoint_bit_for_bit(name: str, tmp_path: Path) -> None:
    straight = loop_of(small(name), "fp32")
    for _ in range(5):  # the generator plays from the fourth, and has its anchor then
        straight.round()
    saved = checkpoint.save_checkpoint(straight, tmp_path)
    for _ in range(4):
        straight.round()
    resumed = loop_of(small(name), "fp32")
    checkpoint.load_checkpoint(resumed, saved)
    for _ in range(4):
        resumed.round()
    assert (resumed.clock, resumed.counts) == (straight.clock, straight.counts)
    assert same_bits(state_of(resumed), state_of(straight))
    assert any(name.startswith("game/anchor.") for name in state_of(resumed))


@pytest.mark.parametrize("name", ["policy", "translation"])
def test_accumulated_slices_equal_the_whole_batch(name: str) -> None:
    whole = loop_of(small(name, "game.generator.dropout=0", "training.accumulate=1"), "fp64")
    sliced = loop_of(small(name, "game.generator.dropout=0", "training.accumulate=4"), "fp64")
    for _ in range(6):
        whole.round()
        sliced.round()
    for mine, theirs in zip(whole.game.players.values(), sliced.game.players.values(), strict=True):
        for left, right in zip(mine.parameters(), theirs.parameters(), strict=True):
            torch.testing.assert_close(left, right, rtol=1e-8, atol=1e-10)


@pytest.mark.slow
def test_one_process_and_two_agree(tmp_path: Path) -> None:
    recipe, *own = GAMES["policy"]
    options = [
        *(each for each in own if "accumulate" not in each),
        *SMALL,
        *("engine.device=cpu", "engine.precision=fp64", "engine.matmul=highest", "engine.threads=1"),
        "training.samples=800",
    ]
    two = cardigan("train", recipe, "--out", tmp_path / "two", *options, "engine.devices=2")
    assert two.returncode == 0, two.stderr
    train(recipe, options, out=tmp_path / "one")
    one, other = tensors(tmp_path / "one"), tensors(tmp_path / "two")
    assert one.keys() == other.keys() and Run(tmp_path / "two").clocks()[-1] == 800
    for key in one:
        if key.startswith(("players/", "average/", "optimizers/", "game/")):
            torch.testing.assert_close(one[key], other[key], rtol=1e-8, atol=1e-10)
