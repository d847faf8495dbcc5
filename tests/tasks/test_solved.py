"""Trivial tasks solved to a score."""

from pathlib import Path

import numpy as np
import pytest
import torch

import cardigan
from cardigan.data.toys import modes_reached
from cardigan.metrics.psnr import psnr

ENGINE = "engine={device: cpu, matmul: highest, threads: 1, memory_format: contiguous, precision: fp32}"


@pytest.mark.slow
def test_the_default_objective_finds_all_modes_of_the_ring(tmp_path: Path) -> None:
    run = cardigan.train("toy-ring", ["training.samples=400k", ENGINE], out=tmp_path / "ring")
    model = cardigan.load(run)
    codec = model.codec
    found = modes_reached(model.generate(4000, seed=1), codec.centres, codec.spread)  # type: ignore[attr-defined]
    assert found.reached == 8
    assert min(found.counts) > 50
    assert found.share > 0.2  # uniform noise: 0.01


@pytest.mark.slow
def test_the_digits_are_all_there(tmp_path: Path) -> None:
    from sklearn.linear_model import LogisticRegression

    run = cardigan.train("digits", ["training.samples=100k", ENGINE], out=tmp_path / "digits")
    real = run.recipe.data.load("train")
    known = real.take(torch.arange(len(real)))
    assert known.label is not None
    judge = LogisticRegression(max_iter=2000).fit(known.sample.flatten(1).numpy(), known.label.numpy())
    test = run.recipe.data.load("test")
    held_out = test.take(torch.arange(len(test)))
    assert held_out.label is not None
    assert judge.score(held_out.sample.flatten(1).numpy(), held_out.label.numpy()) > 0.9
    samples = cardigan.load(run).generate(1000, seed=1).flatten(1).numpy()
    shares = np.bincount(judge.predict(samples), minlength=10) / 1000
    assert shares.min() >= 0.03, shares
    assert judge.predict_proba(samples).max(1).mean() > 0.8


@pytest.mark.slow
def test_digits_are_enlarged_better_than_by_bicubic(tmp_path: Path) -> None:
    recipe = cardigan.load_recipe(
        "super-resolution-x2",
        [
            "data={source: digits, size: 16, crop: null, channels: 1}",
            "game={adversarial_weight: 0, generator: {width: 16, depth: 4}, terms: {perceptual: 0}}",
            "training={samples: 10k, batch: 16}",
            ENGINE,
        ],
    )
    run = cardigan.train(recipe, out=tmp_path / "run")
    test = run.recipe.data.load("test")
    batch = test.take(torch.arange(len(test)))
    assert batch.source is not None
    ways = {**test.baselines, "network": cardigan.load_translator(run).translate}
    reached = {name: float(psnr(way(batch.source), batch.sample).mean()) for name, way in ways.items()}
    assert reached["network"] > max(reached["bicubic"], reached["lanczos"]) + 3, reached
