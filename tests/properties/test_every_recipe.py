"""What every shipped recipe must hold, at tiny size: it trains, records, loads, generates."""

import json
import math
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

import cardigan
from cardigan import Recipe, load_recipe
from cardigan.health.history import read
from cardigan.players import load_players
from cardigan.recipes import shipped
from cardigan.run import Run
from cardigan.training.engine import EngineChoice, start_fabric
from cardigan.training.loop import Loop

EVERY = sorted(shipped())
WEIGHTS = ("reconstruction", "feature_matching", "perceptual", "gradient_difference", "total_variation")
"""Terms of the game `translation` that are weights."""
OF_NOISE = [name for name in EVERY if load_recipe(name).game.kind == "gan"]
WRITERS = [name for name in EVERY if load_recipe(name).game.writes]
TRANSLATORS = [name for name in EVERY if name not in (*OF_NOISE, *WRITERS)]
SENTENCES = str(Path(__file__).with_name("sentences.jsonl"))
DATA: dict[str, dict[str, Any]] = {
    "pictures": {"source": "digits", "size": 16, "channels": 1},
    "stacked": {"source": "digits", "size": 16},
    "toy": {"count": 500},
    "pairs": {"source": "digits", "size": 16, "channels": 3, "outputs": None, "crop": None},
    "domains": {"source": "digits", "inputs": "0", "outputs": "1", "size": 16, "channels": 3, "test": 0.3},
    "sentences": {
        "source": SENTENCES,
        "vocabulary": None,
        "unit": "line",
        "length": None,
        "test": 0.2,
        "validation": 0.2,
    },
    "oracle": {"words": 20, "length": 6, "count": 200},
}
"""What is always at hand, by kind of data."""


def tiny(name: str) -> Recipe:
    """The recipe, narrow and short, on data that is always at hand."""
    recipe = load_recipe(name)
    data = DATA[recipe.data.kind]
    if recipe.data.kind == "pairs" and not recipe.data.degradations:  # type: ignore[attr-defined]
        data = {**data, "inputs": None, "degradations": [{"kind": "edges"}]}
    if recipe.data.kind == "sentences":
        given: Any = recipe.data
        data = {**data, "column": "turns" if given.context else None if given.inputs else "text"}
        data |= {"inputs": "source", "outputs": "text"} if given.inputs else {}
    networks = "game.networks." if name in OF_NOISE else "game."
    patch = getattr(getattr(recipe.game, "discriminator", None), "family", "") == "patch"
    return recipe.but(
        "training.samples=96",
        "training.batch=8",
        "health={interval: 32, samples: 16}",
        *(["game.networks.width=8"] if name in OF_NOISE else []),
        *(["game.start=16"] if recipe.game.kind in ("translation", "sequence") else []),
        *(["game.warmup=8"] if recipe.game.kind == "sequence" else []),
        *(["game.discriminator.depth=2"] if patch else []),
        f"{networks}generator.width=8",
        f"{networks}discriminator.width=8",
        "records={scalars: 32, checkpoint: 48, first_grid: 32, grid: 4}",
        "engine={device: cpu, precision: fp32, memory_format: contiguous, matmul: highest, threads: 1}",
        data=data,
    )


every_run = pytest.mark.parametrize("run", EVERY, indirect=True)
every_generator = pytest.mark.parametrize("run", OF_NOISE, indirect=True)
every_translator = pytest.mark.parametrize("run", TRANSLATORS, indirect=True)
every_writer = pytest.mark.parametrize("run", WRITERS, indirect=True)
RUNS: dict[str, Run] = {}


@pytest.fixture
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    name = request.param
    if name not in RUNS:  # each recipe is trained once
        RUNS[name] = cardigan.train(tiny(name), out=tmp_path_factory.mktemp("runs") / name)
    return RUNS[name]


def loop_of(recipe: Recipe) -> Loop:
    choice = EngineChoice(threads=1)
    return Loop(recipe, recipe.data.load("train", 0), choice, start_fabric(recipe.engine))


@every_run
def test_the_folder_holds_what_is_documented(run: Run) -> None:
    names = {path.name for path in run.folder.iterdir()} - {".lock"}
    assert names == {
        "recipe.yaml", "environment.json", "scalars.jsonl", "health.jsonl", "events", "codec", "checkpoints", "samples",
        "curves.png",
    }  # fmt: skip
    assert not [path for path in run.folder.rglob("*") if path.suffix in (".pt", ".pth", ".pkl", ".pickle", ".tmp")]


