"""Token ids in, token ids out: everything that a trained Transformer writes.

    sample      many rows from one prompt, longer than the context where asked
    complete    rows from prompts of their own, within the context
    stream      one row in pieces, as it is written
    translate   the best rows for a source, by beam search

It binds `generation` and `beam` to networks and parameters. `stream` runs on the host; the others
are pure functions that can be jitted.

Dimensions: n or B rows, P prompt, L length in tokens, T the network's context, S source, K beams,
V vocabulary.
"""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from aigc_jax import parallel
from aigc_jax.algorithm import Key, Keys, Params
from aigc_jax.blockwise import in_blocks
from aigc_jax.errors import InputError
from aigc_jax.labels import check_choices
from aigc_jax.optim import State
from aigc_jax.transformer.beam import Beams, beam_search
from aigc_jax.transformer.generation import Decoding, advance, begin
from aigc_jax.transformer.model import Networks, Source, check_source, extender
from aigc_jax.transformer.sampling import ANCESTRAL, Sampling

# A text is written in this many loops, each compiled for a cache of its own size.
STAGES = 2
SHORTEST_STAGE = 64  # tokens
AT_ONCE = 8  # tokens that `stream` has the device write before it reads them

Stop = int | tuple[int, ...]
"""Tokens that end a row. They are part of it; those of a prompt end nothing."""


def sample(
    state: State,
    key: Key,
    n: int,
    prompt: jax.Array,
    length: int,
    *,
    networks: Networks,
    sampling: Sampling = ANCESTRAL,
    stop: Stop = (),
    rows_at_once: int | None = None,
) -> jax.Array:
    """`n` continuations of a prompt.

    A text longer than the context is written in windows: each begins with the last T / 2 tokens of
    the one before, so a token sees between T / 2 and T − 1 tokens before it.

    Args:
      state: of a trained model; its averaged parameters are used, where it keeps them.
      key: one key. Row i depends on it and on i alone.
      n: rows.
      prompt: int `[P]`, 1 ≤ P ≤ T, the tokens that every row begins with.
      length: L ≥ P, tokens of a row in all.
      networks: the network.
      sampling: how the next token is chosen.
      stop: see `Stop`; what follows the first of them is meaningless. The work ends when all
        rows of a window have ended.
      rows_at_once: how many rows are written before the next ones begin; None: all at once. It
        bounds the memory of the cache, and on a CPU 8 are faster where 8 rows of keys and values
        fit its caches: 64 texts of 256 tokens by `nano` on 2 cores took 0.58 s where all at once
        took 1.02.

    Returns:
      int32 `[n, L]`, prompt included.

    Raises:
      ValueError: n or `rows_at_once` is below 1; the prompt is empty, longer than `length` or the
        context, or not of the model's tokens; or the model has an encoder, see `translate`.
    """
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}")
    prompt = _checked(prompt, length, networks)
    if rows_at_once is not None and rows_at_once < 1:
        raise ValueError(f"rows_at_once must be at least 1, got {rows_at_once}")
    given, context, params = prompt.shape[0], networks.context, state.eval_params

    def rows(keys: Keys) -> jax.Array:
        write = partial(_write, params, networks, sampling=sampling, stop=stop)
        first = write(jnp.broadcast_to(prompt, (len(keys), given)), min(length, context), keys)
        return first if length <= context else _in_windows(write, first, length, keys)

    return in_blocks(rows, parallel.example_keys(key, n), block=rows_at_once or n)


