"""Convolutional encoder and decoder trunks: from an image to a grid of features, and back.

Dimensions: B batch, H W C image, h w the grid, D features of a position, n halvings.
"""

import flax.linen as nn
import jax

from aigc_jax.convolution import conv, conv_down, conv_up
from aigc_jax.layers import Convolution


class ResidualBlock(nn.Module):
    """x + W₂ f(K ∗ f(x)), f = ELU: a 3×3 convolution, then a 1×1 one: `[B, h, w, D]` → the same."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        features = x.shape[-1]
        h = Convolution(conv, features, 3)(nn.elu(x))
        return x + Convolution(conv, features, 1)(nn.elu(h))


class Down(nn.Module):
    """image → grid: n convolutions 4×4 of stride 2, then residual blocks.

    `[B, H, W, C]` → `[B, H / 2ⁿ, W / 2ⁿ, width · 2ⁿ⁻¹]`.

    Attributes:
      width: features after the first halving; they double with each.
      halvings: n.
      blocks: residual blocks on the grid.
    """

    width: int
    halvings: int
    blocks: int = 1

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        h = x
        for i in range(self.halvings):
            h = Convolution(conv_down, self.width * 2**i, 4)(nn.elu(h) if i else h)
        for _ in range(self.blocks):
            h = ResidualBlock()(h)
        return nn.elu(h)


class Up(nn.Module):
    """grid → outputs: residual blocks, then n transposed convolutions 4×4 of stride 2.

    `[B, h, w, D]` → `[B, h · 2ⁿ, w · 2ⁿ, outputs]`.

    Attributes:
      outputs: for each pixel.
      width: features before the last doubling of the size.
      doublings: n.
      blocks: residual blocks on the grid.
    """

    outputs: int
    width: int
    doublings: int
    blocks: int = 1

    @nn.compact
    def __call__(self, grid: jax.Array) -> jax.Array:
        h = Convolution(conv, self.width * 2 ** (self.doublings - 1), 3)(grid)
        for _ in range(self.blocks):
            h = ResidualBlock()(h)
        for i in reversed(range(self.doublings)):
            features = self.width * 2 ** (i - 1) if i else self.outputs
            h = Convolution(conv_up, features, 4)(nn.elu(h))
        return h
