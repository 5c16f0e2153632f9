"""Convolutional VAE: a grid of features between the image and one layer of latents.

Dimensions: B batch, Z latent, H W C image, n halvings, F outputs for a pixel.
"""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from aigc_jax.convolution import grid_after, halvings_to_small_grid
from aigc_jax.layers import Dense
from aigc_jax.nn.outputs import Shared
from aigc_jax.nn.trunk import Down, Up
from aigc_jax.vae.model import Networks
from aigc_jax.vae.networks.common import Shape, from_linen
from aigc_jax.vae.priors import STANDARD_NORMAL, Prior

_HIDDEN = 256  # units between the grid and the latents
_BOUNDS = (-6.0, 2.0)  # of log σ²


class ConvEncoder(nn.Module):
    """x → grid → 256 → (μ, log σ²)."""

    latent_size: int
    width: int
    halvings: int
    blocks: int

    @nn.compact
    def __call__(self, x: jax.Array, *given: jax.Array) -> tuple[jax.Array, jax.Array]:
        grid = Down(self.width, self.halvings, self.blocks)(2.0 * x - 1.0)
        h = jnp.concatenate([grid.reshape(len(x), -1), *given], axis=-1)
        h = nn.elu(Dense(_HIDDEN)(h))
        mean, log_variance = jnp.split(Dense(2 * self.latent_size)(h), 2, axis=-1)
        return mean, jnp.clip(log_variance, *_BOUNDS)


class ConvDecoder(nn.Module):
    """z → 256 → grid → F outputs for each pixel."""

    output_shape: Sequence[int]
    width: int
    halvings: int
    blocks: int
    shared: int

    @nn.compact
    def __call__(self, z: jax.Array) -> jax.Array:
        rows, columns = grid_after(tuple(self.output_shape), self.halvings)
        features = self.width * 2 ** (self.halvings - 1)
        h = nn.elu(Dense(_HIDDEN)(z))
        h = nn.elu(Dense(rows * columns * features)(h)).reshape(-1, rows, columns, features)
        outputs = Up(self.output_shape[-1], self.width, self.halvings, self.blocks)(h)
        return Shared(self.shared)(outputs)


def convolutional(
    image_shape: Shape = (28, 28, 1),
    latent_size: int = 40,
    classes: int = 0,
    outputs: int = 1,
    shared: int = 0,
    prior: Prior = STANDARD_NORMAL,
    width: int = 32,
    blocks: int = 1,
) -> Networks:
    """Convolutions of stride 2 and residual blocks, to a grid of 4 to 7 pixels and back.

    Args:
      image_shape: (H, W, C), of sides that halve to 4 to 7 pixels.
      latent_size: Z.
      classes: how many; 0 for networks without labels.
      outputs: F.
      shared: further outputs, the same for all pixels and images.
      prior: p(z).
      width: channels next to the image; they double with each halving.
      blocks: residual blocks on the grid.

    Raises:
      InputError: images of this size cannot be halved so.
    """
    halvings = halvings_to_small_grid(image_shape)
    height, columns, _ = image_shape
    encoder = ConvEncoder(latent_size, width, halvings, blocks)
    decoder = ConvDecoder((height, columns, outputs), width, halvings, blocks, shared)
    return from_linen(encoder, decoder, image_shape, latent_size, classes, prior)
