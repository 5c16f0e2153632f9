"""Tokens one after another on the device: from prompts, in steps that can be resumed.

It knows a network only as `Extend`, so the same loop serves text, translations and the codes of
images, sound or video.

Dimensions: B rows, P length of the longest prompt, L length of a row in all, T new tokens, V
vocabulary.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from aigc_jax.algorithm import Keys
from aigc_jax.transformer.sampling import ANCESTRAL, Sampling, choose

Cache = Any
"""What a network keeps of the tokens it has read: any tree of arrays whose first axis is rows."""

Extend = Callable[[Cache, jax.Array, jax.Array], tuple[jax.Array, Cache]]
"""`(cache, tokens int32 [B, T], positions int32 [B, T]) -> (logits float32 [B, T, V], cache)`.

The slot of a token in the cache is its position: what the slot held is replaced, so that reading a
token again changes nothing. A query sees the slots up to its own.
"""


class Decoding(NamedTuple):
    """Rows that are being written, and all that is needed to go on.

    The last token of a row is yet to be read by the network: the next one begins with that.
    """

    cache: Cache
    tokens: jax.Array  # int32 [B, L], 0 from `lengths` on
    lengths: jax.Array  # int32 [B], tokens so far, those of the prompt included
    done: jax.Array  # bool [B]: the row has been stopped, or is full
    keys: Keys  # [B]: the token at position t is drawn with fold_in(key, t)


def prefill(
    extend: Extend, cache: Cache, prompts: jax.Array, lengths: jax.Array, length: int
) -> tuple[Cache, jax.Array]:
    """Reads all prompts in one pass.

    Prompts are padded on the right, so that a token's position does not depend on the longest one.
    What the network keeps of padding is in slots that no query sees before generated tokens have
    replaced it. No logits are used here, and under `jit` none are computed.

    Args:
      extend: the network.
      cache: with slots for the tokens that are to be read before it grows, at most L.
      prompts: int `[B, P]`; what follows a row's own tokens is ignored.
      lengths: int `[B]`, how many are its own, from 1 to P.
      length: L.

    Returns:
      The cache, and int32 `[B, L]`: the prompts, followed by 0.

    Raises:
      ValueError: prompts are empty or longer than L.
    """
    rows, longest = prompts.shape
    if not 1 <= longest <= length:
        raise ValueError(f"prompts of {longest} tokens do not fit a length of {length}")
    positions = jnp.broadcast_to(jnp.arange(longest, dtype=jnp.int32), prompts.shape)
    prompts = jnp.where(positions < lengths[:, None], prompts, 0).astype(jnp.int32)
    if longest > 1:  # the last token of a prompt is read once more, and may be its only one
        _, cache = extend(cache, prompts, positions)
    return cache, jnp.zeros((rows, length), jnp.int32).at[:, :longest].set(prompts)


def next_logits(
    extend: Extend, cache: Cache, tokens: jax.Array, lengths: jax.Array
) -> tuple[jax.Array, Cache]:
    """Reads each row's last token, for the logits `[B, V]` of the one that follows."""
    last = (lengths - 1)[:, None]
    logits, cache = extend(cache, jnp.take_along_axis(tokens, last, axis=1), last)
    return logits[:, 0], cache


def begin(
    extend: Extend,
    cache: Cache,
    prompts: jax.Array,
    lengths: jax.Array,
    length: int,
    keys: Keys,
) -> Decoding:
    """Prompts that have been read, and slots for what follows.

    Args:
      extend, cache, prompts, lengths, length: see `prefill`.
      keys: `[B]`, one for each row; a row depends on its own, not on how many rows there are.

    Returns:
      What `advance` goes on from.

    Raises:
      ValueError: prompts are empty or longer than L.
    """
    cache, tokens = prefill(extend, cache, prompts, lengths, length)
    lengths = lengths.astype(jnp.int32)
    return Decoding(cache, tokens, lengths, lengths >= length, keys)


def advance(
    extend: Extend,
    decoding: Decoding,
    steps: int,
    *,
    sampling: Sampling = ANCESTRAL,
    stop: int | tuple[int, ...] = (),
) -> Decoding:
    """Appends up to `steps` tokens to each row:  x_t ~ P(· | x_{<t}).

    The loop runs on the device, and ends when all rows are done. Several calls give the tokens of
    a single one.

    Args:
      extend: the network.
      decoding: rows as `begin` or `advance` left them.
      steps: passes of the network at most, each of which gives every row that is not done a token.
      sampling: how a token is chosen.
      stop: tokens after which a row is done. They are kept, and counted in its length; those of a
        prompt stop nothing.

    Returns:
      The rows, longer.
    """

    def unfinished(carry: tuple[jax.Array, Decoding]) -> jax.Array:
        step, decoding = carry
        return (step < steps) & ~jnp.all(decoding.done)

    def append(carry: tuple[jax.Array, Decoding]) -> tuple[jax.Array, Decoding]:
        step, decoding = carry
        return step + 1, _append(extend, decoding, sampling, stop)

    return jax.lax.while_loop(unfinished, append, (jnp.int32(0), decoding))[1]


def generate(
    extend: Extend,
    cache: Cache,
    prompts: jax.Array,
    lengths: jax.Array,
    length: int,
    keys: Keys,
    *,
    sampling: Sampling = ANCESTRAL,
    stop: int | tuple[int, ...] = (),
) -> tuple[jax.Array, jax.Array]:
    """Rows from prompts to their ends.

    Args:
      extend, cache, prompts, lengths, length, keys: see `begin`.
      sampling, stop: see `advance`.

    Returns:
      int32 `[B, L]`, prompts included and followed by 0 after a row's end; and int32 `[B]`, the
      rows' lengths.

    Raises:
      ValueError: prompts are empty or longer than L.
    """
    decoding = begin(extend, cache, prompts, lengths, length, keys)
    decoding = advance(extend, decoding, length, sampling=sampling, stop=stop)
    return decoding.tokens, decoding.lengths


def _append(
    extend: Extend, decoding: Decoding, sampling: Sampling, stop: int | tuple[int, ...]
) -> Decoding:
    """One more token for each row that is not done."""
    cache, tokens, lengths, done, keys = decoding
    logits, cache = next_logits(extend, cache, tokens, lengths)
    seen = _seen(tokens, lengths, logits.shape[-1]) if sampling.penalizes else None
    drawn = choose(logits, seen, jax.vmap(jax.random.fold_in)(keys, lengths), sampling)
    # Rows that are done write the 0 that is there, or beyond the last slot, which is dropped.
    drawn = jnp.where(done, 0, drawn)
    tokens = tokens.at[jnp.arange(len(drawn)), lengths].set(drawn, mode="drop")
    lengths = lengths + ~done
    stops = jnp.atleast_1d(jnp.asarray(stop, jnp.int32))
    stopped = jnp.any(drawn[:, None] == stops[None], axis=1)
    return Decoding(cache, tokens, lengths, done | stopped | (lengths >= tokens.shape[1]), keys)


def _seen(tokens: jax.Array, lengths: jax.Array, vocabulary: int) -> jax.Array:
    """Which tokens each row holds, bool `[B, V]`; padding is not a token."""
    own = jnp.arange(tokens.shape[1])[None] < lengths[:, None]
    rows = jnp.arange(len(tokens))[:, None]
    # Padding is written to a column beyond the last, which is dropped.
    columns = jnp.where(own, tokens, vocabulary)
    return jnp.zeros((len(tokens), vocabulary), bool).at[rows, columns].set(True, mode="drop")
