"""DCGAN: strided convolutions for images that halve to a grid of 4 to 7 pixels, such as 28, 32, 64.

Dimensions: B batch, Z latent, H W C image, n halvings.
"""

from functools import partial

import flax.linen as nn
import jax

from aigc_jax.convolution import conv_down, conv_up, grid_after, halvings_to_small_grid
from aigc_jax.gan.model import Networks
from aigc_jax.gan.networks.common import Shape, from_linen
from aigc_jax.layers import Convolution, Dense
from aigc_jax.nn.classes import ProjectionHead

_INIT = nn.initializers.normal(0.02)


def _batch_norm(train: bool, axis_name: str | None, momentum: float = 0.9) -> nn.Module:
    # Biased running statistics with a short memory. No step reads them.
    return nn.BatchNorm(use_running_average=not train, momentum=momentum, axis_name=axis_name)


class DCGANGenerator(nn.Module):
    """z → a grid of 2ⁿ⁻¹·`width` channels → n transposed convolutions 4×4, stride 2 → sigmoid.

    Batch normalisation and ReLU come before each of the n.

    Attributes:
      halvings: n.
      momentum: the share that running statistics keep from batch to batch.
    """

    image_shape: Shape
    width: int
    halvings: int
    momentum: float = 0.9

    @nn.compact
    def __call__(self, z: jax.Array, train: bool, axis_name: str | None) -> jax.Array:
        rows, columns = grid_after(self.image_shape, self.halvings)
        channels = self.width * 2 ** (self.halvings - 1)
        h = Dense(rows * columns * channels, use_bias=False, kernel_init=_INIT)(z)
        h = h.reshape(-1, rows, columns, channels)
        for _ in range(self.halvings - 1):
            h = nn.relu(_batch_norm(train, axis_name, self.momentum)(h))
            channels //= 2
            h = Convolution(conv_up, channels, 4, use_bias=False, kernel_init=_INIT)(h)
        h = nn.relu(_batch_norm(train, axis_name, self.momentum)(h))
        h = Convolution(conv_up, self.image_shape[2], 4, kernel_init=_INIT)(h)
        return nn.sigmoid(h)


class DCGANDiscriminator(nn.Module):
    """n convolutions 4×4, stride 2, to `width`, 2·`width`, … channels, leaky ReLU → logit.

    Attributes:
      halvings: n.
      normalisation: `batch` after all convolutions but the first, `spectral` of every weight, or
        `none`, as a gradient penalty needs it.
    """

    width: int
    halvings: int
    normalisation: str
    classes: int = 0

    @nn.compact
    def __call__(
        self, images: jax.Array, labels: jax.Array | None, train: bool, axis_name: str | None
    ) -> jax.Array:
        spectral, batch = self.normalisation == "spectral", self.normalisation == "batch"

        def layer(module: nn.Module):
            if spectral:
                return partial(nn.SpectralNorm(module), update_stats=train)
            return module

        h = images
        for i in range(self.halvings):
            normalised = batch and i > 0
            width = self.width * 2**i
            h = layer(Convolution(conv_down, width, 4, use_bias=not normalised, kernel_init=_INIT))(
                h
            )
            if normalised:
                h = _batch_norm(train, axis_name)(h)
            h = nn.leaky_relu(h, 0.2)
        h = h.reshape(h.shape[0], -1)
        return layer(ProjectionHead(self.classes, _INIT))(h, labels)


def dcgan(
    image_shape: Shape = (28, 28, 1),
    latent_size: int = 100,
    classes: int = 0,
    packing: int = 1,
    width: int = 64,
    normalisation_d: str = "batch",
) -> Networks:
    """DCGAN's pair or, with another normalisation of D, those of WGAN-GP and SN-GAN.

    Args:
      image_shape: (H, W, C).
      latent_size: Z.
      classes: how many; 0 for networks without labels.
      packing: images in one input of D.
      width: channels next to the image, doubled with each halving.
      normalisation_d: `batch`, `spectral` or `none`.

    Raises:
      InputError: the images do not halve to a grid of 4 to 7 pixels.

    Source: Radford et al. 2016, https://arxiv.org/abs/1511.06434; a sigmoid and pixels in [0, 1] in
    place of tanh and [−1, 1].
    """
    if normalisation_d not in ("batch", "spectral", "none"):
        raise ValueError(f"unknown normalisation {normalisation_d!r}")
    halvings = halvings_to_small_grid(image_shape)
    generator = DCGANGenerator(image_shape, width, halvings)
    return from_linen(
        generator,
        DCGANDiscriminator(width, halvings, normalisation_d, classes),
        image_shape,
        latent_size,
        classes,
        packing,
        mixes_examples=normalisation_d == "batch",
        memoryless=generator.clone(momentum=0.0),
    )
