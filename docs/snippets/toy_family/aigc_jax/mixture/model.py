"""p(x) = Σ_k π_k Π_d Bernoulli(x_d; σ(l_kd)).

Dimensions: B batch, K components, H W C image.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from aigc_jax.algorithm import Key


class Params(NamedTuple):
    """The parameters."""

    weights: jax.Array  # [K]: logits of π
    pixels: jax.Array  # [K, H, W, C]: l


def init_params(key: Key, image_shape: tuple[int, int, int], components: int) -> Params:
    """Equal weights, and random pixels to break the symmetry."""
    noise = jax.random.normal(key, (components, *image_shape), jnp.float32)
    return Params(jnp.zeros(components, jnp.float32), 0.1 * noise)


def nll(params: Params, x: jax.Array) -> jax.Array:
    """−log p(x): binary `[B, H, W, C]` → nats `[B]`."""
    flat = x.reshape(len(x), -1)
    logits = params.pixels.reshape(len(params.pixels), -1)
    log_p = flat @ logits.T - jax.nn.softplus(logits).sum(-1)[None]  # log p(x|k) [B, K]
    return -jax.nn.logsumexp(log_p + jax.nn.log_softmax(params.weights)[None], axis=-1)