def complete(
    params: Params,
    prompts: jax.Array,
    lengths: jax.Array,
    keys: Keys,
    length: int,
    *,
    networks: Networks,
    sampling: Sampling = ANCESTRAL,
    stop: Stop = (),
) -> tuple[jax.Array, jax.Array]:
    """Continuations of prompts of different lengths, within the context.

    Args:
      params: of `networks`.
      prompts: int `[B, P]`, padded on the right.
      lengths: int `[B]`, tokens of each, from 1 to P.
      keys: `[B]`; a row depends on its own alone.
      length: L ≤ T, tokens of a row at most, its prompt included.
      networks, sampling: see `sample`.
      stop: see `Stop`.

    Returns:
      int32 `[B, L]`, prompts included and followed by 0 after a row's end; and int32 `[B]`, the
      rows' lengths.

    Raises:
      ValueError: prompts are empty or longer than L, L is longer than the context, or something is
        not of B rows.
    """
    prompts = check_choices("prompts", prompts, networks.vocabulary_size)
    if prompts.ndim != 2:
        raise InputError(f"prompts must be of shape [B, P], got {prompts.shape}")
    for name, rows in (("lengths", lengths), ("keys", keys)):
        if jnp.shape(rows) != prompts.shape[:1]:
            raise InputError(f"{name} must be of shape {prompts.shape[:1]}, got {jnp.shape(rows)}")
    decoding = _begin(params, prompts, lengths, keys, networks=networks, length=length)
    decoding = advance(extender(params, networks), decoding, length, sampling=sampling, stop=stop)
    return decoding.tokens, decoding.lengths


def stream(
    params: Params,
    prompt: np.ndarray | jax.Array,
    length: int,
    key: Key,
    *,
    networks: Networks,
    sampling: Sampling = ANCESTRAL,
    stop: Stop = (),
) -> Iterator[np.ndarray]:
    """A continuation of a prompt as it is written: the first row of `sample`, without the prompt.

    Each network is compiled once for a length of prompt, also over several calls.

    Args:
      params, prompt, length, key, networks, sampling: see `sample`.
      stop: see `Stop`; the row ends with the first of them.

    Returns:
      An iterator over pieces, int32 `[≤ AT_ONCE]`, of L − P tokens in all where nothing stops it.

    Raises:
      ValueError: see `sample`; at once, not with the first piece.
    """
    prompt, keys = _checked(prompt, length, networks), parallel.example_keys(key, 1)
    how = {"networks": networks, "sampling": sampling, "stop": stop}
    return _pieces(params, prompt, length, keys, how)


def translate(
    state: State,
    source: Source,
    *,
    networks: Networks,
    begin: int,
    stop: int,
    length: int | None = None,
    beams: int = 4,
    alpha: float = 0.6,
) -> Beams:
    """Translations of sources, the best first, by beam search.

    Args:
      state: of a trained model; its averaged parameters are used, where it keeps them.
      source: of B rows, each of one segment.
      networks: a network with an encoder.
      begin: the token that a translation begins with.
      stop: the token that ends one.
      length: L ≤ T + 1, tokens of a translation at most, both of these included; None: twice those
        of the source and 16 more, as far as the context reaches.
      beams: K, hypotheses that are followed at once.
      alpha: of `beam.length_penalty`.

    Returns:
      See `beam.beam_search`; tokens are int32 `[B, K, L]`, `begin` included.

    Raises:
      ValueError: the source is missing or malformed, `begin` or `stop` is not a token of the model,
        the length does not fit, there is no beam, or α is negative.
    """
    check_source(source, networks.vocabulary_size)
    for name, token in (("begin", begin), ("stop", stop)):
        check_choices(name, token, networks.vocabulary_size)
    rows, read = jnp.shape(source.tokens)
    if length is None:
        length = min(networks.context + 1, 2 * read + 16)
    if not 2 <= length <= networks.context + 1:
        raise InputError(f"length must be from 2 to {networks.context + 1}, got {length}")
    params = state.eval_params
    return beam_search(
        extender(params, networks),
        networks.start(params, rows, length, source),
        jnp.full((rows, 1), begin),
        jnp.ones(rows, jnp.int32),
        length,
        beams,
        stop=stop,
        alpha=alpha,
    )


def _checked(prompt: Any, length: int, networks: Networks) -> jax.Array:
    """The prompt as an array, or ValueError where it does not fit."""
    prompt = check_choices("prompt", prompt, networks.vocabulary_size)
    if prompt.ndim != 1:
        raise ValueError(f"prompt must be of shape [P], got {prompt.shape}")
    if not 1 <= prompt.shape[0] <= min(length, networks.context):
        raise ValueError(
            f"a prompt of {prompt.shape[0]} tokens does not fit a length of {length} and a "
            f"context of {networks.context}"
        )
    return prompt


def _begin(
    params: Params,
    prompts: jax.Array,
    lengths: jax.Array,
    keys: Keys,
    *,
    networks: Networks,
    length: int,
    slots: int | None = None,
) -> Decoding:
    """Prompts that have been read, with a cache of `slots` tokens; None for `length`."""
    cache = networks.start(params, len(prompts), slots or length)
    return begin(extender(params, networks), cache, prompts, lengths, length, keys)


