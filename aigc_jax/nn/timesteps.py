"""How a network is given the time of a diffusion or a flow.

Dimensions: B batch, D features.
"""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp

from aigc_jax.layers import Dense


def sinusoidal_embedding(t: jax.Array, features: int, max_period: float = 10_000.0) -> jax.Array:
    """[cos(ω₀ t), cos(ω₁ t), …, sin(ω₀ t), sin(ω₁ t), …],   ω_i = max_period^(−2i / D).

    Args:
      t: `[B]`, in steps, of which there are commonly 1,000.
      features: D, even.
      max_period: the limit that the longest period, over 2π, approaches.

    Returns:
      float32 `[B, D]`.

    Raises:
      ValueError: D is odd.

    Source: Vaswani et al. 2017, https://arxiv.org/abs/1706.03762; Ho et al. 2020 (DDPM),
    https://arxiv.org/abs/2006.11239, whose last ω is 1 / max_period and whose sines come first;
    this is the order and spacing of Dhariwal and Nichol 2021 and of DiT.
    """
    if features % 2:
        raise ValueError(f"sinusoidal embeddings have an even number of features, not {features}")
    half = features // 2
    frequencies = jnp.exp(jnp.arange(half, dtype=jnp.float32) * (-math.log(max_period) / half))
    angles = t.astype(jnp.float32)[:, None] * frequencies[None]
    return jnp.concatenate([jnp.cos(angles), jnp.sin(angles)], axis=-1)


class TimeEmbedding(nn.Module):
    """W₂ silu(W₁ s(scale · t) + b₁) + b₂, s the sinusoidal embedding: `[B]` → float32 `[B, D]`.

    Source: Peebles and Xie 2023 (DiT), https://arxiv.org/abs/2212.09748, and their code.

    Attributes:
      features: D.
      scale: what t is multiplied by: 1,000 for times in [0, 1], 1 for steps.
      frequencies: features of s.
    """

    features: int
    scale: float = 1000.0
    frequencies: int = 256

    @nn.compact
    def __call__(self, t: jax.Array) -> jax.Array:
        initial = nn.initializers.normal(0.02)
        h = sinusoidal_embedding(self.scale * t, self.frequencies)
        h = nn.silu(Dense(self.features, kernel_init=initial)(h))
        return Dense(self.features, kernel_init=initial)(h)
