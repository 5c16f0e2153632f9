"""Perceptrons: the source article's, those of the IWAE paper, and gated ones.

Dimensions: B batch, Z latent, H W C image, F outputs for a pixel.
"""

import math
from collections.abc import Callable, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from aigc_jax.layers import Dense
from aigc_jax.nn.outputs import Shared
from aigc_jax.vae.model import Networks
from aigc_jax.vae.networks.common import Shape, from_linen
from aigc_jax.vae.priors import STANDARD_NORMAL, Prior

BOUNDS = (-6.0, 2.0)  # of log σ² in gated networks, as in the VampPrior's code


class Gated(nn.Module):
    """h = (W x + b) ⊙ σ(V x + c). Source: Dauphin et al. 2017, https://arxiv.org/abs/1612.08083."""

    features: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        linear, gate = jnp.split(Dense(2 * self.features)(x), 2, axis=-1)
        return linear * nn.sigmoid(gate)


class Activated(nn.Module):
    """h = f(W x + b)."""

    features: int
    activation: Callable[[jax.Array], jax.Array]

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        return self.activation(Dense(self.features)(x))


def hidden_layer(features: int, activation: Callable | None) -> nn.Module:
    """One hidden layer; gated where `activation` is None."""
    return Gated(features) if activation is None else Activated(features, activation)


class Encoder(nn.Module):
    """x → hidden layers → (μ, log σ²) of Z latents.

    Attributes:
      latent_size: Z.
      widths: of the hidden layers, the one next to the image first.
      activation: of the hidden layers; None for gated ones.
      bounds: between which log σ² is clipped; None for none.
    """

    latent_size: int
    widths: Sequence[int]
    activation: Callable[[jax.Array], jax.Array] | None
    bounds: tuple[float, float] | None = None

    @nn.compact
    def __call__(self, x: jax.Array, *given: jax.Array) -> tuple[jax.Array, jax.Array]:
        h = jnp.concatenate([x.reshape(x.shape[0], -1), *given], axis=-1)
        for width in self.widths:
            h = hidden_layer(width, self.activation)(h)
        mean, log_variance = jnp.split(Dense(2 * self.latent_size)(h), 2, axis=-1)
        return mean, log_variance if self.bounds is None else jnp.clip(log_variance, *self.bounds)


class Decoder(nn.Module):
    """z → hidden layers, in the encoder's order reversed → H·W·F outputs."""

    output_shape: Shape
    widths: Sequence[int]
    activation: Callable[[jax.Array], jax.Array] | None
    shared: int = 0

    @nn.compact
    def __call__(self, z: jax.Array) -> jax.Array:
        h = z
        for width in reversed(self.widths):
            h = hidden_layer(width, self.activation)(h)
        outputs = Dense(math.prod(self.output_shape))(h).reshape(-1, *self.output_shape)
        return Shared(self.shared)(outputs)


def mlp(
    image_shape: Shape = (28, 28, 1),
    latent_size: int = 2,
    classes: int = 0,
    outputs: int = 1,
    shared: int = 0,
    prior: Prior = STANDARD_NORMAL,
    width: int = 128,
    depth: int = 1,
    activation: Callable[[jax.Array], jax.Array] | None = nn.relu,
    bounds: tuple[float, float] | None = None,
) -> Networks:
    """Two perceptrons with `depth` hidden layers of one width.

    The defaults are the source article's: 100,996 parameters at 784 → 128 → 2 × 2, and 101,520 at
    2 → 128 → 784.

    Args:
      image_shape: (H, W, C).
      latent_size: Z.
      classes: how many; 0 for networks without labels.
      outputs: F.
      shared: further outputs, the same for all pixels and images.
      prior: p(z).
      width: of each hidden layer.
      depth: hidden layers of either network.
      activation: of the hidden layers; None for gated ones.
      bounds: between which log σ² is clipped; None for none.
    """
    height, columns, _ = image_shape
    widths = (width,) * depth
    encoder = Encoder(latent_size, widths, activation, bounds)
    decoder = Decoder((height, columns, outputs), widths, activation, shared)
    return from_linen(encoder, decoder, image_shape, latent_size, classes, prior)
