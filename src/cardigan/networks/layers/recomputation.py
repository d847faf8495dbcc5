"""Activation checkpointing: a block's activations are computed again in the backward pass instead of being kept for it.

Chen et al., 2016, "Training deep nets with sublinear memory cost", arXiv:1604.06174. A block keeps what it was given;
all that its layers would keep is made once more when its gradients are due, block after block. It costs about one
forward pass, and says the same to the bit.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from functools import partial, wraps
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from cardigan.randomness import replay

Module = TypeVar("Module", bound=nn.Module)
Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
_MARK, _ASKED = "recomputable", "recomputes"


def recomputable(
    method: Callable[Concatenate[Module, Arguments], Result],
) -> Callable[Concatenate[Module, Arguments], Result]:
    """Mark a module's `method` (its `forward`, or a part of one) as a block: `recompute` asks it to keep nothing.

    It may depend on its arguments, on the module's parameters and buffers and on the random streams of
    `cardigan.randomness` and of torch: these it finds again as they were. Whatever else it changes would change twice.
    """

    @wraps(method)
    def called(module: Module, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        if not (module.__dict__.get(_ASKED) and module.training and torch.is_grad_enabled()):
            return method(module, *args, **kwargs)

        def block(*inputs: Any) -> Result:
            return method(module, *inputs, **kwargs)

        return cast(Result, checkpoint(block, *args, use_reentrant=False, context_fn=partial(_contexts, module)))

    setattr(called, _MARK, True)
    return called


class Chain(nn.Sequential):
    """Layers, one after another, that make up a block."""

    @recomputable
    def forward(self, x: Tensor) -> Tensor:
        """What the first takes -> what the last makes."""
        return cast(Tensor, super().forward(x))


def recompute(player: nn.Module) -> int:
    """Ask every block of `player` to compute its activations again while it trains; how many blocks there are."""
    blocks = [module for module in player.modules() if _is_block(type(module))]
    for block in blocks:
        # A plain attribute: weights keep their names, and copies are asked too.
        block.__dict__[_ASKED] = True
    return len(blocks)


def _is_block(kind: type[nn.Module]) -> bool:
    return any(getattr(value, _MARK, False) for each in kind.__mro__ for value in vars(each).values())


def _contexts(module: nn.Module) -> tuple[AbstractContextManager[Any], AbstractContextManager[Any]]:
    """Around the forward pass, and around each time that it is done again."""
    return nullcontext(), _AsItWas(module)


class _AsItWas(AbstractContextManager[None]):
    """What `module` finds beside its arguments now, to be found again, as often as this context is entered.

    Running statistics and the vectors of power iterations have moved on when gradients are due, and must move once: a
    copy of what they were takes their place. Likewise the random stream. Gradients of gradients enter more than once.
    """

    def __init__(self, module: nn.Module) -> None:
        self.module, self.dtype, self.random = module, torch.get_default_dtype(), replay()
        self.versions = self._versions()
        self.buffers = [
            (owner._buffers, name, buffer.detach().clone())
            for owner in module.modules()
            for name, buffer in owner._buffers.items()
            if buffer is not None
        ]

    def __enter__(self) -> None:
        if self._versions() != self.versions:
            # Torch's own guard sees the tensors that are kept, which are none.
            raise RuntimeError(f"the weights of a {type(self.module).__name__} changed before its gradients were taken")
        with ExitStack() as stack:
            stack.callback(torch.set_default_dtype, torch.get_default_dtype())
            torch.set_default_dtype(self.dtype)
            for place, name, before in self.buffers:
                stack.callback(place.__setitem__, name, place[name])
                place[name] = before.clone()
            stack.enter_context(self.random())
            self.leave = stack.pop_all()

    def __exit__(self, *error: object) -> None:
        self.leave.close()

    def _versions(self) -> list[int]:
        return [each._version for each in self.module.parameters()]
