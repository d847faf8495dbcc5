"""`training.batch=auto` and what is told before training starts."""

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import cardigan
from cardigan.cli import app
from cardigan.errors import CardiganError
from cardigan.training import batch
from cardigan.training.engine import EngineChoice
from cardigan.training.settings import AUTO_BATCH

EXACT = "engine={device: cpu, precision: fp32, memory_format: contiguous, matmul: highest, threads: 1}"
AUTO = [EXACT, "training.batch=auto", "training.samples=2k", "game.networks.width=8"]


def test_auto_is_settled_and_stands_in_the_run(tmp_path: Path) -> None:
    run = cardigan.train("digits", AUTO, out=tmp_path / "run")
    found = run.recipe.training.batch
    assert found >= batch.SMALLEST and found & (found - 1) == 0
    assert f"batch: {found}" in run.recipe_file.read_text()
    assert run.environment["peak_memory"] > 2**26


def test_it_waits_as_auto_until_then() -> None:
    recipe = cardigan.load_recipe("digits", AUTO)
    assert recipe.training.batch == AUTO_BATCH and "batch: auto" in recipe.yaml()


def test_slices_share_it(tmp_path: Path) -> None:
    run = cardigan.train("digits", [*AUTO, "training.accumulate=3"], out=tmp_path / "run")
    assert run.recipe.training.batch % 3 == 0


@pytest.mark.parametrize("value", ["0", "many", "-1", "1.5"])
def test_other_values_are_refused(value: str) -> None:
    with pytest.raises(CardiganError, match=r"training\.batch"):
        cardigan.load_recipe("digits", [f"training.batch={value}"])


def test_what_does_not_fit_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "available_memory", lambda device: -1)
    with pytest.raises(CardiganError, match=r"training\.batch: auto finds no batch that fits"):
        cardigan.train("digits", AUTO, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_memory_bounds_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    rates = iter([(100.0, 10), (200.0, 20), (400.0, 40), (800.0, 80)])
    monkeypatch.setattr(batch, "_tried", lambda *arguments: next(rates))
    monkeypatch.setattr(batch, "available_memory", lambda device: 60)
    assert cardigan.train("digits", AUTO, out=tmp_path / "run").recipe.training.batch == 4 * batch.SMALLEST


def test_a_rehearsal_tells_and_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["train", "digits", "--dry-run", EXACT, "game.networks.width=8"])
    assert result.exit_code == 0, result.output
    assert "samples/s" in result.output and "memory about" in result.output and "generator" in result.output
    assert list(tmp_path.iterdir()) == []


def test_the_engine_s_choice_is_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARDIGAN_CACHE", str(tmp_path / "cache"))
    probes = list[str]()
    choose = batch.choose

    def counted(*arguments: Any) -> EngineChoice:
        probes.append("probe")
        return choose(*arguments)

    monkeypatch.setattr(batch, "choose", counted)
    options = ["engine.device=cpu", "engine.threads=1", "training.samples=1k", "game.networks.width=8"]
    first, second = (cardigan.train("digits", options, out=tmp_path / name) for name in ("one", "two"))
    assert first.environment["engine"] == second.environment["engine"] and len(probes) == 1
    cardigan.train("digits", [*options, "training.batch=32"], out=tmp_path / "three")
    assert len(probes) == 2
    (entry,) = list((tmp_path / "cache" / "engines").glob("*/choice.json"))[:1]
    for each in (tmp_path / "cache" / "engines").glob("*/choice.json"):
        each.write_text("nonsense")
    cardigan.train("digits", options, out=tmp_path / "four")
    assert len(probes) == 3 and entry.exists()


def test_a_cache_that_cannot_be_written_costs_a_probe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CARDIGAN_CACHE", str(tmp_path / "file"))
    options = ["engine.device=cpu", "engine.threads=1", "training.samples=1k", "game.networks.width=8"]
    assert cardigan.train("digits", options, out=tmp_path / "one").environment["engine"]["threads"] == 1
