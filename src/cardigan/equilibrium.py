"""How far two players are from an equilibrium: the duality gap of the minimax game.

Goodfellow et al. 2014, "Generative adversarial nets", equation 1, is the game whose value is

    V(G, D) = E log sigmoid(D(x)) + E log(1 - sigmoid(D(G(z))))

with logits D. Grnarova et al. 2019, "A domain agnostic measure for monitoring and evaluating GANs" (arXiv:1811.05512),
measure how much either player could gain while the other stands still:

    gap = max_D' V(G, D') - min_G' V(G', D)  >=  0, and 0 at an equilibrium alone.

max_D' V(G, D') by itself, the minimax value, judges the generator: it is 2 JS(data, G) - log 4, so -log 4 where G is
the data's distribution and 0 where one can always tell. Both are estimated: opponents are trained against a frozen
player, one with fresh weights and one from where the run's own opponent stands, since a search from there alone gets
stuck where there is no slope (Sidheekh et al. 2021, "On duality gap as a measure for monitoring GAN training"). Each
is kept as it was when it did best on held-out samples, the run's own as it is among them, and the best is judged on
others. What few steps do not find is missing: the gap is estimated from below.

V is reported whatever the run was trained with. Logits of objectives that know no undecided logit (Wasserstein,
relativistic), or another one than 0 (least squares), are shifted by the constant for which V is largest.
"""

import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from math import log
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from cardigan.data.base import Dataset, Watch, silent
from cardigan.errors import CardiganError
from cardigan.games.base import Step
from cardigan.games.gan import Gan, GanGame
from cardigan.networks.base import Discriminator, Judgement
from cardigan.objectives.adversarial import OBJECTIVES, widen
from cardigan.objectives.penalties import Penalties
from cardigan.players import checkpoint_of
from cardigan.randomness import Random, derive_seed, use
from cardigan.recipe import Recipe
from cardigan.run import Run, open_run
from cardigan.training import checkpoint
from cardigan.training.average import AverageSettings
from cardigan.training.engine import EngineChoice, start_fabric
from cardigan.training.guard import Guard
from cardigan.training.loop import Loop
from cardigan.training.optimizers import Adam
from cardigan.training.settings import Engine, Training

STEPS = 500
"""Of each opponent."""
LOOKS = 10
"""Times at which an opponent is judged on its way, to keep it as it was at its best."""
HELD_OUT = 4_096
"""Held-out samples, at most: one half chooses opponents, the other judges them."""
LEAST = 32
"""Held-out samples without which nothing is measured."""
CHUNK = 256
"""Samples judged at once."""
RESAMPLINGS = 1_000
"""Of the bootstrap."""
OPTIMIZER = Adam(rate=1e-3, betas=(0.5, 0.999))
"""Of opponents, whatever the run's own: a run whose rates are its trouble is measured by sound ones."""
LOG_4 = log(4)

Start = Literal["own", "trained on", "fresh"]
"""An opponent: the run's, as it is; the same, trained on; one with weights of its own."""
STARTS: tuple[Start, ...] = ("own", "trained on", "fresh")


@dataclass(frozen=True)
class Values:
    """V of one pair of players, sample by sample.

    Attributes:
        real: (N,) float64 log sigmoid(D(x)) of real samples.
        fake: (N,) float64 log(1 - sigmoid(D(G(z)))) of made ones.
    """

    real: Tensor
    fake: Tensor

    @property
    def mean(self) -> float:
        """V."""
        return float(self.real.mean() + self.fake.mean())


@dataclass(frozen=True)
class Estimate:
    """A value and its 95% interval, by the bootstrap over held-out samples."""

    value: float
    low: float
    high: float

    def text(self) -> str:
        """ "0.123 (0.100 to 0.150)"."""
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


