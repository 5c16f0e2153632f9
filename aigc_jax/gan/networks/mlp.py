"""The source article's networks: one hidden layer each.

Dimensions: B batch, Z latent, H W C image.
"""

import math

import flax.linen as nn
import jax

from aigc_jax.gan.model import Networks
from aigc_jax.gan.networks.common import Shape, from_linen
from aigc_jax.layers import Dense
from aigc_jax.nn.classes import ProjectionHead


class MLPGenerator(nn.Module):
    """z → ReLU → sigmoid → image: Z → `width` → H·W·C. 114,064 parameters at 100 → 128 → 784."""

    image_shape: Shape
    width: int = 128

    @nn.compact
    def __call__(self, z: jax.Array, train: bool, axis_name: str | None) -> jax.Array:
        h = nn.relu(Dense(self.width)(z))
        pixels = nn.sigmoid(Dense(math.prod(self.image_shape))(h))
        return pixels.reshape(-1, *self.image_shape)


class MLPDiscriminator(nn.Module):
    """image → ReLU → logit: H·W·C → `width` → 1. 100,609 parameters at 784 → 128 → 1."""

    width: int = 128
    classes: int = 0

    @nn.compact
    def __call__(
        self, images: jax.Array, labels: jax.Array | None, train: bool, axis_name: str | None
    ) -> jax.Array:
        h = nn.relu(Dense(self.width)(images.reshape(images.shape[0], -1)))
        return ProjectionHead(self.classes)(h, labels)


def mlp(
    image_shape: Shape = (28, 28, 1),
    latent_size: int = 100,
    classes: int = 0,
    packing: int = 1,
    width: int = 128,
) -> Networks:
    """The two-layer perceptrons of the source article.

    Args:
      image_shape: (H, W, C).
      latent_size: Z.
      classes: how many; 0 for networks without labels.
      packing: images in one input of D.
      width: of either hidden layer.
    """
    generator, discriminator = MLPGenerator(image_shape, width), MLPDiscriminator(width, classes)
    return from_linen(generator, discriminator, image_shape, latent_size, classes, packing)
