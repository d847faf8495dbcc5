"""Random views of pictures: what a judge should take for the same thing, seen slightly differently."""

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample


def shifted(samples: Tensor, generator: torch.Generator) -> Tensor:
    """All of (N, C, H, W) moved alike by up to an eighth of the side; what moves out comes in on the other side."""
    reach = max(1, min(samples.shape[2:]) // 8)
    down, right = torch.randint(-reach, reach + 1, (2,), generator=generator).tolist()
    return samples.roll((down, right), (2, 3))


def cropped_and_tinted(samples: Tensor, generator: torch.Generator) -> Tensor:
    """Each of (N, C, H, W) in [-1, 1] zoomed into by up to 1.7, brightened, contrasted and tinted anew (Chen 2020)."""
    count, channels = samples.shape[:2]
    zoom = 0.6 + 0.4 * torch.rand(count, generator=generator)
    offset = (1 - zoom)[:, None] * (2 * torch.rand(count, 2, generator=generator) - 1)
    matrix = torch.zeros(count, 2, 3)
    matrix[:, 0, 0], matrix[:, 1, 1], matrix[:, :, 2] = zoom, zoom, offset
    grid = affine_grid(matrix, list(samples.shape), align_corners=False)
    zoomed = grid_sample(samples, grid, padding_mode="reflection", align_corners=False)
    contrast = 0.6 + 0.8 * torch.rand(count, 1, 1, 1, generator=generator)
    brightness = 0.4 * (2 * torch.rand(count, 1, 1, 1, generator=generator) - 1)
    tint = 0.2 * (2 * torch.rand(count, channels, 1, 1, generator=generator) - 1)
    mean = zoomed.mean((1, 2, 3), keepdim=True)
    return ((zoomed - mean) * contrast + mean + brightness + tint).clamp(-1, 1)


def jittered(samples: Tensor, generator: torch.Generator) -> Tensor:
    """(N, D) vectors with noise of a tenth of each number's spread."""
    return samples + 0.1 * samples.std(0, keepdim=True) * torch.randn(samples.shape, generator=generator)
