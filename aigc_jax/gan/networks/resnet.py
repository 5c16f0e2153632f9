"""A small residual network after R3GAN: no normalisation layers, starting at the identity.

Dimensions: B batch, Z latent, H W C image, n halvings.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from aigc_jax.convolution import (
    average_pool,
    conv,
    conv_down,
    conv_up,
    grid_after,
    halvings_to_small_grid,
    upsample_nearest,
)
from aigc_jax.gan.model import Networks
from aigc_jax.gan.networks.common import Shape, from_linen
from aigc_jax.layers import Convolution, Dense
from aigc_jax.nn.classes import ProjectionHead


def _activation(x: jax.Array) -> jax.Array:
    return nn.leaky_relu(x, 0.2)


class Residual(nn.Module):
    """A bottleneck, x + W₃ a(K ∗ a(W₁ x)): to half the channels, a 3×3 there, and back.

    R3GAN widens instead and groups its 3×3 convolutions; grouped ones are slow on CPUs. W₃ starts
    at zero, so that the whole network starts as its resampling alone; the other two start smaller
    by the number of blocks to the power ¼, after fixup initialisation.

    Attributes:
      blocks: residual blocks in the network.
    """

    blocks: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        channels = x.shape[-1]
        scale = nn.initializers.variance_scaling(2.0 * self.blocks**-0.5, "fan_in", "normal")
        narrow = max(1, channels // 2)
        h = _activation(Dense(narrow, kernel_init=scale)(x))
        h = _activation(Convolution(conv, narrow, 3, kernel_init=scale)(h))
        return x + Dense(channels, use_bias=False, kernel_init=nn.initializers.zeros_init())(h)


def _project(x: jax.Array, channels: int) -> jax.Array:
    """A 1×1 convolution without bias, where the number of channels changes."""
    if x.shape[-1] == channels:
        return x
    init = nn.initializers.variance_scaling(1.0, "fan_in", "normal")
    return Dense(channels, use_bias=False, kernel_init=init)(x)


class ResNetGenerator(nn.Module):
    """z → grid → (blocks, 1×1, ×2) at each size → transposed convolution 4×4 → sigmoid."""

    image_shape: Shape
    width: int
    halvings: int
    depth: int  # blocks at each size

    @nn.compact
    def __call__(self, z: jax.Array, train: bool, axis_name: str | None) -> jax.Array:
        rows, columns = grid_after(self.image_shape, self.halvings)
        channels = _channels(self.width, self.halvings)[::-1]
        h = Dense(rows * columns * channels[0], kernel_init=nn.initializers.lecun_normal())(z)
        h = h.reshape(-1, rows, columns, channels[0])
        for i, width in enumerate(channels):
            if i > 0:
                h = upsample_nearest(_project(h, width))
            for _ in range(self.depth):
                h = Residual(self.depth * self.halvings)(h)
        return nn.sigmoid(Convolution(conv_up, self.image_shape[2], 4)(_activation(h)))


class ResNetDiscriminator(nn.Module):
    """image → convolution 4×4, stride 2 → (blocks, ÷2, 1×1) at each size → logit.

    The head's features are sums over the last grid, each channel weighted by position.
    """

    width: int
    halvings: int
    depth: int
    classes: int = 0

    @nn.compact
    def __call__(
        self, images: jax.Array, labels: jax.Array | None, train: bool, axis_name: str | None
    ) -> jax.Array:
        h = images
        for i, width in enumerate(_channels(self.width, self.halvings)):
            h = Convolution(conv_down, width, 4)(h) if i == 0 else _project(average_pool(h), width)
            for _ in range(self.depth):
                h = Residual(self.depth * self.halvings)(h)
        h = _activation(h)
        init = nn.initializers.variance_scaling(1.0, "fan_in", "normal", in_axis=(0, 1), out_axis=2)
        weights = self.param("places", init, h.shape[1:], jnp.float32)
        features = jnp.einsum("bhwc,hwc->bc", h, weights)
        return ProjectionHead(self.classes)(features, labels)


def _channels(width: int, halvings: int) -> list[int]:
    """Channels at each size from the largest: doubled with each halving, to four times at most."""
    return [width * min(2**i, 4) for i in range(halvings)]


def resnet(
    image_shape: Shape = (28, 28, 1),
    latent_size: int = 64,
    classes: int = 0,
    packing: int = 1,
    width: int = 64,
    depth: int = 1,
) -> Networks:
    """A pair of residual networks without normalisation layers.

    Args:
      image_shape: (H, W, C).
      latent_size: Z.
      classes: how many; 0 for networks without labels.
      packing: images in one input of D.
      width: channels at half the image's size, doubled with each halving, to four times at most.
      depth: blocks at each size.

    Raises:
      InputError: the images do not halve to a grid of 4 to 7 pixels.

    Source: after Huang et al. 2024 (R3GAN), https://arxiv.org/abs/2501.05441, section 4; fixup
    initialisation: Zhang et al. 2019, https://arxiv.org/abs/1901.09321.
    """
    halvings = halvings_to_small_grid(image_shape)
    return from_linen(
        ResNetGenerator(image_shape, width, halvings, depth),
        ResNetDiscriminator(width, halvings, depth, classes),
        image_shape,
        latent_size,
        classes,
        packing,
    )
