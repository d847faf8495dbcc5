"""An evaluation as it comes out of a real run: invented values, pictures made of the embedded digits."""

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cardigan.data.picture_codec import PictureCodec
from cardigan.evaluation.protocol import Protocol, Score
from cardigan.evaluation.report.words import summarise
from cardigan.evaluation.result import ClassShare, Curve, Evaluation, Exhibit, Subject
from cardigan.health.checkup import Checkup, check_up
from cardigan.health.diagnosis import Reading
from cardigan.health.interventions import Intervention

PROTOCOL = Protocol(
    metric="fd",
    version=1,
    extractor="local",
    extractor_hash="5d0c3f2ab14e9977",
    resizing="none: the network takes 28x28",
    reference="mnist",
    reference_hash="9b1f4be0c8f3a6d2",
    split="train",
    reference_count=50_000,
    generated_count=10_000,
    weights="average",
    truncation=1.0,
    subject="runs/mnist-mlp-0",
    checkpoint=1_203_200,
    seed=0,
    date="2026-11-21T12:40:07+00:00",
    libraries={"cardigan": "0.4.0", "torch": "2.13.0", "numpy": "2.3.1"},
    extractor_facts={"accuracy on the test split": 0.9912, "trained on": "mnist, train split"},
)
NUMBERS: tuple[tuple[Any, ...], ...] = (
    ("fd", "local-FD", 4.1234, 3.81, 4.43, 1.693, 1412.3, "lower", ""),
    ("fd", "FID", 11.62, 11.21, 12.07, 1.24, 391.4, "lower", ""),
    ("kd", "local-KD", 0.00311, 0.00262, 0.00359, 0.00012, 1.871, "lower", ""),
    ("is", "local-IS", 9.31, 9.24, 9.38, 9.82, 1.21, "higher", ""),
    (
        "precision",
        "precision",
        0.7721,
        0.761,
        0.783,
        0.812,
        0.0,
        "higher",
        "3 nearest neighbours, 10,000 samples each.",
    ),
    ("recall", "recall", 0.5219, 0.507, 0.536, 0.809, 0.0, "higher", ""),
    ("density", "density", 0.9312, 0.912, 0.95, 1.003, 0.0, "higher", ""),
    ("coverage", "coverage", 0.8744, 0.866, 0.882, 0.961, 0.0011, "higher", ""),
    ("class-coverage", "classes found", 10, 10, 10, 10, 1, "higher", ""),
    ("class-kl", "class KL", 0.0121, 0.0092, 0.0153, 0.0004, 2.303, "lower", ""),
    ("fd-worst-class", "local-FD, worst class (8)", 14.21, 12.3, 16.4, 4.92, 1633.0, "lower", "1,000 samples a class."),
    ("cas", "CAS", 0.9411, 0.936, 0.946, 0.987, 0.098, "higher", ""),
    ("swd", "SWD", 0.0412, 0.0388, 0.0437, 0.0091, 0.83, "lower", ""),
    ("spectrum", "spectrum", 0.241, None, None, 0.013, 4.12, "lower", "In decibels, averaged over frequencies."),
    ("duplicates", "duplicates", 0.0, 0.0, 0.0004, 0.0, 1.0, "lower", ""),
    ("support", "support size", 184_000, 121_000, 310_000, None, None, "higher", "Birthday paradox on 10,000 samples."),
    ("memorisation", "memorisation", 0.497, 0.481, 0.513, 0.5, None, "lower", ""),
    ("ppl", "PPL", 38.2, 35.1, 41.3, None, None, "lower", ""),
    ("sharpness-of-mine", "a metric of my own", 1.0, None, None, None, None, "neither", ""),
)
SHARES = (0.1021, 0.1187, 0.0962, 0.1004, 0.0979, 0.0911, 0.0781, 0.1102, 0.0941, 0.1112)
REAL = (0.0987, 0.1124, 0.0993, 0.1022, 0.0974, 0.0904, 0.0962, 0.1044, 0.0975, 0.0992)


def protocol(**changes: Any) -> Protocol:
    return replace(PROTOCOL, **changes)


def score(metric: str = "fd", name: str = "local-FD", value: float = 4.1234, **changes: Any) -> Score:
    """A score of 3.81 to 4.43 between 1.693 and 1412.3, lower is better, with `changes`; those of the protocol too."""
    numbers = {"low": 3.81, "high": 4.43, "floor": 1.693, "ceiling": 1412.3, "better": "lower", "note": ""}
    numbers |= {key: changes.pop(key) for key in list(changes) if key in numbers}
    return Score(name=name, value=value, protocol=protocol(metric=metric, **changes), **numbers)  # type: ignore[arg-type]


