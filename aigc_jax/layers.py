"""Linen layers that several families use: fast on XLA:CPU, the plain form elsewhere.

XLA:CPU takes two detours in the backward pass of a Transformer. The weight gradient xᵀg of a linear
layer is rewritten into a product over an explicitly transposed copy of x, and elementwise work that
feeds g is fused into both products that use g, and so done twice. Nothing here is a custom
derivative: an optimisation barrier is the identity, its transpose is again a barrier, and
`jax.checkpoint` recomputes what is cheap, so the layers stay exact under grad, jvp, vmap and every
composition of them. Measured on 2 CPU cores, float32, for a step of the default Transformer (4
layers, width 128, T64, B12) against the plain forms: 35.9 → 25.0 ms on jax 0.10.2, 27.1 → 18.9 ms
on 0.12.0.

Dimensions: D width, K inputs, F outputs.
"""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

# Below this many rows the products are too small for the detours to matter, and fusion is worth
# more than fences: the textbook GAN, 128 rows, takes 0.97 ms a step without and 1.11 with them.
_FEW_ROWS = 256


def _fence(x: jax.Array) -> jax.Array:
    """The identity, across which XLA:CPU fuses neither forwards nor backwards."""
    return lax.platform_dependent(x, cpu=lax.optimization_barrier, default=lambda y: y)


def linear(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """y = x W.

    Args:
      x: `[..., K]`.
      kernel: `[K, F]`, of the same dtype.

    Returns:
      `[..., F]`.
    """
    inputs, outputs = kernel.shape
    rows = x.reshape(-1, inputs)
    if rows.shape[0] < _FEW_ROWS:
        return (rows @ kernel).reshape(*x.shape[:-1], outputs)
    if inputs > outputs:
        # The gradient of a fenced transpose is computed as gᵀx and then transposed: the smaller
        # copy of the two.
        y = lax.dot_general(rows, _fence(kernel.T), (((1,), (1,)), ((), ())))
    else:
        y = rows @ kernel
    return _fence(y).reshape(*x.shape[:-1], outputs)


@jax.checkpoint
def gelu(x: jax.Array) -> jax.Array:
    """GELU(x) = x Φ(x), Φ the normal distribution function, without the tanh approximation.

    The backward pass keeps x alone. Source: Hendrycks and Gimpel 2016,
    https://arxiv.org/abs/1606.08415.
    """
    return jax.nn.gelu(x, approximate=False)


@jax.checkpoint
def layer_norm(x: jax.Array, scale: jax.Array, bias: jax.Array) -> jax.Array:
    """y = scale · (x − mean(x)) / √(var(x) + 1e-5) + bias, over the last axis, in float32 at least.

    Args:
      x: `[..., D]`.
      scale, bias: `[D]`.

    Returns:
      `[..., D]` in x's dtype. Source: Ba et al. 2016, https://arxiv.org/abs/1607.06450.
    """
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    centred = wide - wide.mean(-1, keepdims=True)
    variance = jnp.square(centred).mean(-1, keepdims=True)
    normalised = centred * lax.rsqrt(variance + 1e-5)
    return _broadcast_affine(normalised, scale, bias).astype(x.dtype)


def _broadcast_affine(x: jax.Array, scale: jax.Array, bias: jax.Array) -> jax.Array:
    # Explicit broadcasting, so that the layers also work under jax_numpy_rank_promotion="raise".
    return x * jnp.broadcast_to(scale, x.shape) + jnp.broadcast_to(bias, x.shape)


class Dense(nn.Module):
    """y = x W + b, with the parameters of `flax.linen.Dense`: `kernel` [K, F] and `bias` [F]."""

    features: int
    use_bias: bool = True
    kernel_init: nn.initializers.Initializer = nn.initializers.glorot_uniform()

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        y = linear(x, self.param("kernel", self.kernel_init, (x.shape[-1], self.features)))
        if self.use_bias:
            bias = self.param("bias", nn.initializers.zeros_init(), (self.features,))
            y = y + jnp.broadcast_to(bias, y.shape)
        return y


class Convolution(nn.Module):
    """y = x ∗ K + b, for one of the functions of convolution.py, with `kernel` and `bias` [F].

    Attributes:
      operation: `(x [B, H, W, C], kernel [K, K, C, F]) -> [B, …, F]`.
      features: F.
      size: K.
    """

    operation: Callable[[jax.Array, jax.Array], jax.Array]
    features: int
    size: int
    use_bias: bool = True
    kernel_init: nn.initializers.Initializer = nn.initializers.he_normal()

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = (self.size, self.size, x.shape[-1], self.features)
        y = self.operation(x, self.param("kernel", self.kernel_init, shape))
        if self.use_bias:
            bias = self.param("bias", nn.initializers.zeros_init(), (self.features,))
            y = y + jnp.broadcast_to(bias, y.shape)
        return y


class LayerNorm(nn.Module):
    """Layer normalisation with `scale` and `bias` [D], through `layer_norm`."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        width = x.shape[-1]
        scale = self.param("scale", nn.initializers.ones_init(), (width,))
        bias = self.param("bias", nn.initializers.zeros_init(), (width,))
        return layer_norm(x, scale, bias)
