"""What games share whose generators make samples of something given."""

from collections.abc import Mapping

from torch import Tensor, nn

from cardigan.games.base import Examples, Game, Match, Step
from cardigan.games.symptoms import of_translation
from cardigan.randomness import Random
from cardigan.sample import Form


class TranslatingGame(Game):
    """A game whose player "generator" turns sources into samples."""

    form: Form

    def translators(self) -> Mapping[str, str]:
        """See `Game.translators`."""
        return {"forward": "generator"}

    def symptoms(self, step: Step, match: Match) -> dict[str, Tensor]:
        """See `Game.symptoms`."""
        assert step.batch.source is not None
        return of_translation(match.fake, step.batch.source, step.batch.sample)

    def showcase(self, count: int, random: Random, examples: Examples) -> dict[str, Tensor]:
        """Sources and what they should become, of the validation split."""
        batch = examples(count)
        assert batch.source is not None
        return {"source": batch.source, "truth": batch.sample}

    def show(self, players: Mapping[str, nn.Module], **inputs: Tensor) -> Tensor:
        """What the generator makes of the sources."""
        samples: Tensor = players["generator"](inputs["source"])
        return samples

    def exhibit(self, players: Mapping[str, nn.Module], **inputs: Tensor) -> dict[str, Tensor]:
        """Input, output and truth."""
        return {"input": inputs["source"], "output": self.show(players, **inputs), "truth": inputs["truth"]}
