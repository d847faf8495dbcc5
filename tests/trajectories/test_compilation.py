"""Compiled networks play the game that the same networks play as written, gradients of gradients included."""

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from lightning_fabric import Fabric
from runs import state_of
from test_translation import small

from cardigan import CardiganError, Recipe, load_recipe, resume, train
from cardigan.networks import compilation
from cardigan.training.engine import EngineChoice, choose, start_fabric
from cardigan.training.loop import Loop
from cardigan.training.monitor import Monitor
from cardigan.training.settings import Engine

LOOPS = [
    ("mnist-mlp", ["game.n_critic=2", "game.networks.discriminator.dropout=0.3"]),
    ("mnist-mlp", ["game.penalties={gradient: {weight: 1}}", "game.networks.discriminator.dropout=0.3"]),
    ("mnist-dcgan", ["game.labels=auxiliary", "game.lecam={}", "game.consistency={fake: 10}"]),
    ("mnist-dcgan", ["game.penalties={r1: {weight: 1, interval: 2}}"]),
    ("mnist-wgan-gp", []),
    ("mnist-dragan", ["game.networks.generator.normalisation=batch"]),
    ("mnist-conditional", ["game.penalties={r1: {weight: 1}, gradient: {weight: 1, interval: 2}}"]),
    ("mnist-relativistic", ["game.penalties={r1: {weight: 1}, r2: {weight: 1, interval: 2}}"]),
    ("mnist-relativistic", ["game.augmentation={translation: 0.2, cutout: 0.3}"]),
    ("mnist-relativistic", ["game.pack=2", "training.accumulate=2", "game.instance_noise={samples: 200}"]),
    ("cifar10-resnet", ["game.networks.discriminator.spectral=true"]),
    ("cifar10-resnet", []),
]


class Counting:
    """A backend of torch.compile that traces and differentiates like the real one, and writes no kernels."""

    def __init__(self) -> None:
        self.graphs = 0

    def __call__(self, graph: Any, inputs: Any) -> Callable[..., Any]:
        self.graphs += 1
        made: Callable[..., Any] = torch._dynamo.lookup_backend("aot_eager")(graph, inputs)
        return made


@pytest.fixture(autouse=True)
def backend(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counting]:
    counting = Counting()
    monkeypatch.setattr(compilation, "BACKEND", counting)
    torch._dynamo.reset()
    yield counting
    torch._dynamo.reset()


def digits(name: str, *overrides: str) -> Recipe:
    return load_recipe(name).but(
        "training.batch=8",
        "game.networks.width=8",
        *overrides,
        data={"kind": "pictures", "source": "digits", "size": 16, "channels": 1},
    )


def loop_of(name: str, *overrides: str, compiled: bool) -> Loop:
    return loop(digits(name, *overrides), compiled)


def loop(recipe: Recipe, compiled: bool, precision: Literal["fp64", "bf16"] = "fp64") -> Loop:
    choice = EngineChoice(precision, threads=1, compile=compiled)
    return Loop(recipe, recipe.data.load("train", 0), choice, Fabric(accelerator="cpu", devices=1))


def assert_close(plain: Loop, compiled: Loop) -> None:
    for (key, expected), found in zip(state_of(plain).items(), state_of(compiled).values(), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-9, msg=lambda text, key=key: f"{key}: {text}")


@pytest.mark.parametrize(("name", "overrides"), LOOPS)
def test_compiled_players_end_where_others_do(name: str, overrides: list[str], backend: Counting) -> None:
    plain, compiled = (loop_of(name, *overrides, compiled=each) for each in (False, True))
    for _ in range(5):
        plain.round()
        compiled.round()
    assert backend.graphs
    assert_close(plain, compiled)


@pytest.mark.parametrize("name", ["summer-to-winter", "summer-to-winter-cut", "inpainting"])
def test_translators_too(name: str, backend: Counting) -> None:
    recipe = small(name).but("game.penalties={r1: {weight: 1}}")
    plain, compiled = (loop(recipe, each) for each in (False, True))
    for _ in range(3):
        plain.round()
        compiled.round()
    assert backend.graphs
    assert_close(plain, compiled)


def test_in_half_precision_penalties_are_about_the_same(backend: Counting) -> None:
    recipe = digits("mnist-relativistic", "game.penalties={r1: {weight: 1}, gradient: {weight: 1}}")
    losses = []
    for compiled in (False, True):
        played = loop(recipe, compiled, "bf16")
        played.round()
        losses.append(played.meter.read())
    assert backend.graphs
    assert losses[1] == pytest.approx(losses[0], rel=0.03, abs=0.01)


def test_many_loops_are_compiled_one_after_the_other(backend: Counting) -> None:
    for batch in range(4, 24, 2):
        graphs = backend.graphs
        loop_of("mnist-relativistic", f"training.batch={batch}", compiled=True).round()
        assert backend.graphs >= graphs + 3


