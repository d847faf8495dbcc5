"""Ways of moving on min over x, max over y of x y, through the loop: against closed forms and the papers' formulas."""

import importlib.util
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

FILE = Path(__file__).parents[2] / "benchmarks" / "bilinear.py"
SPEC = importlib.util.spec_from_file_location("bilinear", FILE)
assert SPEC and SPEC.loader
bilinear: Any = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(bilinear)

RATE = bilinear.RATE
SGD, AT_ONCE, START = bilinear.SGD, bilinear.AT_ONCE, bilinear.START
ROUNDS = 60
BETAS, EPS = (0.5, 0.99), 1e-8


def complex_path(training: dict[str, Any], rounds: int = ROUNDS) -> np.ndarray:
    """x + iy after each round: the players' joint step is -rate F(z) with F(z) = y - ix = -iz."""
    places = bilinear.path(training, rounds).numpy()
    return np.asarray(places[:, 0] + 1j * places[:, 1])


def test_simultaneous_descent_grows_by_the_root_of_one_and_the_rate_squared() -> None:
    path = complex_path({"optimizer": SGD, **AT_ONCE})
    np.testing.assert_allclose(path, path[0] * (1 + 1j * RATE) ** np.arange(ROUNDS + 1), rtol=1e-12)
    assert abs(path[-1]) / abs(path[0]) == pytest.approx((1 + RATE**2) ** (ROUNDS / 2), rel=1e-12)


def test_alternating_descent_stays_on_an_ellipse() -> None:
    path = complex_path({"optimizer": SGD}, 500)
    x, y = path.real, path.imag
    np.testing.assert_allclose(x**2 + y**2 - RATE * x * y, (x**2 + y**2 - RATE * x * y)[0], rtol=1e-12)
    assert np.abs(path).min() > 0.9 * abs(path[0]) * math.sqrt((1 - RATE / 2) / (1 + RATE / 2))


@pytest.mark.parametrize("batch", ["same", "new"])
def test_extragradient_contracts(batch: str) -> None:
    path = complex_path({"optimizer": SGD, **AT_ONCE, "extragradient": batch})
    factors = np.abs(path[1:]) / np.abs(path[:-1])
    np.testing.assert_allclose(factors, math.sqrt((1 - RATE**2) ** 2 + RATE**2), rtol=1e-12)
    np.testing.assert_allclose(path[1:], path[:-1] * (1 - RATE**2 + 1j * RATE), rtol=1e-12)


def test_optimistic_descent_contracts() -> None:
    path = complex_path({"optimizer": {**SGD, "kind": "optimistic-sgd"}, **AT_ONCE}, 200)
    wanted = [path[0], path[0] * (1 + 1j * RATE)]
    while len(wanted) < len(path):
        wanted.append(wanted[-1] + 1j * RATE * (2 * wanted[-1] - wanted[-2]))
    np.testing.assert_allclose(path, wanted, rtol=1e-11)
    assert abs(path[-1] / path[-2]) == pytest.approx(math.sqrt((1 + math.sqrt(1 - 4 * RATE**2)) / 2), rel=1e-12)


@pytest.mark.parametrize(("steps", "share"), [(5, 0.5), (3, 0.25)])
def test_lookahead_contracts_what_diverges_without(steps: int, share: float) -> None:
    path = complex_path({"optimizer": SGD, **AT_ONCE, "lookahead": {"steps": steps, "share": share}})[::steps]
    factor = 1 - share + share * (1 + 1j * RATE) ** steps
    assert abs(factor) < 1
    np.testing.assert_allclose(path, path[0] * factor ** np.arange(len(path)), rtol=1e-12)


