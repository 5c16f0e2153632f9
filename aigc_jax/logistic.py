"""Logistic distributions over the 256 grey values x ∈ {−1, −1 + 2/255, …, 1}, the outer bins open.

    P(x) = σ(b) − σ(a),   a, b = (x ∓ 1/255 − μ) / s;   b = ∞ at x = 1, a = −∞ at x = −1

Source: Salimans et al. 2017, https://arxiv.org/abs/1701.05517, section 2.1.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

_BIN = 2 / 255  # between two values
_NEAR = 6  # edges of bins on either side of μ
_REACH = 12.0  # scales that cells are laid over


def logistic_log_mass(x: jax.Array, mean: jax.Array, log_scale: jax.Array) -> jax.Array:
    """log P(x), as log σ(b) + log σ(−a) + log(1 − e^{a−b}), which is the same and never cancels.

    Args:
      x: one of the 256 values.
      mean, log_scale: μ and log s, of x's shape.

    Returns:
      nats, of x's shape.
    """
    inverse = jnp.exp(-log_scale)
    upper = (x + 1 / 255 - mean) * inverse
    lower = (x - 1 / 255 - mean) * inverse
    log_upper = jnp.where(x > 0.999, 0.0, jax.nn.log_sigmoid(upper))
    log_lower = jnp.where(x < -0.999, 0.0, jax.nn.log_sigmoid(-lower))
    both = jnp.where(jnp.abs(x) > 0.999, 0.0, jnp.log(-jnp.expm1(-2 / 255 * inverse)))
    return log_upper + log_lower + both


def logistic_masses(mean: jax.Array, log_scale: jax.Array) -> jax.Array:
    """P at all 256 values: `[...]` → `[..., 256]`."""
    level = jnp.arange(256).reshape(*(1,) * mean.ndim, 256)
    x = 2.0 / 255.0 * level - 1.0
    mean, inverse = mean[..., None], jnp.exp(-log_scale)[..., None]
    # The product of the two sigmoids is over the product of their denominators, 1 at open ends.
    above = jnp.where(level == 255, 0.0, jnp.exp((mean - x - 1 / 255) * inverse))
    below = jnp.where(level == 0, 0.0, jnp.exp((x - 1 / 255 - mean) * inverse))
    both = jnp.where((level == 0) | (level == 255), 1.0, -jnp.expm1(-2 / 255 * inverse))
    return both / ((1.0 + above) * (1.0 + below))


def _edge(level: jax.Array) -> jax.Array:
    """Where the bin of a level, 1 to 255, begins."""
    return (level - 0.5) * _BIN - 1.0


def logistic_mean(mean: jax.Array, log_scale: jax.Array) -> jax.Array:
    """E[x] = −1 + 2/255 Σ_l σ((μ − e_l) / s) over the 255 edges e_l between the values' bins.

    Instead of 255 terms: where bins are wide compared with s, the terms next to μ, the others being
    0 or 1; where they are narrow, the integral from −1 to 1, of which the sum is the midpoint rule,
    plus the first term of their difference. Either is exact to 1e-5.

    Args:
      mean, log_scale: μ and log s, of the same shape; log s is clipped to −7 to 15.

    Returns:
      in [−1, 1], of that shape.
    """
    scale = jnp.exp(jnp.clip(log_scale, -7.0, 15.0))
    wide, narrow = jnp.maximum(scale, _BIN / 2), jnp.minimum(scale, _BIN / 2)
    low, high = (mean - 1.0) / wide, (mean + 1.0) / wide
    area = jnp.where(
        wide > 2.0,  # log(1 + e^high) − log(1 + e^low) without a difference of large numbers
        jnp.log1p(jax.nn.sigmoid(low) * jnp.expm1(2.0 / jnp.maximum(wide, 2.0))),
        jax.nn.softplus(high) - jax.nn.softplus(low),
    )
    at_low, at_high = (jax.nn.sigmoid(a) * jax.nn.sigmoid(-a) / wide for a in (low, high))
    smooth = wide * area + _BIN**2 / 24 * (at_low - at_high)
    nearest = jnp.clip(jnp.round((mean + 1.0) / _BIN), -_NEAR, 255 + _NEAR)
    count = jnp.clip(nearest - _NEAR, 0.0, 255.0)
    # exp((e_l − μ) / s) from edge to edge by a factor; the bound is for μ that have no edge near.
    distance = jnp.clip((_edge(nearest) - mean) / narrow, -10.0, 10.0)
    odds, factor = jnp.exp(distance), jnp.exp(_BIN / narrow)
    for offset in range(1 - _NEAR, 1 + _NEAR):
        there = (nearest + offset >= 1) & (nearest + offset <= 255)
        count += jnp.where(there, 1.0 / (1.0 + odds * factor**offset), 0.0)
    return jnp.where(scale < _BIN / 2, _BIN * count, smooth) - 1.0


def logistic_expectation(
    function: Callable[[jax.Array], Any], mean: jax.Array, log_scale: jax.Array, cells: int
) -> Any:
    """E[f(x)] over the values, a cell of neighbouring ones at a time, by its mass and its middle.

    The values −1 and 1 are cells of their own. The others are of equal size, around μ: of one value
    each where these hold nearly all mass, and no larger than needed to hold all values.

    Args:
      function: f, of arrays of μ's shape, to arrays.
      mean, log_scale: μ and log s, of one shape.
      cells: how many there are between −1 and 1.

    Returns:
      As f does.
    """
    inverse = jnp.exp(-log_scale)
    size = jnp.clip(jnp.ceil(_REACH / (cells * _BIN * inverse)), 1, -(-254 // cells))
    first = jnp.round((mean + 1) / _BIN - (cells * size - 1) / 2)
    first = jnp.clip(first, 1, jnp.maximum(255 - cells * size, 1))

    def begin(cell: jax.Array) -> jax.Array:
        """The first level of a cell, of cells 1 to `cells`; the level after the last one's."""
        return jnp.clip(first + (cell - 1) * size, 1, 255)

    def below(cell: jax.Array) -> jax.Array:
        """The mass of the levels before a cell. Those between −1 and the first are in that."""
        level = jnp.where(cell == 1, 1.0, jnp.where(cell == cells + 1, 255.0, begin(cell)))
        mass = jax.nn.sigmoid((_edge(level) - mean) * inverse)
        return jnp.where(cell == 0, 0.0, jnp.where(cell == cells + 2, 1.0, mass))

    def value(cell: jax.Array) -> jax.Array:
        middle = _BIN / 2 * (begin(cell) + begin(cell + 1) - 1) - 1
        return jnp.where(cell == 0, -1.0, jnp.where(cell == cells + 1, 1.0, middle))

    def add(total: Any, cell: jax.Array) -> tuple[Any, None]:
        mass, found = below(cell + 1) - below(cell), function(value(cell))
        return jax.tree.map(lambda a, b: a + mass * b, total, found), None

    zeros = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), jax.eval_shape(function, mean))
    return jax.lax.scan(add, zeros, jnp.arange(cells + 2))[0]
