"""The energy distance between two samples: how far generated images are, as a distribution, from real ones."""

import jax
import jax.numpy as jnp
import numpy as np


@jax.jit
def _distances(x: jax.Array, y: jax.Array) -> jax.Array:
    squares = jnp.sum(x * x, -1)[:, None] + jnp.sum(y * y, -1)[None, :]
    return jnp.sqrt(jnp.maximum(squares - 2.0 * x @ y.T, 0.0))


def energy_distance(x: np.ndarray, y: np.ndarray) -> float:
    """D² = 2 E‖X − Y‖ − E‖X − X′‖ − E‖Y − Y′‖, estimated without bias.

    It is ≥ 0 and zero exactly where both distributions are equal; the estimate, whose inner means leave out the pairs of a
    sample with itself, may fall slightly below zero there. The unit is that of a distance between two examples.

    Args:
      x: `[n, ...]`, n ≥ 2; images in [0, 1], say.
      y: `[m, ...]`, m ≥ 2, of the same trailing shape.

    Returns:
      D², a float; means are taken in float64.

    Source: Székely and Rizzo 2013, https://doi.org/10.1016/j.jspi.2013.03.018, equation 5.1 as a U-statistic.
    """
    x = jnp.asarray(x, jnp.float32).reshape(len(x), -1)
    y = jnp.asarray(y, jnp.float32).reshape(len(y), -1)

    def mean_within(a: jax.Array) -> float:
        # The diagonal is zero in exact arithmetic; cancellation in float32 must not be counted.
        between = np.asarray(_distances(a, a), np.float64)
        return (between.sum() - np.trace(between)) / (len(a) * (len(a) - 1))

    across = np.asarray(_distances(x, y), np.float64).mean()
    return float(2.0 * across - mean_within(x) - mean_within(y))
