"""The Fréchet distance between two sets of features, each taken for a Gaussian.

Dimensions: N points, D features.
"""

from typing import NamedTuple

import numpy as np


class Moments(NamedTuple):
    """All that the distance needs to know of a set of features."""

    mean: np.ndarray  # float64 [D]
    covariance: np.ndarray  # float64 [D, D], over N − 1
    count: int  # type: ignore[assignment]  # N, over a method of tuples that has no use here


def moments(features: np.ndarray) -> Moments:
    """The mean and the unbiased covariance, in float64.

        μ = 1/N Σ_i f_i        Σ = 1/(N − 1) Σ_i (f_i − μ)(f_i − μ)ᵀ

    Args:
      features: `[N, D]`, N ≥ 2. Below D + 1 points Σ is singular, which the distance can bear.

    Raises:
      ValueError: not a matrix, or fewer than two points.
    """
    features = np.asarray(features, np.float64)
    if features.ndim != 2 or len(features) < 2:
        raise ValueError(f"moments need features [N, D] with N >= 2, got shape {features.shape}")
    mean = features.mean(axis=0)
    centred = features - mean
    return Moments(mean, centred.T @ centred / (len(features) - 1), len(features))


def _factor(covariance: np.ndarray) -> np.ndarray:
    """F with F Fᵀ = Σ, singular Σ included."""
    values, vectors = np.linalg.eigh(covariance)
    return vectors * np.sqrt(np.maximum(values, 0.0))


def frechet_distance(a: Moments, b: Moments) -> float:
    """The squared Fréchet (2-Wasserstein) distance between two Gaussians.

        ‖μ_a − μ_b‖² + tr(Σ_a + Σ_b − 2 (Σ_a Σ_b)^½)

    On the features of this package's own classifiers the figure is called FCD, Fréchet classifier
    distance. It is not the FID of papers, whose features are those of one Inception network: the
    two must never be compared.

    At finite N it is biased upward, even between two samples of one distribution. For a Gaussian of
    covariance Σ with eigenvalues λ the excess is, to first order,

        (1/N_a + 1/N_b) [tr Σ + ½ Σ_i λ_i + ½ Σ_{i≠j} λ_i λ_j / (λ_i + λ_j)],

    which for equal λ is (1/N_a + 1/N_b) tr Σ (D + 5) / 4. So compare figures at equal N alone, and
    beside the floor: the distance of as many held-out real images.

    Args:
      a, b: moments of the same D features, in any order.

    Returns:
      Features squared, ≥ 0 (what rounding leaves below 0 is cut); nan where a moment is not finite.

    Raises:
      ValueError: the sets differ in D.

    Source: Dowson and Landau 1982; Heusel et al. 2017, https://arxiv.org/abs/1706.08500. They take
    the root of a matrix product. Here tr (Σ_a Σ_b)^½ is the sum of the singular values of F_aᵀ F_b
    with F Fᵀ = Σ: the same number, and exact to rounding where Σ is singular.
    """
    if a.mean.shape != b.mean.shape:
        raise ValueError(f"moments of {len(a.mean)} and {len(b.mean)} features do not compare")
    if not all(np.isfinite(part).all() for part in (*a[:2], *b[:2])):
        return float("nan")
    difference = a.mean - b.mean
    cross = np.linalg.svd(_factor(a.covariance).T @ _factor(b.covariance), compute_uv=False).sum()
    spread = np.trace(a.covariance) + np.trace(b.covariance) - 2.0 * cross
    return float(max(difference @ difference + spread, 0.0))