@dataclass(frozen=True)
class Equilibrium:
    """How far the players of one checkpoint are from an equilibrium.

    Attributes:
        place: the run's folder; empty for players from elsewhere.
        clock: samples that the players had been trained on.
        value: V(G, D) of the players themselves.
        minimax: max_D' V(G, D').
        maximin: min_G' V(G', D).
        gap: minimax - maximin.
        offset: what was taken from the discriminator's logits first.
        steps: of each opponent.
        samples: held-out real samples, and as many made ones, that judged.
        found: "discriminator" and "generator" -> which was the worst opponent.
    """

    place: str
    clock: int
    value: Estimate
    minimax: Estimate
    maximin: Estimate
    gap: Estimate
    offset: float
    steps: int
    samples: int
    found: dict[str, Start]

    def lines(self) -> list[str]:
        """For a terminal."""
        shifted = f" (logits shifted by {-self.offset:+.3g})" if self.offset else ""
        return [
            f"duality gap {self.gap.text()}: {self._verdict()}",
            f"{self.place or 'players'} at {self.clock:,} samples; opponents of {self.steps:,} steps, judged on "
            f"{self.samples:,} held-out samples; 95% intervals by the bootstrap",
            "",
            f"  minimax  max over D of V(G, D)  {self.minimax.text()}  by {self._who('discriminator')}; "
            f"{-LOG_4:.3f} where G is the data's distribution, 0 where every sample can be told",
            f"  value    V(G, D)                {self.value.text()}  of the run's two players{shifted}",
            f"  maximin  min over G of V(G, D)  {self.maximin.text()}  by {self._who('generator')}",
        ]

    def plain(self) -> dict[str, Any]:
        """As JSON values."""
        numbers = {name: vars(getattr(self, name)) for name in ("gap", "minimax", "value", "maximin")}
        return {
            "format": 1,
            "run": self.place,
            "samples": self.clock,
            **numbers,
            "offset": self.offset,
            "steps": self.steps,
            "held_out": self.samples,
            "worst": self.found,
        }

    def _verdict(self) -> str:
        if self.gap.low <= 0:
            return "within its interval of 0, as at an equilibrium (no opponent of so few steps gains anything)"
        gains = {
            "discriminator": self.minimax.value - self.value.value,
            "generator": self.value.value - self.maximin.value,
        }
        more = max(gains, key=lambda name: gains[name])
        return f"the {more} could gain most by moving alone ({gains[more]:.3f})"

    def _who(self, player: str) -> str:
        words = {
            "own": f"the run's own {player}",
            "trained on": f"the run's own {player}, trained on",
            "fresh": f"a fresh {player}",
        }
        return words[self.found[player]]


def measure(
    run: str | Path | Run, *, steps: int = STEPS, at: int | None = None, seed: int = 0, watch: Watch = silent
) -> Equilibrium:
    """The duality gap of the players of `run`, raw as the last step left them, at its newest checkpoint or at `at`.

    Args:
        steps: of each opponent.
        at: clock of the checkpoint.
        seed: of fresh weights and of all that is drawn.

    Raises:
        CardiganError: no such run or checkpoint, another game than `gan`, data that changed, too few held-out samples.
    """
    run = run if isinstance(run, Run) else open_run(run)
    if not isinstance(run.recipe.game, Gan):
        raise CardiganError(
            f"--equilibrium: measured of the game 'gan' alone; {run.folder} plays {run.recipe.game.kind!r}"
        )
    path = checkpoint_of(run, at)
    watch("reading data", 0, 0)
    train = run.recipe.data.load("train", run.recipe.training.seed, watch)
    if train.fingerprint != run.environment.get("data"):
        raise CardiganError(
            f"{run.folder}: {run.recipe.data.source} is no longer the data that this run was trained on"
        )
    try:
        recipe = Guard.at(run, run.recipe, train.form.size, path).recipe
        players = recipe.game.build(train.form)
        assert isinstance(players, GanGame)
        checkpoint.load_modules(players.players, path, "players")
    except checkpoint.DamagedCheckpointError as damage:
        raise CardiganError(f"{damage}; {run.offer(int(path.name), 'doctor --equilibrium')}") from None
    found = weigh(recipe, players, train, held_out(recipe), steps=steps, seed=seed, watch=watch)
    train.close()
    return replace(found, place=str(run.folder), clock=int(path.name))


def held_out(recipe: Recipe) -> Dataset:
    """Samples that training did not see: the validation split, or else the test split.

    Raises:
        CardiganError: there are too few.
    """
    for split in ("validation", "test"):
        try:
            found = recipe.data.still().load(split, recipe.training.seed)
        except CardiganError:  # the data have no such split
            continue
        if len(found) >= LEAST:
            return found
        found.close()
    raise CardiganError(f"--equilibrium: needs {LEAST} held-out samples (data.validation or data.test), found fewer")


