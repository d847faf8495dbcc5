"""A little language of 120 sentences is learnt, and the game that follows neither breaks it nor narrows it."""

import json
from pathlib import Path

import pytest

import cardigan
from cardigan.writing import Writing

LINES = Path(__file__).parents[1] / "properties" / "sentences.jsonl"
COUNT = 500


def share_and_variety(writing: Writing) -> tuple[float, int]:
    """Share of sentences that belong to the language, and how many different ones of it there are among them."""
    rows = [json.loads(line)["text"] for line in LINES.read_text("utf-8").splitlines()]
    made = writing.generate(COUNT, seed=5)
    right = [each for each in made if each in set(rows)]
    return len(right) / COUNT, len(set(right))


@pytest.mark.slow
@pytest.mark.parametrize("method", ["policy-gradient", "gumbel"])
def test_a_little_language_is_learnt_and_kept(method: str, tmp_path: Path) -> None:
    options = [
        f"data={{source: '{LINES}', column: text, test: 0, validation: 0}}",
        *(
            "game.generator={width: 48, dropout: 0}",
            "game.discriminator={width: 64, per: sentence}",
            f"game.method={method}",
        ),
        *(
            "game.start=40k",
            "game.warmup=4k",
            "game.anchor=0.02",
            "training.samples=52k",
            "training.average.half_life=1k",
        ),
        "training.rates.discriminator=5e-3",
        "records={scalars: 3k, checkpoint: 40k, first_grid: 12k, grid: 8}",
        "guard.enabled=false",  # it keeps early checkpoints, and the first one is asked for below
        "engine={device: cpu, precision: fp32, matmul: highest, threads: 1}",
    ]
    run = cardigan.train("captions", options, out=tmp_path / "run")
    likelihood, game = (share_and_variety(Writing(run, at)) for at in (min(run.clocks()), None))
    assert likelihood[0] > 0.9 and likelihood[1] > 80
    assert game[0] > likelihood[0] - 0.03 and game[1] > 0.85 * likelihood[1]
