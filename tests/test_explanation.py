"""A recipe that explains itself is the same recipe."""

import pytest

from cardigan.explanation import explained
from cardigan.recipe import load_recipe
from cardigan.recipes import shipped
from cardigan.recipes.yaml import parse_yaml


@pytest.mark.parametrize("name", sorted(shipped()))
def test_explained_it_is_the_same_recipe(name: str) -> None:
    recipe = load_recipe(name)
    text = explained(recipe)
    assert parse_yaml(text, name) == recipe.plain()
    assert max(map(len, text.splitlines())) <= 120


def test_what_fields_mean_and_allow_stands_above_them() -> None:
    lines = explained(load_recipe("mnist-wgan", ["game.networks=resnet"])).splitlines()

    def above(field: str) -> str:
        place = next(number for number, line in enumerate(lines) if line.strip().startswith(f"{field}:"))
        first = place
        while lines[first - 1].strip().startswith("#"):
            first -= 1
        return " ".join(line.strip(" #") for line in lines[first:place])

    assert "hinge, relativistic" in above("objective")
    assert above("networks").endswith("Allowed family: mlp, dcgan, resnet.")
    assert "downscale, mask, grey, noise" in explained(load_recipe("denoising"))
    assert above("lecam").endswith("null: not used. Fields: weight, half_life.")
    assert above("precision").startswith("bf16 and fp16 keep weights")
    assert "Allowed kind: adam, adamw, sgd, rmsprop" in above("optimizer")
