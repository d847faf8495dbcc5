"""Mean and covariance of any number of features, gathered in one pass, with what a jackknife needs."""

from collections.abc import Sequence
from contextlib import nullcontext

import torch
from torch import Tensor

from cardigan.errors import CardiganError
from cardigan.metrics.blas import one_thread
from cardigan.metrics.features import checked

BLOCK = 256
"""Samples of one group whose product is added at once: fewer, and it is the memory that is waited for."""
_LARGE = 1024
"""Features from which a product is so large that threads are worth their waiting for one another."""


class Moments:
    """Count, mean and covariance of (N, D) features in interleaved groups: sample i belongs to group i % groups.

    Everything is accumulated in float64 around the mean of the first chunk, so that features far from zero lose
    nothing. (A float32 product was measured to be slower than the symmetric float64 one.) Memory does not grow with N:
    groups x D x D numbers, 336 MB with 10 groups of 2048 features.

    Attributes:
        dimension: D.
        groups: how many; 1 where no jackknife is wanted.
        count: N so far.
    """

    def __init__(self, dimension: int, groups: int = 10) -> None:
        self.dimension, self.groups, self.count = dimension, groups, 0
        self._shift = torch.zeros(dimension, dtype=torch.float64)
        self._counts = torch.zeros(groups, dtype=torch.int64)
        self._sums = torch.zeros(groups, dimension, dtype=torch.float64)
        self._products = torch.zeros(groups, dimension, dimension, dtype=torch.float64)  # the lower triangles
        self._waiting = torch.empty(groups * BLOCK, dimension, dtype=torch.float64)
        self._settled = 0

    def add(self, features: Tensor) -> None:
        """Take in (N, D) more features.

        Raises:
            CardiganError: some are NaN or infinite, or D is another one.
        """
        features = checked(features, least=0).cpu()
        if features.shape[1] != self.dimension:
            raise CardiganError(f"features: {features.shape[1]} numbers a sample; allowed: {self.dimension}")
        if self.count == 0 and len(features):
            self._shift = features.double().mean(0)
        while len(features):
            place = self._waiting[self.count - self._settled :][: len(features)]
            torch.sub(features[: len(place)], self._shift, out=place)
            features = features[len(place) :]
            self.count += len(place)
            if self.count - self._settled == len(self._waiting):
                self._settle()

    @property
    def mean(self) -> Tensor:
        """(D,) float64."""
        self._settle()
        return self._shift + self._sums.sum(0) / self._enough(self.count, 1)

    @property
    def covariance(self) -> Tensor:
        """(D, D) float64, unbiased: divided by N - 1."""
        return self._combined(range(self.groups))[2]

    def without(self, group: int) -> tuple[int, Tensor, Tensor]:
        """Count, mean (D,) and covariance (D, D) of all samples but those of one group.

        Raises:
            CardiganError: fewer than two samples are left.
        """
        return self._combined([each for each in range(self.groups) if each != group])

    def _combined(self, groups: Sequence[int]) -> tuple[int, Tensor, Tensor]:
        self._settle()
        chosen = list(groups)
        count = self._enough(int(self._counts[chosen].sum()), 2)
        offset = self._sums[chosen].sum(0) / count
        covariance = torch.zeros(self.dimension, self.dimension, dtype=torch.float64)
        for group in chosen:
            covariance += self._products[group]
        covariance = covariance.addr_(offset, offset, alpha=-count).div_(count - 1).tril_()
        return count, self._shift + offset, covariance + covariance.tril(-1).T

    def _settle(self) -> None:
        """Add the products of what waits to the sums."""
        rows = self._waiting[: self.count - self._settled]
        with nullcontext() if self.dimension >= _LARGE else one_thread():
            for group in range(self.groups):
                mine = rows[(group - self._settled) % self.groups :: self.groups].contiguous()
                self._counts[group] += len(mine)
                self._sums[group] += mine.sum(0)
                _add_product(self._products[group], mine)
        self._settled = self.count

    @staticmethod
    def _enough(count: int, least: int) -> int:
        if count < least:
            raise CardiganError(f"features: {count} samples; mean and covariance need at least {least}")
        return count


def _add_product(total: Tensor, rows: Tensor) -> None:
    """Add the lower triangle of rows^T rows to `total`, in place: half the work of a full product."""
    from scipy.linalg.blas import dsyrk

    if len(rows):
        # BLAS counts by columns: the transposes are what it wants, and its upper triangle is our lower one.
        dsyrk(1.0, rows.numpy().T, beta=1.0, c=total.numpy().T, overwrite_c=True)
