"""Each rule says what it is for, with its evidence, and only then."""

from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cardigan.health.diagnosis import YOUTH_SAMPLES, Diagnosis, Reading
from cardigan.health.rules import RULES, diagnose
from cardigan.health.treatment import TREATED, worst

HEALTHY: Mapping[str, float] = {
    "progress": 0.5,
    "not_finite": 0.0,
    "discriminator/gradient_norm": 0.4,
    "discriminator/step": 0.02,
    "generator/gradient_norm": 0.1,
    "generator/step": 0.02,
    "generator/from_average": 0.1,
    "discriminator/adversarial": 0.65,
    "discriminator/adversarial.wave": 0.05,
    "discriminator/adversarial.deviation": 0.05,
    "discriminator/r1": 0.06,
    "discriminator/accuracy": 0.8,
    "discriminator/gap": 0.5,
    "discriminator/accuracy_held_out": 0.78,
    "discriminator/gap_held_out": 0.47,
    "discriminator/overfit": 0.06,
    "discriminator/overfit_sure": 0.5,
    "samples/diversity": 0.95,
    "samples/duplicates": 0.0,
    "samples/coverage": 0.98,
    "samples/distance": 0.6,
    "samples/full": 0.3,
    "samples/classes": 10.0,
    "samples/obeyed": 0.9,
    "data/classes": 10.0,
    "data/labels": 10.0,
    "data/obeyed": 0.9,
    "data/distance": 0.55,
    "data/spread": 40.0,
    "data/duplicates": 0.0,
    "data/full": 0.35,
    "data/waiting": 0.01,
    "rectifiers/dead": 0.02,
    "loss_scale": 65_536.0,
    "game/length": 0.5,
}


def readings(count: int = 12, **changes: float) -> list[Reading]:
    signals = {**HEALTHY, **{name.replace("__", "/"): value for name, value in changes.items()}}
    return [Reading(60_000 + 5_000 * number, signals) for number in range(count)]


def names(history: list[Reading]) -> list[str]:
    return [each.name for each in diagnose(history)]


def test_health_is_no_diagnosis() -> None:
    assert names(readings()) == []
    assert diagnose([]) == []


SICK = {
    "not-finite": {"not_finite": 1.0},
    "loss-scale": {"loss_scale": 0.5},
    "large-steps": {"generator__step": 0.6},
    "penalty-dominates": {"discriminator__r1": 5_000.0},
    "discriminator-wins": {
        "discriminator__accuracy": 1.0,
        "discriminator__accuracy_held_out": 1.0,
        "samples__distance": 1.2,
    },
    "flat-discriminator": {"discriminator__gap": 1e-4, "samples__distance": 1.2},
    "mode-collapse": {"samples__classes": 3.0, "samples__coverage": 0.25},
    "stalled": {"samples__distance": 1.2},
    "frozen-generator": {"generator__step": 0.0},
    "overfitting": {"discriminator__overfit": 0.8, "discriminator__overfit_sure": 9.0},
    "constant-data": {"data__spread": 0.0},
    "repeated-data": {"data__duplicates": 0.9},
    "one-class": {"data__largest_class": 0.95},
    "ignored-labels": {"samples__obeyed": 0.1},
    "oscillation": {"discriminator__adversarial.wave": 0.7, "discriminator__adversarial.deviation": 0.5},
    "starved": {"data__waiting": 0.8},
    "dead-units": {"rectifiers__dead": 0.95},
    "full-outputs": {"samples__full": 0.99},
    "ignored-source": {"game__effect": 0.05},
    "identity": {"game__changed": 0.001, "game__changed_real": 0.2},
    "hidden-source": {"game__hidden": 8.0},
    "loops": {"game__loops": 0.8, "game__loops_real": 0.05},
    "few-sentences": {"game__unique": 0.1, "game__unique_real": 1.0},
    "length-only": {"game__length": 0.8, "game__length_linked": 0.95, "discriminator__accuracy": 0.82},
}


