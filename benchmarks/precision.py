"""Is what is trained in bf16 as good as in fp32? The default of the sweep (MNIST at 14x14), several seeds of each.

    CARDIGAN_DATA=... python benchmarks/precision.py [--seeds 5] [--folder runs/precision]

Resumable. bf16 keeps weights, losses and penalties in fp32. Scores are local Fréchet distances to the validation split;
intervals are Student's over the seeds, of the difference too, which is paired by seed. Figures go to
docs/results/benchmarks/precision.json.
"""

import argparse
import json
import math
from datetime import date
from pathlib import Path
from statistics import mean, stdev

from scipy.stats import t

from cardigan.training.engine import environment
from sweep import BASE, job, judge

RESULTS = Path(__file__).parents[1] / "docs" / "results" / "benchmarks" / "precision.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=Path("runs/precision"))
    arguments = parser.parse_args()
    eye, found = judge(), dict[str, list[float]]()
    for precision in ("fp32", "bf16"):
        rows = [
            job(
                arguments.folder / f"{precision}-{seed}",
                (f"training.seed={seed}", f"engine.precision={precision}", "guard.enabled=false"),
                eye,
            )
            for seed in range(arguments.seeds)
        ]
        found[precision] = [row["distance"] for row in rows]
    found["difference"] = [bf16 - fp32 for bf16, fp32 in zip(found["bf16"], found["fp32"], strict=True)]
    table = {name: interval(values) for name, values in found.items()}
    about = {"date": date.today().isoformat(), "base": list(BASE), **environment()}
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps({"distances": found, "mean and 95%": table, **about}, indent=1) + "\n")
    print(json.dumps(table, indent=1))


def interval(values: list[float]) -> tuple[float, float]:
    """Mean, and how far a 95% interval (Student's) reaches to either side."""
    return mean(values), float(t.ppf(0.975, len(values) - 1)) * stdev(values) / math.sqrt(len(values))


if __name__ == "__main__":
    main()
