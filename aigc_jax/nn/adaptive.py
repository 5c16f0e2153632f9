"""Normalisation whose scale, shift and gate depend on a condition, such as a time or a class.

Dimensions: B batch, D width, E features of the condition.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from aigc_jax.layers import Dense, layer_norm


class AdaptiveLayerNorm(nn.Module):
    """The input of a residual branch, and the gate of its output: adaLN-zero.

        γ, β, α = W silu(c) + b
        h = norm(x) ⊙ (1 + γ) + β,    to be used as x + α ⊙ layer(h)

    norm is layer normalisation over the last axis, without a scale and a bias of its own. W and b
    start at zero, so that h is norm(x), and a block of such branches the identity.

    Source: Peebles and Xie 2023 (DiT), https://arxiv.org/abs/2212.09748, section 3.2; one W for
    each branch in place of one for each block, which is the same function.

    Attributes:
      epsilon: of the normalisation.
      gated: whether there is an α; before a last layer, which adds to nothing, there is none.
    """

    epsilon: float = 1e-6
    gated: bool = True

    @nn.compact
    def __call__(self, x: jax.Array, condition: jax.Array) -> tuple[jax.Array, jax.Array | None]:
        """x `[B, ..., D]`, c `[B, E]` → h `[B, ..., D]`, α `[B, 1, ..., D]` or None: x's dtype."""
        width, parts = x.shape[-1], 3 if self.gated else 2
        zeros = nn.initializers.zeros_init()
        modulation = Dense(parts * width, kernel_init=zeros)(nn.silu(condition))
        modulation = modulation.reshape(len(x), *[1] * (x.ndim - 2), parts * width)
        scale, shift, *gate = jnp.split(modulation, parts, axis=-1)
        h = layer_norm(x, 1.0 + scale, shift, self.epsilon)
        return h, gate[0].astype(x.dtype) if gate else None
