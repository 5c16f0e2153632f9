"""Sampling text from a causal network, one token at a time.

Dimensions: n rows, L length in tokens, T the network's context, V vocabulary.
"""

import jax
import jax.numpy as jnp

from aigc_jax import parallel
from aigc_jax.algorithm import Key
from aigc_jax.transformer.step import Networks, State


def sample(
    state: State,
    key: Key,
    n: int,
    prompt: jax.Array,
    length: int,
    *,
    networks: Networks,
    temperature: float = 1.0,
) -> jax.Array:
    """x_{t+1} ~ softmax(l_t / τ), where l_t are the logits after the last T tokens.

    Each token costs a pass over the window it sees. Row i depends on `key` and i alone.

    Args:
      state: of a trained model.
      key: one key.
      n: rows.
      prompt: int `[P]`, P ≥ 1, the tokens that every row begins with.
      length: L ≥ P, tokens of a row in all.
      networks: the network.
      temperature: τ > 0; small values approach the most probable token.

    Returns:
      int32 `[n, L]`, prompt included.

    Raises:
      ValueError: the prompt is empty or longer than `length`, or the temperature is not positive.
    """
    if not 1 <= prompt.shape[0] <= length:
        raise ValueError(f"a prompt of {prompt.shape[0]} tokens does not fit a length of {length}")
    if temperature <= 0:
        raise ValueError(f"temperature must be positive, got {temperature}")
    keys = parallel.example_keys(key, n)
    start = jnp.zeros((n, length), jnp.int32).at[:, : prompt.shape[0]].set(prompt[None])
    window = min(networks.context, length)

    def append(tokens: jax.Array, position: jax.Array) -> tuple[jax.Array, None]:
        # The window ends at position − 1, or is the first T tokens, whose later ones causality
        # hides.
        first = jnp.maximum(position - window, 0)
        seen = jax.lax.dynamic_slice_in_dim(tokens, first, window, axis=1)
        logits = networks.apply(state.params, seen)[:, position - 1 - first]
        step_keys = jax.vmap(jax.random.fold_in, (0, None))(keys, position)
        drawn = jax.vmap(jax.random.categorical)(step_keys, jnp.float32(logits) / temperature)
        return tokens.at[:, position].set(drawn.astype(jnp.int32)), None

    tokens, _ = jax.lax.scan(append, start, jnp.arange(prompt.shape[0], length))
    return tokens
