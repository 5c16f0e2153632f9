"""The codec of videos: that of images, frame by frame, with a look back in time.

Causal in time: the codes of frame t depend on the frames up to t, and so do not change when a video
goes on. Dimensions: B batch, T frames, H W C frame, h w the grid, D features, W width.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from aigc_jax.codec.model import Networks
from aigc_jax.codec.networks.image import whole
from aigc_jax.convolution import conv
from aigc_jax.layers import Convolution, Dense
from aigc_jax.nn.functions import pure_functions
from aigc_jax.nn.trunk import Down, ResidualBlock, Up
from aigc_jax.vq.model import straight_through


def before(x: jax.Array) -> jax.Array:
    """What stood one step earlier, zeros at first: `[B, T, …]`."""
    return jnp.pad(x, ((0, 0), (1, 0), *[(0, 0)] * (x.ndim - 2)))[:, :-1]


class LookBack(nn.Module):
    """x_t + W f([x_{t−1}, x_t]), f = ELU: `[B, T, h, w, W]` → the same."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        both = jnp.concatenate([before(x), x], axis=-1)
        return x + Dense(x.shape[-1], kernel_init=nn.initializers.zeros_init())(nn.elu(both))


class Encoder(nn.Module):
    """Frames → grids → `stride` of them as one → D features of each position."""

    features: int
    width: int
    halvings: int
    blocks: int
    stride: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        batch, frames = x.shape[:2]
        h = Down(self.width, self.halvings, self.blocks)(2.0 * x.reshape(-1, *x.shape[2:]) - 1.0)
        h = h.reshape(batch, frames // self.stride, self.stride, *h.shape[1:])
        h = jnp.moveaxis(h, 2, -2).reshape(*h.shape[:2], *h.shape[3:5], -1)
        if self.stride > 1:
            h = Dense(h.shape[-1] // self.stride)(h)
        h = LookBack()(h)
        small = nn.initializers.variance_scaling(0.1, "fan_in", "truncated_normal")
        return Dense(self.features, kernel_init=small)(h)


class Decoder(nn.Module):
    """D features of each position → pixels in [0, 1], from this time and the ones before."""

    channels: int
    width: int
    doublings: int
    blocks: int
    stride: int

    @nn.compact
    def __call__(self, vectors: jax.Array) -> jax.Array:
        width = self.width * 2 ** (self.doublings - 1)
        h = Dense(width)(vectors)
        h = LookBack()(h)
        batch, times, rows, columns, _ = h.shape
        if self.stride > 1:
            h = Dense(self.stride * width)(nn.elu(h))
            h = h.reshape(batch, times, rows, columns, self.stride, width)
            h = jnp.moveaxis(h, 4, 2)
        h = h.reshape(-1, rows, columns, width)
        h = ResidualBlock()(Convolution(conv, width, 1)(h))
        h = Up(self.channels, self.width, self.doublings, self.blocks)(h)
        # No sigmoid: where nearly all is dark, training settles at black, where it has no slope.
        return straight_through(jnp.clip(h, 0.0, 1.0), h).reshape(
            batch, times * self.stride, *h.shape[1:]
        )


def _whole(x: jax.Array, stride: int, side: int) -> jax.Array:
    """Frames padded by the last one up to a multiple of the stride, and pixels as an image's."""
    x = jnp.pad(x, ((0, 0), (0, -x.shape[1] % stride), *[(0, 0)] * 3), mode="edge")
    frames = whole(x.reshape(-1, *x.shape[2:]), side)
    return frames.reshape(*x.shape[:2], *frames.shape[1:])


def causal(
    channels: int = 1,
    features: int = 16,
    width: int = 16,
    halvings: int = 3,
    blocks: int = 1,
    stride: int = 1,
) -> Networks:
    """One position for `stride` frames of 2ⁿ × 2ⁿ pixels.

    Args:
      channels, features, width, halvings, blocks: see `image.convolutional`.
      stride: frames in a position of the grid.
    """
    encoder = Encoder(features, width, halvings, blocks, stride)
    decoder = Decoder(channels, width, halvings, blocks, stride)
    side = 2**halvings
    init, encode, decode = pure_functions(
        encoder=(encoder, (stride, side, side, channels)), decoder=(decoder, (1, 1, 1, features))
    )
    return Networks(
        init,
        lambda params, x: encode(params, _whole(x, stride, side)),
        lambda params, z, s: decode(params, z)[:, : s[0], : s[1], : s[2]],
        lambda s: (-(-s[0] // stride), -(-s[1] // side), -(-s[2] // side)),
        channels,
        3,
    )
