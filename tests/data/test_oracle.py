"""The sentences of a random LSTM, and how they are written down."""

from pathlib import Path

import torch

from cardigan.data.oracle import NumberCodec
from cardigan.recipe import load_recipe
from cardigan.tokens import SPECIAL


def test_tokens_are_written_as_whole_numbers_even_from_a_grid_of_floats(tmp_path: Path) -> None:
    tokens = torch.tensor([[0, 7, 4999]]) + len(SPECIAL)
    NumberCodec().render(tokens.float(), tmp_path / "grid.txt")
    assert (tmp_path / "grid.txt").read_text() == "0 7 4999\n"


def test_the_oracle_finds_its_own_sentences_more_probable_than_those_of_another() -> None:
    mine, other = (load_recipe("oracle", ["data.words=50", f"data.oracle={seed}", "data.count=200"]) for seed in (0, 1))
    surprise = [
        mine.data.writer().surprise(recipe.data.load("test").draw(0, 200).sample).mean()  # type: ignore[attr-defined]
        for recipe in (mine, other)
    ]
    assert surprise[0] + 0.5 < surprise[1]
