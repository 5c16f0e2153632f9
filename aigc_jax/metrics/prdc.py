"""Precision, recall, density and coverage: how realistic samples are, and how much they cover.

Dimensions: N real, M generated, D features (or pixels).
"""

import math
from typing import NamedTuple

import numpy as np

from aigc_jax.metrics.distances import Points, blocks, closer, expansion, mean, near, prepare


class Prdc(NamedTuple):
    """Each 0 at worst. Two samples of one distribution do not reach 1: compare with those."""

    precision: float  # the share of generated points within the real manifold
    recall: float  # the share of real points within the generated manifold
    density: float  # how many real neighbourhoods a generated point lies in, over k; may exceed 1
    coverage: float  # the share of real points with a generated one within their own ball


def _radii(points: Points, k: int) -> np.ndarray:
    """The squared distance of each point to its k-th nearest neighbour: float64 `[N]`."""
    radii = np.zeros(len(points.exact))
    # With k copies of a point, its k-th neighbour is one of them. Where samples have collapsed that
    # saves comparing every pair.
    _, inverse, counts = np.unique(points.exact, axis=0, return_inverse=True, return_counts=True)
    rest = np.flatnonzero(counts[inverse.ravel()] <= k)
    for part in blocks(len(rest)):
        # In ascending order, the distance to oneself comes first: the k-th neighbour is at index k.
        radii[rest[part]] = near(points.of(rest[part]), points, k + 1)[1][:, k]
    return radii


def expected_coverage(n: int, m: int, k: int = 5) -> float:
    """E coverage = 1 − Π_{i=1…k} (n − i) / (n + m − i) of two samples of one distribution.

    A real point is missed when its k nearest, of n − 1 real and m generated companions, are all
    real, and all orders of these are equally likely. E density is 1 in the same way; precision and
    recall depend on the distribution.

    Args:
      n, m: real and generated points.
      k: neighbours.

    Source: Naeem et al. 2020, https://arxiv.org/abs/2002.09797, section 4.
    """
    return 1.0 - math.prod((n - i) / (n + m - i) for i in range(1, k + 1))


def prdc(real: np.ndarray, generated: np.ndarray, k: int = 5) -> Prdc:
    """The four metrics, from Euclidean k-nearest-neighbour balls.

        r_k(x)    = distance from x to its k-th nearest neighbour within its own set
        precision = mean_j 1[∃i ‖g_j − x_i‖ < r_k(x_i)]
        recall    = mean_i 1[∃j ‖x_i − g_j‖ < r_k(g_j)]
        density   = 1/(kM) Σ_j Σ_i 1[‖g_j − x_i‖ < r_k(x_i)]
        coverage  = mean_i 1[∃j ‖g_j − x_i‖ < r_k(x_i)]

    Values are comparable only at equal N, M and k.

    Args:
      real: `[N, ...]`, N > k.
      generated: `[M, ...]`, M > k.
      k: neighbours.

    Raises:
      ValueError: a set has no k-th neighbour, or a number is not finite.

    Source: Kynkäänniemi et al. 2019, https://arxiv.org/abs/1904.06991; Naeem et al. 2020,
    https://arxiv.org/abs/2002.09797.
    """
    if min(len(real), len(generated)) <= k:
        raise ValueError(f"prdc with k = {k} needs more than {k} points on each side")
    origin = mean(real)
    x, g = prepare(real, origin), prepare(generated, origin)
    radii_x, radii_g = _radii(x, k), _radii(g, k)
    reached, balls = np.zeros(len(generated), bool), 0
    covered, recalled = np.zeros(len(real), bool), np.zeros(len(real), bool)
    for rows in blocks(len(real)):
        squares, error = expansion(x.of(rows), g)
        in_real = closer(x.of(rows), g, squares, error, radii_x[rows, None])
        in_generated = closer(x.of(rows), g, squares, error, radii_g[None, :])
        reached |= in_real.any(axis=0)
        balls += int(np.count_nonzero(in_real))
        covered[rows], recalled[rows] = in_real.any(axis=1), in_generated.any(axis=1)
    return Prdc(
        precision=float(reached.mean()),
        recall=float(recalled.mean()),
        density=balls / (k * len(generated)),
        coverage=float(covered.mean()),
    )
