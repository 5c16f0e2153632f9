"""Training of Transformers that fill in what is masked: MaskGIT, and masked diffusion.

The networks are those that write from the left. A prefix as long as the row makes every position
see every other, so that position t is predicted from all tokens that are not masked, itself masked.

Of the V ids, the first C are tokens that may be masked and written; `mask_id` and conditions, such
as classes, come after them. A model is normalised over these C: no probability is spent on an id
that is never written.

Dimensions: B batch, T positions, N_i tokens of row i that may be masked, n_i that are, V
vocabulary, C choices.
"""

import jax
import jax.numpy as jnp
import optax

from aigc_jax import parallel
from aigc_jax.algorithm import Key, Keys, Params, narrow
from aigc_jax.errors import InputError
from aigc_jax.optim import State
from aigc_jax.transformer.masking import (
    MaskedBatch,
    Schedule,
    check_ids,
    check_masked,
    diffusion,
    masked,
    maskgit,
    restricted,
    strata,
)
from aigc_jax.transformer.model import PLAIN, Info, Networks, Objective
from aigc_jax.transformer.step import step, token_losses

# Dropout has the keys fold_in(key, i) of examples i: none has this number.
_MASKS = 2**32 - 1


def masked_step(
    state: State,
    batch: MaskedBatch,
    *,
    networks: Networks,
    tx: optax.GradientTransformation,
    mask_id: int,
    choices: int,
    schedule: Schedule = maskgit,
    objective: Objective = PLAIN,
    microbatches: int = 1,
    ema_decay: float = 0.0,
    axis_name: str | None = None,
) -> tuple[State, Info]:
    """One step down the gradient of the weighted mean loss per masked token.

        loss = Σ_i w_i Σ_{t masked} l_it / Σ_i w_i n_i

    With `maskgit` w = 1. With `diffusion` w_i n_i = N_i, so that without regularisation the loss is
    the estimate of `nelbo`, in nats per token that may be masked.

    Args:
      state: see `optim.State`; `transformer.init` makes it.
      batch: see `MaskedBatch`.
      networks: the network; a plain one cannot look ahead.
      tx: the optimiser.
      mask_id: the id that stands for a masked token, in [choices, V).
      choices: C, how many of the first ids may be masked.
      schedule: `maskgit` or `diffusion`.
      objective, microbatches, ema_decay, axis_name: see `transformer.step`.

    Returns:
      The new state, and `Info`: `nll_nats` is the mean above without regularisation, and `tokens`
      its denominator.

    Raises:
      InputError: shapes or ids do not fit each other or the vocabulary.
    """
    batch = narrow(batch)
    check_ids(networks.vocabulary_size, mask_id, choices)
    check_masked(batch, networks.vocabulary_size, choices)
    key = jax.random.fold_in(jax.random.fold_in(state.key, state.step), _MASKS)
    key_r, key_mask = jax.random.split(key)
    rows = len(batch.tokens)
    index = parallel.first_index(rows, axis_name) + jnp.arange(rows)
    r = strata(_uniform(key_r), index, parallel.psum(rows, axis_name))
    keys = parallel.example_keys(key_mask, rows, axis_name)
    return step(
        state,
        masked(batch, r, keys, mask_id=mask_id, schedule=schedule),
        networks=restricted(networks, choices),
        tx=tx,
        objective=objective,
        microbatches=microbatches,
        ema_decay=ema_decay,
        axis_name=axis_name,
    )


def nelbo(
    params: Params,
    batch: MaskedBatch,
    keys: Keys,
    *,
    networks: Networks,
    mask_id: int,
    choices: int,
    samples: int = 16,
    positions: int | None = None,
) -> jax.Array:
    """An upper bound on −log p(x) of each row, given what may not be masked.

        NELBO = E_{n ~ U{1…N}} E_{M, |M| = n} [N / n · Σ_{t ∈ M} −log p(x_t | x_{not in M})]

    It is the mean over all N! orders of the autoregressive −log p in that order, since of a random
    order's last n tokens each is equally likely to be the next one. By Jensen's inequality it
    bounds −log of the mean of those p, which is how probable x is in `unmask_at_random` with a pass
    for each token. The weight 1 / t of continuous time is N / n here: neither t nor the clipping of
    it adds to the noise.

    Args:
      params: of `networks`.
      batch: see `MaskedBatch`.
      keys: `[B]`; a row depends on its own alone.
      networks, mask_id, choices: see `masked_step`.
      samples: S, passes over the batch. The estimate is unbiased for every S, and n is stratified
        over them: with S a multiple of N each n is drawn equally often.
      positions: how many have their logits in memory at once, see `losses.in_chunks`; None: all.

    Returns:
      float32 `[B]`, nats per row; 0 where nothing may be masked.

    Raises:
      InputError: `samples` is below 1, or see `masked_step`.

    Source: Uria et al. 2014, https://arxiv.org/abs/1310.1757; Ou et al. 2024,
    https://arxiv.org/abs/2406.03736; Sahoo et al. 2024, https://arxiv.org/abs/2406.07524, whose
    integral over t this is with the number of masked tokens in place of each token's chance.
    """
    batch = narrow(batch)
    if samples < 1:
        raise InputError(f"samples must be at least 1, got {samples}")
    check_ids(networks.vocabulary_size, mask_id, choices)
    check_masked(batch, networks.vocabulary_size, choices)
    own = jax.vmap(jax.random.split)(keys)
    u = jax.vmap(_uniform)(own[:, 0])
    reading, objective = restricted(networks, choices), Objective(chunk=positions)

    def add(total: jax.Array, s: jax.Array) -> tuple[jax.Array, None]:
        folded = jax.vmap(jax.random.fold_in, (0, None))(own[:, 1], s)
        read = masked(batch, strata(u, s, samples), folded, mask_id=mask_id, schedule=diffusion)
        nll = token_losses(params, read, networks=reading, objective=objective).nll
        return total + jnp.sum(read.weights * nll, axis=1), None

    total, _ = jax.lax.scan(add, jnp.zeros(len(keys), jnp.float32), jnp.arange(samples))
    return total / samples


def _uniform(key: Key) -> jax.Array:
    return jax.random.uniform(key, dtype=jnp.float32)
