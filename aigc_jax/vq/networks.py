"""The convolutional halves around a quantiser.

Dimensions: B batch, H W C image, F outputs for a pixel, h w the grid, D features.
"""

import flax.linen as nn
import jax

from aigc_jax.convolution import conv, grid_after, halvings_to_small_grid
from aigc_jax.layers import Convolution
from aigc_jax.nn.functions import pure_functions
from aigc_jax.nn.outputs import Shared
from aigc_jax.nn.trunk import Down, Up
from aigc_jax.vq.model import DiscreteNetworks


class Encoder(nn.Module):
    """x → grid → D features of each position."""

    features: int
    width: int
    halvings: int
    blocks: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        grid = Down(self.width, self.halvings, self.blocks)(2.0 * x - 1.0)
        # Small at first: FSQ's bounding function saturates where features are large, and a feature
        # that starts there stays there.
        small = nn.initializers.variance_scaling(0.1, "fan_in", "truncated_normal")
        return Convolution(conv, self.features, 1, kernel_init=small)(grid)


class Decoder(nn.Module):
    """D features of each position → F outputs for each pixel."""

    outputs: int
    shared: int
    width: int
    doublings: int
    blocks: int

    @nn.compact
    def __call__(self, quantised: jax.Array) -> jax.Array:
        return Shared(self.shared)(
            Up(self.outputs, self.width, self.doublings, self.blocks)(quantised)
        )


def convolutional(
    image_shape: tuple[int, int, int] = (28, 28, 1),
    features: int = 16,
    outputs: int = 1,
    shared: int = 0,
    width: int = 16,
    blocks: int = 1,
) -> DiscreteNetworks:
    """Convolutions of stride 2 and residual blocks, to a grid of 4 to 7 positions and back.

    Args:
      image_shape: (H, W, C), of sides that halve to 4 to 7 pixels.
      features: D.
      outputs: F.
      shared: further outputs, the same for all pixels and images.
      width: channels next to the image; they double with each halving.
      blocks: residual blocks on the grid.

    Raises:
      InputError: images of this size cannot be halved so.
    """
    halvings = halvings_to_small_grid(image_shape)
    rows, columns = grid_after(image_shape, halvings)
    encoder = Encoder(features, width, halvings, blocks)
    decoder = Decoder(outputs, shared, width, halvings, blocks)

    init, encode, decode = pure_functions(
        encoder=(encoder, image_shape), decoder=(decoder, (rows, columns, features))
    )
    return DiscreteNetworks(init, encode, decode, (rows, columns), image_shape)
