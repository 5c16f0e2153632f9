"""Outputs of a decoder that all pixels share, such as a scale."""

import flax.linen as nn
import jax
import jax.numpy as jnp


class Shared(nn.Module):
    """Outputs that are the same for all pixels and all images: `[..., F]` → `[..., F + count]`."""

    count: int

    @nn.compact
    def __call__(self, outputs: jax.Array) -> jax.Array:
        if not self.count:
            return outputs
        shared = self.param("shared", nn.initializers.zeros_init(), (self.count,), jnp.float32)
        spread = jnp.broadcast_to(shared, (*outputs.shape[:-1], self.count))
        return jnp.concatenate([outputs, spread], axis=-1)
