"""Precision, recall, density and coverage: how real samples are, and how much they show.

Dimensions: N real, M generated, D features (or pixels).
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from aigc_jax.metrics.neighbours import offsets, squared_distances

_ROWS = 1000  # of a matrix of distances in memory at a time


class Prdc(NamedTuple):
    """Each 0 at worst. Two samples of one distribution do not reach 1: compare with those."""

    precision: float  # the share of generated points within the real manifold
    recall: float  # the share of real points within the generated manifold
    density: float  # how many real neighbourhoods a generated point lies in, over k; may exceed 1
    coverage: float  # the share of real points with a generated one within their own ball


@partial(jax.jit, static_argnames="k")
def _smallest(rows: jax.Array, points: jax.Array, k: int) -> jax.Array:
    # All k: XLA:CPU turns a slice of top_k into a full sort, which takes thirty times as long.
    return -jax.lax.top_k(-squared_distances(rows, points), k)[0]


class _Within(NamedTuple):
    """What becomes of one block of real points x, against all generated points g."""

    reached: jax.Array  # bool [M]: g lies in the ball of some x
    balls: jax.Array  # int []: pairs with g in the ball of x
    covered: jax.Array  # bool [rows]: some g lies in the ball of x
    recalled: jax.Array  # bool [rows]: x lies in the ball of some g


@jax.jit
def _within(rows: jax.Array, radii_rows: jax.Array, g: jax.Array, radii_g: jax.Array) -> _Within:
    squares = squared_distances(rows, g)
    in_real = squares < radii_rows[:, None]
    in_generated = squares < radii_g[None, :]
    return _Within(in_real.any(0), in_real.sum(), in_real.any(1), in_generated.any(1))


def prdc(real: np.ndarray, generated: np.ndarray, k: int = 5) -> Prdc:
    """The four figures, from Euclidean k-nearest-neighbour balls.

        r_k(x)    = distance from x to its k-th nearest neighbour within its own set
        precision = mean_j 1[∃i ‖g_j − x_i‖ < r_k(x_i)]
        recall    = mean_i 1[∃j ‖x_i − g_j‖ < r_k(g_j)]
        density   = 1/(kM) Σ_j Σ_i 1[‖g_j − x_i‖ < r_k(x_i)]
        coverage  = mean_i 1[∃j ‖g_j − x_i‖ < r_k(x_i)]

    Figures are comparable only at equal N, M and k.

    Args:
      real: `[N, ...]`, N > k.
      generated: `[M, ...]`, M > k.
      k: neighbours.

    Raises:
      ValueError: a set has no k-th neighbour.

    Source: Kynkäänniemi et al. 2019, https://arxiv.org/abs/1904.06991; Naeem et al. 2020,
    https://arxiv.org/abs/2002.09797.
    """
    if min(len(real), len(generated)) <= k:
        raise ValueError(f"prdc with k = {k} needs more than {k} points on each side")
    origin = np.asarray(real)[0]
    x, g = jnp.asarray(offsets(real, origin)), jnp.asarray(offsets(generated, origin))

    def radii(points: jax.Array) -> list[jax.Array]:
        # In ascending order, the distance to oneself comes first: the k-th neighbour is at index k.
        return [_smallest(rows, points, k + 1)[:, k] for rows in _blocks(points)]

    radii_g = jnp.concatenate(radii(g))
    found = [
        _within(rows, radii_rows, g, radii_g)
        for rows, radii_rows in zip(_blocks(x), radii(x), strict=True)
    ]
    reached, balls, covered, recalled = zip(*found, strict=True)
    return Prdc(
        precision=float(np.any(reached, axis=0).mean()),
        recall=float(np.concatenate(recalled).mean()),
        density=sum(map(int, balls)) / (k * len(g)),
        coverage=float(np.concatenate(covered).mean()),
    )


def _blocks(points: jax.Array) -> list[jax.Array]:
    return [points[start : start + _ROWS] for start in range(0, len(points), _ROWS)]