def adam(memory: dict[str, Any], gradient: np.ndarray) -> np.ndarray:
    """Adam's direction, from the paper's formulas; `memory` moves on."""
    memory["t"] = memory.get("t", 0) + 1
    memory["m"] = BETAS[0] * memory.get("m", 0) + (1 - BETAS[0]) * gradient
    memory["v"] = BETAS[1] * memory.get("v", 0) + (1 - BETAS[1]) * gradient**2
    m, v = memory["m"] / (1 - BETAS[0] ** memory["t"]), memory["v"] / (1 - BETAS[1] ** memory["t"])
    return np.asarray(m / (np.sqrt(v) + EPS))


def field(place: np.ndarray) -> np.ndarray:
    return np.array([place[1], -place[0]])


ADAM = {"rate": 0.1, "betas": BETAS, "eps": EPS}


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_optimistic_adam_is_algorithm_1_of_its_paper(decay: float) -> None:
    optimizer = {"kind": "optimistic-adam", **ADAM, "weight_decay": decay}
    path = bilinear.path({"optimizer": optimizer, **AT_ONCE}, ROUNDS).numpy()
    place, memory, last = np.array(path[0]), dict[str, Any](), None
    for reached in path[1:]:
        direction = adam(memory, field(place) + decay * place)
        place = place - 2 * 0.1 * direction + 0.1 * (direction if last is None else last)
        last = direction
        np.testing.assert_allclose(reached, place, rtol=1e-9)


def test_extragradient_with_adam_is_extra_adam() -> None:
    path = bilinear.path({"optimizer": {"kind": "adam", **ADAM}, **AT_ONCE, "extragradient": "same"}, ROUNDS).numpy()
    place, memory = np.array(path[0]), dict[str, Any]()
    for reached in path[1:]:
        ahead = place - 0.1 * adam(memory, field(place))
        place = place - 0.1 * adam(memory, field(ahead))
        np.testing.assert_allclose(reached, place, rtol=1e-9)


def test_where_plain_adam_flies_off_the_others_arrive() -> None:
    left = {
        title: float(places[-1].norm() / places[0].norm())
        for title, places in ((title, bilinear.path(training)) for title, training in bilinear.PANELS.items())
    }
    assert left["SGD, simultaneous"] > 10 and left["Adam, simultaneous"] > 1.5
    assert 0.8 < left["SGD, alternating"] < 1.2
    rest = left.keys() - {"SGD, simultaneous", "Adam, simultaneous", "SGD, alternating"}
    assert len(rest) == 5 and all(left[title] < 0.1 for title in rest), left


def test_the_motion_that_is_measured_is_the_real_step() -> None:
    loop = bilinear.bilinear_loop({"optimizer": SGD, **AT_ONCE, "extragradient": "new"})
    loop.motions = {}
    loop.round()
    x, y = (float(loop.game.players[name].value.detach()) for name in ("x", "y"))
    motion = loop.motions["x"]
    assert float(motion.weight) == pytest.approx(START[0])
    assert float(motion.step) == pytest.approx(abs(x - START[0]))
    assert float(motion.gradient) == pytest.approx(START[1] + RATE * START[0])
    assert float(loop.motions["y"].step) == pytest.approx(abs(y - START[1]))
    assert (loop.clock, loop.counts) == (2, {"x": 1, "y": 1})


def test_gradients_of_one_player_in_two_turns_are_kept_apart() -> None:
    loop = bilinear.bilinear_loop({"optimizer": {**SGD, "kind": "optimistic-sgd"}, **AT_ONCE})
    x, y = (loop.game.players[name].value for name in ("x", "y"))
    loop.game.turns = (*loop.game.turns, bilinear.Turn(("x",), loop.game.y_loss))
    loop.round()  # two steps of x, with gradients y and -y at the same place; the second is 2 (-y) - y
    assert float(x.detach()) == pytest.approx(START[0] - RATE * (START[1] - 3 * START[1]))
    assert float(y.detach()) == pytest.approx(START[1] + RATE * START[0])
    assert torch.equal(loop.optimizers["x"].state[x]["direction"], torch.tensor([-START[1]], dtype=torch.float64))
