"""The network of FID, KID, Inception Score: Inception-v3 as TensorFlow published it in December 2015.

Szegedy et al. 2016, "Rethinking the Inception architecture for computer vision", as the graph of Heusel et al. 2017,
"GANs trained by a two time-scale update rule converge to a local Nash equilibrium", has it. It differs from the network
of other libraries in three ways that change scores: average pooling does not count the padding, the last block pools by
maximum, and there are 1008 classes. Modules are named as in the published PyTorch weights.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cardigan.data.base import Watch, silent
from cardigan.errors import CardiganError
from cardigan.extractors.base import Extractor, Features
from cardigan.extractors.weights import KNOWN, find, read
from cardigan.resizing import BYTES, COLOURS, tensorflow_bilinear, to_bytes, to_rgb

SIDE = 299
"""Height and width the network sees."""
BATCH = 32
"""Samples in the network at once: half a gigabyte of activations."""


class Step(NamedTuple):
    """A convolution without bias, its batch normalisation and a ReLU."""

    name: str
    width: int
    """Channels it gives."""
    kernel: tuple[int, int] = (1, 1)
    stride: int = 1
    padded: bool = True
    """Whether the size stays (at stride 1)."""


Branch = tuple[tuple[Step, ...], ...]
"""Stages one after another; the steps of one stage side by side."""
Pool = Callable[[Tensor], Tensor]

_mean_pool: Pool = partial(F.avg_pool2d, kernel_size=3, stride=1, padding=1, count_include_pad=False)
_max_pool: Pool = partial(F.max_pool2d, kernel_size=3, stride=1, padding=1)
_halving_pool: Pool = partial(F.max_pool2d, kernel_size=3, stride=2)
_ROW, _COLUMN, _SQUARE = (1, 7), (7, 1), (3, 3)


class Convolution(nn.Module):
    """What a `Step` says, of (N, channels, H, W)."""

    def __init__(self, channels: int, step: Step) -> None:
        super().__init__()
        padding = (step.kernel[0] // 2, step.kernel[1] // 2) if step.padded else (0, 0)
        self.conv = nn.Conv2d(channels, step.width, step.kernel, step.stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(step.width, eps=0.001)

    def forward(self, activations: Tensor) -> Tensor:
        """(N, channels, H, W) -> (N, step.width, H', W')."""
        return F.relu(self.bn(self.conv(activations)), inplace=True)


class Block(nn.Module):
    """Branches and a pooling side by side, their channels one after another (Szegedy et al. 2016, figures 5 to 7)."""

    def __init__(self, channels: int, branches: tuple[Branch, ...], pool: Pool, pooled: int = 0) -> None:
        """`pooled`: channels that the pooling is projected to; 0: it stays as it is."""
        super().__init__()
        self.branches, self.pool = branches, pool
        for branch in branches:
            width = channels
            for stage in branch:
                for step in stage:
                    self.add_module(step.name, Convolution(width, step))
                width = sum(step.width for step in stage)
        self.branch_pool = Convolution(channels, Step("branch_pool", pooled)) if pooled else nn.Identity()

    def forward(self, activations: Tensor) -> Tensor:
        """(N, channels, H, W) -> (N, channels of all branches, H', W')."""
        outputs = [self._along(branch, activations) for branch in self.branches]
        return torch.cat([*outputs, self.branch_pool(self.pool(activations))], 1)

    def _along(self, branch: Branch, activations: Tensor) -> Tensor:
        for stage in branch:
            activations = torch.cat([self.get_submodule(step.name)(activations) for step in stage], 1)
        return activations


def _branch(*steps: Step) -> Branch:
    return tuple((step,) for step in steps)


def _block_35(channels: int, pooled: int) -> Block:
    """35x35 stays (figure 5)."""
    five = _branch(Step("branch5x5_1", 48), Step("branch5x5_2", 64, (5, 5)))
    triple = _branch(
        Step("branch3x3dbl_1", 64), Step("branch3x3dbl_2", 96, _SQUARE), Step("branch3x3dbl_3", 96, _SQUARE)
    )
    return Block(channels, (_branch(Step("branch1x1", 64)), five, triple), _mean_pool, pooled)


def _block_35_to_17(channels: int) -> Block:
    """35x35 -> 17x17 (figure 10)."""
    triple = _branch(
        Step("branch3x3dbl_1", 64),
        Step("branch3x3dbl_2", 96, _SQUARE),
        Step("branch3x3dbl_3", 96, _SQUARE, 2, padded=False),
    )
    return Block(channels, (_branch(Step("branch3x3", 384, _SQUARE, 2, padded=False)), triple), _halving_pool)


def _block_17(inner: int) -> Block:
    """17x17 stays (figure 6, n = 7)."""
    seven = _branch(Step("branch7x7_1", inner), Step("branch7x7_2", inner, _ROW), Step("branch7x7_3", 192, _COLUMN))
    twice = _branch(
        Step("branch7x7dbl_1", inner),
        Step("branch7x7dbl_2", inner, _COLUMN),
        Step("branch7x7dbl_3", inner, _ROW),
        Step("branch7x7dbl_4", inner, _COLUMN),
        Step("branch7x7dbl_5", 192, _ROW),
    )
    return Block(768, (_branch(Step("branch1x1", 192)), seven, twice), _mean_pool, 192)


def _block_17_to_8() -> Block:
    """17x17 -> 8x8 (figure 10)."""
    three = _branch(Step("branch3x3_1", 192), Step("branch3x3_2", 320, _SQUARE, 2, padded=False))
    seven = _branch(
        Step("branch7x7x3_1", 192),
        Step("branch7x7x3_2", 192, _ROW),
        Step("branch7x7x3_3", 192, _COLUMN),
        Step("branch7x7x3_4", 192, _SQUARE, 2, padded=False),
    )
    return Block(768, (three, seven), _halving_pool)


def _block_8(channels: int, pool: Pool) -> Block:
    """8x8 stays (figure 7)."""
    three: Branch = ((Step("branch3x3_1", 384),), _fan("branch3x3_2"))
    double: Branch = (
        (Step("branch3x3dbl_1", 448),),
        (Step("branch3x3dbl_2", 384, _SQUARE),),
        _fan("branch3x3dbl_3"),
    )
    return Block(channels, (_branch(Step("branch1x1", 320)), three, double), pool, 192)


def _fan(name: str) -> tuple[Step, Step]:
    return Step(f"{name}a", 384, (1, 3)), Step(f"{name}b", 384, (3, 1))


class Network(nn.Module):
    """(N, 3, 299, 299) in [-1, 1) -> (N, 2048) features and (N, 1008) logits without their bias."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = Convolution(3, Step("", 32, _SQUARE, 2, padded=False))
        self.Conv2d_2a_3x3 = Convolution(32, Step("", 32, _SQUARE, padded=False))
        self.Conv2d_2b_3x3 = Convolution(32, Step("", 64, _SQUARE))
        self.pool_1 = nn.MaxPool2d(3, 2)
        self.Conv2d_3b_1x1 = Convolution(64, Step("", 80))
        self.Conv2d_4a_3x3 = Convolution(80, Step("", 192, _SQUARE, padded=False))
        self.pool_2 = nn.MaxPool2d(3, 2)
        self.Mixed_5b = _block_35(192, pooled=32)
        self.Mixed_5c = _block_35(256, pooled=64)
        self.Mixed_5d = _block_35(288, pooled=64)
        self.Mixed_6a = _block_35_to_17(288)
        self.Mixed_6b, self.Mixed_6c, self.Mixed_6d, self.Mixed_6e = map(_block_17, (128, 160, 160, 192))
        self.Mixed_7a = _block_17_to_8()
        self.Mixed_7b = _block_8(1280, _mean_pool)
        self.Mixed_7c = _block_8(2048, _max_pool)
        self.fc = nn.Linear(2048, 1008)

    def forward(self, pictures: Tensor) -> Features:
        """See the class."""
        layers = [module for name, module in self.named_children() if name != "fc"]
        for layer in layers:
            pictures = layer(pictures)
        values = pictures.mean((2, 3))
        return Features(values, values @ self.fc.weight.T)


