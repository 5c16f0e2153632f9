"""Language-model losses, per token, in nats, in float32."""

import jax
import jax.numpy as jnp
import optax


def next_token_nll(logits: jax.Array, targets: jax.Array) -> jax.Array:
    """−log p(x_{t+1} | x_{≤t}) = logsumexp(l_t) − l_t[x_{t+1}].

    Args:
      logits: l, `[B, T, V]` of any float dtype; the softmax is taken in float32.
      targets: int `[B, T]`, in [0, V).

    Returns:
      `[B, T]` nats.
    """
    return optax.softmax_cross_entropy_with_integer_labels(jnp.float32(logits), targets)
