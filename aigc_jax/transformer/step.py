"""One update of a Transformer, as a pure function of state and batch.

Dimensions: B batch, T positions, S source positions, D width, V vocabulary.
"""

import jax
import jax.numpy as jnp
import optax

from aigc_jax import optim, parallel
from aigc_jax.algorithm import Key, Keys, Params, narrow
from aigc_jax.optim import State
from aigc_jax.transformer.losses import Losses, in_chunks, regularised_nll
from aigc_jax.transformer.model import PLAIN, Batch, Info, Networks, Objective, check_batch


def token_losses(
    params: Params,
    batch: Batch,
    keys: Keys | None = None,
    *,
    networks: Networks,
    objective: Objective = PLAIN,
) -> Losses:
    """−log p(label | inputs so far) `[B, T]` in nats, and the loss that is minimised.

    Args:
      params: of `networks`.
      batch: see `Batch`.
      keys: `[B]`, dropout's; None drops nothing.
      networks: the network.
      objective: see `Objective`.
    """

    def losses(states, labels):
        logits = networks.logits(params, states)
        return regularised_nll(logits, labels, objective.smoothing, objective.z_weight)

    states = networks.hidden(params, batch, keys)
    if objective.chunk is None:
        return losses(states, batch.labels)
    return in_chunks(losses, states, batch.labels, objective.chunk)


def init(
    key: Key, networks: Networks, tx: optax.GradientTransformation, ema_decay: float = 0.0
) -> State:
    """The state before the first update; an average is kept where `ema_decay` is above 0."""
    return optim.init(key, networks.init, tx, averaged=ema_decay > 0)


def step(
    state: State,
    batch: Batch,
    *,
    networks: Networks,
    tx: optax.GradientTransformation,
    objective: Objective = PLAIN,
    microbatches: int = 1,
    ema_decay: float = 0.0,
    axis_name: str | None = None,
) -> tuple[State, Info]:
    """One step down the gradient of the mean loss per token.

        loss = Σ_bt w_bt · l_bt / Σ_bt w_bt

    Both sums run over the whole batch on all devices, so unevenly padded shards are weighted by
    their tokens.

    Args:
      state: see `optim.State`.
      batch: see `Batch`.
      networks, tx: the network and the optimiser.
      objective: what l is.
      microbatches: parts, one after another, of which the batch's gradient is summed up: the same
        gradient in less memory.
      ema_decay: of the averaged parameters, per step; 0 keeps none.
      axis_name: the mapped axis that splits the batch, if any.

    Returns:
      The new state, and `Info`.

    Raises:
      InputError: an array is not of the shape that `Batch` says; or inputs or labels, padding
        included, are not in the vocabulary.
    """
    batch = narrow(batch)
    check_batch(batch, networks.vocabulary_size)
    key = jax.random.fold_in(state.key, state.step)
    keys = parallel.example_keys(key, len(batch.inputs), axis_name)

    def loss(params, batch, keys):
        losses = token_losses(params, batch, keys, networks=networks, objective=objective)
        return losses.loss, batch.weights, jnp.sum(batch.weights * losses.nll)

    mean_and_grad = parallel.mean_and_grad(loss, axis_name, microbatches)
    _, nll, grads = mean_and_grad(state.params, batch, keys)
    tokens = parallel.psum(jnp.sum(batch.weights), axis_name)
    info = Info(nll, tokens, optax.tree.norm(grads))
    return optim.update(state, grads, tx, ema_decay), info
