"""Recipes: layers, overrides, one-line errors, and the identity of save and load."""

import math
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cardigan.errors import CardiganError
from cardigan.recipe import Recipe, build, flatten, layers, load_recipe, merge
from cardigan.recipes import shipped, summaries
from cardigan.recipes.yaml import parse_yaml
from cardigan.settings import trusting

EVERY = sorted(shipped())


def one_line(error: pytest.ExceptionInfo[CardiganError]) -> str:
    text = str(error.value)
    assert text and "\n" not in text and "Traceback" not in text
    return text


@pytest.mark.parametrize("name", EVERY)
def test_saving_and_loading_is_the_identity(name: str) -> None:
    recipe = load_recipe(name)
    again = build(parse_yaml(recipe.yaml(), "saved"))
    assert again == recipe
    assert again.yaml() == recipe.yaml()


@pytest.mark.parametrize("name", EVERY)
def test_every_shipped_recipe_says_what_it_is_in_one_line(name: str) -> None:
    about = summaries()[name]
    assert 10 < len(about) <= 110
    assert load_recipe(name).name == name


def test_overrides_reach_any_depth() -> None:
    recipe = load_recipe(
        "mnist-dcgan", ["training.samples=200k", "game.networks.width=32", "training.optimizer.rate=1e-3"]
    )
    assert recipe.training.samples == 200_000
    assert recipe.game.networks.width == 32  # type: ignore[attr-defined]
    assert recipe.training.optimizer.rate == 1e-3


def test_one_budget_clears_the_other() -> None:
    recipe = load_recipe("digits", ["training.minutes=5"])
    assert recipe.training.minutes == 5 and recipe.training.samples is None
    both = load_recipe("digits", ["training.minutes=5", "training.samples=1k"])
    assert (both.training.minutes, both.training.samples) == (5, 1000)


def test_a_new_tag_starts_its_mapping_afresh() -> None:
    base = {"networks": {"family": "dcgan", "upsample": "resize"}}
    assert merge(base, {"networks": {"family": "mlp"}}) == {"networks": {"family": "mlp"}}
    assert merge(base, {"networks": "mlp"}) == {"networks": {"family": "mlp"}}
    assert merge(base, {"networks": {"width": 3}})["networks"] == {"family": "dcgan", "upsample": "resize", "width": 3}


def test_a_penalty_is_taken_away_by_null() -> None:
    recipe = load_recipe("mnist-relativistic", ["game.penalties.r1=null"])
    assert recipe.game.penalties.r1 is None  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("overrides", "needles"),
    [
        (["training.sampels=3"], ["training.sampels", "'samples'"]),
        (["training.samples=-3"], ["training.samples", "greater than or equal to 1"]),
        (["training.samples=3.7k5"], ["training.samples", "3.7k5"]),
        (["game.objective=hing"], ["game.objective", "'hinge'", "wasserstein"]),
        (["game.networks.family=dcgam"], ["game.networks", "dcgam", "'dcgan'"]),
        (["game.networks.width=wide"], ["game.networks.width", "'wide'"]),
        (["game.networks.generator.widht=3"], ["game.networks.generator.widht", "'width'"]),
        (["training.optimizer=adamm"], ["training.optimizer", "'adam'"]),
        (["training.accumulate=7"], ["training", "accumulate (7) must divide batch"]),
        (["training.samples=null"], ["training", "budget"]),
        (["nonsense"], ["nonsense", "KEY=VALUE"]),
        (["=3"], ["KEY=VALUE"]),
        (["training..seed=3"], ["KEY=VALUE"]),
        (["training.seed=[1"], ["training.seed"]),
        (["training=3"], ["training"]),
        (["training.schedule.final=.nan"], ["training.schedule.final"]),
    ],
)
def test_a_bad_override_is_one_clear_line(overrides: list[str], needles: list[str]) -> None:
    with pytest.raises(CardiganError) as error:
        load_recipe("mnist-dcgan", overrides)
    text = one_line(error)
    for needle in needles:
        assert needle in text


@pytest.mark.parametrize("name", ["os.system", "os:system", "subprocess:Popen", "cardigan.run:Run", "builtins:eval"])
@pytest.mark.parametrize("key", ["game.networks.family", "game.kind", "data.kind", "training.optimizer.kind"])
def test_names_outside_the_package_are_refused(key: str, name: str) -> None:
    with pytest.raises(CardiganError) as error:
        load_recipe("mnist-dcgan", [f"{key}={name}"])
    assert name in one_line(error)


def test_a_trusted_module_must_still_hold_the_right_kind_of_thing() -> None:
    with trusting("os"), pytest.raises(CardiganError, match="is not a Family"):
        load_recipe("mnist-dcgan", ["game.networks.family=os:system"])


