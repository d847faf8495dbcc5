"""What is done about a diagnosis fits the recipe that it is done to."""

import pytest

from cardigan import load_recipe
from cardigan.health.diagnosis import Diagnosis
from cardigan.health.treatment import TREATED, treat


def diagnosis(name: str) -> Diagnosis:
    return Diagnosis(name, name, "critical", 50_000, 40_000, "seen", "advice")


@pytest.mark.parametrize("recipe", ["digits", "mnist-wgan", "cifar10-resnet", "summer-to-winter", "denoising", "poems"])
@pytest.mark.parametrize("name", TREATED)
def test_changes_are_ones_that_the_recipe_understands(recipe: str, name: str) -> None:
    base = load_recipe(recipe)
    for attempt in range(3):
        treatment = treat(diagnosis(name), base.plain(), 3072, attempt)
        if treatment is not None and treatment.changes:
            changed = base.but(*treatment.changes)
            assert changed.differences(base)
            networks = [key for key in changed.differences(base) if key.startswith("game.networks")]
            assert not networks or treatment.back == "start"  # weights must fit


def test_what_nothing_is_known_against() -> None:
    assert treat(diagnosis("one-class"), load_recipe("digits").plain(), 64, 0) is None


def test_penalties_grow_and_rates_fall() -> None:
    base = load_recipe("digits")
    won = treat(diagnosis("discriminator-wins"), base.plain(), 256, 0)
    assert won is not None and won.back == "nowhere"
    changed = base.but(*won.changes)
    assert changed.game.penalties.r1.weight == 3 * base.game.penalties.r1.weight  # type: ignore[attr-defined]
    assert changed.training.rates == {"discriminator": base.training.optimizer.rate / 2}
    exploded = treat(diagnosis("large-steps"), base.plain(), 256, 0)
    assert exploded is not None and exploded.back == "before"
    changed = base.but(*exploded.changes)
    assert changed.training.optimizer.rate == base.training.optimizer.rate / 4
    assert changed.training.seed != base.training.seed


def test_a_second_attempt_begins_afresh_with_what_converges() -> None:
    base = load_recipe("mnist-wgan")
    treatment = treat(diagnosis("mode-collapse"), base.plain(), 784, 1)
    assert treatment is not None and treatment.back == "start"
    game = base.but(*treatment.changes).game
    assert (game.objective, game.n_critic, game.clipping) == ("relativistic", 1, None)  # type: ignore[attr-defined]
    assert game.penalties.r1.weight == game.penalties.r2.weight == 1  # type: ignore[attr-defined]
    assert game.networks.discriminator.normalisation == "none"  # type: ignore[attr-defined]
