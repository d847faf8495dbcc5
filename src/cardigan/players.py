"""The players of a trained run as a checkpoint left them, ready to be used. Loading executes no code from the run."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from cardigan.data.base import Codec
from cardigan.data.codec import load_codec
from cardigan.errors import CardiganError
from cardigan.games.base import Game
from cardigan.run import Run
from cardigan.sample import Form
from cardigan.training import checkpoint

Weights = Literal["average", "raw"]
"""Whose: the running average of a player, or the player as the last step left it."""


@dataclass(frozen=True)
class Players:
    """What a checkpoint of a run holds for use.

    Attributes:
        clock: real samples it had been trained on.
        codec: turns samples into pictures (or points, sounds, ...) and files.
        form: of the samples.
        game: what the players play.
        players: those whose weights are averaged, by name: in evaluation mode, without gradients, on `device`.
        device: a GPU if there is one, else the CPU.
    """

    clock: int
    codec: Codec
    form: Form
    game: Game
    players: dict[str, nn.Module]
    device: torch.device


def load_players(run: Run, at: int | None = None, weights: Weights = "average", command: str = "generate") -> Players:
    """The players of the newest checkpoint of `run`, or of the one at clock `at`.

    Args:
        weights: "average" (over training) or "raw".
        command: what is wanted of them, for the offer where that checkpoint is damaged.

    Raises:
        CardiganError: no such checkpoint, or a damaged one.
    """
    codec, form = load_codec(run.codec_folder)
    path = checkpoint_of(run, at)
    clock = int(path.name)
    game = run.recipe.game.build(form)
    players = {name: game.players[name] for name in game.averaged}
    try:
        checkpoint.load_modules(players, path, "average" if weights == "average" else "players")
    except checkpoint.DamagedCheckpointError as damage:
        raise CardiganError(f"{damage}; {run.offer(clock, command)}") from None
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    for player in players.values():
        player.eval().requires_grad_(False).to(device)
    return Players(clock, codec, form, game, players, device)


def checkpoint_of(run: Run, at: int | None = None) -> Path:
    """Folder of the newest checkpoint of `run`, or of the one at clock `at`.

    Raises:
        CardiganError: there is none.
    """
    clocks = run.clocks()
    if not clocks:
        raise CardiganError(f"{run.folder} has no checkpoint yet; train it: cardigan resume {run.folder}")
    if at is not None and at not in clocks:
        raise CardiganError(f"{run.folder} has no checkpoint at {at}; there are: {', '.join(map(str, clocks))}")
    return run.checkpoint_folder / checkpoint.name_of(clocks[-1] if at is None else at)
