"""LeNet-5 (LeCun et al. 1998, with ReLU and max pooling) as a second judge of MNIST, as small as those of many papers.

It is trained on the validation split, from which no player and no other judge learns, shifted and turned a little; its
last hidden layer has 84 units, which are compared as they are. The smaller the classifier, the larger the floor.
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from cardigan.data.base import Dataset
from cardigan.data.pictures import Pictures
from cardigan.metrics.frechet import frechet_from_features

STEPS, BATCH, RATE = 3_000, 64, 2e-3
SHIFT, TURN = 2, 0.2
"""Pixels and radians, at most."""
CHUNK = 1_000


class LeNet(nn.Module):
    """Pictures (N, 1, 28, 28) in [-1, 1] -> features (N, 84) and logits (N, 10)."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            *(nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU()),
        )
        self.head = nn.Linear(84, 10)

    def forward(self, samples: Tensor) -> tuple[Tensor, Tensor]:
        """See the class."""
        features = self.trunk(samples)
        return features, self.head(features)


class LeNetJudge:
    """Fréchet distances to the test split in the features of a LeNet.

    Attributes:
        accuracy: on the test split.
    """

    def __init__(self, folder: Path) -> None:
        file = folder / "lenet.safetensors"
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            save_file(trained(Pictures(source="mnist").load("validation")).state_dict(), file)
        self.network = LeNet()
        self.network.load_state_dict(load_file(file))
        test = Pictures(source="mnist").load("test")
        whole = test.take(torch.arange(len(test)))
        assert whole.label is not None
        self.real, logits = self._look(whole.sample)
        self.accuracy = float((logits.argmax(1) == whole.label).double().mean())

    def distance(self, samples: Tensor) -> float:
        """Of (N, 1, 28, 28) samples in [-1, 1]."""
        return frechet_from_features(self._look(samples)[0], self.real)

    @torch.no_grad()
    def _look(self, samples: Tensor) -> tuple[Tensor, Tensor]:
        features, logits = zip(*map(self.network, samples.split(CHUNK)), strict=True)
        return torch.cat(features), torch.cat(logits)


def trained(data: Dataset) -> LeNet:
    """A LeNet that has learned the digits of `data`."""
    torch.manual_seed(0)
    network = LeNet()
    optimizer = torch.optim.Adam(network.parameters(), RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    for step in range(STEPS):
        batch = data.draw(step * BATCH, BATCH)
        assert batch.label is not None
        loss = F.cross_entropy(network(moved(batch.sample))[1], batch.label)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return network.eval()


def moved(samples: Tensor) -> Tensor:
    """(N, C, H, W) samples, each shifted and turned a little."""
    angle = (torch.rand(len(samples)) * 2 - 1) * TURN
    shift = (torch.rand(len(samples), 2) * 2 - 1) * (2 * SHIFT / samples.shape[-1])
    rows = (torch.stack([angle.cos(), -angle.sin()], 1), torch.stack([angle.sin(), angle.cos()], 1))
    matrices = torch.cat([torch.stack(rows, 1), shift[:, :, None]], 2)
    grid = F.affine_grid(matrices, list(samples.shape), align_corners=False)
    return F.grid_sample(samples, grid, padding_mode="border", align_corners=False)
