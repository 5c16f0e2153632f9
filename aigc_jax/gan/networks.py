"""Generators and discriminators in Flax Linen, handed out as pure functions.

Dimensions: B batch, Z latent, H W C image.
"""

import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from aigc_jax.algorithm import Key, Params
from aigc_jax.gan.step import Networks
from aigc_jax.layers import Dense


class MLPGenerator(nn.Module):
    """z → ReLU → sigmoid → image: Z → `hidden` → H·W·C. 114,064 parameters at 100 → 128 → 784."""

    image_shape: tuple[int, int, int]
    hidden: int = 128

    @nn.compact
    def __call__(self, z: jax.Array) -> jax.Array:
        h = nn.relu(Dense(self.hidden)(z))
        pixels = nn.sigmoid(Dense(math.prod(self.image_shape))(h))
        return pixels.reshape(-1, *self.image_shape)


class MLPDiscriminator(nn.Module):
    """image → ReLU → logit: H·W·C → `hidden` → 1. 100,609 parameters at 784 → 128 → 1."""

    hidden: int = 128

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        h = nn.relu(Dense(self.hidden)(images.reshape(images.shape[0], -1)))
        return Dense(1)(h).squeeze(-1)


def mlp(
    image_shape: tuple[int, int, int] = (28, 28, 1), latent_size: int = 100, hidden: int = 128
) -> Networks:
    """The two-layer perceptrons of the source article.

    Args:
      image_shape: (H, W, C).
      latent_size: Z.
      hidden: the width of either hidden layer.
    """
    generator, discriminator = MLPGenerator(image_shape, hidden), MLPDiscriminator(hidden)

    def init(key: Key) -> tuple[Params, Params]:
        key_g, key_d = jax.random.split(key)
        params_g = generator.init(key_g, jnp.zeros((1, latent_size)))
        params_d = discriminator.init(key_d, jnp.zeros((1, *image_shape)))
        return params_g, params_d

    def generate(params: Params, z: jax.Array) -> Any:
        return generator.apply(params, z)

    def discriminate(params: Params, images: jax.Array) -> Any:
        return discriminator.apply(params, images)

    return Networks(init, generate, discriminate, latent_size)
