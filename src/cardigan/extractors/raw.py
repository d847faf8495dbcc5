"""No network at all: the numbers of a sample are its features. For points and other small vectors."""

import torch
from torch import Tensor

from cardigan.errors import CardiganError
from cardigan.extractors.base import Extractor, Features
from cardigan.sample import Form

LARGEST = 4096
"""Numbers in a sample, at most: a covariance of more does not fit anywhere."""


class Raw(Extractor):
    """Features are the sample itself, flattened.

    Raises:
        CardiganError: samples of more than `LARGEST` numbers.
    """

    def __init__(self, form: Form) -> None:
        if form.size > LARGEST:
            raise CardiganError(f"extractor raw: a sample has {form.size:,} numbers; allowed: up to {LARGEST:,}")
        self.name, self.digest, self.resizing = "raw", "none", "none"
        self.dimension = form.size

    def extract(self, samples: Tensor) -> Features:
        """(N, *form.shape) -> (N, D)."""
        return Features(samples.flatten(1).to(torch.float32))
