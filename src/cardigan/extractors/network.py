"""The small convolutional network that is trained on the user's own data to judge by."""

from math import prod

import torch
from torch import Tensor, nn

from cardigan.errors import CardiganError

WIDTH = 48
FEATURES = 4 * WIDTH
"""Numbers in its feature vector."""
_WIDEST = 48
"""Pixels of the longer side up to which the first convolution looks at every pixel."""


class SmallNetwork(nn.Module):
    """Five 3x3 convolutions with batch normalisation, pooled to one vector; larger pictures are halved first.

    Args:
        shape: (C, H, W) of a picture.
        outputs: classes, or dimensions of a contrastive embedding.
    """

    def __init__(self, shape: tuple[int, ...], outputs: int) -> None:
        super().__init__()
        channels, height, width = shape
        layers: list[nn.Module] = []
        side = max(height, width)
        while side > _WIDEST:
            layers += _convolution(channels, WIDTH, stride=2)
            channels, side = WIDTH, side // 2
        layers += [*_convolution(channels, WIDTH), _Halve()]
        layers += [*_convolution(WIDTH, 2 * WIDTH), *_convolution(2 * WIDTH, 2 * WIDTH), _Halve()]
        layers += [*_convolution(2 * WIDTH, FEATURES), *_convolution(FEATURES, FEATURES)]
        self.trunk = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Sequential(nn.Dropout(0.2), nn.Linear(FEATURES, outputs))

    def forward(self, samples: Tensor) -> tuple[Tensor, Tensor]:
        """(N, C, H, W) in [-1, 1] -> features (N, FEATURES), outputs (N, outputs)."""
        features = self.trunk(samples.contiguous(memory_format=torch.channels_last))
        return features, self.head(features)


class FlatNetwork(nn.Module):
    """Two hidden layers for samples that are no pictures: points, rows of a table."""

    def __init__(self, shape: tuple[int, ...], outputs: int) -> None:
        super().__init__()
        layers = [nn.Flatten(), nn.Linear(prod(shape), FEATURES), nn.ReLU(), nn.Linear(FEATURES, FEATURES), nn.ReLU()]
        self.trunk, self.head = nn.Sequential(*layers), nn.Linear(FEATURES, outputs)

    def forward(self, samples: Tensor) -> tuple[Tensor, Tensor]:
        """(N, *shape) -> features (N, FEATURES), outputs (N, outputs)."""
        features = self.trunk(samples)
        return features, self.head(features)


def build(shape: tuple[int, ...], outputs: int, vocabulary: int = 0) -> nn.Module:
    """The network for samples of `shape`; where they are made of tokens, it guesses those and has no other outputs.

    Raises:
        CardiganError: a network for the shape is not known.
    """
    if vocabulary:
        from cardigan.extractors.sentence_network import SentenceNetwork

        return SentenceNetwork(vocabulary)
    if len(shape) == 3:
        return SmallNetwork(shape, outputs).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if len(shape) == 1:
        return FlatNetwork(shape, outputs)
    raise CardiganError(f"extractor local: samples of shape {shape} are neither pictures nor points")


class _Halve(nn.MaxPool2d):
    """2x2 maximum; a last odd row counts, so that the smallest pictures are left something."""

    def __init__(self) -> None:
        super().__init__(2, ceil_mode=True)


def _convolution(channels: int, wide: int, stride: int = 1) -> list[nn.Module]:
    return [nn.Conv2d(channels, wide, 3, stride, padding=1, bias=False), nn.BatchNorm2d(wide), nn.ReLU()]