def test_what_is_compiled_is_compiled_once(backend: Counting) -> None:
    loop = loop_of("mnist-relativistic", "game.penalties={r1: {weight: 1, interval: 2}}", compiled=True)
    for _ in range(4):  # R1 and R2, none, R1, none
        loop.round()
    graphs = backend.graphs
    for _ in range(6):
        loop.round()
    assert backend.graphs == graphs


def test_who_watches_and_who_is_shown_is_not_compiled(backend: Counting) -> None:
    loop = loop_of("mnist-relativistic", compiled=True)
    Monitor(loop).read(0.0)
    copied = copy.deepcopy(loop.game.players["generator"])
    for player in (loop.average.players["generator"], copied):
        player(torch.zeros(3, 64, dtype=torch.float64))
    assert backend.graphs == 0


def test_a_compiled_discriminator_cannot_be_differentiated_twice_by_autograd() -> None:
    """Why there is `judged` at all: should this fail one day, it can go."""
    discriminator = loop_of("mnist-relativistic", compiled=True).game.players["discriminator"]
    sample = torch.zeros(8, 1, 16, 16, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(discriminator(sample).total(), sample, create_graph=True)
    with pytest.raises(RuntimeError, match="double backward"):
        slope.square().sum().backward()


def _broken(graph: Any, inputs: Any) -> Any:
    raise OSError("no compiler is found")


def test_where_compilation_fails_it_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compilation, "BACKEND", _broken)
    engine = Engine(
        device="cpu", precision="fp32", memory_format="contiguous", matmul="highest", threads=1, compile=True
    )
    with pytest.raises(CardiganError, match=r"^engine\.compile: .*\(.*no compiler is found.*\); allowed here: auto"):
        choose(engine, lambda each: loop_of("mnist-mlp", compiled=each.compile).round, start_fabric(engine))


def test_a_probe_leaves_out_what_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cardigan.training.engine.compilation_may_pay", lambda *_: True)
    monkeypatch.setattr(compilation, "BACKEND", _broken)
    engine = Engine(device="cpu", precision="fp32", memory_format="contiguous", matmul="highest", threads=1)
    choice = choose(engine, lambda each: loop_of("mnist-mlp", compiled=each.compile).round, start_fabric(engine))
    assert not choice.compile


def test_a_probe_takes_what_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cardigan.training.engine.compilation_may_pay", lambda *_: True)
    engine = Engine(device="cpu", precision="fp32", memory_format="contiguous", matmul="highest", threads=1)

    def play(choice: EngineChoice) -> Callable[[], Any]:
        size = 16 if choice.compile else 512
        return lambda: torch.randn(size, size) @ torch.randn(size, size)

    choice = choose(engine, play, start_fabric(engine))
    assert choice.compile
    assert choice.describe().endswith(", compiled")


@pytest.mark.parametrize("other", ["recompute=true", "strategy=sharded"])
def test_what_does_not_go_with_it_is_refused(other: str) -> None:
    with pytest.raises(CardiganError, match=r"engine.*compile"):
        load_recipe("mnist-mlp", ["engine.compile=true", f"engine.{other}"])


def test_a_game_that_cannot_be_compiled_refuses_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cardigan.training.loop.compile_network", lambda player: False)
    with pytest.raises(CardiganError, match=r"^engine\.compile: no player"):
        loop_of("mnist-dcgan", compiled=True)


def test_spectral_weights_are_not_compiled() -> None:
    discriminator = loop_of("mnist-dcgan", "game.networks.discriminator.spectral=true", compiled=False).game.players[
        "discriminator"
    ]
    assert not compilation.compile_network(discriminator)


def test_a_compiled_run_does_not_go_on_with_what_compilation_forbids(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cardigan.training.engine.compilation_may_pay", lambda *_: True)
    monkeypatch.setattr("cardigan.training.engine._fastest", lambda choices, play: choices[-1])
    overrides = ["engine.device=cpu", "engine.precision=fp32", "engine.memory_format=contiguous", "engine.threads=1"]
    more = ["training.samples=64", "training.batch=16", "game.penalties={r1: null, r2: null}", "guard.enabled=false"]
    run = train("digits", [*overrides, *more], out=tmp_path / "run")
    assert run.environment["engine"]["compile"]
    with pytest.raises(CardiganError, match=r"^engine\.recompute: this run began with compiled networks"):
        resume(run, ["training.samples=128", "engine.recompute=true"])


@pytest.mark.slow
@pytest.mark.parametrize("penalty", ["", "game.networks.discriminator.normalisation=none"])
def test_real_kernels(penalty: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compilation, "BACKEND", "inductor")
    overrides = [penalty, "game.penalties={r1: {weight: 1, interval: 2}}"] if penalty else []
    plain, compiled = (loop_of("mnist-dcgan", *overrides, compiled=each) for each in (False, True))
    for _ in range(3):
        plain.round()
        compiled.round()
    assert_close(plain, compiled)
