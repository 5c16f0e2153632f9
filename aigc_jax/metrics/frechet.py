"""The Fréchet distance between two sets of features, each modelled as a Gaussian.

Dimensions: N points, D features.
"""

from typing import NamedTuple

import numpy as np


class Moments(NamedTuple):
    """All that the distance needs to know about a set of features."""

    mean: np.ndarray  # float64 [D]
    covariance: np.ndarray  # float64 [D, D], over N − 1
    count: int  # type: ignore[assignment]  # N, over a method of tuples that has no use here


def moments(features: np.ndarray) -> Moments:
    """The mean and the unbiased covariance, in float64.

        μ = 1/N Σ_i f_i        Σ = 1/(N − 1) Σ_i (f_i − μ)(f_i − μ)ᵀ

    Args:
      features: `[N, D]`, N ≥ 2. Below D + 1 points Σ is singular, which the distance allows.

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

    On the features of this package's own classifiers the metric is called FCD, Fréchet classifier
    distance. It is not the FID of papers, whose features are those of one Inception network: the
    two must never be compared.

    At finite N it is biased upward, even between two samples of one distribution: see
    `expected_distance`. So compare only at equal N, and against that floor.

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
    return _distance(a.mean - b.mean, _factor(a.covariance), _factor(b.covariance))


def _distance(difference: np.ndarray, f: np.ndarray, g: np.ndarray) -> float:
    """‖δ‖² + tr(F Fᵀ + G Gᵀ − 2 (F Fᵀ G Gᵀ)^½): `[D]`, `[D, ·]`, `[D, ·]`."""
    cross = np.linalg.svd(f.T @ g, compute_uv=False).sum()
    spread = np.square(f).sum() + np.square(g).sum() - 2.0 * cross
    return float(max(difference @ difference + spread, 0.0))


def mean_distance_by_class(
    real: np.ndarray, real_labels: np.ndarray, generated: np.ndarray, labels: np.ndarray
) -> float:
    """The mean over classes of `frechet_distance` between the points of one class.

        1/C Σ_c d(real_c, generated_c)

    Where a generator is given classes, the distance of the whole sets does not show whether it
    follows them; this does. A class has only a share of the points, so the bias of finite samples
    is about as many times that of the whole as there are classes: with fewer points than features
    in a class Σ is singular, and two samples of one distribution may be further apart than two
    distributions. It still ranks generators at equal counts, but values at different counts are not
    comparable.

    Args:
      real: `[N, D]`.
      real_labels: int `[N]`.
      generated: `[M, D]`.
      labels: int `[M]`, the classes that were asked for.

    Returns:
      Features squared; nan where a point is not finite, or no class has two points on either side.
      Classes that have fewer are left out.

    Source: Benny et al. 2021, https://arxiv.org/abs/2004.12361, section 4 (within-class FID).
    """
    real_labels, labels = np.asarray(real_labels), np.asarray(labels)
    found = []
    for c in np.intersect1d(real_labels, labels):
        x, y = real[real_labels == c], generated[labels == c]
        if min(len(x), len(y)) < 2:
            continue
        if not (np.isfinite(x).all() and np.isfinite(y).all()):
            return float("nan")
        (mean_x, factor_x), (mean_y, factor_y) = _mean_and_factor(x), _mean_and_factor(y)
        found.append(_distance(mean_x - mean_y, factor_x, factor_y))
    return float(np.mean(found)) if found else float("nan")


def _mean_and_factor(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """μ, and F with F Fᵀ = Σ: for few points these themselves, minus their mean."""
    if len(features) > features.shape[1]:
        of = moments(features)
        return of.mean, _factor(of.covariance)
    features = np.asarray(features, np.float64)
    mean = features.mean(axis=0)
    return mean, (features - mean).T / np.sqrt(len(features) - 1)


def expected_distance(features: np.ndarray, a: int, b: int) -> float:
    """What `frechet_distance` expects of two samples of one distribution, to first order in 1/N.

        (1/N_a + 1/N_b) [tr Σ + ½ Σ_ij Var(c_ij) / (λ_i + λ_j)]

    in the eigenbasis of Σ, with eigenvalues λ and c_ij = (f − μ)_i (f − μ)_j. The first term is the
    means', whose difference has the covariance (1/N_a + 1/N_b) Σ. The second is the covariances':
    the distance of Σ + Δ from Σ is ½ Σ_ij Δ_ij² / (λ_i + λ_j) to second order, and the sample
    covariance of N points varies by Var(c_ij) / N. For a Gaussian Var(c_ij) = λ_i λ_j (1 + δ_ij),
    and for equal λ the whole is (1/N_a + 1/N_b) tr Σ (D + 5) / 4. Features are not Gaussian, so
    Var(c_ij) is estimated from their own fourth moments.

    With the true λ and Var(c) this is right to 5 % down to N = D, and 10 to 30 % too high at D / 2.
    With those of N points it is too low by some D / 2N of itself, since eigenvalues of samples
    spread. So the estimate is twice that from all points minus that from half of them, where this
    error is twice as large (the mean of both halves). What is left is within 4 % where N ≥ 4 D, and
    about a tenth too low at 2 D; at D a quarter is missing, and below that the estimate of Σ is
    singular: see `enough`. (Gaussians of equal eigenvalues, exponentials, and ReLUs of Gaussians;
    D = 16 and 32.)

    Args:
      features: `[N, D]` of the distribution, as many as there are; λ and Var(c) are taken from
        them.
      a, b: N_a and N_b, the points of either sample.

    Returns:
      Features squared. A sampler may fall below it by chance, and no sampler can be expected to.

    Raises:
      ValueError: not a matrix, or fewer than four points.

    Source: ours. The expansion of the distance is that of the Bures metric; halves: the jackknife.
    """
    features = np.asarray(features, np.float64)
    if features.ndim != 2 or len(features) < 4:
        message = f"an expected distance needs features [N, D], N >= 4, got {features.shape}"
        raise ValueError(message)
    order = np.random.default_rng(0).permutation(len(features))
    halves = [_excess(features[order[i::2]]) for i in range(2)]
    return (1 / a + 1 / b) * (2 * _excess(features) - sum(halves) / 2)


def _excess(features: np.ndarray) -> float:
    """tr Σ + ½ Σ_ij Var(c_ij) / (λ_i + λ_j), all of it taken from `[N, D]` alone."""
    of = moments(features)
    values, vectors = np.linalg.eigh(of.covariance)
    values = np.maximum(values, 0.0)
    c = np.square((features - of.mean) @ vectors)
    # In this basis the features are uncorrelated: E c_ij is λ_i on the diagonal, 0 elsewhere.
    variances = c.T @ c / of.count - np.diag(np.square(values))
    sums = values[:, None] + values[None, :]
    ratio = np.divide(variances, sums, out=np.zeros_like(sums), where=sums > 1e-12 * values.max())
    return float(values.sum() + 0.5 * ratio.sum())


def enough(points: int, features: int) -> bool:
    """Whether the points suffice for `expected_distance` to about a tenth at worst: N ≥ 2 D."""
    return points >= 2 * features
