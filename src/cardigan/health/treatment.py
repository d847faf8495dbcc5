"""What to do about a diagnosis: changes of a recipe, and how far to go back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from cardigan.health.diagnosis import Diagnosis

Back = Literal["nowhere", "before", "start"]
"""Where training goes on: where it is; at a checkpoint from before the trouble began; with fresh weights."""

UNSTABLE = ("not-finite", "loss-scale", "large-steps", "penalty-dominates")
UNEQUAL = ("discriminator-wins", "vanishing-gradient", "flat-discriminator")
COLLAPSED = ("mode-collapse", "oscillation", "dead-units", "full-outputs")
OVERFITTED = ("overfitting",)
TREATED = (*UNSTABLE, *UNEQUAL, *COLLAPSED, *OVERFITTED)
"""Diagnoses that something can be done about; the others are matters of data or design."""

SMALL = 64
"""Numbers in a sample, below which penalties are those of points rather than of pictures."""


@dataclass(frozen=True)
class Treatment:
    """What is done.

    Attributes:
        changes: of the recipe, as KEY=VALUE, the last of a key holds.
        back: where training goes on.
    """

    changes: tuple[str, ...]
    back: Back


def treat(
    diagnosis: Diagnosis,
    recipe: Mapping[str, Any],
    size: int,
    attempt: int,
    discriminators: Sequence[str] = ("discriminator",),
) -> Treatment | None:
    """What helps against `diagnosis`; None where nothing is known that has not been done.

    The first attempt changes as little as usually helps. The second, if the game allows, begins afresh with what is
    known to converge: relativistic pairing with R1 and R2 (Huang et al. 2024) and rates no higher than the recipe's.

    Args:
        recipe: as plain data, with earlier changes.
        size: numbers in a sample.
        attempt: how often something was done in this run before.
        discriminators: the players of the game that judge.
    """
    if diagnosis.name not in TREATED:
        return None
    game = recipe["game"]
    seed = (f"training.seed={int(recipe['training']['seed']) + 1_000_003}",)
    if attempt and "objective" in game and "penalties" in game:
        again = attempt > 1
        return Treatment((*seed, *_sound(recipe, size, again)), "start")
    if diagnosis.name in UNSTABLE:
        return Treatment((*seed, *_slower(recipe, 0.25)), "before")
    if diagnosis.name in OVERFITTED:
        return Treatment(_against_overfitting(recipe, size), "nowhere")
    back: Back = "nowhere" if diagnosis.name in UNEQUAL else "before"
    changes = [*_penalised(game, size), *_slower(recipe, 0.5, discriminators if back == "nowhere" else None)]
    if game.get("objective") == "minimax":
        changes.append("game.objective=nonsaturating")
    return Treatment((*(seed if back == "before" else ()), *changes), back)


def _slower(recipe: Mapping[str, Any], share: float, only: Sequence[str] | None = None) -> list[str]:
    """Rates times `share`: of all players or of some."""
    training = recipe["training"]
    rate, own = float(training["optimizer"]["rate"]), dict(training.get("rates") or {})
    if only is not None:
        return [f"training.rates.{player}={share * float(own.get(player, rate)):.6g}" for player in only]
    return [
        f"training.optimizer.rate={share * rate:.6g}",
        *(f"training.rates.{player}={share * float(value):.6g}" for player, value in own.items()),
    ]


def _equal(training: Mapping[str, Any], rate: float) -> list[str]:
    """`rate` for every player that has one of its own: an entry can be changed, but not removed."""
    return [f"training.rates.{player}={rate:.6g}" for player in training.get("rates") or {}]


def _penalised(game: Mapping[str, Any], size: int) -> list[str]:
    """R1 and R2 where there is no penalty; three times as strong where there is."""
    penalties = game.get("penalties")
    if penalties is None:
        return []
    present = {name: each for name, each in penalties.items() if each is not None and each["weight"] > 0}
    if present:
        return [f"game.penalties.{name}.weight={3 * each['weight']:.6g}" for name, each in present.items()]
    return [f"game.penalties.{name}.weight={_strength(size):.6g}" for name in ("r1", "r2")]


def _strength(size: int) -> float:
    """Weight of R1 and R2 that is a good beginning for samples of `size` numbers in [-1, 1]."""
    return 0.02 if size < SMALL else 1.0


def _against_overfitting(recipe: Mapping[str, Any], size: int) -> tuple[str, ...]:
    augmentation = recipe["game"].get("augmentation")
    if augmentation is None or size < SMALL or any(augmentation.get(key) for key in ("translation", "adaptive")):
        return tuple(_penalised(recipe["game"], size))
    return ("game.augmentation.adaptive={}",)


def _sound(recipe: Mapping[str, Any], size: int, again: bool) -> list[str]:
    """Settings that are known to converge, as far as `recipe` has such fields; `again`: with yet smaller steps."""
    game, training = recipe["game"], recipe["training"]
    rate = min(float(training["optimizer"]["rate"]), 1e-3 if size < SMALL else 5e-4) / (4 if again else 1)
    changes = [
        "game.objective=relativistic",
        f"game.penalties={{r1: {{weight: {_strength(size)}}}, r2: {{weight: {_strength(size)}}}, "
        "gradient: null, dragan: null}",
        f"training.optimizer={{kind: adam, rate: {rate:.6g}, betas: [0.0, 0.9]}}",
        *_equal(training, rate),
    ]
    fields = {"n_critic": "1", "clipping": "null", "smoothing": "{real: 0, fake: 0}"}
    changes += [f"game.{name}={value}" for name, value in fields.items() if name in game]
    networks = game.get("networks") or {}
    discriminator = networks.get("discriminator") or {}
    if "normalisation" in discriminator:  # statistics of a batch and gradient penalties do not go together
        changes.append("game.networks.discriminator.normalisation=none")
    if "dropout" in discriminator:
        changes.append("game.networks.discriminator.dropout=0")
    return changes


def worst(found: Sequence[Diagnosis]) -> Diagnosis | None:
    """The one to be treated first: critical ones, in the order of `TREATED`: steps before balance before collapse."""
    treatable = [each for each in found if each.name in TREATED]
    ordered = sorted(treatable, key=lambda each: (each.level != "critical", TREATED.index(each.name)))
    return ordered[0] if ordered else None
