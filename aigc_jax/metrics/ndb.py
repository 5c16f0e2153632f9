"""The number of statistically different bins: what a generator draws too often or too rarely.

Dimensions: M training, N generated, D features, K bins.
"""

from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from aigc_jax.errors import InputError
from aigc_jax.metrics.neighbours import nearest

_DRAWS = 1000  # of `expected_share`: its standard error at K = 50 is 0.001


class Bins(NamedTuple):
    """The Voronoi cells of K centres, and how many training points lie in each."""

    centres: np.ndarray  # float64 [K, D]
    counts: np.ndarray  # int64 [K], of sum M


class DifferentBins(NamedTuple):
    """In how many bins the proportions of generated and training points differ significantly."""

    number: int  # NDB
    share: float  # NDB / K, 0 at best and 1 at worst
    expected: float  # of the share, for a sample of the training distribution


def fit_bins(train: np.ndarray, bins: int = 50, seed: int = 0, iterations: int = 100) -> Bins:
    """The clusters of the training points by k-means, begun by k-means++.

        c_k = mean of {x_i : k = argmin_j ‖x_i − c_j‖}     until no point changes its cluster

    The first centre is a point at random; each further one is point i with a probability
    proportional to its squared distance from the nearest centre so far. A cluster that loses all of
    its points keeps its centre.

    Args:
      train: `[M, D]`. Distances are Euclidean, so features should be of comparable scale.
      bins: K, at least 2.
      seed: of the first centres.
      iterations: at most so many.

    Raises:
      InputError: not a finite matrix, or fewer than K different points.

    Source: Lloyd 1982; Arthur and Vassilvitskii 2007 (k-means++).
    """
    train = _matrix(train)
    if bins < 2:
        raise InputError(f"one cannot compare proportions in {bins} bins; take 2 or more")
    different = len(np.unique(train, axis=0))
    if different < bins:
        raise InputError(f"{different} different points do not fill {bins} bins; take fewer bins")
    centres = _first_centres(train, bins, np.random.default_rng(seed))
    labels = nearest(centres, train).index
    for _ in range(iterations):
        for k in np.unique(labels):
            centres[k] = train[labels == k].mean(axis=0)
        before, labels = labels, nearest(centres, train).index
        if (labels == before).all():
            break
    return Bins(centres, np.bincount(labels, minlength=bins))


def _matrix(features: np.ndarray) -> np.ndarray:
    features = np.asarray(features, np.float64)
    if features.ndim != 2 or not len(features) or not np.isfinite(features).all():
        message = f"bins need features [N, D], N >= 1, all finite; got shape {features.shape}"
        raise InputError(message)
    return features


def _first_centres(points: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """k-means++: `[M, D]` → `[count, D]`, no two the same."""
    chosen = [int(rng.integers(len(points)))]
    squares = np.full(len(points), np.inf)
    while len(chosen) < count:
        squares = np.minimum(squares, np.square(points - points[chosen[-1]]).sum(axis=1))
        chosen.append(int(rng.choice(len(points), p=squares / squares.sum())))
    return points[chosen]


def two_proportions_z(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The z statistic of each bin's proportions in two samples, by their pooled variance.

        z_k = (a_k / A − b_k / B) / √(p_k (1 − p_k) (1/A + 1/B)),   p_k = (a_k + b_k) / (A + B)

    Args:
      a, b: counts `[..., K]`, of sums A and B along the last axis.

    Returns:
      float64 `[..., K]`, about N(0, 1) where the proportions of the two distributions are equal and
      a bin expects some five points or more; 0 where all points or none are in one bin.
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    size_a, size_b = a.sum(axis=-1, keepdims=True), b.sum(axis=-1, keepdims=True)
    p = (a + b) / (size_a + size_b)
    deviation = np.sqrt(p * (1 - p) * (1 / size_a + 1 / size_b))
    difference = a / size_a - b / size_b
    return np.divide(difference, deviation, out=np.zeros_like(p), where=deviation > 0)


def expected_share(counts: np.ndarray, generated: int, level: float = 0.05, seed: int = 0) -> float:
    """What NDB / K expects of a perfect sampler, by simulation: about the level of the test.

    Two samples of M and N points are drawn 1,000 times from the proportions counts / M. In bins of
    few points the test is coarse, which takes the share below the level.

    Args:
      counts: of training points, int `[K]` of sum M.
      generated: N.
      level: of the test.
      seed: of the simulation.
    """
    counts, rng = np.asarray(counts), np.random.default_rng(seed)
    p = counts / counts.sum()
    a, b = (rng.multinomial(n, p, size=_DRAWS) for n in (counts.sum(), generated))
    return float((np.abs(two_proportions_z(a, b)) > _critical(level)).mean())


def _critical(level: float) -> float:
    """What |z| exceeds with this probability: 1.96 for 5 %."""
    return NormalDist().inv_cdf(1 - level / 2)


def different_bins(bins: Bins, generated: np.ndarray, level: float = 0.05) -> DifferentBins:
    """NDB: the bins whose share of generated points is not that of the training points.

        NDB = #{k : |z_k| > z_{1 − level/2}}     with z of `two_proportions_z`

    It grows with N and M, since more points tell smaller differences apart: compare at equal N, M
    and K. `expected` takes the bins as given, but k-means has fitted them to these very points,
    which fresh ones do not share. Measured on Gaussians and mixtures of them, K = 50, true samples:
    a share of 0.02 to 0.08 for N ≤ M ≥ 600, D = 2 to 64; for N > M it may be far more, 0.29 at D =
    64, M = 600, N = 2,400. So the floor to hold a generator against is the share of held-out
    points, as many as are generated.

    Args:
      bins: of `fit_bins`.
      generated: `[N, D]`.
      level: of the two-sided test.

    Raises:
      InputError: not a finite matrix of D features, or a level outside (0, 1).

    Source: Richardson and Weiss 2018, https://arxiv.org/abs/1805.12462. They take the
    features to be pixels; as for SC09, ours are a classifier's.
    """
    generated = _matrix(generated)
    if generated.shape[1] != bins.centres.shape[1]:
        raise InputError(
            f"the bins are of {bins.centres.shape[1]} features and the points of "
            f"{generated.shape[1]}; take both from one network"
        )
    if not 0 < level < 1:
        raise InputError(f"the level of a test must be in (0, 1), got {level}")
    counts = np.bincount(nearest(bins.centres, generated).index, minlength=len(bins.counts))
    number = int((np.abs(two_proportions_z(bins.counts, counts)) > _critical(level)).sum())
    expected = expected_share(bins.counts, len(generated), level)
    return DifferentBins(number, number / len(counts), expected)
