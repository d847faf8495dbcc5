"""Colours taken away, as colourisation gives them back."""

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor

from cardigan.data.degradations.base import Degradation, Restorer, Shape
from cardigan.data.degradations.eightbit import from_bytes
from cardigan.errors import CardiganError
from cardigan.resizing import to_bytes


class Grey(Degradation):
    """RGB to luma, one channel, bit for bit as Pillow's convert("L")."""

    kind: Literal["grey"] = "grey"
    """This kind of degradation."""

    def shape(self, shape: Shape) -> Shape:
        """See `Degradation.shape`."""
        if shape[0] != 3:
            raise CardiganError(f"{self.kind}: takes the colours of RGB pictures, and these have {shape[0]} channels; "
                                "allowed: 3")  # fmt: skip
        return 1, *shape[1:]

    def apply(self, pictures: Tensor, randoms: Sequence[torch.Generator]) -> Tensor:
        """See `Degradation.apply`; nothing is random."""
        self.shape((pictures.shape[1], pictures.shape[2], pictures.shape[3]))
        return greyed(pictures)

    def restorers(self) -> Mapping[str, Restorer]:
        """The grey picture as an RGB picture."""
        return {"grey": repeated}


def greyed(pictures: Tensor) -> Tensor:
    """(N, 3, H, W) in [-1, 1] -> (N, 1, H, W) on the 8-bit grid, in [-1, 1]: ITU-R 601, to the bit as Pillow's L."""
    return from_bytes(luma(to_bytes(pictures)))


def luma(pictures: Tensor) -> Tensor:
    """(N, 3, H, W) on the 8-bit grid -> (N, 1, H, W) on it: ITU-R 601, in Pillow's fixed point of 16 bits."""
    weights = torch.tensor([19595.0, 38470.0, 7471.0], device=pictures.device).view(3, 1, 1)
    # Below 2^24: float32 holds every sum exactly.
    return ((pictures * weights).sum(1, keepdim=True) + 2**15).div_(2**16).floor_()


def repeated(pictures: Tensor) -> Tensor:
    """(N, 1, H, W) -> (N, 3, H, W)."""
    return pictures.expand(-1, 3, -1, -1).contiguous()
