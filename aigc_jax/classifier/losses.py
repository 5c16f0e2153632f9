"""The classifier's loss, per example, in nats, in float32.

Dimensions: B batch, C classes.
"""

import jax
import jax.numpy as jnp

from aigc_jax.labels import check_choices


def cross_entropy(logits: jax.Array, labels: jax.Array, smoothing: float = 0.0) -> jax.Array:
    """H(t, p) = −Σ_c t_c log p_c,   p = softmax(logits),   t_c = (1 − ε) 1[c = label] + ε / C.

    Args:
      logits: `[B, C]`.
      labels: int `[B]`.
      smoothing: ε in [0, 1); with 0 the loss is −log p(label).

    Returns:
      `[B]` nats.

    Raises:
      InputError: a label is not a class.

    Source: Szegedy et al. 2016, https://arxiv.org/abs/1512.00567, section 7, for ε > 0.
    """
    labels = check_choices("labels", labels, logits.shape[-1])
    log_p = jax.nn.log_softmax(jnp.float32(logits))
    of_label = jnp.take_along_axis(log_p, labels[:, None], axis=-1).squeeze(-1)
    return -(1 - smoothing) * of_label - smoothing * jnp.mean(log_p, axis=-1)