def test_every_rule_is_tried() -> None:
    assert {rule.name for rule in RULES} == {*SICK, "vanishing-gradient"}
    assert set(TREATED) <= {rule.name for rule in RULES}


@pytest.mark.parametrize("name", SICK)
def test_a_rule_says_what_it_is_for(name: str) -> None:
    found = diagnose(readings(**SICK[name]))
    assert [each.name for each in found] == [name]
    rule = next(each for each in RULES if each.name == name)
    assert found[0].advice == rule.advice and found[0].since <= found[0].clock
    assert found[0].evidence[0].islower() or found[0].evidence[0].isdigit()
    assert diagnose(readings(rule.patience - 1 + rule.grace, **SICK[name])) == []


def test_a_gradient_that_was_there_once() -> None:
    before, after = readings(5), readings(5, generator__gradient_norm=1e-6)
    assert names([*before, *after]) == ["vanishing-gradient"]
    assert names([*before, *readings(5, generator__gradient_norm=0.01)]) == []


def test_it_begins_where_it_began_and_ends() -> None:
    healthy, sick = readings(6), readings(5, samples__classes=3.0)
    history = [*healthy, *(Reading(each.clock + 30_000, each.signals) for each in sick)]
    (found,) = diagnose(history)
    assert (found.since, found.clock) == (90_000, 110_000)
    assert "3 of 10 classes" in found.evidence and found.sentence().startswith(
        "Mode collapse since 90k samples: 3 of 10"
    )
    assert diagnose([*history, Reading(140_000, HEALTHY)]) == []


def test_the_young_are_given_time() -> None:
    history = [
        Reading(each.clock - 60_000, {**each.signals, "progress": 0.01}) for each in readings(9, samples__classes=2.0)
    ]
    assert history[-1].clock < YOUTH_SAMPLES and diagnose(history) == []
    grown = [Reading(each.clock, {**each.signals, "progress": 0.2}) for each in history]
    assert [each.name for each in diagnose(grown)] == ["mode-collapse"]


def test_with_a_budget_of_minutes_the_young_are_given_samples() -> None:
    timed = {name: value for name, value in {**HEALTHY, "samples/classes": 2.0}.items() if name != "progress"}
    young = [Reading(1_000 * count, timed) for count in range(1, 40)]
    assert diagnose(young) == []
    assert "mode-collapse" in names([*young, *(Reading(60_000 + 1_000 * count, timed) for count in range(3))])


@pytest.mark.parametrize("name", ["discriminator-wins", "flat-discriminator", "mode-collapse"])
def test_what_is_still_being_learnt_is_not_called_by_name(name: str) -> None:
    history = readings(9, **{**SICK[name], "samples__distance": 1.2})
    nearer = [
        Reading(each.clock, {**each.signals, "samples/distance": 1.6 * 0.98**number})
        for number, each in enumerate(history)
    ]
    assert name in names(history) and name not in names(nearer)


def test_points_of_little_noise_are_not_far_away() -> None:
    """On a grid of narrow Gaussians unseen points lie next to seen ones, and learned ones a little farther."""
    assert names(readings(discriminator__gap=1e-4, data__distance=0.005, samples__distance=0.08)) == []


def test_the_worst_is_treated_first() -> None:
    found = diagnose(readings(generator__step=0.6, samples__classes=3.0, samples__coverage=0.2, data__waiting=0.9))
    first = worst(found)
    assert first is not None and first.name == "large-steps"
    assert worst(diagnose(readings(data__waiting=0.9))) is None


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(HEALTHY)), st.floats(allow_nan=False, allow_infinity=False), max_size=12))
def test_any_numbers_are_judged(signals: dict[str, float]) -> None:
    for each in diagnose([Reading(5_000 * number, signals) for number in range(8)]):
        assert each.sentence() and Diagnosis.of(each.plain()) == each
