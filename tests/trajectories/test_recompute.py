"""Runs with engine.recompute: the trajectory of runs without it, to the bit, from one to the other and back."""

from pathlib import Path

import pytest
from runs import HALF, TINY, cardigan, loop_of, same_bits, state_of, tensors

from cardigan import CardiganError, load_recipe, resume, train
from cardigan.run import Run

LINES = str(Path(__file__).parents[1] / "properties" / "sentences.jsonl")
ASKED = "engine.recompute=true"
NOISE = [
    "data={kind: pictures, source: digits, size: 16, channels: 1}",
    "game.networks.width=8",
    "game.networks.discriminator.width=8",
    "training.batch=16",
]
PLAYERS = ["training.batch=16", "game.generator.width=8", "game.discriminator.width=8"]
DIGITS = ["data.source=digits", "data.size=16"]
SPOILED = [*DIGITS, *PLAYERS, "data.crop=null", "data.channels=3", "game.start=32", "game.discriminator.depth=2"]
DOMAINS = [*DIGITS, *PLAYERS, "data.inputs='3'", "data.outputs='7'", "training.batch=4", "game.generator.blocks=2"]
GAMES = {
    "cifar10-resnet": [*NOISE, "training.lookahead={}"],
    "mnist-dcgan": [
        *NOISE,
        "game.networks.discriminator={dropout: 0.3, normalisation: none, spectral: true}",
        "game.penalties={r1: {weight: 1, interval: 2}, gradient: {weight: 1, interval: 3}}",
        "game.augmentation.adaptive={speed: 300, interval: 3}",
        "game.feature_matching=1",
        "training.turns=simultaneous",
        "training.extragradient=same",
        "training.accumulate=2",
    ],
    "inpainting": [*SPOILED, "game.generator.dropout=0.3", "game.penalties.r1={weight: 1, interval: 2}"],
    "summer-to-winter": [*DOMAINS, "game.pool=5"],
    "summer-to-winter-cut": DOMAINS,
    "captions": [
        f"data={{source: '{LINES}', column: text}}",
        *PLAYERS,
        *("game.start=16", "game.warmup=16", "game.method=gumbel"),
        *("game.generator={family: transformer, depth: 2, dropout: 0.2}", "game.discriminator=text-transformer"),
    ],
}


@pytest.mark.parametrize(
    ("name", "precision"),
    [
        *((name, "fp32") for name in GAMES),
        *(
            (name, precision)
            for name in ("cifar10-resnet", "mnist-dcgan")
            for precision in sorted({HALF, "fp64"} - {"fp32"})
        ),
    ],
)
def test_rounds_have_the_same_bits(name: str, precision: str) -> None:
    plain = loop_of(load_recipe(name, GAMES[name]), precision)
    again = loop_of(load_recipe(name, [*GAMES[name], ASKED]), precision)
    before = state_of(plain)
    for _ in range(5):  # lazy penalties come due in the first and the last
        plain.round()
        again.round()
    assert same_bits(state_of(plain), state_of(again))
    assert not same_bits(before, state_of(plain))


SHORT = [*TINY, "data.size=16", "training.samples=1280", "scoring.interval=null"]


@pytest.mark.slow
def test_a_run_goes_on_with_it_and_without_it(tmp_path: Path) -> None:
    whole = train("mnist-dcgan", SHORT, data="digits", out=tmp_path / "whole")
    parted = train("mnist-dcgan", [*SHORT, ASKED, "training.samples=640"], data="digits", out=tmp_path / "parted")
    resume(parted, ["training.samples=960"])
    resume(parted, ["training.samples=1280", "engine.recompute=false"])
    assert same_bits(tensors(whole.folder), tensors(parted.folder))
    assert not load_recipe(parted.recipe_file).engine.recompute


@pytest.mark.slow
def test_two_processes_compute_again_alike(tmp_path: Path) -> None:
    """Batch normalisation asks the other process once more, in the backward pass."""
    options = [*SHORT, "engine.precision=fp64", "engine.devices=2", "training.samples=96"]
    for name, own in (("plain", []), ("again", [ASKED])):
        done = cardigan("train", "mnist-dcgan", "--data", "digits", "--out", tmp_path / name, *options, *own)
        assert done.returncode == 0, done.stderr
    assert same_bits(tensors(Run(tmp_path / "plain").folder), tensors(Run(tmp_path / "again").folder))


def test_a_game_without_blocks_is_refused() -> None:
    with pytest.raises(CardiganError, match=r"^engine\.recompute: no player .* allowed: false$"):
        loop_of(load_recipe("mnist-mlp", [*NOISE, ASKED]), "fp32")
