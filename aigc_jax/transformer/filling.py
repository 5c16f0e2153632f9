"""Texts from a model of masked diffusion, which fills in whole windows of its context.

    sample   many rows from one prompt, longer than the context where asked
    stream   one row, a window at a time

They are what `stream.sample` and `stream.stream` are to a model that writes from the left.

Dimensions: n rows, P prompt, L length in tokens, T the network's context, K passes.
"""

from collections.abc import Iterator
from functools import partial
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
from aigc_jax.transformer.masking import mask_of
from aigc_jax.transformer.model import Networks
from aigc_jax.transformer.sampling import ANCESTRAL, Sampling
from aigc_jax.transformer.unmasking import predictor, unmask_at_random


def sample(
    state: State,
    key: Key,
    n: int,
    prompt: jax.Array,
    length: int,
    *,
    networks: Networks,
    sampling: Sampling = ANCESTRAL,
    passes: int | None = None,
    rows_at_once: int | None = None,
) -> jax.Array:
    """`n` continuations of a prompt, the tokens of each window in random order.

    The first window is the prompt and what follows it. Each further one begins with the last
    ⌊T / 2⌋ tokens of the one before, which are known to it. What a window has beyond L is cut off,
    so that the model always sees as many tokens as in training.

    Args:
      state: of a trained model; its averaged parameters are used, where it keeps them.
      key: one key. Row i depends on it and on i alone.
      n: rows.
      prompt: int `[P]`, P ≤ T, the tokens that every row begins with; they are kept.
      length: L ≥ P, tokens of a row in all.
      networks: the network, the last id of which is the mask's.
      sampling: how a token is chosen; not with a repetition penalty.
      passes: K, in each window. None: one for each unknown token, by which the first window's
        −log p is what `nelbo` bounds. Fewer are faster, and tokens of one pass do not know of each
        other.
      rows_at_once: how many rows are written before the next ones begin; None: all at once.

    Returns:
      int32 `[n, L]`, prompt included.

    Raises:
      InputError: n, `passes` or `rows_at_once` is below 1; the prompt is longer than `length` or
        the context, or not of tokens that the model writes; or see `unmask_at_random`.
    """
    for name, value in (("n", n), ("passes", passes), ("rows_at_once", rows_at_once)):
        if value is not None and value < 1:
            raise InputError(f"{name} must be at least 1, got {value}")
    prompt = _checked(prompt, length, networks)
    fill = partial(_window, state.eval_params, networks, passes=passes, sampling=sampling)

    def rows(keys: Keys) -> jax.Array:
        known = jnp.broadcast_to(prompt, (len(keys), len(prompt)))
        first = fill(known, keys)
        if length <= networks.context:
            return first[:, :length]

        def move_on(window: jax.Array, number: jax.Array) -> tuple[jax.Array, jax.Array]:
            known, own = _next(window, keys, number)
            window = fill(known, own)
            return window, window[:, known.shape[1] :]

        new = networks.context - networks.context // 2
        numbers = jnp.arange(-(-(length - networks.context) // new))
        _, more = jax.lax.scan(move_on, first, numbers)
        more = more.swapaxes(0, 1).reshape(len(keys), -1)
        return jnp.concatenate([first, more], axis=1)[:, :length]

    return in_blocks(rows, parallel.example_keys(key, n), block=rows_at_once or n)


def stream(
    params: Params,
    prompt: np.ndarray | jax.Array,
    length: int,
    key: Key,
    *,
    networks: Networks,
    sampling: Sampling = ANCESTRAL,
    passes: int | None = None,
) -> Iterator[np.ndarray]:
    """A continuation of a prompt, window by window: the first row of `sample`, without the prompt.

    Args:
      params, prompt, length, key, networks, sampling, passes: see `sample`.

    Returns:
      An iterator over pieces, int32 `[≤ T]`, of L − P tokens in all.

    Raises:
      InputError: see `sample`; at once, not with the first piece, but for that of `sampling`.
    """
    if passes is not None and passes < 1:
        raise InputError(f"passes must be at least 1, got {passes}")
    known, keys = _checked(prompt, length, networks)[None], parallel.example_keys(key, 1)
    how: dict[str, Any] = {"networks": networks, "passes": passes, "sampling": sampling}
    return _pieces(params, known, length, keys, how)


def _pieces(
    params: Params, known: jax.Array, length: int, keys: Keys, how: dict[str, Any]
) -> Iterator[np.ndarray]:
    left, number, own = length - known.shape[1], 0, keys
    while left > 0:
        window = _window_jitted(params, known=known, keys=own, **how)
        piece = np.asarray(window[0, known.shape[1] :])[:left]
        if len(piece):
            yield piece
        left -= len(piece)
        known, own = _next(window, keys, number)
        number += 1


def _window(
    params: Params,
    networks: Networks,
    known: jax.Array,
    keys: Keys,
    *,
    passes: int | None,
    sampling: Sampling,
) -> jax.Array:
    """Windows int32 `[B, T]` that begin with known tokens `[B, P]`."""
    given, context = known.shape[1], networks.context
    tokens = jnp.pad(known, ((0, 0), (0, context - given)))
    unknown = jnp.broadcast_to(jnp.arange(context)[None] >= given, tokens.shape)
    count = passes or max(context - given, 1)  # of a prompt as long as the window nothing is left
    mask_id = mask_of(networks)
    return unmask_at_random(
        predictor(params, networks),
        tokens,
        unknown,
        keys,
        count,
        mask_id=mask_id,
        choices=mask_id,
        sampling=sampling,
    )


_window_jitted = jax.jit(_window, static_argnames=("networks", "passes", "sampling"))


def _next(window: jax.Array, keys: Keys, number: int | jax.Array) -> tuple[jax.Array, Keys]:
    """What the window after this one begins with, and its keys; `number` counts from 0."""
    # The numbers 0 and 1 are those of the two keys that a key is split into.
    own = jax.vmap(jax.random.fold_in, (0, None))(keys, 2 + number)
    return window[:, window.shape[1] - window.shape[1] // 2 :], own


def _checked(prompt: Any, length: int, networks: Networks) -> jax.Array:
    """The prompt as int32 `[P]`, or an InputError."""
    array = check_choices("prompt", prompt, mask_of(networks))
    if array.ndim != 1:
        raise InputError(f"prompt must be of shape [P], got {array.shape}")
    if length < 1 or len(array) > min(length, networks.context):
        raise InputError(
            f"a prompt of {len(array)} tokens does not fit a length of {length} and a context of "
            f"{networks.context}"
        )
    return jnp.asarray(array, jnp.int32)
