"""`cardigan train auto` for ten minutes on emoji and on landscapes: the grids of docs/data.md.

    CARDIGAN_DATA=... python benchmarks/auto.py [NAME ...] [--folder runs/auto]

Resumable: a run that was interrupted goes on, a finished one is only drawn again. Copies the last grid, on white, to
docs/results/auto-NAME.png. Ten minutes each, on an otherwise idle machine.
"""

import argparse
from pathlib import Path

from PIL import Image
from rich.console import Console

import cardigan
from cardigan.training.progress import Terminal

DOCS = Path(__file__).parents[1] / "docs" / "results"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=["emoji", "yosemite"])
    parser.add_argument("--folder", type=Path, default=Path("runs/auto"))
    arguments = parser.parse_args()
    for name in arguments.names:
        folder, speak = arguments.folder / name, Terminal(Console())
        if (folder / "recipe.yaml").exists():
            run = cardigan.resume(folder, progress=speak)
        else:
            run = cardigan.train("auto", ["training.minutes=10"], data=name, out=folder, progress=speak)
        show(run.latest_grid(), DOCS / f"auto-{name}.png")


def show(grid: Path | None, path: Path) -> None:
    """Draw `grid` on white: transparent pixels are seen as people see icons on a page."""
    assert grid is not None
    image = Image.open(grid).convert("RGBA")
    white = Image.new("RGBA", image.size, "white")
    white.alpha_composite(image)
    white.convert("RGB").save(path, optimize=True)


if __name__ == "__main__":
    main()
