"""Heads that project activations to where they are compared."""

from collections.abc import Sequence

from torch import Tensor, nn


class PatchProjector(nn.Module):
    """A two-layer perceptron for each layer's patches (CUT: Park et al., 2020, arXiv:2007.15651).

    Weights start from N(0, 0.02^2), biases at 0, as in the authors' code. Lengths are left as they come: the objective
    normalises.

    Args:
        channels: D of each layer's patches.
        width: numbers in a projected patch, and hidden units.
    """

    def __init__(self, channels: Sequence[int], width: int = 256) -> None:
        super().__init__()
        self.heads = nn.ModuleList(
            nn.Sequential(nn.Linear(each, width), nn.ReLU(), nn.Linear(width, width)) for each in channels
        )
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.normal_(layer.weight, std=0.02)
                nn.init.zeros_(layer.bias)

    def forward(self, patches: Sequence[Tensor]) -> list[Tensor]:
        """(N, P, D) of each layer -> (N, P, width) of each."""
        return [head(each) for head, each in zip(self.heads, patches, strict=True)]
