"""How fast the Fréchet distance of 50,000 x 2,048 features is, and in how much memory: figures of docs/evaluation.md.

    python benchmarks/frechet.py [FOLDER] [--rounds 3] [--samples 50000] [--features 2048]

Makes, in FOLDER (default: build/frechet-benchmark), two arrays of features with a spectrum that falls off as that of
pooled activations does; then measures, in rounds and each in a fresh process with two threads: ours; what pytorch-fid
does (numpy's mean and covariance, scipy's sqrtm); torchmetrics. From features to moments and from moments to the number
are timed apart. Rounds are kept in FOLDER: what was interrupted goes on where it was. About 10 minutes; writes
docs/results/frechet.json.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from statistics import median
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "docs" / "results" / "frechet.json"
THREADS = 2
CHUNK = 250
"""Features that an extractor gives at once."""

Features = NDArray[np.float32]
Clock = Callable[[], float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "build" / "frechet-benchmark")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--samples", type=int, default=50_000)
    parser.add_argument("--features", type=int, default=2048)
    parser.add_argument("--measure", choices=METHODS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    folder = options.folder.absolute() / f"{options.samples}x{options.features}"
    if options.measure:
        print(json.dumps(measured(options.measure, folder)))
        return
    make_features(folder, options.samples, options.features)
    found = {name: summary(all_rounds) for name, all_rounds in rounds(folder, options.rounds).items()}
    write(found, options)
    print(table(found))


def make_features(folder: Path, samples: int, features: int) -> None:
    """generated.npy and reference.npy, float32: rectified mixtures whose deviations fall by a factor of 1,000."""
    folder.mkdir(parents=True, exist_ok=True)
    random = torch.Generator().manual_seed(0)
    mixing = torch.randn(features, features, generator=random) * torch.logspace(0, -3, features)[:, None]
    for name, scale, shift in (("reference", 1.0, 0.5), ("generated", 1.05, 0.6)):
        path = folder / f"{name}.npy"
        values = torch.empty(0) if path.exists() else torch.randn(samples, features, generator=random) @ mixing
        if len(values):
            np.save(folder / "making.npy", (values.mul_(scale / 10).add_(shift)).relu_().numpy())
            (folder / "making.npy").rename(path)


def rounds(folder: Path, count: int) -> dict[str, list[dict[str, Any]]]:
    """Every method once a round, one after another, so that other work on the machine hits all of them alike."""
    kept = folder / "rounds.json"
    found = json.loads(kept.read_text()) if kept.exists() else {name: [] for name in METHODS}
    for number in range(1, count + 1):
        for name in METHODS:
            if len(found[name]) < number:
                print(f"round {number} of {count}: {name}", flush=True)
                found[name].append(in_a_process(name, folder))
                kept.write_text(json.dumps(found, indent=1))
    return found


def in_a_process(name: str, folder: Path) -> dict[str, Any]:
    command = [sys.executable, __file__, str(folder.parent), "--measure", name]
    samples, _, features = folder.name.partition("x")
    command += ["--samples", samples, "--features", features]
    threads = {f"{library}_NUM_THREADS": str(THREADS) for library in ("OMP", "MKL", "OPENBLAS")}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env={**os.environ, **threads})
    return json.loads(done.stdout.splitlines()[-1])


def measured(name: str, folder: Path) -> dict[str, Any]:
    """Seconds to the moments and from there to the number, the number, MiB beyond the features themselves."""
    torch.set_num_threads(THREADS)
    steps = METHODS[name](np.load(folder / "generated.npy"), np.load(folder / "reference.npy"))
    next(steps)  # imports, which are not counted
    before, start = resident(), time.perf_counter()
    next(steps)
    middle = time.perf_counter()
    value = next(steps)
    end = time.perf_counter()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "moments": round(middle - start, 3),
        "distance": round(end - middle, 3),
        "value": value,
        "MiB": round(peak - before),
        "load": round(os.getloadavg()[0], 1),
    }


def resident() -> float:
    """MiB that this process holds."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def ours(generated: Features, reference: Features, groups: int = 1) -> Iterator[float]:
    import scipy.linalg  # noqa: F401

    from cardigan.metrics.frechet import frechet_distance
    from cardigan.metrics.moments import Moments

    yield 0
    pair = []
    for features in (generated, reference):
        moments = Moments(features.shape[1], groups)
        for chunk in torch.from_numpy(features).split(CHUNK):
            moments.add(chunk)
        pair += [moments.mean, moments.covariance]
    yield 0
    yield frechet_distance(*pair)