def _write(
    params: Params,
    networks: Networks,
    prompts: jax.Array,
    length: int,
    keys: Keys,
    *,
    sampling: Sampling,
    stop: Stop,
) -> jax.Array:
    """Rows from prompts `[B, P]` of one length, int `[B, L]`, L within the context."""
    rows, given = prompts.shape
    sizes, lengths = _cache_sizes(given, length), jnp.full((rows,), given)
    start = partial(_begin, networks=networks, length=length, slots=sizes[0])
    decoding, extend = start(params, prompts, lengths, keys), extender(params, networks)
    for before, size in pairwise([given, *sizes]):
        decoding = decoding._replace(cache=networks.grow(decoding.cache, size))
        decoding = advance(extend, decoding, size - before, sampling=sampling, stop=stop)
    return decoding.tokens


def _cache_sizes(given: int, length: int) -> list[int]:
    """How many slots the cache has in each stage of a text: all of them are read for each token."""
    new = length - given
    stages = min(max(new // SHORTEST_STAGE, 1), STAGES)
    return [given + new * stage // stages for stage in range(1, stages + 1)]


def _overlap(context: int) -> int:
    """How many tokens two windows have in common; ValueError where none would be new."""
    if context < 2:
        raise ValueError(f"a context of {context} token cannot slide over a text")
    return context // 2


def _next_window(full: jax.Array, keys: Keys, number: int | jax.Array) -> tuple[jax.Array, Keys]:
    """What the window after `full` [B, T] begins with, and its keys; `number` counts from 0."""
    context = full.shape[1]
    # Numbers other than those of positions, which are folded into the keys as well.
    own = jax.vmap(jax.random.fold_in, (0, None))(keys, context + number)
    return full[:, context - _overlap(context) :], own


def _in_windows(
    write: Callable[[jax.Array, int, Keys], jax.Array], first: jax.Array, length: int, keys: Keys
) -> jax.Array:
    """Rows that go on beyond a full first window, int `[n, L]`; see `sample`."""
    rows, context = first.shape
    overlap = _overlap(context)

    def move_on(window: jax.Array, number: jax.Array) -> tuple[jax.Array, jax.Array]:
        begun, own = _next_window(window, keys, number)
        window = write(begun, context, own)
        return window, window[:, overlap:]

    numbers = jnp.arange(-(-(length - context) // (context - overlap)))
    _, more = jax.lax.scan(move_on, first, numbers)
    more = more.swapaxes(0, 1).reshape(rows, -1)
    return jnp.concatenate([first, more], axis=1)[:, :length]


# Parameters are arguments: as constants of the program they would be there twice.
_begin_jitted = jax.jit(_begin, static_argnames=("networks", "length"))


@partial(jax.jit, static_argnames=("networks", "sampling", "stop"), donate_argnames="decoding")
def _advance_jitted(
    params: Params, decoding: Decoding, networks: Networks, sampling: Sampling, stop: Stop
) -> Decoding:
    extend = extender(params, networks)
    return advance(extend, decoding, AT_ONCE, sampling=sampling, stop=stop)


def _pieces(
    params: Params, prompt: jax.Array, length: int, keys: Keys, how: dict[str, Any]
) -> Iterator[np.ndarray]:
    networks, stops = how["networks"], np.atleast_1d(how["stop"])
    left, moves, own = length - len(prompt), 0, keys
    window, size = jnp.asarray(prompt)[None], min(length, networks.context)
    while left > 0:
        shown = window.shape[1]
        read = params, window, jnp.array([shown]), own
        decoding = _begin_jitted(*read, networks=networks, length=size)
        while left > 0 and shown < size:
            decoding = _advance_jitted(params, decoding, **how)
            reached = int(decoding.lengths[0])
            piece = np.asarray(decoding.tokens[0, shown:reached])[:left]
            yield piece
            if piece[-1] in stops:
                return
            shown, left = reached, left - len(piece)
        if left > 0:
            window, own = _next_window(decoding.tokens, keys, moves)
            size, moves = networks.context, moves + 1
