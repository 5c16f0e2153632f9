"""A small residual network of R3GAN's kind: no normalisation layers, and a start at the identity.

Dimensions: B batch, Z latent, H W C image.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from aigc_jax.convolution import average_down, conv, conv_down, conv_up, halvings, repeat_up
from aigc_jax.gan.model import Networks
from aigc_jax.gan.networks.common import ProjectionHead, Shape, from_linen
from aigc_jax.layers import Convolution, Dense


def _activation(x: jax.Array) -> jax.Array:
    return nn.leaky_relu(x, 0.2)


class Residual(nn.Module):
    """x + W₃ a(K ∗ a(W₁ x)): to half the channels, 3×3 among them, and back.

    R3GAN widens and groups its 3×3 convolutions in place of narrowing; groups are slow on CPUs. The
    last product starts at zero, so that the whole network starts as its resampling alone, and the
    others smaller by the number of blocks to the power ¼, after fix-up initialisation.

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
    depth: int  # blocks at each size

    @nn.compact
    def __call__(self, z: jax.Array, train: bool, axis_name: str | None) -> jax.Array:
        count, rows, columns = halvings(self.image_shape)
        channels = _channels(self.width, count)[::-1]
        h = Dense(rows * columns * channels[0], kernel_init=nn.initializers.lecun_normal())(z)
        h = h.reshape(-1, rows, columns, channels[0])
        for i, width in enumerate(channels):
            if i > 0:
                h = repeat_up(_project(h, width))
            for _ in range(self.depth):
                h = Residual(self.depth * count)(h)
        return nn.sigmoid(Convolution(conv_up, self.image_shape[2], 4)(_activation(h)))


class ResNetDiscriminator(nn.Module):
    """image → convolution 4×4, stride 2 → (blocks, ÷2, 1×1) at each size → logit.

    The last grid is weighed by place, channel by channel, and summed to the head's features.
    """

    width: int
    depth: int
    classes: int = 0

    @nn.compact
    def __call__(
        self, images: jax.Array, labels: jax.Array | None, train: bool, axis_name: str | None
    ) -> jax.Array:
        count, rows, columns = halvings(images.shape[1:])
        h = images
        for i, width in enumerate(_channels(self.width, count)):
            h = Convolution(conv_down, width, 4)(h) if i == 0 else _project(average_down(h), width)
            for _ in range(self.depth):
                h = Residual(self.depth * count)(h)
        h = _activation(h)
        init = nn.initializers.variance_scaling(1.0, "fan_in", "normal", in_axis=(0, 1), out_axis=2)
        places = self.param("places", init, (rows, columns, h.shape[-1]), jnp.float32)
        features = jnp.einsum("bhwc,hwc->bc", h, places)
        return ProjectionHead(self.classes)(features, labels)


def _channels(width: int, count: int) -> list[int]:
    """Channels at each size from the largest: doubled with each halving, to four times at most."""
    return [width * min(2**i, 4) for i in range(count)]


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
      InputError: the size of the images is not a small grid doubled a few times.

    Source: after Huang et al. 2024 (R3GAN), https://arxiv.org/abs/2501.05441, section 4; fix-up
    initialisation: Zhang et al. 2019, https://arxiv.org/abs/1901.09321.
    """
    halvings(image_shape)
    return from_linen(
        ResNetGenerator(image_shape, width, depth),
        ResNetDiscriminator(width, depth, classes),
        image_shape,
        latent_size,
        classes,
        packing,
    )