def scores(factor: float = 1.0, **changes: Any) -> tuple[Score, ...]:
    """All of `NUMBERS`; those that should be low, and their intervals, times `factor`."""
    made = []
    for metric, name, value, low, high, floor, ceiling, better, note in NUMBERS:
        if better == "lower" and low is not None:
            value, low, high = factor * value, factor * low, factor * high
        extractor = {"FID": "inception", "spectrum": "none", "SWD": "none"}.get(name, "local")
        count = 5_000 if metric == "support" else 10_000
        limits = {"low": low, "high": high, "floor": floor, "ceiling": ceiling, "better": better, "note": note}
        made.append(
            score(metric, name, value, **limits, **{"extractor": extractor, "generated_count": count} | changes)
        )
    return tuple(made)


def classes() -> tuple[ClassShare, ...]:
    half = [1.96 * math.sqrt(share * (1 - share) / 10_000) for share in SHARES]
    return tuple(
        ClassShare(str(at), share, share - half[at], share + half[at], REAL[at], 5.0 + at, 0.9 + at / 100)
        for at, share in enumerate(SHARES)
    )


@cache
def digits() -> tuple[Tensor, Tensor]:
    """(1797, 1, 28, 28) real digits in [-1, 1], and as many blurred and mixed ones that play the generated."""
    from sklearn.datasets import load_digits

    small = torch.from_numpy(load_digits().images.astype(np.float32))[:, None] / 8 - 1
    real = torch.nn.functional.interpolate(small, size=28, mode="bicubic").clamp(-1, 1)
    stream = torch.Generator().manual_seed(0)
    noise = 0.25 * torch.randn(real.shape, generator=stream)
    return real, (0.85 * real + 0.15 * real.roll(10, 0) + noise * (real > -0.9)).clamp(-1, 1)


def png(samples: Tensor) -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "grid.png"
        PictureCodec(channels=1, size=(28, 28)).render(samples, path)
        return path.read_bytes()


def exhibits() -> tuple[Exhibit, ...]:
    real, fake = digits()
    pairs = torch.cat([torch.cat([fake[at], real[at]], 1) for at in range(16)], 2)[None]
    return (
        Exhibit("Samples", "64 samples of the fixed latents, not selected.", png(fake[:64])),
        Exhibit("Best and worst", "The 32 most and the 32 least typical of 10,000 by realism.", png(fake[64:128])),
        Exhibit("Nearest neighbours", "Above generated samples, below each its nearest training sample.", png(pairs)),
    )


def curves(factor: float = 1.0) -> tuple[Curve, ...]:
    clock = tuple(round(2_000 * 1.5**step) for step in range(17))
    minutes = tuple(each / 120_000 for each in clock)
    settling = tuple(factor * (4 + 900 * math.exp(-step / 2.1)) for step in range(17))
    many = tuple(range(512, 1_200_000, 1_024))
    time = tuple(each / 120_000 for each in many)
    noise = np.random.default_rng(0).normal(0, 0.06, (2, len(many)))
    generator, discriminator = (tuple(map(float, 0.9 + noise[row] + 0.2 * row)) for row in (0, 1))
    return (
        Curve("generator/adversarial", many, time, generator),
        Curve("discriminator/adversarial", many, time, discriminator),
        Curve("discriminator/r1", many, time, tuple(value / 8 for value in generator)),
        Curve("score/local-FD", clock, minutes, settling),
        Curve("score/coverage", clock, minutes, tuple(0.9 - 0.9 * math.exp(-step / 5) for step in range(17))),
    )


def checkup(player: str = "discriminator") -> Checkup:
    """Two diagnoses, one of them twice, and something done about it."""
    well = {f"{player}/accuracy": 0.7, f"{player}/gap": 0.4, f"{player}/r1": 0.01, "data/spread": 1.5}
    well |= {"samples/diversity": 0.9, "samples/coverage": 0.9, f"{player}/gradient_norm": 0.5, f"{player}/step": 0.01}
    ill = well | {"samples/diversity": 0.1}
    stages = [well] * 4 + [ill] * 4 + [well | {f"{player}/step": 0.3}] * 3 + [ill] * 4
    readings = [Reading(100_000 * (at + 1), each) for at, each in enumerate(stages)]
    done = Intervention(700_000, "back to 400,000", "Mode collapse", ("game.penalties.r1.weight=3",), 400_000, "gone")
    return check_up(readings, [done])


def evaluation(name: str = "mnist-mlp-0", factor: float = 1.0, **changes: Any) -> Evaluation:
    found = scores(factor, **changes)
    remarks = (
        "PRDC: 10,000 of the 50,000 real samples were used, chosen by the seed.",
        "The extractor was trained on the training split; its accuracy on the test split is 99.1%.",
    )
    return Evaluation(
        Subject(name, "run", "mnist-mlp", 1_203_200, 10.02, "best"),
        found,
        classes(),
        summarise(found, classes()),
        remarks,
        exhibits(),
        curves(factor),
    )


def saved(factor: float = 1.0, **changes: Any) -> Mapping[str, Any]:
    """What evaluation.json holds."""
    return Evaluation(Subject("x", "run"), scores(factor, **changes)).plain()
