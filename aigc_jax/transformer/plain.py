"""A language model from one function, whatever library it is written in.

Dimensions: B batch, T positions, L slots of a row, V vocabulary.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from aigc_jax.algorithm import Key, Keys, Params
from aigc_jax.errors import InputError
from aigc_jax.transformer.model import Batch, Cache, Networks, Source


def plain_networks(
    init: Callable[[Key], Params],
    apply: Callable[[Params, jax.Array], jax.Array],
    vocabulary_size: int,
    context: int,
) -> Networks:
    """`Networks` from a function that knows neither dropout, packed rows nor a cache.

    What it keeps in decoding are the tokens themselves: each new one costs a pass over its row.

    Args:
      init: `(key) -> params`.
      apply: `(params, tokens int [B, T]) -> logits [B, T, V]`, those at t from tokens up to t only.
      vocabulary_size: V.
      context: the greatest T.
    """

    def hidden(params: Params, batch: Batch, keys: Keys | None = None) -> jax.Array:
        for name in ("segments", "positions", "prefix", "source"):
            if getattr(batch, name) is not None:
                raise InputError(f"{name} must be None: plain networks read one text in each row")
        return apply(params, batch.inputs)

    def logits(params: Params, states: jax.Array) -> jax.Array:
        return jnp.float32(states)

    def start(params: Params, rows: int, length: int, source: Source | None = None) -> Cache:
        if source is not None:
            raise InputError("source must be None: plain networks have no encoder")
        return Cache(jnp.zeros((rows, length), jnp.int32))

    def grow(cache: Cache, length: int) -> Cache:
        return Cache(jnp.pad(cache.layers, [(0, 0), (0, length - cache.layers.shape[1])]))

    def extend(
        params: Params,
        cache: Cache,
        tokens: jax.Array,
        positions: jax.Array,
        prefix: jax.Array | None = None,
    ) -> tuple[jax.Array, Cache]:
        if prefix is not None:
            raise InputError("prefix must be None: plain networks read from the left")
        rows = jnp.arange(len(tokens))[:, None]
        read = cache.layers.at[rows, positions].set(tokens)
        return apply(params, read)[rows, positions], Cache(read)

    return Networks(init, hidden, logits, start, grow, extend, vocabulary_size, context)
