"""The smallest game there is, min over x, max over y of x y: who finds its equilibrium, who circles, who flies off?

    python benchmarks/bilinear.py

Two players of one weight each, trained by the loop and the settings that a recipe has; no data, no chance. Draws
docs/results/stability/bilinear.png and writes the distances from the equilibrium beside it; see docs/stability.md.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from cardigan import Recipe
from cardigan.data.toys import Toy
from cardigan.files import write_text
from cardigan.games.base import Examples, Game, GameSettings, Guide, Step, Turn
from cardigan.randomness import Random
from cardigan.sample import Form
from cardigan.training.engine import EngineChoice
from cardigan.training.loop import Loop
from cardigan.training.settings import Training

FOLDER = Path(__file__).parents[1] / "docs" / "results" / "stability"
START = (1.0, 0.5)
RATE = 0.2
ROUNDS = 200
SGD = {"kind": "sgd", "rate": RATE}
ADAM = {"kind": "adam", "rate": 0.1, "betas": [0.0, 0.999]}
AT_ONCE = {"turns": "simultaneous"}
PANELS: dict[str, dict[str, Any]] = {
    "SGD, simultaneous": {"optimizer": SGD, **AT_ONCE},
    "SGD, alternating": {"optimizer": SGD},
    "extragradient": {"optimizer": SGD, **AT_ONCE, "extragradient": "same"},
    "optimistic SGD": {"optimizer": {**SGD, "kind": "optimistic-sgd"}, **AT_ONCE},
    "lookahead (5 rounds, half)": {"optimizer": SGD, **AT_ONCE, "lookahead": {"steps": 5, "share": 0.5}},
    "Adam, simultaneous": {"optimizer": ADAM, **AT_ONCE},
    "optimistic Adam": {"optimizer": {**ADAM, "kind": "optimistic-adam"}, **AT_ONCE},
    "ExtraAdam": {"optimizer": ADAM, **AT_ONCE, "extragradient": "same"},
}
"""Title -> what a recipe would say under `training`."""


class Weight(nn.Module):
    """A player of one weight."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.tensor([value]))


class Bilinear(GameSettings):
    """min over x, max over y of x y, from `START`."""

    kind: Literal["bilinear"] = "bilinear"

    def build(self, form: Form, guide: Guide | None = None) -> "BilinearGame":
        """See `GameSettings.build`."""
        return BilinearGame()


class BilinearGame(Game):
    """x moves first."""

    averaged = ("x", "y")

    def __init__(self) -> None:
        self.x, self.y = (Weight(value) for value in START)
        self.players: dict[str, nn.Module] = {"x": self.x, "y": self.y}
        self.turns = (Turn(("x",), self.x_loss), Turn(("y",), self.y_loss))

    def x_loss(self, step: Step) -> dict[str, Tensor]:
        """What x makes small."""
        return {"value": (self.x.value * self.y.value).sum()}

    def y_loss(self, step: Step) -> dict[str, Tensor]:
        """What y makes small."""
        return {"value": -(self.x.value * self.y.value).sum()}

    def showcase(self, count: int, random: Random, examples: Examples) -> dict[str, Tensor]:
        """Nothing."""
        return {}

    def show(self, players: Mapping[str, nn.Module], **inputs: Tensor) -> Tensor:
        """(1, 2): where the players are."""
        return torch.stack([players[name].value.detach() for name in ("x", "y")], dim=1)


def bilinear_loop(training: Mapping[str, Any]) -> Loop:
    """A loop of the game in double precision; `training` as in a recipe."""
    settings = Training.model_validate({"batch": 1, **training})
    recipe = Recipe(name="bilinear", data=Toy(count=16), game=Bilinear(), training=settings)
    fabric = Fabric(accelerator="cpu", devices=1)
    return Loop(recipe, recipe.data.load("train", 0), EngineChoice("fp64", threads=1), fabric)


def path(training: Mapping[str, Any], rounds: int = ROUNDS) -> Tensor:
    """(rounds + 1, 2): x and y at the start and after each round."""
    loop = bilinear_loop(training)
    places = [loop.game.show(loop.game.players)]
    for _ in range(rounds):
        loop.round()
        places.append(loop.game.show(loop.game.players))
    return torch.cat(places)


def draw(paths: Mapping[str, Tensor], file: Path) -> None:
    """Each path in a panel of its own; light is early, dark is late."""
    from matplotlib.collections import LineCollection
    from matplotlib.figure import Figure

    figure = Figure(figsize=(14, 8), layout="constrained")
    figure.suptitle(
        "min over x, max over y of x·y: 200 rounds from the dot, light to dark; the cross is the equilibrium"
    )
    for axes, (title, places) in zip(figure.subplots(2, 4).flat, paths.items(), strict=True):
        lines = torch.stack([places[:-1], places[1:]], dim=1).numpy()
        colours = torch.linspace(0.35, 1, len(lines)).numpy()
        axes.add_collection(LineCollection(list(lines), array=colours, cmap="Blues", clim=(0, 1), linewidths=1.4))
        axes.plot(*START, "o", color="tab:orange")
        axes.plot(0, 0, "x", color="tab:red", markersize=9, markeredgewidth=2)
        left = float(places[-1].norm() / places[0].norm())
        axes.set_title(f"{title}\nat the end {_times(left)} times as far", fontsize=11)
        axes.set(xlabel="x", ylabel="y", aspect="equal")
        axes.set(xlim=(-2, 2), ylim=(-2, 2))
        axes.grid(alpha=0.3)
    figure.savefig(file, dpi=80)


def _times(share: float) -> str:
    return f"{share:.4f}".rstrip("0") if share < 0.01 else f"{share:.2g}"


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    paths = {title: path(training) for title, training in PANELS.items()}
    draw(paths, FOLDER / "bilinear.png")
    kept = {
        title: [float(f"{float(each):.6g}") for each in places.norm(dim=1)[::20]] for title, places in paths.items()
    }
    content = {"about": "distance from the equilibrium every 20 rounds", "rate": RATE, "paths": kept}
    write_text(FOLDER / "bilinear.json", json.dumps(content, indent=1))
    for title, distances in kept.items():
        print(f"{title:28} {distances[0]:.3f} -> {distances[-1]:.3g}")


if __name__ == "__main__":
    main()
