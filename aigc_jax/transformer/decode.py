"""Text from a Transformer: the decoding core, bound to networks and parameters.

Dimensions: n rows, P prompt, L length in tokens, T the network's context, V vocabulary.
"""

from collections.abc import Callable
from functools import partial
from itertools import pairwise

import jax
import jax.numpy as jnp

from aigc_jax import parallel
from aigc_jax.algorithm import Key, Keys, Params
from aigc_jax.labels import check_choices
from aigc_jax.optim import State
from aigc_jax.transformer.generation import Extend, advance, begin
from aigc_jax.transformer.model import Networks, Source
from aigc_jax.transformer.sampling import ANCESTRAL, Sampling

# A text is written in so many loops, each compiled for a cache of its own size.
STAGES = 2
SHORTEST_STAGE = 64  # tokens


def extender(params: Params, networks: Networks, prefix: jax.Array | None = None) -> Extend:
    """What the decoding core needs of a model: `(cache, tokens, positions) -> (logits, cache)`.

    Args:
      params: of `networks`.
      networks: the network.
      prefix: int `[B]`, tokens at the beginning of each row that are attended both ways.
    """

    def extend(cache, tokens, positions):
        states, cache = networks.extend(params, cache, tokens, positions, prefix)
        return networks.logits(params, states), cache

    return extend


def sample(
    state: State,
    key: Key,
    n: int,
    prompt: jax.Array,
    length: int,
    *,
    networks: Networks,
    sampling: Sampling = ANCESTRAL,
    stop: int | tuple[int, ...] = (),
    rows_at_once: int | None = None,
    source: Source | None = None,
) -> jax.Array:
    """`n` continuations of a prompt.

    A text longer than the context is written in windows: each begins with the last T / 2 tokens of
    the one before, so a token sees between T / 2 and T − 1 tokens before it.

    Args:
      state: of a trained model; its average is sampled from, where it keeps one.
      key: one key. Row i depends on it and on i alone.
      n: rows.
      prompt: int `[P]`, 1 ≤ P ≤ T, the tokens that every row begins with.
      length: L ≥ P, tokens of a row in all.
      networks: the network.
      sampling: how the next token is chosen.
      stop: tokens that end a row: what follows the first of them is not to be read. The work ends
        when all rows of a window have ended.
      rows_at_once: how many rows are written before the next ones begin; None: all at once. It
        bounds the memory of the cache, and on a CPU 8 are faster where 8 rows of keys and values
        fit its caches: 64 texts of 256 tokens by `nano` on 2 cores took 0.58 s where all at once
        took 1.02.
      source: what the encoder of a model that has one reads, of n rows; None where there is none.

    Returns:
      int32 `[n, L]`, prompt included.

    Raises:
      ValueError: n or `rows_at_once` is below 1; the prompt is empty, longer than `length` or the
        context, or not of the model's tokens; the source is missing, one too many, or not of n
        rows.
    """
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}")
    prompt = check_choices("prompt", prompt, networks.vocabulary_size)
    if prompt.ndim != 1:
        raise ValueError(f"prompt must be of shape [P], got {prompt.shape}")
    given, context = prompt.shape[0], networks.context
    if not 1 <= given <= min(length, context):
        raise ValueError(
            f"a prompt of {given} tokens does not fit a length of {length} and a context of "
            f"{context}"
        )
    if rows_at_once is not None and rows_at_once < 1:
        raise ValueError(f"rows_at_once must be at least 1, got {rows_at_once}")
    if source is not None and len(source.tokens) != n:
        raise ValueError(f"source has {len(source.tokens)} rows, and there are to be {n}")

    def rows(keys: Keys, source: Source | None) -> jax.Array:
        write = partial(
            _write, state.eval_params, networks, source=source, sampling=sampling, stop=stop
        )
        first = write(jnp.broadcast_to(prompt, (len(keys), given)), min(length, context), keys)
        return first if length <= context else _in_windows(write, first, length, keys)

    if rows_at_once is None or rows_at_once >= n:
        return rows(parallel.example_keys(key, n), source)
    groups = -(-n // rows_at_once)

    def grouped(x: jax.Array) -> jax.Array:
        padded = jnp.pad(x, [(0, groups * rows_at_once - n), *[(0, 0)] * (x.ndim - 1)])
        return padded.reshape(groups, rows_at_once, *x.shape[1:])

    keys = parallel.example_keys(key, groups * rows_at_once).reshape(groups, rows_at_once)
    parts = (keys, jax.tree.map(grouped, source))
    return jax.lax.map(lambda part: rows(*part), parts).reshape(-1, length)[:n]


def _write(
    params: Params,
    networks: Networks,
    prompts: jax.Array,
    length: int,
    keys: Keys,
    *,
    source: Source | None,
    sampling: Sampling,
    stop: int | tuple[int, ...],
) -> jax.Array:
    """Rows from prompts `[B, P]` of one length, int `[B, L]`, L within the context."""
    rows, given = prompts.shape
    rooms = _rooms(given, length)
    extend, cache = extender(params, networks), networks.start(params, rows, rooms[0], source)
    decoding = begin(extend, cache, prompts, jnp.full((rows,), given), length, keys)
    for before, room in pairwise([given, *rooms]):
        decoding = decoding._replace(cache=networks.grow(decoding.cache, room))
        decoding = advance(extend, decoding, room - before, sampling=sampling, stop=stop)
    return decoding.tokens


def _rooms(given: int, length: int) -> list[int]:
    """How many slots the cache has in each stage of a text: all of them are read for each token."""
    new = length - given
    stages = min(max(new // SHORTEST_STAGE, 1), STAGES)
    return [given + new * stage // stages for stage in range(1, stages + 1)]


def _in_windows(
    write: Callable[[jax.Array, int, Keys], jax.Array], first: jax.Array, length: int, keys: Keys
) -> jax.Array:
    """Rows that go on beyond a full first window, int `[n, L]`; see `sample`."""
    rows, context = first.shape
    overlap = max(context // 2, 1)
    hop = context - overlap
    if hop == 0:
        raise ValueError(f"a context of {context} token cannot be moved on")

    def move_on(window: jax.Array, number: jax.Array) -> tuple[jax.Array, jax.Array]:
        own = jax.vmap(jax.random.fold_in, (0, None))(keys, number)
        window = write(window[:, hop:], context, own)
        return window, window[:, overlap:]

    # Not the numbers of positions, which are folded into the keys as well.
    numbers = context + jnp.arange(-(-(length - context) // hop))
    _, more = jax.lax.scan(move_on, first, numbers)
    more = more.swapaxes(0, 1).reshape(rows, -1)
    return jnp.concatenate([first, more], axis=1)[:, :length]
