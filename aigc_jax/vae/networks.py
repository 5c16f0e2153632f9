"""Encoders and decoders in Flax Linen, handed out as pure functions.

Dimensions: B batch, Z latent, H W C image.
"""

import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from aigc_jax.algorithm import Key, Params
from aigc_jax.layers import Dense
from aigc_jax.vae.step import Networks


class MLPEncoder(nn.Module):
    """x → ReLU → (μ, log σ²): H·W·C → `hidden` → 2 × Z. 100,996 parameters at 784 → 128 → 2 × 2."""

    latent_size: int
    hidden: int = 128

    @nn.compact
    def __call__(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        h = nn.relu(Dense(self.hidden)(x.reshape(x.shape[0], -1)))
        mean, log_variance = jnp.split(Dense(2 * self.latent_size)(h), 2, axis=-1)
        return mean, log_variance


class MLPDecoder(nn.Module):
    """z → ReLU → logits: Z → `hidden` → H·W·C. 101,520 parameters at 2 → 128 → 784."""

    image_shape: tuple[int, int, int]
    hidden: int = 128

    @nn.compact
    def __call__(self, z: jax.Array) -> jax.Array:
        h = nn.relu(Dense(self.hidden)(z))
        logits = Dense(math.prod(self.image_shape))(h)
        return logits.reshape(-1, *self.image_shape)


def mlp(
    image_shape: tuple[int, int, int] = (28, 28, 1), latent_size: int = 2, hidden: int = 128
) -> Networks:
    """The two-layer perceptrons of the source article.

    Args:
      image_shape: (H, W, C).
      latent_size: Z.
      hidden: the width of either hidden layer.
    """
    encoder, decoder = MLPEncoder(latent_size, hidden), MLPDecoder(image_shape, hidden)

    def init(key: Key) -> Params:
        key_e, key_d = jax.random.split(key)
        return {
            "encoder": encoder.init(key_e, jnp.zeros((1, *image_shape))),
            "decoder": decoder.init(key_d, jnp.zeros((1, latent_size))),
        }

    def encode(params: Params, x: jax.Array) -> Any:
        return encoder.apply(params["encoder"], x)

    def decode(params: Params, z: jax.Array) -> Any:
        return decoder.apply(params["decoder"], z)

    return Networks(
        init=init,
        encode=encode,
        decode=decode,
        latent_size=latent_size,
    )
