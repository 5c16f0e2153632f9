"""Finite scalar quantisation: each of a few features is rounded to one of a few levels.

Nothing is learned, and nothing can die: the codes are the points of a grid.

Dimensions: B batch, h w the grid, D features, one for each entry of `levels`, L levels of one
feature, K = Π L codes.
"""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from aigc_jax.algorithm import Key
from aigc_jax.density import wide
from aigc_jax.errors import InputError
from aigc_jax.vq.model import Quantised, Quantiser, straight_through

_MARGIN = 1e-3  # by which a bound exceeds the outermost level, so that rounding reaches it


def bound(features: jax.Array, levels: Sequence[int]) -> jax.Array:
    """c = a tanh(f + s) − o, between the outermost levels, 0 at f = 0.

        a = (L − 1)(1 + ε) / 2,   o = 0 and s = 0 for odd L,   o = ½ and s = artanh(o / a) for even

    so that rounding c gives L integers: −⌊L/2⌋ … ⌈L/2⌉ − 1.

    Args:
      features: f, `[..., D]`.
      levels: L of each feature.

    Returns:
      `[..., D]` in float32 at least.
    """
    sizes = np.asarray(levels)
    half = 0.5 * (sizes - 1) * (1.0 + _MARGIN)
    offset = np.where(sizes % 2 == 0, 0.5, 0.0)
    f = wide(features)
    shift = np.arctanh(offset / half)
    return _each(half, f) * jnp.tanh(f + _each(shift, f)) - _each(offset, f)


def codes_of(chosen: jax.Array, levels: Sequence[int]) -> jax.Array:
    """Σ_d digit_d Π_{j<d} L_j, digit = level + ⌊L/2⌋: levels `[..., D]` → int32 `[...]`."""
    places, middle = _places(levels)
    integers = jnp.round(chosen).astype(jnp.int32)
    digits = integers + _each(middle, integers)
    return jnp.sum(digits * _each(places, integers), axis=-1, dtype=jnp.int32)


def levels_of(codes: jax.Array, levels: Sequence[int]) -> jax.Array:
    """The inverse of `codes_of`: int `[...]` → int32 `[..., D]`."""
    places, middle = _places(levels)
    spread = jnp.broadcast_to(codes[..., None].astype(jnp.int32), (*codes.shape, len(levels)))
    digits = spread // _each(places, spread) % _each(np.asarray(levels), spread)
    return digits - _each(middle, spread)


def _each(values: np.ndarray, of: jax.Array) -> jax.Array:
    """One value for each feature, `[D]` → the shape and dtype of `[..., D]`."""
    return jnp.broadcast_to(jnp.asarray(values, of.dtype), of.shape)


def _places(levels: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """The value of each digit's place, and the digit of level 0."""
    places = np.cumprod([1, *levels[:-1]], dtype=np.int32)
    return places, np.asarray(levels, np.int32) // 2


def _scaled(rounded: jax.Array, levels: Sequence[int]) -> jax.Array:
    """Levels to about [−1, 1]: divided by ⌊L/2⌋."""
    return rounded / _each(_places(levels)[1], rounded)


def quantise(features: jax.Array, levels: Sequence[int]) -> Quantised:
    """z_d = round(c_d) / ⌊L_d/2⌋; the gradient is c's, as if nothing were rounded.

    Args:
      features: f, `[B, h, w, D]`.
      levels: L of each feature.

    Source: Mentzer et al. 2023, https://arxiv.org/abs/2309.15505, section 3.1 and appendix A.1,
    where s is tan(o / a), with which c is not quite 0 at f = 0, and 1 − ε stands for 1 + ε.
    """
    bounded = bound(features, levels)
    rounded = straight_through(jnp.round(bounded), bounded)
    codes = codes_of(rounded, levels)
    return Quantised(_scaled(rounded, levels), codes, jnp.zeros(len(features), jnp.float32))


def finite_scalar_quantiser(levels: Sequence[int] = (8, 5, 5, 5)) -> Quantiser:
    """The points of a grid with Π L codes, whose state is empty.

    Args:
      levels: L of each feature, such as (8, 6, 5) for 240 codes, (8, 5, 5, 5) for 1,000 or
        (7, 5, 5, 5, 5) for 4,375.

    Raises:
      InputError: no levels, fewer than 3 for a feature, or more codes than an int32 can count.
    """
    levels = tuple(levels)
    if not levels or min(levels) < 3 or math.prod(levels) >= 2**31:
        raise InputError(
            f"levels {levels} of FSQ: take a few integers of at least 3, such as 8,5,5,5"
        )

    def update(state: Any, features: jax.Array, codes: jax.Array, key: Key, axis_name: str | None):
        return state, jnp.float32(0)

    return Quantiser(
        init=lambda key: (),
        quantise=lambda state, features: quantise(features, levels),
        look_up=lambda state, codes: _scaled(levels_of(codes, levels).astype(jnp.float32), levels),
        update=update,
        codes=math.prod(levels),
        features=len(levels),
    )