def weigh(
    recipe: Recipe,
    players: GanGame,
    train: Dataset,
    unseen: Dataset,
    *,
    steps: int = STEPS,
    seed: int = 0,
    watch: Watch = silent,
) -> Equilibrium:
    """The duality gap of `players` of the game `gan` of `recipe`: opponents learn on `train`, `unseen` judges."""
    probe = _plain(recipe, derive_seed("equilibrium", seed) % 2**31)
    fabric = start_fabric(Engine())
    choice = EngineChoice(threads=torch.get_num_threads())
    dataset = train.to(fabric.device)
    half = min(HELD_OUT, len(unseen)) // 2
    bench = _Bench(unseen, half, seed, fabric.device)
    own = _frozen(Loop(probe, dataset, choice, fabric), players)
    objective = OBJECTIVES[recipe.game.objective]  # type: ignore[attr-defined]
    offset = 0.0 if objective.undecided == 0 else best_offset(*bench.logits(own, choosing=True))
    if offset:
        _shift(own, offset)

    def worst(player: str, better: Callable[[float, float], bool]) -> tuple[GanGame, Start]:
        """The opponent in the place of `player` whose V is best for it on the half that chooses."""
        best, value, who = own, bench.values(own, choosing=True).mean, STARTS[0]
        for start in STARTS[1:]:
            loop = Loop(probe, dataset, choice, fabric)
            game = _seated(loop, own, player, start)
            for done in _stretches(steps):
                watch(f"training a {player} ({start})", done, steps)
                while loop.rounds < done:
                    loop.round()
                now = bench.values(game, choosing=True).mean
                if better(now, value):
                    best, value, who = copy.deepcopy(game), now, start
        return best, who

    strongest, judge = worst("discriminator", lambda now, before: now > before)
    slyest, maker = worst("generator", lambda now, before: now < before)
    itself, high, low = (bench.values(each) for each in (own, strongest, slyest))
    estimates = _bootstrap((itself, high, low), seed)
    return Equilibrium(
        "", 0, *estimates, offset=offset, steps=steps, samples=half, found={"discriminator": judge, "generator": maker}
    )


def best_offset(real: Tensor, fake: Tensor) -> float:
    """The c for which V of logits (N,) less c is largest; V is concave in it.

    There the mean of sigmoid(-(r - c)) equals that of sigmoid(f - c); the difference of the two grows with c.
    """
    low, high = float(torch.cat([real, fake]).min()) - 1, float(torch.cat([real, fake]).max()) + 1
    for _ in range(60):
        middle = (low + high) / 2
        rising = float((middle - real).sigmoid().mean() - (fake - middle).sigmoid().mean()) < 0
        low, high = (middle, high) if rising else (low, middle)
    return (low + high) / 2


class _Shifted(Discriminator):
    """A discriminator whose logits are less by a constant."""

    def __init__(self, inner: Discriminator, offset: float) -> None:
        super().__init__()
        self.inner, self.offset = inner, offset

    def forward(self, sample: Tensor, condition: Tensor | None = None, features: bool = False) -> Judgement:
        """See `Discriminator.forward`."""
        found: Judgement = self.inner(sample, condition, features)
        return replace(found, logits=tuple(each - self.offset for each in found.logits))


class _Bench:
    """Held-out samples that judge pairs of players: one half of them chooses, the other has the last word.

    All pairs see the same real samples and make samples of the same latents, so that their differences are sharp.
    """

    def __init__(self, unseen: Dataset, half: int, seed: int, device: torch.device) -> None:
        self.seed, self.device = seed, device
        drawn = [unseen.draw(side * half, half).to(device) for side in range(2)]
        unseen.close()
        self.halves = drawn

    def values(self, game: GanGame, choosing: bool = False) -> Values:
        """V of the players of `game`, sample by sample."""
        real, fake = self.logits(game, choosing)
        return Values(logsigmoid(real), logsigmoid(-fake))

    @torch.no_grad()
    def logits(self, game: GanGame, choosing: bool = False) -> tuple[Tensor, Tensor]:
        """(N,) float64 logits of real and of made samples; of patches and scales, the mean."""
        batch, found = self.halves[0 if choosing else 1], list[tuple[Tensor, Tensor]]()
        modes = {player: player.training for player in game.players.values()}
        for player in modes:
            player.eval()
        for at in range(0, len(batch), CHUNK):
            stretch = torch.arange(at, min(at + CHUNK, len(batch)), device=self.device)
            random = Random(self.seed, "equilibrium", int(choosing), at, device=self.device)
            step = Step(_rows(batch, stretch), random)
            with use(random):
                match = game.matches(step)["discriminator"]
                found.append((_one(match.judge(match.real)), _one(match.judge(match.fake))))
        for player, mode in modes.items():
            player.train(mode)
        real, fake = (torch.cat(side) for side in zip(*found, strict=True))
        return real, fake