def ours_with_groups(generated: Features, reference: Features) -> Iterator[float]:
    """With the groups of a jackknife, as `cardigan evaluate` has it."""
    return ours(generated, reference, groups=10)


def sqrtm(generated: Features, reference: Features) -> Iterator[float]:
    """`calculate_activation_statistics` and `calculate_frechet_distance` of pytorch-fid 0.3.0."""
    import scipy.linalg

    yield 0
    mean_1, covariance_1 = np.mean(generated, axis=0), np.cov(generated, rowvar=False)
    mean_2, covariance_2 = np.mean(reference, axis=0), np.cov(reference, rowvar=False)
    yield 0
    root = scipy.linalg.sqrtm(covariance_1.dot(covariance_2))
    difference = mean_1 - mean_2
    yield float(difference @ difference + np.trace(covariance_1) + np.trace(covariance_2) - 2 * np.trace(root).real)


def torchmetrics(generated: Features, reference: Features) -> Iterator[float]:
    metric = torchmetrics_metric(generated.shape[1])
    yield 0
    for features, real in ((generated, False), (reference, True)):
        for chunk in torch.from_numpy(features).split(CHUNK):
            metric.update(chunk, real=real)
    yield 0
    yield float(metric.compute())


def torchmetrics_metric(features: int) -> Any:
    try:
        from torchmetrics.image.fid import FrechetInceptionDistance
    except ImportError:  # torch-fidelity without torchvision: its network is not wanted here
        for name, attribute in (
            ("feature_extractor_inceptionv3", "FeatureExtractorInceptionV3"),
            ("helpers", "vassert"),
            ("interpolate_compat_tensorflow", "interpolate_bilinear_2d_like_tensorflow1x"),
        ):
            module = ModuleType(f"torch_fidelity.{name}")
            setattr(module, attribute, torch.nn.Module)
            sys.modules[module.__name__] = module
        sys.modules["torch_fidelity"] = ModuleType("torch_fidelity")
        from torchmetrics.image.fid import FrechetInceptionDistance
    looked = torch.nn.Identity()
    looked.num_features = features  # type: ignore[assignment]
    return FrechetInceptionDistance(feature=looked)


METHODS: dict[str, Callable[[Features, Features], Iterator[float]]] = {
    "cardigan": ours,
    "cardigan, 10 groups": ours_with_groups,
    "numpy and scipy's sqrtm": sqrtm,
    "torchmetrics": torchmetrics,
}


def summary(all_rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians over rounds, and the single rounds."""
    middle = {key: median(each[key] for each in all_rounds) for key in ("moments", "distance", "value", "MiB")}
    total = median(each["moments"] + each["distance"] for each in all_rounds)
    return {
        "seconds, features to number": round(total, 2),
        "seconds, moments": round(middle["moments"], 2),
        "seconds, distance": round(middle["distance"], 2),
        "value": middle["value"],
        "peak MiB beyond the features": middle["MiB"],
        "rounds": all_rounds,
    }


def write(found: dict[str, dict[str, Any]], options: argparse.Namespace) -> None:
    from results import machine

    usual, mine = found["numpy and scipy's sqrtm"], found["cardigan"]
    record = {
        "date": str(date.today()),
        "machine": machine(),
        "threads": THREADS,
        "samples": options.samples,
        "features": options.features,
        "times faster than sqrtm, distance": round(usual["seconds, distance"] / mine["seconds, distance"], 1),
        "times faster than sqrtm, all": round(
            usual["seconds, features to number"] / mine["seconds, features to number"], 1
        ),
        "relative difference from sqrtm": abs(mine["value"] / usual["value"] - 1),
        "methods": found,
    }
    RESULT.write_text(json.dumps(record, indent=1) + "\n")


def table(found: dict[str, dict[str, Any]]) -> str:
    columns = ["seconds, features to number", "seconds, distance", "peak MiB beyond the features"]
    lines = [f"| method | {' | '.join(columns)} | value |", "|---" * 5 + "|"]
    for name, row in found.items():
        cells = [*(f"{row[column]:,}" for column in columns), f"{row['value']:.8f}"]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
