"""How colourful pictures look."""

import torch
from torch import Tensor

from cardigan.errors import CardiganError
from cardigan.metrics.features import checked
from cardigan.resizing import to_bytes, to_rgb


def colourfulness(pictures: Tensor) -> Tensor:
    """sqrt(s_rg^2 + s_yb^2) + 0.3 sqrt(m_rg^2 + m_yb^2), rg = R - G, yb = (R + G) / 2 - B, of each -> (N,) float64.

    m and s are mean and deviation over the pixels of a picture, R, G, B in 0..255. Hasler & Süsstrunk 2003, "Measuring
    colourfulness in natural images", metric M(3): 0 grey, 15 slightly, 33 moderately, 45 averagely, 59 quite, 82
    highly, 109 extremely colourful.

    Args:
        pictures: (N, 1 | 2 | 3 | 4, H, W) in [-1, 1], rounded to 8 bits first; alpha lies on white.

    Raises:
        CardiganError: no pictures, or numbers that are not finite.
    """
    if pictures.dim() != 4:
        raise CardiganError(f"pictures: a shape of {tuple(pictures.shape)}; allowed: (N, C, H, W)")
    checked(pictures, "pictures")
    red, green, blue = to_rgb(to_bytes(pictures.detach())).double().flatten(2).unbind(1)
    opponents = torch.stack([red - green, (red + green) / 2 - blue])
    deviation, mean = torch.std_mean(opponents, dim=2, correction=0)
    return torch.linalg.vector_norm(deviation, dim=0) + 0.3 * torch.linalg.vector_norm(mean, dim=0)
