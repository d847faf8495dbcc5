"""The duality gap of a game whose equilibrium is known: Gaussian data, a generator that is exactly them, no opinion."""

import json
from itertools import pairwise
from math import log
from pathlib import Path

import pytest
import torch

import cardigan
from cardigan import CardiganError
from cardigan.cli import main
from cardigan.equilibrium import Equilibrium, best_offset, measure, weigh
from cardigan.games.gan import GanGame
from cardigan.health.interventions import Intervention
from cardigan.recipe import Recipe, load_recipe
from cardigan.run import Run
from cardigan.training import checkpoint

SPREAD = 0.5
GAUSSIAN = [
    f"data={{modes: 1, spread: {SPREAD}, count: 20k}}",
    "game.networks={family: mlp, growth: 1, latent: {dimension: 2}, generator: {width: 4, depth: 1}, "
    "discriminator: {width: 32, depth: 2, dropout: 0}}",
    "training.batch=128",
]
"""One Gaussian about (1, 0), and networks that just hold it."""
TINY = [
    "engine={device: cpu, precision: fp32, memory_format: contiguous, matmul: highest, threads: 1}",
    "game.networks.width=8",
    "training.batch=64",
    "training.samples=1280",
    "data.count=2000",
    "records.grid=4",
]


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return load_recipe("toy-ring", GAUSSIAN)


def equal(recipe: Recipe, noise: float = 0.0) -> GanGame:
    """A generator that gives the data's distribution, its weights disturbed by `noise`, and a constant discriminator.

    One layer of LeakyReLU is linear in pairs: leaky(z) - leaky(-z) = 1.2 z.
    """
    game = recipe.game.build(recipe.data.load("train").form)
    assert isinstance(game, GanGame)
    both = torch.cat([torch.eye(2), -torch.eye(2)])
    first, second = (each for each in game.generator.modules() if isinstance(each, torch.nn.Linear))
    stream = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter, value in (
            (first.weight, both),
            (first.bias, torch.zeros(4)),
            (second.weight, SPREAD * both.T / 1.2),
            (second.bias, torch.tensor([1.0, 0.0])),
        ):
            parameter.copy_(value + noise * torch.randn(value.shape, generator=stream))
        for parameter in game.discriminator.parameters():
            parameter.zero_()
    return game


def weighed(recipe: Recipe, players: GanGame, steps: int = 60) -> Equilibrium:
    data = recipe.data
    return weigh(recipe, players, data.load("train"), data.load("validation"), steps=steps)


@pytest.fixture(scope="module")
def disturbed(recipe: Recipe) -> dict[float, Equilibrium]:
    return {noise: weighed(recipe, equal(recipe, noise)) for noise in (0.0, 0.1, 0.3, 1.0)}


def test_at_the_equilibrium_the_value_is_minus_log_4_and_the_gap_is_0(disturbed: dict[float, Equilibrium]) -> None:
    found = disturbed[0.0]
    for value in (found.value, found.minimax, found.maximin):
        assert value.value == pytest.approx(-log(4), abs=0.01)
    assert found.gap.low <= 0 <= found.gap.high and abs(found.gap.value) < 0.01
    assert "as at an equilibrium" in found.lines()[0]


def test_value_and_gap_grow_as_the_generator_is_disturbed(disturbed: dict[float, Equilibrium]) -> None:
    found = [disturbed[noise] for noise in (0.0, 0.1, 0.3, 1.0)]
    gaps, values = [each.gap for each in found], [each.minimax for each in found]
    for less, more in pairwise(gaps):
        assert more.value > less.value and more.low > less.low
    for less, more in pairwise(values):
        assert more.value > less.value
    assert gaps[-1].low > 0.2 and values[-1].value <= 0
    assert found[-1].found["discriminator"] != "own" and found[-1].found["generator"] == "own"
    assert "the discriminator could gain most" in found[-1].lines()[0]


def test_a_discriminator_that_can_be_fooled_opens_the_gap_below(recipe: Recipe) -> None:
    game = equal(recipe)
    layers = [each for each in game.discriminator.modules() if isinstance(each, torch.nn.Linear)]
    with torch.no_grad():  # it believes in samples to the right: logit 2 (x - 1)
        for layer in layers:
            layer.weight[0, 0] = 1.0
        layers[-1].weight[0, 0], layers[-1].bias[0] = 2.0, -2.0
    found = weighed(recipe, game)
    assert found.maximin.high < found.value.low and found.gap.low > 0.1
    assert found.found["generator"] != "own"


