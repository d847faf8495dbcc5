"""What `cardigan train --dry-run` says against what then happens: samples a second, memory, checkpoints.

    CARDIGAN_DATA=... python benchmarks/estimates.py [RECIPE ...] [--minutes 0.5] [--threads 1]

Each recipe is rehearsed, then trained for so many minutes with all that training does (readings, grids, scalars, the
last checkpoint). Figures go to docs/results/benchmarks/estimates.json.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path
from typing import Any

from cardigan.run import Run
from cardigan.training.engine import environment
from figures import keep

RESULTS = Path(__file__).parents[1] / "docs" / "results" / "benchmarks" / "estimates.json"
RECIPES = ("digits", "toy-ring", "mnist-dcgan", "cifar10-resnet", "poems")
REHEARSE = (
    "import json, sys; from cardigan.training.session import rehearse; "
    "print(json.dumps(vars(rehearse(sys.argv[1], sys.argv[2:])[1])))"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipes", nargs="*", default=RECIPES)
    parser.add_argument("--minutes", type=float, default=0.5)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    for name in arguments.recipes:
        row = compared(name, arguments.minutes, arguments.threads)
        print(name, json.dumps(row), flush=True)
        keep(RESULTS, {name: row})


def compared(name: str, minutes: float, threads: int) -> dict[str, Any]:
    """Told and measured, and their ratios."""
    options = [f"training={{samples: null, minutes: {minutes}}}", f"engine.threads={threads}", "engine.device=cpu"]
    told = json.loads(subprocess.check_output([sys.executable, "-c", REHEARSE, name, *options], text=True))
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "cardigan", "train", name, "--out", f"{folder}/run", *options]
        subprocess.run(command, check=True, capture_output=True)
        run = Run(Path(folder) / "run")
        last = run.checkpoint_folder / f"{run.clocks()[-1]:09d}"
        spent = json.loads((last / "state.json").read_text())["minutes"]
        measured = {"rate": run.clocks()[-1] / (60 * spent), "memory": run.environment["peak_memory"]}
    ratios = {key: round(told[key] / value, 3) for key, value in measured.items()}
    about = {"date": date.today().isoformat(), "threads": threads, **environment()}
    return {"told": {key: told[key] for key in measured}, "measured": measured, "ratio": ratios, **about}


if __name__ == "__main__":
    main()
