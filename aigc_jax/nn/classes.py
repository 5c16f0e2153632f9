"""How a network is given a class: one-hot features, an embedding, or a projection of its features.

Dimensions: B batch, D features, C classes.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from aigc_jax.layers import Dense


def append_features(x: jax.Array, features: jax.Array) -> jax.Array:
    """Further features, the same at every position: `[B, ..., D]`, `[B, F]` → `[B, ..., D + F]`."""
    batch, count = features.shape
    spread = features.reshape(batch, *[1] * (x.ndim - 2), count)
    return jnp.concatenate([x, jnp.broadcast_to(spread, (*x.shape[:-1], count))], axis=-1)


def append_class(x: jax.Array, labels: jax.Array | None, classes: int) -> jax.Array:
    """The class as further features, one-hot: `[B, ..., D]`, int `[B]` → `[B, ..., D + C]`.

    x itself where `classes` is 0; labels are ignored then.
    """
    if not classes:
        return x
    return append_features(x, jax.nn.one_hot(labels, classes, dtype=jnp.float32))


class ClassEmbedding(nn.Module):
    """A learned vector for each class, and one for the null class: int `[B]` → float32 `[B, D]`.

    The null class has the index C. A diffusion or flow model that is to be guided is trained with
    it in place of some labels.

    Source: Ho and Salimans 2022, https://arxiv.org/abs/2207.12598; the initial scale is DiT's.

    Attributes:
      classes: C.
      features: D.
    """

    classes: int
    features: int

    @nn.compact
    def __call__(self, labels: jax.Array, dropped: jax.Array | None = None) -> jax.Array:
        """The embeddings; of the null class where `dropped`, bool `[B]`, is true."""
        shape = (self.classes + 1, self.features)
        table = self.param("embedding", nn.initializers.normal(0.02), shape, jnp.float32)
        if dropped is not None:
            labels = jnp.where(dropped, self.classes, labels)
        return table[labels]


class ProjectionHead(nn.Module):
    """logit = w·φ(x) + b + v_y·φ(x): linear in the features φ, the class by an inner product.

    Source: Miyato and Koyama 2018, https://arxiv.org/abs/1802.05637, equation 3.

    Attributes:
      classes: C; 0 leaves v out.
      kernel_init: of w.
    """

    classes: int
    kernel_init: nn.initializers.Initializer = nn.initializers.glorot_uniform()

    @nn.compact
    def __call__(self, features: jax.Array, labels: jax.Array | None) -> jax.Array:
        logits = Dense(1, kernel_init=self.kernel_init)(features).squeeze(-1)
        if self.classes:
            shape = (self.classes, features.shape[-1])
            table = self.param("class_embedding", nn.initializers.normal(0.02), shape, jnp.float32)
            chosen = jax.nn.one_hot(labels, self.classes, dtype=jnp.float32) @ table
            logits += jnp.sum(chosen * features, axis=-1)
        return logits