def _rows(batch: Any, rows: Tensor) -> Any:
    label = None if batch.label is None else batch.label[rows]
    return replace(batch, sample=batch.sample[rows], label=label, source=None, mask=None, length=None, id=None)


def _one(judgement: Judgement) -> Tensor:
    """(N,) one logit for each sample."""
    return torch.stack([widen(each).double().flatten(1).mean(1) for each in map(_with_axis, judgement.logits)]).mean(0)


def _with_axis(logits: Tensor) -> Tensor:
    return logits[:, None] if logits.dim() == 1 else logits


def _plain(recipe: Recipe, seed: int) -> Recipe:
    """`recipe` with the minimax game of its networks and nothing else: no penalty, augmentation or other extra."""
    game = recipe.game
    assert isinstance(game, Gan)
    turning = game.self_supervision  # its discriminator has a head of its own, which may idle
    plain = Gan(
        networks=game.networks,
        labels=game.labels,
        pack=game.pack,
        self_supervision=None
        if turning is None
        else turning.model_copy(update={"discriminator": 0.0, "generator": 0.0}),
        objective="minimax",
        auxiliary_weight=0.0,
        penalties=Penalties(),
    )
    training = Training(
        batch=recipe.training.batch, seed=seed, optimizer=OPTIMIZER, average=AverageSettings(half_life=None)
    )
    return recipe.model_copy(update={"game": plain, "training": training})


def _frozen(loop: Loop, players: GanGame) -> GanGame:
    """The game of `loop` with the weights of `players`, which nothing moves any more."""
    game = loop.game
    assert isinstance(game, GanGame)
    for name, player in game.players.items():
        player.load_state_dict(players.players[name].state_dict())
        player.eval().requires_grad_(False)
    return game


def _shift(game: GanGame, offset: float) -> None:
    game.discriminator = _Shifted(game.discriminator, offset).eval()
    game.players["discriminator"] = game.discriminator


def _seated(loop: Loop, own: GanGame, keep: str, start: Start) -> GanGame:
    """The game of `loop`, its player `keep` against the frozen other one of `own`, which takes no turn."""
    game = loop.game
    assert isinstance(game, GanGame)
    mine = own.players[keep]
    if start == "trained on":
        inner = mine.inner if isinstance(mine, _Shifted) else mine
        game.players[keep].load_state_dict(inner.state_dict())
        if isinstance(mine, _Shifted):
            _shift(game, mine.offset)
            game.discriminator.train()
    other = next(name for name in game.players if name != keep)
    game.players[other] = own.players[other]
    setattr(game, other, own.players[other])
    game.turns = tuple(turn for turn in game.turns if keep in turn.players)
    return game


def _stretches(steps: int) -> Iterable[int]:
    """Steps after which an opponent is looked at."""
    return sorted({max(1, round(steps * (look + 1) / LOOKS)) for look in range(LOOKS)})


def _bootstrap(values: tuple[Values, Values, Values], seed: int) -> tuple[Estimate, Estimate, Estimate, Estimate]:
    """Estimates of V(G, D), max V, min V and the gap, of the same resamplings of real samples and of latents."""
    stream = torch.Generator().manual_seed(derive_seed("bootstrap", seed))
    real, fake = (torch.stack([getattr(each, side).cpu() for each in values]) for side in ("real", "fake"))
    drawn = list[Tensor]()
    for _ in range(RESAMPLINGS):
        rows = [torch.randint(side.shape[1], (side.shape[1],), generator=stream) for side in (real, fake)]
        drawn.append(real[:, rows[0]].mean(1) + fake[:, rows[1]].mean(1))
    means = real.mean(1) + fake.mean(1)
    found = torch.stack(drawn)
    ends = torch.tensor([0.025, 0.975], dtype=torch.float64)

    def estimate(value: Tensor, resampled: Tensor) -> Estimate:
        low, high = resampled.quantile(ends).tolist()
        return Estimate(float(value), low, high)

    itself, highest, lowest = (estimate(means[at], found[:, at]) for at in range(3))
    return itself, highest, lowest, estimate(means[1] - means[2], found[:, 1] - found[:, 2])