class Inception(Extractor):
    """Features (N, 2048) of the last pooling and logits (N, 1008), as FID and Inception Score have them.

    The logits are those without the bias of the last layer (torch-fidelity's `logits_unbiased`), from which the
    Inception Score of Salimans et al. 2016 is computed. Their classes are ImageNet's in the order of 2015 and some that
    were never used; their names are not part of the weights, so `classes` is empty.
    """

    name = "inception"
    resizing = f"{BYTES}; {COLOURS}; bilinear to {SIDE}x{SIDE} as TensorFlow 1 (not antialiased); (x - 128) / 128"
    dimension = 2048

    def __init__(self, state: Mapping[str, Tensor], digest: str, device: torch.device | str = "cpu") -> None:
        """`state`: tensors by name, all of `Network`'s and no others.

        Raises:
            CardiganError: the tensors are those of another network.
        """
        self.digest, self.device = digest, torch.device(device)
        with torch.device("meta"):  # no numbers are drawn only to be overwritten
            network = Network()
        try:
            network.load_state_dict(dict(state), strict=True, assign=True)
        except RuntimeError as error:
            raise CardiganError(f"not weights of the Inception network of 2015: {error}") from None
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # a third faster on CPUs
        self.network = network.to(self.device).eval().requires_grad_(False)

    def extract(self, samples: Tensor) -> Features:
        """(N, 1 | 2 | 3 | 4, H, W) in [-1, 1] -> features on the extractor's device; differentiable.

        Raises:
            CardiganError: the samples are no pictures.
        """
        parts = [self._look(part.to(self.device)) for part in samples.split(BATCH)]
        logits = [part.logits for part in parts if part.logits is not None]
        return Features(torch.cat([part.values for part in parts]), torch.cat(logits))

    def _look(self, samples: Tensor) -> Features:
        pictures = tensorflow_bilinear(to_rgb(to_bytes(samples)), SIDE)
        features: Features = self.network((pictures - 128) / 128)
        return features


def inception(watch: Watch = silent, device: torch.device | str = "cpu") -> Inception:
    """The extractor of FID with its published weights, downloaded when they are first needed (95 MB).

    Raises:
        CardiganError: the weights can neither be found nor downloaded, or are damaged.
    """
    path = find(KNOWN["inception"], watch)
    return Inception(read(path), digest=KNOWN["inception"].sha256, device=device)
