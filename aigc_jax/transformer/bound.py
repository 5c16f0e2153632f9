"""The bound of a model of masked diffusion on how probable a whole text is.

Dimensions: M tokens of the text, T the network's context, S draws of masks, V vocabulary.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from aigc_jax.algorithm import Key, Keys, Params
from aigc_jax.errors import InputError
from aigc_jax.transformer.evaluate import LOGITS, TOKENS
from aigc_jax.transformer.masked import nelbo
from aigc_jax.transformer.masking import MaskedBatch, mask_of
from aigc_jax.transformer.model import Networks


class Bound(NamedTuple):
    """An upper bound on −log p, as it was estimated."""

    nats: float  # per token
    error: float  # its standard error over masks, nats per token


@partial(jax.jit, static_argnames=("networks", "samples", "positions"))
def _halves(
    params: Params,
    batch: MaskedBatch,
    keys: Keys,
    networks: Networks,
    samples: int,
    positions: int | None,
) -> jax.Array:
    """Two independent estimates for each row, `[2, B]` nats."""
    rows, length = batch.tokens.shape
    most = max(LOGITS // (rows * networks.vocabulary_size), 1)
    some = min(positions or length, most)

    def estimate(half: jax.Array) -> jax.Array:
        return nelbo(
            params,
            batch,
            jax.vmap(jax.random.fold_in, (0, None))(keys, half),
            networks=networks,
            mask_id=mask_of(networks),
            choices=mask_of(networks),
            samples=samples,
            positions=None if some >= length else some,
        )

    return jax.lax.map(estimate, jnp.arange(2))


def heldout_nelbo(
    params: Params,
    tokens: np.ndarray,
    key: Key,
    *,
    networks: Networks,
    samples: int = 16,
    chunk: int = 64,
    positions: int | None = None,
) -> Bound:
    """An upper bound on the mean −log p of a text's tokens, each counted exactly once.

        1 / M Σ_w NELBO(window w)

    The text is cut into windows of one context that do not see each other. Those of the last window
    that are in the one before are known to it, so that it is of one context, too. The text is fixed
    and only the masks are random, which `error` is about. With a_w and b_w from S / 2 draws each it
    is √(Σ_w (a_w − b_w)²) / (2 M).

    Args:
      params: of `networks`.
      tokens: int `[M]`, M ≥ 1.
      key: decides the masks, so that the same one gives the same number.
      networks: the network, the last id of which is the mask's.
      samples: S, even; see `nelbo`. The estimate is unbiased for each.
      chunk: windows in a pass, at most `TOKENS` / T.
      positions: see `mean_nll`.

    Raises:
      InputError: there are no tokens, or S is not a positive even number.

    Source: see `nelbo`.
    """
    if len(tokens) < 1:
        raise InputError("a bound needs a token at least, and the text has none")
    if samples < 2 or samples % 2:
        raise InputError(f"samples must be a positive even number, got {samples}")
    length = min(networks.context, len(tokens))
    count = -(-len(tokens) // length)
    chunk = max(min(chunk, TOKENS // length, count), 1)
    total = squares = 0.0
    for first in range(0, count, chunk):
        index = np.arange(first, first + chunk)  # beyond the last there is nothing to be masked
        starts = np.minimum(index * length, len(tokens) - length)
        places = starts[:, None] + np.arange(length)
        counted = places >= index[:, None] * length
        batch = MaskedBatch(jnp.asarray(tokens[places], jnp.int32), jnp.asarray(counted))
        keys = jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.asarray(index))
        halves = _halves(params, batch, keys, networks, samples // 2, positions)
        a, b = np.asarray(halves, np.float64)
        total += float((a + b).sum() / 2)
        squares += float(np.square(a - b).sum() / 4)
    return Bound(total / len(tokens), squares**0.5 / len(tokens))
