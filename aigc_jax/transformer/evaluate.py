"""The loss of a language model over a whole text."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from aigc_jax.algorithm import Params
from aigc_jax.data.batches import windows
from aigc_jax.transformer.step import Batch, Networks, token_losses


@partial(jax.jit, static_argnames="networks")
def _token_losses(params, batch, networks):
    return token_losses(params, batch, networks=networks)


def heldout_nll(
    params: Params, tokens: np.ndarray, *, networks: Networks, chunk: int = 64
) -> float:
    """Mean −log p of every token but the first, in nats per token, each counted exactly once.

    The text is cut into windows of one context, so a token sees from 1 to T tokens before it.
    Nothing is random in it; random windows would give another figure each time.

    Args:
      params: of `networks`.
      tokens: int `[M]`, M ≥ 2.
      networks: the network.
      chunk: windows in a pass.

    Returns:
      The mean, summed in float64.
    """
    rows, weights = windows(tokens, networks.context)
    total = 0.0
    for i in range(0, len(rows), chunk):
        part = Batch(jnp.asarray(rows[i : i + chunk]), jnp.asarray(weights[i : i + chunk]))
        losses, counted = _token_losses(params, part, networks)
        total += float((np.asarray(losses, np.float64) * np.asarray(counted)).sum())
    return total / float(weights.sum())
