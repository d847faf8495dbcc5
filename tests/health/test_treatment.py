"""What is done about a diagnosis fits the recipe that it is done to."""

import pytest

from cardigan import load_recipe
from cardigan.health.diagnosis import Diagnosis
from cardigan.health.treatment import TREATED, treat
from cardigan.sample import Form


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


@pytest.mark.parametrize("attempt", range(3))
def test_every_discriminator_of_a_game_is_slowed_and_nobody_else_is_named(attempt: int) -> None:
    base, form = load_recipe("summer-to-winter"), Form((3, 64, 64), source=(3, 64, 64))
    judges = [name for name in base.game.build(form).players if name.endswith("_discriminator")]
    assert len(judges) == 2
    treatment = treat(diagnosis("discriminator-wins"), base.plain(), form.size, attempt, judges)
    assert treatment is not None
    rates = base.but(*treatment.changes).training.rates
    assert set(rates) <= set(judges)
    if attempt == 0:
        assert rates == dict.fromkeys(judges, base.training.optimizer.rate / 2)


def test_a_fresh_beginning_leaves_no_rate_behind() -> None:
    base = load_recipe("mnist-relativistic", ["training.rates={discriminator: 1.5e-3}"])
    for attempt, rate in ((1, 5e-4), (2, 1.25e-4)):
        treatment = treat(diagnosis("mode-collapse"), base.plain(), 784, attempt)
        assert treatment is not None
        training = base.but(*treatment.changes).training
        assert training.optimizer.rate == training.rates["discriminator"] == rate


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
