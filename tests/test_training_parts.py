"""The parts of training on their own: schedules, averages, optimizers, meters, turns, the engine's choice."""

import io
import json
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from rich.console import Console
from torch import nn

from cardigan import CardiganError, load_recipe
from cardigan.games.base import Turn
from cardigan.health.interventions import Intervention
from cardigan.machine import EXACT, fastest_exact_matmul
from cardigan.training.average import Average, AverageSettings
from cardigan.training.engine import EngineChoice, _first_choice, choose, start_fabric
from cardigan.training.loop import Meter, Motion
from cardigan.training.monitor import Monitor
from cardigan.training.optimizers import SGD, Adam, AdamW, RMSprop, Schedule
from cardigan.training.progress import Terminal
from cardigan.training.records import crossed, next_mark
from cardigan.training.settings import Engine


def test_a_schedule_warms_up_holds_and_decays() -> None:
    schedule = Schedule(warmup=100, decay_start=1000, decay_end=2000, final=0.2)
    assert schedule.factor(49) == pytest.approx(0.5)
    assert schedule.factor(500) == 1
    assert schedule.factor(1500) == pytest.approx(0.6)
    assert schedule.factor(5000) == pytest.approx(0.2)
    cosine = Schedule(decay_end=1000, shape="cosine")
    assert cosine.factor(500) == pytest.approx(0.5)
    assert cosine.factor(250) == pytest.approx(0.8535533906)


def test_the_inverse_square_root_decays_without_an_end() -> None:
    schedule = Schedule(warmup=100, decay_start=1000, shape="inverse-sqrt", final=0.05)
    assert [schedule.factor(clock) for clock in (49, 999, 1000, 4000)] == pytest.approx([0.5, 1, 1, 0.5])
    assert schedule.factor(100_000) == pytest.approx(0.1)
    assert schedule.factor(10**9) == 0.05


@pytest.mark.parametrize(
    ("field", "settings"),
    [("decay_start", {"decay_start": 0}), ("decay_end", {"decay_start": 10, "decay_end": 20})],
)
def test_the_inverse_square_root_has_a_start_and_no_end(field: str, settings: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=field):
        Schedule.model_validate({"shape": "inverse-sqrt", **settings})


def test_an_average_forgets_half_in_its_half_life() -> None:
    player = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(player.weight)
    average = Average({"generator": player}, AverageSettings(half_life=1000, ramp=0))
    nn.init.ones_(player.weight)
    for clock in range(100, 1100, 100):
        average.update(clock, 100)
    assert float(average.players["generator"].weight) == pytest.approx(0.5, abs=1e-6)


def test_without_a_half_life_the_average_is_the_player() -> None:
    player = nn.BatchNorm1d(2)
    average = Average({"generator": player}, AverageSettings(half_life=None))
    nn.init.constant_(player.weight, 3.0)
    player(torch.randn(8, 2))
    average.update(8, 8)
    assert average.players["generator"].weight.equal(player.weight)
    assert average.players["generator"].running_mean.equal(player.running_mean)
    assert not average.players["generator"].training


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        (Adam(betas=(0, 0.9)), torch.optim.Adam),
        (AdamW(weight_decay=0.1), torch.optim.AdamW),
        (SGD(momentum=0.9), torch.optim.SGD),
        (RMSprop(), torch.optim.RMSprop),
    ],
)
def test_optimizers_are_torchs(settings: Any, wanted: type) -> None:
    optimizer = settings.build([nn.Parameter(torch.ones(2))], 0.5, fused=True)
    assert type(optimizer) is wanted
    group = optimizer.param_groups[0]
    assert group["lr"] == 0.5 and group["weight_decay"] == settings.weight_decay
    if hasattr(settings, "betas"):
        assert group["betas"] == settings.betas and group["fused"]


def test_a_meter_gives_means_and_starts_afresh() -> None:
    meter = Meter()
    for value in (1.0, 2.0, 6.0):
        meter.add("a", torch.tensor(value))
    meter.add("b", torch.tensor(5.0))
    assert meter.read() == {"a": 3.0, "b": 5.0}
    assert meter.read() == {}


def test_turns_are_due_by_clock_and_interval() -> None:
    def path_loss(step: Any) -> dict[str, Any]:
        return {}

    turn = Turn(("generator",), path_loss, interval=3, start=100, end=200)
    assert turn.name == "path"
    assert [turn.due(clock, 3) for clock in (99, 100, 199, 200)] == [False, True, True, False]
    assert [turn.due(150, rounds) for rounds in range(4)] == [True, False, False, True]


