"""Scores while training: a run with them is the same run, the best checkpoint stays, a plateau ends it."""

from pathlib import Path

import pytest
import torch
from runs import TINY, same_bits, tensors

from cardigan import CardiganError, load_recipe, resume, train
from cardigan.data.base import silent
from cardigan.extractors import local
from cardigan.run import Run
from cardigan.training.engine import EngineChoice, start_fabric
from cardigan.training.loop import Loop
from cardigan.training.scoring import Scorer

TOY = [*TINY, "training.samples=3200", "records.checkpoint=320", "training.optimizer.rate=1e-3"]
SCORED = ["scoring.interval=640", "scoring.samples=200"]


@pytest.fixture(autouse=True)
def quick_guide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "MOST", 3_000)


def scores(run: Run) -> dict[int, float]:
    return {row["samples"]: row["score/fd"] for row in run.scalars() if "score/fd" in row}


@pytest.mark.parametrize("recipe", ["toy-ring", "digits"])
def test_a_run_with_scores_is_the_same_run(recipe: str, tmp_path: Path) -> None:
    plain = train(recipe, TOY, out=tmp_path / "plain")
    scored = train(recipe, [*TOY, *SCORED], out=tmp_path / "scored")
    assert same_bits(tensors(plain.folder), tensors(scored.folder))
    assert sorted(scores(scored)) == [640, 1280, 1920, 2560, 3200]


def test_the_best_checkpoint_is_kept_and_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = iter([5.0, 1.0, 4.0, 3.0, 2.0])
    monkeypatch.setattr(Scorer, "score", lambda self: next(values))
    run = train("toy-ring", [*TOY, *SCORED], out=tmp_path / "run")
    assert scores(run)[1280] == 1.0
    assert run.best() == 1280
    assert 1280 in run.clocks()
    assert 1600 not in run.clocks()  # beside it, thinned out as always


def test_a_plateau_ends_training_and_stays_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = iter([5.0, 1.0, 4.0, 3.0, 2.0])
    monkeypatch.setattr(Scorer, "score", lambda self: next(values))
    run = train("toy-ring", [*TOY, *SCORED, "scoring.patience=2"], out=tmp_path / "run")
    assert run.clocks()[-1] == 2560
    assert run.summary().state == "finished"
    again = resume(run)
    assert again.clocks()[-1] == 2560
    on = resume(run, ["scoring.patience=null"])
    assert on.clocks()[-1] == 3200


def test_scores_are_equal_after_a_resume(tmp_path: Path) -> None:
    whole = train("toy-ring", [*TOY, *SCORED], out=tmp_path / "whole")
    half = train("toy-ring", [*TOY, *SCORED, "training.samples=1600"], out=tmp_path / "half")
    resume(half, ["training.samples=3200"])
    assert scores(half) == scores(whole)


def test_scores_look_at_the_same_real_samples_whatever_seed_the_guard_gave(tmp_path: Path) -> None:
    recipe = load_recipe("digits", [*TOY, "scoring.interval=640", "scoring.samples=50", "data.validation=0.2"])
    dataset = recipe.data.load("train", recipe.training.seed)
    fabric = start_fabric(recipe.engine)
    real = [
        Scorer(Loop(recipe.but(f"training.seed={seed}"), dataset, EngineChoice(), fabric), 0, silent).real
        for seed in (0, 7)
    ]
    assert torch.equal(*real)


def test_without_a_validation_split_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(CardiganError, match=r"data\.validation"):
        train("digits", [*TOY, *SCORED, "data.validation=0"], out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_what_scores_are_may_not_change_on_the_way(tmp_path: Path) -> None:
    run = train("toy-ring", [*TOY, *SCORED, "training.samples=640"], out=tmp_path / "run")
    for override in ("scoring.metric=kd", "scoring.samples=500"):
        with pytest.raises(CardiganError, match="may not change on resume"):
            resume(run, [override, "training.samples=1280"])
