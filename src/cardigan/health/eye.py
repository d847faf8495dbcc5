"""Cheap features by which readings compare samples: no training, no weights to be had.

Pictures go through a small convolutional network with random weights from a fixed seed, at 16 pixels a side: random
convolutions keep enough of what pictures look like to tell whether samples resemble one another and which kinds are
missing (a nearest neighbour in them tells nine of ten digits). Other small samples are their own features; of
sentences, the words and neighbouring pairs of words are counted.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from cardigan.sample import Form
from cardigan.tokens import content

SIDE = 16
"""Pixels a side that pictures are brought to, where they are larger."""
WIDTHS = (16, 32, 64)
HASHED = 256
"""Numbers that counts of words are put into."""
LARGEST = 4096


class Eye:
    """Samples (N, *form.shape) -> features (N, D) of about unit variance, scaled by those of real samples."""

    def __init__(self, form: Form, real: Tensor) -> None:
        self.form = form
        generator = torch.Generator().manual_seed(0)
        self.weights = list[Tensor]()
        channels = form.shape[0]
        for width in WIDTHS if len(form.shape) == 3 else ():
            weight = (
                torch.randn(width, channels, 3, 3, generator=generator, dtype=torch.float32)
                * (2 / (9 * channels)) ** 0.5
            )
            self.weights.append(weight.to(real.device))
            channels = width
        self.scale, self.mean = torch.ones((), device=real.device), torch.zeros((), device=real.device)
        raw = self(real)
        self.mean = raw.mean(0)
        self.scale = (raw - self.mean).square().mean().sqrt().clamp(min=1e-6)

    @torch.no_grad()
    def __call__(self, samples: Tensor) -> Tensor:
        """Features (N, D), float32 whatever precision the engine trains in."""
        with torch.autocast(samples.device.type, enabled=False):
            return (self._features(samples) - self.mean) / self.scale

    def _features(self, samples: Tensor) -> Tensor:
        if self.form.vocabulary:
            return _counted(samples)
        if len(self.form.shape) == 3:
            return self._seen(samples.float())
        return samples.float().flatten(1)[:, :LARGEST]

    def _seen(self, pictures: Tensor) -> Tensor:
        if max(pictures.shape[2:]) > SIDE:
            pictures = F.adaptive_avg_pool2d(pictures, SIDE)
        hidden = pictures
        for number, weight in enumerate(self.weights):
            hidden = F.relu(F.conv2d(hidden, weight, stride=1 if number == 0 else 2, padding=1))
        small = F.adaptive_avg_pool2d(pictures, 8).flatten(1)
        return torch.cat([small, F.adaptive_avg_pool2d(hidden, 4).flatten(1)], dim=1)


def _counted(tokens: Tensor) -> Tensor:
    """(N, T) tokens -> (N, HASHED): counts of words and of pairs of words, each in a place by a hash, with a sign."""
    mask = content(tokens)
    found = torch.zeros(len(tokens), HASHED, device=tokens.device)
    for keys, counts in ((tokens, mask), (tokens[:, :-1] * 65_537 + tokens[:, 1:], mask[:, 1:])):
        mixed = (keys * 2_654_435_761) % 4_294_967_291
        signs = ((mixed // HASHED) % 2 * 2 - 1).float() * counts
        found.scatter_add_(1, mixed % HASHED, signs)
    return found