@every_run
def test_scalars_name_every_loss_and_penalty(run: Run) -> None:
    rows = [json.loads(line) for line in run.scalars_file.read_text().splitlines()]
    assert all(math.isfinite(value) for row in rows for value in row.values())
    assert [row["samples"] for row in rows] == sorted({row["samples"] for row in rows})
    named = {name for row in rows for name in row}
    game: Any = run.recipe.game
    adversarial = getattr(game, "adversarial_weight", 1) > 0
    wanted = (
        {"discriminator/adversarial", "generator/adversarial"} if adversarial else {"reconstruction/reconstruction"}
    )
    penalties = getattr(game, "penalties", ())
    wanted |= {f"discriminator/{name}" for name, penalty in penalties if penalty is not None}
    if game.kind == "sequence":
        wanted |= {"likelihood/likelihood", "likelihood/nats"}
    if game.kind == "translation" and adversarial:
        wanted |= {f"generator/{name}" for name, weight in game.terms if weight and name in WEIGHTS}
    if game.kind == "gan" and game.labels == "auxiliary":
        wanted |= {"discriminator/auxiliary", "generator/auxiliary"}
    assert wanted <= named


@every_run
def test_every_game_is_watched(run: Run) -> None:
    """Readings with numbers that are finite; where a discriminator plays, what it says and what samples look like."""
    last = read(run.health_file)[-1].reading
    assert last.get("not_finite") == 0 and last.players("step")
    if getattr(run.recipe.game, "adversarial_weight", 1) > 0:
        assert last.players("accuracy") and "samples/coverage" in last.signals
    if run.name in (*TRANSLATORS, *WRITERS) and last.players("accuracy"):
        assert [name for name in last.signals if name.startswith("game/")]


@every_run
def test_events_hold_the_same_scalars(run: Run) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run.folder / "events")).Reload()
    last = run.scalars()[-1]
    for name in last.keys() - {"samples", "minutes"}:
        written = events.Scalars(name)[-1]
        assert written.step == last["samples"]
        assert written.value == pytest.approx(last[name], rel=1e-5)


@every_run
def test_grids_and_curves_are_pictures(run: Run) -> None:
    grids = sorted((run.folder / "samples").iterdir())
    assert int(grids[0].stem) == 0 and len(grids) >= 3
    for path in (*(each for each in grids if each.suffix != ".txt"), run.folder / "curves.png"):
        with Image.open(path) as picture:
            picture.load()
            assert min(picture.size) > 16


@every_generator
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


@every_generator
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


@every_generator
def test_an_interpolation_is_a_closed_way(run: Run) -> None:
    model = cardigan.load(run)
    way = model.interpolate(64, seed=1)
    steps = (way - way.roll(-1, 0)).flatten(1).norm(dim=1)
    assert steps.max() < 0.75 * (way[0] - way[32]).norm() + 1e-3


@every_translator
def test_a_run_translates_from_its_folder_alone(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **options: Any) -> None:
        raise AssertionError("the data was read")

    sources = run.recipe.data.load("test").draw(0, 3).source
    monkeypatch.setattr(type(run.recipe.data), "load", refuse)
    loaded = load_players(run)
    for player in loaded.game.translators().values():
        made = loaded.players[player](sources)
        assert made.shape == (3, *loaded.form.shape)
        assert torch.isfinite(made).all()
        torch.testing.assert_close(loaded.players[player](sources[:1])[0], made[0], atol=1e-4, rtol=1e-4)


@every_writer
def test_a_run_writes_from_its_folder_alone(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **options: Any) -> None:
        raise AssertionError("the data was read")

    monkeypatch.setattr(type(run.recipe.data), "load", refuse)
    writing = cardigan.load_writer(run)
    if writing.paired:
        one, other = writing.translate(["ein hund sitzt", "who runs at home?"])
        assert isinstance(one.text, str) and not one.cut and isinstance(other.text, str)
        assert writing.translate(["ein hund sitzt"])[0] == one
        return
    made = writing.generate(5, seed=3)
    assert len(made) == 5 and made[:3] == writing.generate(3, seed=3)
    assert made != writing.generate(5, seed=4)
    assert any(path.read_text("utf-8").strip() for path in run.sample_folder.iterdir())


@pytest.mark.parametrize("name", EVERY)
def test_a_turn_moves_its_own_players_only(name: str) -> None:
    loop = loop_of(tiny(name))
    for turn in loop.game.turns:
        steps = loop.draw()
        for earlier in loop.game.turns[: loop.game.turns.index(turn)]:  # what it made is there
            loop.take((earlier,), steps)
        before = {who: [each.clone() for each in loop.parameters[who]] for who in loop.parameters}
        loop.take((turn,), steps)
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
    repeats = getattr(recipe.game, "n_critic", 1)
    assert loop.clock == 2 * 8 * repeats
    due = [turn for turn in loop.game.turns if turn.due(0, 0)]
    assert loop.counts == {turn.name: 2 * turn.repeats for turn in due}