def test_a_constant_added_to_all_logits_means_nothing_to_a_relativistic_game(recipe: Recipe) -> None:
    assert recipe.game.objective == "relativistic"  # type: ignore[attr-defined]
    game = equal(recipe)
    with torch.no_grad():
        next(reversed(list(game.discriminator.parameters()))).fill_(7.0)
    found = weighed(recipe, game, steps=1)
    assert found.offset == pytest.approx(7, abs=1e-3) and found.value.value == pytest.approx(-log(4), abs=1e-3)
    plain = weighed(recipe.but("game.objective=nonsaturating"), game, steps=1)
    assert plain.offset == 0 and plain.value.value < -6


def test_the_best_offset_is_the_best() -> None:
    stream = torch.Generator().manual_seed(0)
    real, fake = (2 * torch.randn(200, generator=stream, dtype=torch.float64) + each for each in (4, 3))

    def value(offset: float) -> float:
        return float(torch.nn.functional.logsigmoid(real - offset).mean() + (-(fake - offset).exp().log1p()).mean())

    best = best_offset(real, fake)
    assert all(value(best) >= value(best + step) for step in (-1, -0.1, -1e-3, 1e-3, 0.1, 1))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return cardigan.train("toy-ring", TINY, out=tmp_path_factory.mktemp("runs") / "ring")


def cardigan_says(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as stopped:
        main([str(each) for each in arguments])
    assert isinstance(stopped.value.code, int)
    return stopped.value.code


def test_a_run_is_weighed_and_left_as_it_was(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.stat().st_mtime_ns for path in run.folder.rglob("*") if path.is_file()}
    assert cardigan_says("doctor", run.folder, "--equilibrium", "--steps", "3", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["samples"] == 1280 and found["steps"] == 3 and found["minimax"]["value"] >= found["maximin"]["value"]
    assert found["gap"]["low"] <= found["gap"]["value"] <= found["gap"]["high"]
    assert {path: path.stat().st_mtime_ns for path in run.folder.rglob("*") if path.is_file()} == before
    assert cardigan_says("doctor", run.folder, "--equilibrium", "--steps", "3") == 0
    assert capsys.readouterr().out.startswith(f"duality gap {found['gap']['value']:.3f}")  # equal seeds, equal bits


@pytest.mark.parametrize(
    "options",
    [
        ["game.labels=auxiliary"],
        ["game.pack=2", "game.networks.discriminator.deviation_group=4"],
        ["game.labels=projection", "game.objective=wasserstein", "game.clipping={limit: 0.1}"],
        ["game.objective=least-squares", "training={turns: simultaneous, extragradient: same}"],
    ],
    ids=str,
)
def test_extras_of_the_game_do_not_stand_in_the_way(options: list[str]) -> None:
    recipe = load_recipe("toy-ring", [*TINY, "game.networks.discriminator.dropout=0", *options])
    players = recipe.game.build(recipe.data.load("train").form)
    assert isinstance(players, GanGame)
    found = weighed(recipe, players, steps=2)
    assert found.minimax.value >= found.maximin.value and found.value.low < found.value.high


def test_players_are_built_as_the_guard_left_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An intervention took batch normalisation out of the discriminator, and penalties in."""
    sound = ["game.networks.discriminator.normalisation=none", "game.objective=relativistic"]
    base = ["data.size=8", "game.networks.discriminator.normalisation=batch", "game.objective=nonsaturating"]
    small = ["game.networks.generator.depth=1", "game.networks.discriminator.depth=2", "game.penalties={r1: null}"]
    run = cardigan.train("digits", [*TINY[:1], *TINY[2:4], *base, *small, *sound], out=tmp_path / "run")
    run.recipe_file.write_text(run.recipe.but(*base[1:]).yaml(), "utf-8")
    left = Run(run.folder)
    with pytest.raises(CardiganError, match="do not fit"):
        measure(left, steps=1)
    done = Intervention(0, "begun afresh", changes=tuple(sound), back_to=0)
    monkeypatch.setattr(checkpoint, "verify", lambda path: {"interventions": 1})
    run.guard_file.write_text(json.dumps(done.plain()) + "\n", "utf-8")
    assert measure(left, steps=1).clock == 1280


def test_what_cannot_be_weighed_is_one_line(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "recipe.yaml").write_text(load_recipe("denoising", data="digits").yaml(), "utf-8")
    assert cardigan_says("doctor", other, "--equilibrium") == 2
    assert "measured of the game 'gan' alone" in capsys.readouterr().err
    assert cardigan_says("doctor", run.folder, "--equilibrium", "--at", "5") == 2
    assert "has no checkpoint at 5" in capsys.readouterr().err
    (other / "recipe.yaml").write_text(run.recipe.but("data.count=1999").yaml(), "utf-8")
    for name in ("codec", "checkpoints", "environment.json"):
        (other / name).symlink_to(run.folder / name)
    with pytest.raises(cardigan.CardiganError, match="no longer the data"):
        measure(other)
