"""What every shipped recipe must hold, at tiny size: it trains, records, loads, generates."""

import json
import math
import pickle
from typing import Any

import pytest
import torch
from PIL import Image

import cardigan
from cardigan import Recipe, load_recipe
from cardigan.games.base import Step
from cardigan.recipes import shipped
from cardigan.run import Run
from cardigan.training.engine import EngineChoice, start_fabric
from cardigan.training.loop import Loop

EVERY = sorted(shipped())


def tiny(name: str) -> Recipe:
    """The recipe, narrow and short, on data that is always at hand."""
    recipe = load_recipe(name)
    pictures = {"source": "digits", "size": 16, "channels": 1} if recipe.data.kind == "pictures" else {"count": 500}
    return recipe.but(
        "training.samples=96",
        "training.batch=8",
        "game.networks.width=8",
        "game.networks.generator.width=8",
        "game.networks.discriminator.width=8",
        "records={scalars: 32, checkpoint: 48, first_grid: 32, grid: 4}",
        "engine={device: cpu, precision: fp32, memory_format: contiguous, matmul: highest, threads: 1}",
        data=pictures,
    )


@pytest.fixture(scope="module", params=EVERY)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return cardigan.train(tiny(request.param), out=tmp_path_factory.mktemp("runs") / request.param)


def loop_of(recipe: Recipe) -> Loop:
    choice = EngineChoice(threads=1)
    return Loop(recipe, recipe.data.load("train", 0), choice, start_fabric(recipe.engine))


def test_the_folder_holds_what_is_documented(run: Run) -> None:
    names = {path.name for path in run.folder.iterdir()} - {".lock"}
    assert names == {
        "recipe.yaml", "environment.json", "scalars.jsonl", "events", "codec", "checkpoints", "samples", "curves.png",
    }  # fmt: skip
    assert not [path for path in run.folder.rglob("*") if path.suffix in (".pt", ".pth", ".pkl", ".pickle", ".tmp")]


def test_scalars_name_every_loss_and_penalty(run: Run) -> None:
    rows = [json.loads(line) for line in run.scalars_file.read_text().splitlines()]
    assert all(math.isfinite(value) for row in rows for value in row.values())
    assert [row["samples"] for row in rows] == sorted({row["samples"] for row in rows})
    named = {name for row in rows for name in row}
    game: Any = run.recipe.game
    wanted = {"discriminator/adversarial", "generator/adversarial"}
    wanted |= {f"discriminator/{name}" for name, penalty in game.penalties if penalty is not None}
    if game.labels == "auxiliary":
        wanted |= {"discriminator/auxiliary", "generator/auxiliary"}
    assert wanted <= named


def test_events_hold_the_same_scalars(run: Run) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run.folder / "events")).Reload()
    last = [row for row in run.scalars() if "generator/adversarial" in row][-1]
    written = events.Scalars("generator/adversarial")[-1]
    assert written.step == last["samples"]
    assert written.value == pytest.approx(last["generator/adversarial"], rel=1e-5)


def test_grids_and_curves_are_pictures(run: Run) -> None:
    grids = sorted((run.folder / "samples").iterdir())
    assert int(grids[0].stem) == 0 and len(grids) >= 3
    for path in (*grids, run.folder / "curves.png"):
        with Image.open(path) as picture:
            picture.load()
            assert min(picture.size) > 16


def test_a_run_generates_from_its_folder_alone(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **options: Any) -> None:
        raise AssertionError("a pickle was loaded")

    for name in ("load", "loads", "Unpickler"):
        monkeypatch.setattr(pickle, name, refuse)
    monkeypatch.setattr(type(run.recipe.data), "load", refuse)
    model = cardigan.load(run)
    samples = model.generate(5, seed=3)
    assert samples.shape == (5, *model.form.shape) and samples.dtype == torch.float32
    assert torch.isfinite(samples).all()
    if len(model.form.shape) == 3:
        assert samples.abs().max() <= 1
    torch.testing.assert_close(model.generate(3, seed=3), samples[:3])
    assert not model.generate(5, seed=4).equal(samples)
    assert len(model.decode(samples)) == 5


def test_truncation_and_labels(run: Run) -> None:
    model = cardigan.load(run)
    label = 1 if model.conditional else None
    same = model.generate(3, label=label, truncation=0.0)
    torch.testing.assert_close(same[0], same[2])
    if model.conditional:
        assert not model.generate(3, label=1).equal(model.generate(3, label=2))
    else:
        with pytest.raises(cardigan.CardiganError, match="without labels"):
            model.generate(1, label=1)
    for wrong in ({"truncation": 1.5}, {"n": 0}):
        with pytest.raises(cardigan.CardiganError, match=next(iter(wrong))):
            model.generate(**wrong)  # type: ignore[arg-type]


def test_an_interpolation_is_a_closed_way(run: Run) -> None:
    model = cardigan.load(run)
    way = model.interpolate(64, seed=1)
    steps = (way - way.roll(-1, 0)).flatten(1).norm(dim=1)
    assert steps.max() < 0.75 * (way[0] - way[32]).norm() + 1e-3


@pytest.mark.parametrize("name", EVERY)
def test_a_turn_moves_its_own_players_only(name: str) -> None:
    loop = loop_of(tiny(name))
    steps: list[Step] = []
    for turn in loop.game.turns:
        before = {who: [each.clone() for each in loop.parameters[who]] for who in loop.parameters}
        steps = steps or loop.draw()
        loop.take(turn, steps)
        for who, weights in before.items():
            still = [mine.equal(theirs) for mine, theirs in zip(weights, loop.parameters[who], strict=True)]
            assert not all(still) if who in turn.players else all(still)
        assert all(each.grad is None for group in loop.parameters.values() for each in group)


@pytest.mark.parametrize("name", EVERY)
def test_the_clock_counts_every_draw(name: str) -> None:
    recipe = tiny(name)
    loop = loop_of(recipe)
    loop.round()
    loop.round()
    game: Any = recipe.game
    assert loop.clock == 2 * 8 * game.n_critic
    assert loop.counts == {"discriminator": 2 * game.n_critic, "generator": 2}
