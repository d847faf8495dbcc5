"""Initial weights that more than one family shares."""

from math import prod

from torch import nn

from cardigan.networks.layers.normalisation import BatchNorm


def init_normal(network: nn.Module) -> None:
    """Weights N(0, 0.02) and biases 0, gains of batch normalisation N(1, 0.02): as the authors of pix2pix do."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(layer.weight, 0.0, 0.02)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        elif isinstance(layer, BatchNorm) and layer.weight is not None:
            nn.init.normal_(layer.weight, 1.0, 0.02)


def init_scaled(network: nn.Module, scale: float, slope: float = 0.0) -> None:
    """`scale` times He's normal weights (arXiv:1502.01852) for rectifiers of that `slope` below zero; biases 0."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            summed = layer.in_channels * prod(layer.kernel_size)
            if isinstance(layer, nn.ConvTranspose2d):  # every pixel meets one of the kernel's pixels in stride^2
                summed //= prod(layer.stride)
            nn.init.normal_(layer.weight, 0.0, scale * (2 / ((1 + slope**2) * summed)) ** 0.5)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
