"""Precision, recall, density and coverage: how real samples are, and how much they show.

Dimensions: N real, M generated, D features (or pixels).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


class Prdc(NamedTuple):
    """Each 0 at worst. Two samples of one distribution do not reach 1: compare with those."""

    precision: float  # the share of generated points within the real manifold
    recall: float  # the share of real points within the generated manifold
    density: float  # how many real neighbourhoods a generated point lies in, over k; may exceed 1
    coverage: float  # the share of real points with a generated one within their own ball


@jax.jit
def _squared_distances(x: jax.Array, y: jax.Array) -> jax.Array:
    # In full precision, since accelerators would round the factors and with them small distances.
    products = jnp.matmul(x, y.T, precision="highest")
    return jnp.sum(x * x, -1)[:, None] + jnp.sum(y * y, -1)[None, :] - 2.0 * products


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
    x = jnp.asarray(real, jnp.float32).reshape(len(real), -1)
    g = jnp.asarray(generated, jnp.float32).reshape(len(generated), -1)

    def radii(points: jax.Array) -> np.ndarray:
        # Sorted, the distance to oneself comes first: the k-th neighbour is at index k.
        return np.sort(np.asarray(_squared_distances(points, points)), axis=1)[:, k]

    between = np.asarray(_squared_distances(x, g))
    in_real = between < radii(x)[:, None]
    in_generated = between < radii(g)[None, :]
    return Prdc(
        precision=float(in_real.any(axis=0).mean()),
        recall=float(in_generated.any(axis=1).mean()),
        density=float(in_real.sum(axis=0).mean() / k),
        coverage=float(in_real.any(axis=1).mean()),
    )
