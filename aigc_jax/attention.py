"""Scaled dot-product attention and its masks, as pure functions.

Dimensions: B batch, T query positions, S key positions, N heads, H size of a head.
"""

import math

import jax
import jax.numpy as jnp


def scaled_dot_product_attention(
    query: jax.Array, key: jax.Array, value: jax.Array, mask: jax.Array | None = None
) -> jax.Array:
    """Attention(Q, K, V) = softmax(Q Kᵀ / √H) V for each head: the formula, to test against.

    Args:
      query: `[B, T, N, H]`.
      key, value: `[B, S, N, H]`.
      mask: boolean, broadcastable to `[B, N, T, S]`: True where a query may look. None lets all
        look everywhere.

    Returns:
      `[B, T, N, H]` in the query's dtype; scores and softmax are float32. A query that may look
      nowhere gets the mean of all values.

    Source: Vaswani et al. 2017, equation 1, https://arxiv.org/abs/1706.03762.
    """
    scores = jnp.einsum("btnh,bsnh->bnts", query, key, preferred_element_type=jnp.float32)
    scores = scores / math.sqrt(query.shape[-1])
    if mask is not None:
        scores = jnp.where(mask, scores, jnp.finfo(jnp.float32).min)
    weights = jax.nn.softmax(scores, axis=-1).astype(value.dtype)
    return jnp.einsum("bnts,bsnh->btnh", weights, value).astype(query.dtype)


def attention(
    query: jax.Array, key: jax.Array, value: jax.Array, mask: jax.Array | None = None
) -> jax.Array:
    """The same function by `jax.nn.dot_product_attention`, which XLA may replace by a fused kernel.

    Arguments and result are those of `scaled_dot_product_attention`, except that `mask` must have
    four dimensions.
    """
    return jax.nn.dot_product_attention(query, key, value, mask=mask)


def causal_mask(queries: int, keys: int | None = None) -> jax.Array:
    """True where key j is not in the future of query i; the last query stands at the last key.

    Alignment matters when there are more keys than queries, as in decoding with a cache: aligned at
    the top left, as `is_causal` of `jax.nn.dot_product_attention` is, a single query would see the
    first key only.

    Args:
      queries: T.
      keys: S ≥ T; T when None.

    Returns:
      boolean `[1, 1, T, S]`.

    Raises:
      ValueError: there are fewer keys than queries.
    """
    keys = queries if keys is None else keys
    if keys < queries:
        raise ValueError(
            f"causal_mask needs at least as many keys as queries, got {keys} and {queries}"
        )
    position = jnp.arange(queries)[:, None] + (keys - queries)
    return (jnp.arange(keys)[None, :] <= position)[None, None]


def padding_mask(lengths: jax.Array, keys: int) -> jax.Array:
    """True at the first `lengths[b]` keys of each row.

    Args:
      lengths: int `[B]`.
      keys: S.

    Returns:
      boolean `[B, 1, 1, S]`.
    """
    return (jnp.arange(keys)[None, :] < lengths[:, None])[:, None, None, :]
