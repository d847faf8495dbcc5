"""The Fréchet distance of two Gaussians, the FID when features are Inception's.

d^2 = |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2))

Dowson & Landau 1982, "The Fréchet distance between multivariate normal distributions"; Heusel et al. 2017, "GANs
trained by a two time-scale update rule converge to a local Nash equilibrium", equation 6.

The matrix root is never formed: C1 C2 has the eigenvalues of the symmetric L^T C2 L with C1 = L L^T, and its root the
roots of these. Against scipy's sqrtm and torchmetrics it is measured by benchmarks/frechet.py; LAPACK's sygvd on one
thread (see `blas`) took a third of the time of torch's Cholesky factor and eigvalsh on two.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cardigan.errors import CardiganError
from cardigan.metrics.blas import one_thread
from cardigan.metrics.features import both
from cardigan.metrics.moments import Moments

Matrix = NDArray[np.float64]


def frechet_distance(mean_1: Tensor, covariance_1: Tensor, mean_2: Tensor, covariance_2: Tensor) -> float:
    """The squared distance of two Gaussians, never negative.

    Args:
        mean_1: (D,).
        covariance_1: (D, D), symmetric; it may be singular.
        mean_2: (D,).
        covariance_2: (D, D).

    Raises:
        CardiganError: shapes do not fit, or a number is NaN or infinite.
    """
    mean_1, mean_2 = (_wide(mean_1, 1), _wide(mean_2, 1))
    covariance_1, covariance_2 = (_wide(covariance_1, 2), _wide(covariance_2, 2))
    if not mean_1.shape == mean_2.shape == covariance_1.shape[1:] == covariance_2.shape[1:]:
        raise CardiganError(f"two Gaussians: of {len(mean_1)} and {len(mean_2)} dimensions; allowed: the same of both")
    spread = covariance_1.trace() + covariance_2.trace() - 2 * _trace_of_root(covariance_1, covariance_2)
    return max(0.0, float((mean_1 - mean_2).square().sum() + spread))


def frechet_from_features(generated: Tensor, reference: Tensor) -> float:
    """The distance of the Gaussians fitted to (N, D) and (M, D) features.

    Where neither has more samples than D, no D x D matrix is made: with centred features X and Y, the trace of
    (C1 C2)^(1/2) is the sum of the singular values of X Y^T / sqrt((N - 1)(M - 1)).

    Raises:
        CardiganError: fewer than two samples on a side, numbers that are not finite, or different D.
    """
    generated, reference = both(generated, reference, least=2)
    if max(len(generated), len(reference)) > generated.shape[1]:
        mine, theirs = (_moments(each) for each in (generated, reference))
        return frechet_distance(mine.mean, mine.covariance, theirs.mean, theirs.covariance)
    means = [each.double().mean(0) for each in (generated, reference)]
    mine_scaled, theirs_scaled = (
        (each.double() - mean) / (len(each) - 1) ** 0.5
        for each, mean in zip((generated, reference), means, strict=True)
    )
    root = _sum_of_singular_values((mine_scaled @ theirs_scaled.T).cpu().numpy())
    spread = mine_scaled.square().sum() + theirs_scaled.square().sum() - 2 * root
    return max(0.0, float((means[0] - means[1]).square().sum() + spread))


def _moments(features: Tensor) -> Moments:
    moments = Moments(features.shape[1], groups=1)
    moments.add(features)
    return moments


def _wide(values: Tensor, dimensions: int) -> Tensor:
    values = values.detach().cpu().double()
    if values.dim() != dimensions or (dimensions == 2 and values.shape[0] != values.shape[1]):
        raise CardiganError(f"a Gaussian: a shape of {tuple(values.shape)}; allowed: a mean (D,), a covariance (D, D)")
    if not torch.isfinite(values).all():
        raise CardiganError("a Gaussian: its mean or covariance holds NaN or infinite numbers")
    return values


def _trace_of_root(covariance_1: Tensor, covariance_2: Tensor) -> float:
    """tr (C1 C2)^(1/2)."""
    from scipy.linalg import LinAlgError, eigvalsh

    # What does not vary on one side has no part in the root, and would only make it singular.
    varying = (covariance_1.diagonal() > 0) & (covariance_2.diagonal() > 0)
    if not varying.any():
        return 0.0
    one, other = (each[varying][:, varying].numpy() for each in (covariance_1, covariance_2))
    for regular, any_kind in ((one, other), (other, one)):
        try:
            with one_thread():
                squares = eigvalsh(any_kind, regular, type=2, check_finite=False)
        except LinAlgError:  # not positive definite
            continue
        return float(np.sqrt(squares.clip(0)).sum())
    return _trace_of_singular_root(one, other)


def _trace_of_singular_root(one: Matrix, other: Matrix) -> float:
    """The same of two singular matrices: with C = F F^T, the sum of the singular values of F1^T F2."""
    return _sum_of_singular_values(_factor(one).T @ _factor(other))


def _sum_of_singular_values(matrix: Matrix) -> float:
    from scipy.linalg import svdvals

    with one_thread():
        return float(svdvals(matrix, check_finite=False).sum())


def _factor(covariance: Matrix) -> Matrix:
    """F (D, rank) with C = F F^T; eigenvalues that rounding alone could have made are taken for zero."""
    from scipy.linalg import eigh

    with one_thread():
        values, vectors = eigh(covariance, driver="evd", check_finite=False)
    kept = values > len(values) * np.finfo(np.float64).eps * max(values[-1], 0.0)
    return vectors[:, kept] * np.sqrt(values[kept])
