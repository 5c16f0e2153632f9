"""The codec of images: convolutions of stride 2 to a grid, and back.

Dimensions: B batch, H W C image, h w the grid, D features, n halvings.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from aigc_jax.codec.model import Networks
from aigc_jax.nn.functions import pure_functions
from aigc_jax.nn.trunk import Up
from aigc_jax.vq.networks import Encoder


class Decoder(nn.Module):
    """D features of each position → pixels in [0, 1]."""

    channels: int
    width: int
    doublings: int
    blocks: int

    @nn.compact
    def __call__(self, vectors: jax.Array) -> jax.Array:
        return nn.sigmoid(Up(self.channels, self.width, self.doublings, self.blocks)(vectors))


def whole(x: jax.Array, multiple: int) -> jax.Array:
    """Height and width padded at their ends with the last pixel, up to a multiple."""
    below, right = (-side % multiple for side in x.shape[1:3])
    if not below and not right:
        return x
    return jnp.pad(x, ((0, 0), (0, below), (0, right), (0, 0)), mode="edge")


def convolutional(
    channels: int = 1, features: int = 16, width: int = 32, halvings: int = 2, blocks: int = 2
) -> Networks:
    """Residual blocks on a grid of one position for 2ⁿ × 2ⁿ pixels.

    Args:
      channels: C.
      features: D.
      width: channels next to the image; they double with each halving.
      halvings: n.
      blocks: residual blocks on the grid, of either half.
    """
    encoder = Encoder(features, width, halvings, blocks)
    decoder = Decoder(channels, width, halvings, blocks)
    side = 2**halvings
    init, encode, decode = pure_functions(
        encoder=(encoder, (side, side, channels)), decoder=(decoder, (1, 1, features))
    )
    return Networks(
        init,
        lambda params, x: encode(params, whole(x, side)),
        lambda params, z, sides: decode(params, z)[:, : sides[0], : sides[1]],
        lambda sides: (-(-sides[0] // side), -(-sides[1] // side)),
        channels,
        2,
    )
