"""Optimizers for games, of torch's kind: they answer the change of a gradient as well as the gradient.

Daskalakis, Ilyas, Syrgkanis & Zeng 2018, "Training GANs with optimism", arXiv:1711.00141.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn


class Optimistic(torch.optim.Optimizer, ABC):
    """w <- w - rate (2 d_t - d_(t-1)), where d_t is the direction that a plain optimizer would follow.

    The step counts on the next direction to differ from this one as this one did from the last; 2 d_t - d_(t-1) is what
    d_(t+1) will then be. In a game whose players circle around one another it leads inwards.

    The first step, which has no direction before it, is a plain one. Where the rate changes, the last direction is
    counted at the rate of now.
    """

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Move every parameter that has a gradient."""
        for group in self.param_groups:
            moved = [each for each in group["params"] if each.grad is not None]
            if moved:
                self._move(group, moved)

    @abstractmethod
    def directions(self, group: dict[str, Any], parameters: list[Tensor], gradients: list[Tensor]) -> list[Tensor]:
        """d_t of each parameter, in new tensors or in `gradients` themselves; keeps its moments in `state`."""

    def _move(self, group: dict[str, Any], parameters: list[Tensor]) -> None:
        gradients = [each.grad for each in parameters if each.grad is not None]
        if group["weight_decay"]:
            gradients = list(torch._foreach_add(gradients, parameters, alpha=group["weight_decay"]))
        directions = self.directions(group, parameters, gradients)
        for parameter, direction in zip(parameters, directions, strict=True):
            if "direction" not in self.state[parameter]:
                self.state[parameter]["direction"] = torch.empty_like(parameter).copy_(direction)
        last = [self.state[each]["direction"] for each in parameters]
        expected = torch._foreach_mul(directions, 2.0)
        torch._foreach_sub_(expected, last)
        torch._foreach_add_(parameters, expected, alpha=-group["lr"])
        torch._foreach_copy_(last, directions)


class OptimisticSGD(Optimistic):
    """Optimistic mirror descent: d_t is the gradient; Popov 1980 has it first.

    Args:
        parameters: what is moved.
        lr: learning rate.
        weight_decay: share of the weights that is added to the gradient.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], lr: float, weight_decay: float = 0.0) -> None:
        super().__init__(parameters, {"lr": lr, "weight_decay": weight_decay})

    def directions(self, group: dict[str, Any], parameters: list[Tensor], gradients: list[Tensor]) -> list[Tensor]:
        """See `Optimistic.directions`."""
        return gradients


class OptimisticAdam(Optimistic):
    """Algorithm 1 of the paper: d_t is Adam's, the mean of the gradients over the root of their mean square.

    Args:
        parameters: what is moved.
        lr: learning rate.
        betas: decay rates of the two moments.
        eps: added to the root.
        weight_decay: share of the weights that is added to the gradient.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        lr: float,
        betas: tuple[float, float] = (0.5, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(parameters, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    def directions(self, group: dict[str, Any], parameters: list[Tensor], gradients: list[Tensor]) -> list[Tensor]:
        """See `Optimistic.directions`."""
        first, second = group["betas"]
        states = [self.state[each] for each in parameters]
        for state, parameter in zip(states, parameters, strict=True):
            if not state:
                state["step"] = 0
                state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
            state["step"] += 1
        means, squares = ([state[name] for state in states] for name in ("exp_avg", "exp_avg_sq"))
        torch._foreach_lerp_(means, gradients, 1 - first)
        torch._foreach_mul_(squares, second)
        torch._foreach_addcmul_(squares, gradients, gradients, 1 - second)
        roots = torch._foreach_sqrt(squares)
        torch._foreach_div_(roots, [(1 - second ** state["step"]) ** 0.5 for state in states])
        torch._foreach_add_(roots, group["eps"])
        directions = list(torch._foreach_div(means, roots))
        torch._foreach_div_(directions, [1 - first ** state["step"] for state in states])
        return directions
