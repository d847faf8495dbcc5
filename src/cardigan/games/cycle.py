"""The game `cycle`: unpaired; two generators that undo one another, two discriminators (CycleGAN)."""

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import NonNegativeFloat, NonNegativeInt
from torch import Tensor, nn

from cardigan.errors import CardiganError
from cardigan.games.adversary import Adversary
from cardigan.games.base import Examples, Game, GameSettings, Guide, Match, Step, Turn
from cardigan.games.pool import Pool
from cardigan.games.symptoms import of_cycle, of_translation
from cardigan.networks import DISCRIMINATORS, TRANSLATORS
from cardigan.networks.base import DiscriminatorFamily, Judgement, TranslatorFamily
from cardigan.networks.compilation import judged
from cardigan.networks.patch import Patch
from cardigan.objectives.adversarial import OBJECTIVES, ObjectiveName
from cardigan.objectives.penalties import Penalties
from cardigan.objectives.reconstruction import l1
from cardigan.randomness import Random
from cardigan.sample import Form
from cardigan.settings import Choice


class Cycle(GameSettings):
    """Zhu et al. 2017, "Unpaired image-to-image translation using cycle-consistent adversarial networks"."""

    kind: Literal["cycle"] = "cycle"
    generator: Annotated[TranslatorFamily, Choice("family", TRANSLATORS)]
    """Both of them: from sources to samples, and back."""
    discriminator: Annotated[DiscriminatorFamily, Choice("family", DISCRIMINATORS)] = Patch()
    """Both of them, one for each domain."""
    objective: ObjectiveName = "least-squares"
    """The pair of adversarial losses."""
    penalties: Penalties = Penalties()
    """Of both discriminators."""
    cycle: NonNegativeFloat = 10.0
    """Factor of |G(F(y)) - y| and |F(G(x)) - x|: there and back again."""
    identity: NonNegativeFloat = 0.5
    """Factor, times that of the cycle, of |G(y) - y| and |F(x) - x|: what is there already is left alone. It keeps
    colours."""
    pool: NonNegativeInt = 50
    """Earlier fakes that the discriminators see again; 0: none."""

    def build(self, form: Form, guide: Guide | None = None) -> "CycleGame":
        """See `GameSettings.build`.

        Raises:
            CardiganError: data without sources, or of another shape than the samples.
        """
        if form.source is None or form.source != form.shape:
            raise CardiganError(
                "game.kind: cycle needs two domains of pictures of one size; allowed data.kind here: domains"
            )
        return CycleGame(self, form)


class CycleGame(Game):
    """Four players: x are sources, y samples; G turns x into y (forward), F turns y into x (backward)."""

    averaged = ("forward_generator", "backward_generator")

    def __init__(self, settings: Cycle, form: Form) -> None:
        self.settings, self.form = settings, form
        self.adversary = Adversary(OBJECTIVES[settings.objective], settings.penalties)
        self.forward, self.backward = (settings.generator.build(form) for _ in range(2))
        self.judges = {name: settings.discriminator.build(form, False) for name in ("forward", "backward")}
        self.players: dict[str, nn.Module] = {
            "forward_generator": self.forward,
            "backward_generator": self.backward,
            "forward_discriminator": self.judges["forward"],
            "backward_discriminator": self.judges["backward"],
        }
        self.pools = {name: Pool(settings.pool) for name in self.judges}
        self.turns = (
            Turn(("forward_generator", "backward_generator"), self.generator_loss),
            Turn(("forward_discriminator", "backward_discriminator"), self.discriminator_loss),
        )

    def generator_loss(self, step: Step) -> dict[str, Tensor]:
        """Equation 3 of the paper for both generators, and the identity term of section 5.2."""
        x, y = _both(step)
        fake_y, fake_x = self.forward(x).to(y), self.backward(y).to(x)
        step.made |= {"forward": fake_y.detach(), "backward": fake_x.detach()}
        played = [
            self.adversary.generator(partial(self._judge, name), real, fake).terms["adversarial"]
            for name, real, fake in (("forward", y, fake_y), ("backward", x, fake_x))
        ]
        there_and_back = l1(self.backward(fake_y), x).mean() + l1(self.forward(fake_x), y).mean()
        terms = {"adversarial": played[0] + played[1], "cycle": self.settings.cycle * there_and_back}
        if self.settings.identity:
            alone = l1(self.forward(y), y).mean() + l1(self.backward(x), x).mean()
            terms["identity"] = self.settings.cycle * self.settings.identity * alone
        return terms

    def discriminator_loss(self, step: Step) -> dict[str, Tensor]:
        """Both discriminators on real samples and on fakes, some of which are earlier ones."""
        x, y = _both(step)
        terms = dict[str, Tensor]()
        for name, real in (("forward", y), ("backward", x)):
            fake = self.pools[name].exchange(step.made[name], step.random)
            found = self.adversary.discriminator(partial(self._judge, name), real, fake, step).terms
            for key, value in found.items():
                terms[key] = terms[key] + value if key in terms else value
        return terms

    def matches(self, step: Step) -> dict[str, Match]:
        """See `Game.matches`."""
        x, y = _both(step)
        made = {"forward": (y, self.forward(x).to(y)), "backward": (x, self.backward(y).to(x))}
        return {
            f"{name}_discriminator": Match(real, fake, partial(self._judge, name))
            for name, (real, fake) in made.items()
        }

    def symptoms(self, step: Step, match: Match) -> dict[str, Tensor]:
        """Of the way forward; see `Game.symptoms`."""
        x, y = _both(step)
        return of_translation(match.fake, x, y) | of_cycle(x, match.fake, self.backward, step.random)

    def state_dict(self) -> dict[str, Any]:
        """The pools."""
        return {f"{name}.{key}": value for name, pool in self.pools.items() for key, value in pool.state_dict().items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See `Game.load_state_dict`."""
        for name, pool in self.pools.items():
            begins = f"{name}."
            pool.load_state_dict(
                {key.removeprefix(begins): each for key, each in state.items() if key.startswith(begins)}
            )

    def translators(self) -> Mapping[str, str]:
        """See `Game.translators`."""
        return {"forward": "forward_generator", "backward": "backward_generator"}

    def showcase(self, count: int, random: Random, examples: Examples) -> dict[str, Tensor]:
        """Pictures of both domains, of the validation split."""
        batch = examples(count)
        assert batch.source is not None
        return {"source": batch.source, "sample": batch.sample}

    def show(self, players: Mapping[str, nn.Module], **inputs: Tensor) -> Tensor:
        """Sources as samples."""
        samples: Tensor = players["forward_generator"](inputs["source"])
        return samples

    def exhibit(self, players: Mapping[str, nn.Module], **inputs: Tensor) -> dict[str, Tensor]:
        """A source, what it becomes, and back again; a sample, what it becomes, and back again."""
        x, y = inputs["source"], inputs["sample"]
        forward, backward = players["forward_generator"], players["backward_generator"]
        there, here = forward(x), backward(y)
        return {
            "input": x, "output": there, "input again": backward(there),
            "sample": y, "as input": here, "sample again": forward(here),
        }  # fmt: skip

    def _judge(self, name: str, sample: Tensor) -> Judgement:
        return judged(self.judges[name], sample)


def _both(step: Step) -> tuple[Tensor, Tensor]:
    assert step.batch.source is not None
    return step.batch.source, step.batch.sample
