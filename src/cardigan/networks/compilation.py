"""Networks compiled by torch.compile, and what penalties ask of those: gradients that can be differentiated again.

The backward pass of a compiled network is compiled too, and torch cannot differentiate it (double backward). So where a
penalty will differentiate the gradient of what a discriminator says, value and gradient are made together, by
torch.func within one compiled function, whose outputs are differentiated once like any others.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import fields
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from cardigan.networks.base import Discriminator, Judgement, Slope

BACKEND = "inductor"
"""What torch.compile hands its graphs to; writes C++ or Triton kernels."""
MODE = "default"
"""Of the backend; "reduce-overhead" makes CUDA graphs, which is tried in benchmarks only (docs/benchmarks.md)."""
VARIANTS = 64
"""Graphs that torch may make for all networks of a process: each shape, layout and way of being called is one."""
_TWICE: ContextVar[bool] = ContextVar("gradients are differentiated", default=False)
_COMPILED: WeakKeyDictionary[nn.Module, Callable[..., Any] | None] = WeakKeyDictionary()
"""Networks that are compiled -> `_with_slope`, compiled too; None: beyond that."""


def compile_network(network: nn.Module) -> bool:
    """Compile `network` for each shape of samples, when it first comes; copies of it stay as they are.

    What torch cannot compile it runs as written. Weights that are computed as the network is called (spectral
    normalisation) are not compiled: they move vectors that the backward pass of an earlier call still needs.

    Returns:
        Whether it is compiled.
    """
    if any(map(parametrize.is_parametrized, network.modules())):
        return False
    torch._dynamo.config.recompile_limit = max(VARIANTS, torch._dynamo.config.recompile_limit)
    options: dict[str, Any] = {"backend": BACKEND, "dynamic": False, **({} if MODE == "default" else {"mode": MODE})}
    network.compile(**options)
    changing = network.state_dict().keys() - dict(network.named_parameters()).keys()
    _COMPILED[network] = None if changing else torch.compile(_with_slope, **options)
    return True


def uncompiled() -> AbstractContextManager[Any]:
    """Within this context compiled networks run as written: where compiling does not pay, or cannot be done."""
    return torch.compiler.set_stance("force_eager")


@contextmanager
def differentiated_twice() -> Iterator[None]:
    """Within this context the gradient, by its sample, of what `judged` gives will be differentiated."""
    token = _TWICE.set(True)
    try:
        yield
    finally:
        _TWICE.reset(token)


def judged(
    discriminator: Discriminator, sample: Tensor, condition: Tensor | None = None, features: bool = False
) -> Judgement:
    """What `discriminator` says of (N, ...) samples; with its `Slope` where compilation needs that.

    A network that changes as it is called (running statistics) is beyond torch.func: where gradients are
    differentiated it runs as written.
    """
    if not _TWICE.get() or discriminator not in _COMPILED:
        return _said(discriminator, sample, condition, features)
    with_slope = _COMPILED[discriminator]
    if with_slope is None:
        with uncompiled():
            return _said(discriminator, sample, condition, features)
    parts, slope = with_slope(discriminator, sample, condition, features)
    return Judgement(**parts, slope=Slope(sample, slope))


def _said(discriminator: Discriminator, *arguments: Any) -> Judgement:
    judgement: Judgement = discriminator(*arguments)
    return judgement


def _with_slope(
    discriminator: Discriminator, sample: Tensor, condition: Tensor | None, features: bool
) -> tuple[dict[str, Any], Tensor]:
    """What is said of (N, ...) samples, by field, and the gradient (N, ...) of the sum of it by them."""

    def said(sample: Tensor) -> tuple[Tensor, dict[str, Any]]:
        judgement = discriminator.forward(sample, condition, features)
        parts = {each.name: getattr(judgement, each.name) for each in fields(judgement)}
        return judgement.total(), {name: part for name, part in parts.items() if part is not None}

    slope, parts = torch.func.grad(said, has_aux=True)(sample)
    return parts, slope
