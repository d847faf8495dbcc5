"""Weights, gradients and optimizer state spread over processes: each holds its part of them (fully sharded).

Rajbhandari et al. 2020, "ZeRO: memory optimizations toward training trillion parameter models", stage 3; Zhao et al.
2023, "PyTorch FSDP". The work is done by torch's `fully_shard`: before a network is called its weights are gathered,
afterwards they are freed, backward gathers them once more and leaves each process its part of the mean gradient.
"""

import warnings
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import torch
from torch import nn
from torch.nn.utils.parametrize import ParametrizationList
from torch.overrides import TorchFunctionMode

from cardigan.distributed import world_size
from cardigan.errors import CardiganError
from cardigan.networks.base import Judgement
from cardigan.recipe import Recipe
from cardigan.training.processes import placed

UNIT = 2**20
"""Weights from which on a layer is gathered by itself; smaller ones are gathered with what is around them."""
WITH = "with engine.strategy=sharded"
TWICE = "differentiates a gradient, for which sharded weights have gone when they are needed"


def refuse_unshardable(recipe: Recipe) -> None:
    """Do nothing unless `recipe` asks for sharding where it cannot be done, or would be done wrongly.

    Raises:
        CardiganError: the first setting that is in the way, and what is allowed.
    """
    if recipe.engine.strategy == "sharded":
        for line in _obstacles(recipe):
            raise CardiganError(line)


def _obstacles(recipe: Recipe) -> Iterator[str]:
    game, training = recipe.game, recipe.training
    here, machines = placed(recipe.engine)
    if here * machines == 1:
        yield "engine.strategy: sharded needs several processes (engine.devices); allowed with one: replicated"
    for key in game.differentiates_twice:
        yield f"{key}: {TWICE}; allowed {WITH}: null"
    if game.writes:
        yield f"game.kind: {game.kind} uses its players piece by piece; allowed {WITH}: games of pictures and points"
    if training.extragradient is not None:
        yield f"training.extragradient: puts weights back, which each process has a part of; allowed {WITH}: null"
    if training.lookahead is not None:
        yield f"training.lookahead: puts weights back, which each process has a part of; allowed {WITH}: null"
    if training.optimizer.optimistic:
        kind = training.optimizer.kind
        yield f"training.optimizer: {kind} needs whole weights; allowed {WITH}: adam, adamw, rmsprop, sgd"
    if recipe.engine.precision == "fp16":
        yield f"engine.precision: fp16 scales losses by what one process sees; allowed {WITH}: auto, fp32, bf16, fp64"
    if recipe.guard.enabled:
        yield f"guard.enabled: its remedies are penalties, which differentiate gradients; allowed {WITH}: false"


def share_out(players: Mapping[str, nn.Module], device: torch.device, least: int = UNIT) -> None:
    """Leave this process its part of the weights of `players`, which are the same in every process; in place.

    Their parameters are those parts from now on, for optimizers; a call of a player gathers what it needs.

    Args:
        least: weights from which on a layer is gathered by itself.

    Raises:
        CardiganError: a weight that has no axis (of self-attention, for instance).
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method

    for name, player in players.items():
        for key, weight in player.named_parameters():
            if weight.dim() == 0:
                raise CardiganError(
                    f"engine.strategy: the weight {key} of the {name} is a single number, which cannot be sharded; "
                    "allowed with it: replicated"
                )
    _show_judgements()
    # What a player returns may be a view, which is in danger where it is changed in place: no loss does so.
    warnings.filterwarnings("ignore", "FSDP2-wrapped module .* returned a view", UserWarning)
    mesh = init_device_mesh(device.type, (world_size(),))
    for player in players.values():
        for unit in units(player, least):
            fully_shard(unit, mesh=mesh, reshard_after_forward=True)
        if hasattr(player, "encode"):  # what a translator is called by, beside forward
            register_fsdp_forward_method(player, "encode")


def units(player: nn.Module, least: int) -> list[nn.Module]:
    """What is gathered at once: large members of the lists of layers in `player`, inner ones first; at last the rest.

    Args:
        least: weights from which on a member is large.
    """
    lists = [
        each
        for each in player.modules()
        if isinstance(each, nn.ModuleList | nn.Sequential) and not isinstance(each, ParametrizationList)
    ]
    members = [member for each in lists for member in each.children() if not isinstance(member, nn.ModuleList)]
    large = [each for each in members if sum(weight.numel() for weight in each.parameters()) >= least]
    return [*reversed(list(dict.fromkeys(large))), player]


def leaves(player: nn.Module) -> list[nn.Parameter]:
    """The learned weights of a sharded `player` as autograd knows them, in their order: losses are differentiated by
    these, while gradients are found at the player's parameters. They hold nothing but while they are needed.
    """
    from torch.distributed.fsdp import FSDPModule

    gathered = [each for each in player.modules() if isinstance(each, FSDPModule)]
    for each in gathered:
        each.unshard()
    found = [each for each in player.parameters() if each.requires_grad]
    for each in gathered:
        each.reshard()
    return found


class OnceOnly(TorchFunctionMode):
    """Within this context, a gradient that is to be differentiated again is refused: it would be silently wrong.

    Games that say so (`GameSettings.differentiates_twice`) are refused before training; this is for those that do not.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """See torch.overrides.TorchFunctionMode."""
        if func is torch.autograd.grad and kwargs and kwargs.get("create_graph"):
            raise CardiganError(f"game: a loss {TWICE}; allowed {WITH}: losses that do not")
        return func(*args, **(kwargs or {}))


@cache
def _show_judgements() -> None:
    """Let torch see the tensors in a `Judgement`, which it must hook; since 2.13 it looks into dataclasses itself."""
    torch.export.register_dataclass(Judgement)
