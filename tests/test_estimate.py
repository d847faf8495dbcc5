"""What training will take, told before it starts."""

from cardigan import load_recipe
from cardigan.sample import Form
from cardigan.training.estimate import count_parameters, estimate

SMALL = [
    "engine={device: cpu, precision: fp32, memory_format: contiguous, matmul: highest, threads: 1}",
    "game.networks.width=8",
    "training.batch=16",
    "records.checkpoint=1k",
]


def test_time_follows_the_budget() -> None:
    short, long = (
        estimate(load_recipe("pictures", [*SMALL, f"training.samples={samples}"]), Form((3, 16, 16)))
        for samples in ("1k", "64k")
    )
    assert 20 < long.seconds / short.seconds * short.rate / long.rate < 200
    assert short.rate > 1 and abs(short.seconds - 1000 / short.rate) < 1e-6
    assert long.disk > short.disk > 0 and short.memory > 2**26
    timed = estimate(load_recipe("pictures", [*SMALL, "training.minutes=2"]), Form((3, 16, 16)))
    assert timed.seconds == 120


def test_parameters_and_disk_are_those_of_the_run() -> None:
    recipe = load_recipe("mnist-conditional", [*SMALL, "training.samples=1k"])
    form = Form((1, 28, 28), 10)
    told = estimate(recipe, form)
    game = recipe.game.build(form)
    assert told.parameters == {name: count_parameters(player) for name, player in game.players.items()}
    every = sum(told.parameters.values())
    one = 4 * (3 * every + told.parameters["generator"])
    assert told.disk % one == 0 and told.engine.startswith("fp32")


def test_sentences_are_made_up_of_tokens() -> None:
    recipe = load_recipe("captions", [SMALL[0], "game.generator.width=8", "training.batch=16"])
    assert estimate(recipe, Form((6,), vocabulary=30)).rate > 1
