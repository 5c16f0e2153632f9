"""A perceptual distance: how far apart two examples are in the features of a frozen network.

Dimensions: B batch, P positions (of an image, a sound or a video), C_l features of layer l.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax

from aigc_jax.density import wide
from aigc_jax.errors import InputError

_EPSILON = 1e-8  # beside ‖f‖²: the gradient of f̂ is at most 1e4 at f = 0


def perceptual_distance(x: Sequence[jax.Array], y: Sequence[jax.Array]) -> jax.Array:
    """The squared distance of features as directions, averaged over positions, summed over layers.

        d = Σ_l 1/P_l Σ_p ‖f̂_lp(x) − f̂_lp(y)‖²,   f̂ = f / √(‖f‖² + ε),   ε = 1e-8

    For ‖f‖² well above ε a term is 2 − 2 cos of the angle between the features of a position: 0 to
    4, and to 2 for features that are not negative. For a gradient on x̂ alone, pass the features of
    the original through `stop_gradient`, and do not differentiate the network by its parameters.

    Args:
      x: features of the layers of one network, each `[B, ..., C_l]` with any number of axes of
        positions.
      y: those of the other examples, of the same shapes.

    Returns:
      `[B]`, ≥ 0; in float32 at least.

    Raises:
      InputError: no layers, or shapes that differ.

    Source: Zhang et al. 2018, https://arxiv.org/abs/1801.03924, equation 1 with all w_l = 1. Their
    ε is beside ‖f‖, where the gradient at f = 0 is not a number.
    """
    shapes_x, shapes_y = ([f.shape for f in layers] for layers in (x, y))
    if not shapes_x or shapes_x != shapes_y or min(map(len, shapes_x)) < 2:
        message = f"features of shapes {shapes_x} and {shapes_y}; give [B, ..., C] of equal layers"
        raise InputError(message)
    layers = [_layer(a, b) for a, b in zip(x, y, strict=True)]
    return sum(layers[1:], start=layers[0])


def _layer(x: jax.Array, y: jax.Array) -> jax.Array:
    """Of one layer: two `[B, ..., C]` → `[B]`."""
    squares = jnp.sum(jnp.square(_directions(x) - _directions(y)), axis=-1)
    return jnp.mean(squares.reshape(len(squares), -1), axis=-1)


def _directions(features: jax.Array) -> jax.Array:
    features = wide(features)
    squares = jnp.sum(jnp.square(features), axis=-1, keepdims=True)
    return features * lax.rsqrt(squares + _EPSILON)