def test_a_yaml_file_of_ones_own(tmp_path: Any) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("parent: mnist-hinge\ngame: {networks: {width: 16}}\n")
    (tmp_path / "child.yaml").write_text("parent: mine.yaml\ntraining: {batch: 32}\n")
    recipe = load_recipe(tmp_path / "child.yaml")
    assert recipe.name == "child"
    assert recipe.game.objective == "hinge"  # type: ignore[attr-defined]
    assert recipe.game.networks.width == 16  # type: ignore[attr-defined]
    assert recipe.training.batch == 32


@pytest.mark.parametrize(
    ("text", "needle"),
    [
        ("", "mapping"),
        ("- 1", "mapping"),
        ("a: &x 1\nb: *x", "aliases"),
        ("a: 1\na: 2", "stands twice"),
        ("a: !!python/object/apply:os.system [ls]", "constructor"),
        ("parent: nowhere", "parent 'nowhere'"),
        ("parent: self.yaml", "circle"),
        ("a: [" * 3000, ""),
        ("\x00", ""),
    ],
)
def test_a_bad_recipe_file_is_one_clear_line(tmp_path: Any, text: str, needle: str) -> None:
    (tmp_path / "self.yaml").write_text(text)
    with pytest.raises(CardiganError) as error:
        load_recipe(tmp_path / "self.yaml")
    assert needle in one_line(error)


def test_data_given_for_a_recipe_suggests_the_command(tmp_path: Any) -> None:
    with pytest.raises(CardiganError, match="cardigan train auto --data"):
        load_recipe(str(tmp_path))
    with pytest.raises(CardiganError, match="did you mean 'mnist-hinge'"):
        load_recipe("mnist-hinges")


KEYS = sorted({key for name in EVERY for key in flatten(load_recipe(name).plain())} | {"game", "data", "training", ""})
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=12),
    st.sampled_from(["mlp", "dcgan", "resnet", "hinge", "adam", "200k", "1e-4", "auto", "os:system", "toy", math.inf]),
)
TREES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8) | SCALARS, inner, max_size=3),
    max_leaves=6,
)
FUZZ = settings(max_examples=4000, deadline=None, suppress_health_check=list(HealthCheck), database=None)


def valid_or_one_line(make: Any) -> None:
    try:
        recipe = make()
    except CardiganError as error:
        assert str(error) and "\n" not in str(error)
    else:
        assert isinstance(recipe, Recipe)
        assert build(parse_yaml(recipe.yaml(), "saved")) == recipe


@pytest.mark.slow
@FUZZ
@given(st.sampled_from(EVERY), st.lists(st.tuples(st.sampled_from(KEYS), TREES), max_size=3))
def test_fuzzed_trees(name: str, changes: list[tuple[str, Any]]) -> None:
    contents = [load_recipe(name).plain()]
    for key, value in changes:
        for part in reversed(key.split(".")):
            value = {part: value}
        contents.append(value)
    valid_or_one_line(lambda: build(*contents))


@pytest.mark.slow
@FUZZ
@given(
    st.sampled_from(EVERY),
    st.lists(
        st.one_of(
            st.text(max_size=40),
            st.builds("{}={}".format, st.sampled_from(KEYS) | st.text(max_size=20), st.text(max_size=20) | SCALARS),
        ),
        max_size=4,
    ),
)
def test_fuzzed_overrides(name: str, overrides: list[str]) -> None:
    valid_or_one_line(lambda: load_recipe(name, overrides))


@pytest.mark.slow
@FUZZ
@given(st.one_of(st.text(max_size=200), TREES.map(str), st.binary(max_size=100).map(lambda raw: raw.decode("latin1"))))
def test_fuzzed_files(text: str) -> None:
    def make() -> Recipe:
        content = parse_yaml(text, "fuzz.yaml")
        return build(content if isinstance(content, dict) else {}, *layers([]))

    valid_or_one_line(make)


def test_what_is_chosen_by_name_and_then_changed() -> None:
    overrides = ["game.generator=rrdb", "training.samples=9", "game.generator.width=8", "training.minutes=3"]
    recipe: Any = load_recipe("super-resolution-x4", overrides)
    assert (recipe.game.generator.family, recipe.game.generator.width) == ("rrdb", 8)
    assert (recipe.training.samples, recipe.training.minutes) == (9, 3.0)
    recipe = load_recipe("super-resolution-x4", ["game.discriminator=unet-discriminator", "game.discriminator.width=8"])
    assert (recipe.game.discriminator.family, recipe.game.discriminator.width) == ("unet-discriminator", 8)