def test_marks_and_crossings() -> None:
    assert [next_mark(clock, 100) for clock in (0, 99, 100, 150, 224, 225)] == [100, 100, 150, 225, 225, 338]
    assert crossed(90, 110, 100) and crossed(90, 100, 100)
    assert not crossed(100, 199, 100)


def test_the_matmul_backend_is_exact() -> None:
    backend = fastest_exact_matmul()
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(backend)
    left, right = torch.randn(300, 300), torch.randn(300, 300)
    error = ((left @ right).double() - left.double() @ right.double()).norm() / (left.double() @ right.double()).norm()
    torch.set_float32_matmul_precision(before)
    assert error < EXACT


def test_an_explicit_choice_is_not_probed() -> None:
    engine = Engine(
        device="cpu", precision="fp64", memory_format="contiguous", matmul="highest", threads=1, fused=False
    )

    def probe(choice: EngineChoice) -> Any:
        raise AssertionError("probed")

    choice = choose(engine, probe, start_fabric(engine))
    assert choice == EngineChoice("fp64", "contiguous", "highest", 1, False)
    assert EngineChoice(**json.loads(json.dumps(choice.plain()))) == choice


@pytest.mark.parametrize(("devices", "nodes", "threads"), [(1, 1, 16), (1, 2, 16), (4, 2, 4), (32, 1, 1)])
def test_threads_are_those_of_one_machine(
    devices: int, nodes: int, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cardigan.training.engine.usable_cores", lambda: 16)
    fabric, before = SimpleNamespace(device=torch.device("cpu"), world_size=devices * nodes), torch.get_num_threads()
    choice = _first_choice(Engine(devices=devices, nodes=nodes), fabric)  # type: ignore[arg-type]
    torch.set_num_threads(before)
    assert choice.threads == threads


@pytest.mark.parametrize(("scales", "seen"), [(True, {"generator"}), (False, {"generator", "discriminator"})])
def test_a_step_that_fp16_left_out_is_no_motion(scales: bool, seen: set[str]) -> None:
    one, overflow = torch.tensor(1.0), torch.tensor(float("inf"))
    motions = {"generator": Motion(one, one, one), "discriminator": Motion(overflow, one, one)}
    loop = SimpleNamespace(motions=motions, scales_losses=scales)
    found = Monitor._motions(SimpleNamespace(loop=loop))  # type: ignore[arg-type]
    assert {name.partition("/")[0] for name in found} == seen


def test_what_was_thrown_away_counts_for_the_budget() -> None:
    terminal = Terminal(Console(file=io.StringIO()))
    terminal._begin(load_recipe("digits", ["training.samples=300k"]), 100_000, thrown=50_000)
    assert terminal._share(100_000, 0.0) == pytest.approx(0.5)
    terminal.intervened(Intervention(130_000, "back to 100,000", back_to=100_000))
    terminal.since -= 10
    assert terminal._rate(100_000) == pytest.approx(3_000, rel=0.01)
    assert terminal._left(100_000, 0.0) == "0:40 left"


def test_the_faster_candidate_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cardigan.training.engine.bf16_pays", lambda: True)
    engine = Engine(device="cpu", precision="auto", memory_format="contiguous", matmul="highest", threads=1)

    def play(choice: EngineChoice) -> Any:
        size = 16 if choice.precision == "bf16" else 512
        return lambda: torch.randn(size, size) @ torch.randn(size, size)

    assert choose(engine, play, start_fabric(engine)).precision == "bf16"
    monkeypatch.setattr("cardigan.training.engine.bf16_pays", lambda: False)
    assert choose(engine, play, start_fabric(engine)).precision == "fp32"  # not even asked


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
@pytest.mark.parametrize("wrong", [{"device": "cuda"}, {"precision": "fp16"}])
def test_a_device_that_is_not_there_is_one_line(wrong: dict[str, Any]) -> None:
    with pytest.raises(CardiganError, match=f"engine.{next(iter(wrong))}"):
        start_fabric(Engine(**wrong))


def test_rates_by_player() -> None:
    recipe = load_recipe("digits", ["training.rates.discriminator=4e-4"])
    assert recipe.training.rates == {"discriminator": 4e-4}
