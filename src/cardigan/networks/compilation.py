"""Networks compiled by torch.compile, and what penalties ask of those: gradients that can be differentiated again.

The backward pass of a compiled network is compiled too, and torch cannot differentiate it (double backward). So where a
penalty will differentiate the gradient of what a discriminator says, value and gradient are made together, by
torch.func within one compiled function, whose outputs are differentiated once like any others.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import fields
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from cardigan.networks.base import Discriminator, Judgement, Slope

BACKEND = "inductor"
"""What torch.compile hands its graphs to; writes C++ or Triton kernels."""
MODE = "default"
"""Of the backend; "reduce-overhead" makes CUDA graphs, which is tried in benchmarks only (docs/benchmarks.md)."""
_STEADY = "steady"
"""On compiled networks: whether nothing in them changes as they are called, as running statistics do."""
_TWICE: ContextVar[bool] = ContextVar("gradients are differentiated", default=False)


def compile_network(network: nn.Module) -> None:
    """Compile `network`, when it is first called with samples of some shape, for those; copies of it stay as they are.

    What torch cannot compile it runs as written. With several shapes it gives up compiling after a few. Weights that
    are computed as the network is called (spectral normalisation) are not compiled: they move vectors that the backward
    pass of an earlier call still needs.
    """
    if any(map(parametrize.is_parametrized, network.modules())):
        return
    network.compile(**_options())
    changing = network.state_dict().keys() - dict(network.named_parameters()).keys()
    network.__dict__[_STEADY] = not changing


def uncompiled() -> AbstractContextManager[Any]:
    """Within this context compiled networks run as they are written: for samples of shapes that occur once."""
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

    A network that changes as it is called is beyond torch.func: where gradients are differentiated it runs as written.
    """
    if not _TWICE.get() or _STEADY not in discriminator.__dict__:
        return cast(Judgement, discriminator(sample, condition, features))
    if not discriminator.__dict__[_STEADY]:
        with uncompiled():
            return cast(Judgement, discriminator(sample, condition, features))
    parts, slope = torch.compile(_with_slope, **_options())(discriminator, sample, condition, features)
    return Judgement(**parts, slope=Slope(sample, slope))


def _options() -> dict[str, Any]:
    return {"backend": BACKEND, "dynamic": False, **({} if MODE == "default" else {"mode": MODE})}


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
