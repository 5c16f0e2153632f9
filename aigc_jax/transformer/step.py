"""One language-model update, as a pure function of state and batch.

Dimensions: B batch, T positions, V vocabulary.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from aigc_jax import parallel
from aigc_jax.algorithm import Key, Params
from aigc_jax.transformer.losses import next_token_nll


class Networks(NamedTuple):
    """A causal network as pure functions; the step knows nothing else of it.

    Attributes:
      init: `(key) -> params`.
      apply: `(params, tokens int [B, T]) -> logits [B, T, V]`; logits at t depend on tokens up to t
        alone.
      vocabulary_size: V.
      context: the greatest T.
    """

    init: Callable[[Key], Params]
    apply: Callable[[Params, jax.Array], jax.Array]
    vocabulary_size: int
    context: int


class Batch(NamedTuple):
    """Windows of text: position t + 1 of `tokens` is predicted from those up to t."""

    tokens: jax.Array  # int32 [B, T + 1]
    weights: jax.Array  # float32 [B, T]: 1 for each target that counts, 0 for padding


class State(NamedTuple):
    """Everything that training changes, and the key it was begun with."""

    step: jax.Array  # int32 [], the number of updates done
    key: Key
    params: Params
    opt_state: optax.OptState


class Info(NamedTuple):
    """Sums and means over the whole batch, under the parameters before the update."""

    nll_nats: jax.Array  # mean over counted tokens
    tokens: jax.Array  # how many were counted
    gradient_norm: jax.Array  # the global L2 norm, before any clipping


def token_losses(
    params: Params, batch: Batch, *, networks: Networks
) -> tuple[jax.Array, jax.Array]:
    """−log p(x_{t+1} | x_{≤t}) `[B, T]` in nats, and its weights `[B, T]`."""
    logits = networks.apply(params, batch.tokens[:, :-1])
    return next_token_nll(logits, batch.tokens[:, 1:]), batch.weights


def init(key: Key, networks: Networks, tx: optax.GradientTransformation) -> State:
    """The state before the first update."""
    key_init, key_steps = jax.random.split(key)
    params = networks.init(key_init)
    return State(jnp.int32(0), key_steps, params, tx.init(params))


def step(
    state: State,
    batch: Batch,
    *,
    networks: Networks,
    tx: optax.GradientTransformation,
    axis_name: str | None = None,
) -> tuple[State, Info]:
    """One step down the gradient of the mean next-token loss.

        loss = Σ_bt w_bt · −log p(x_{b,t+1} | x_{b,≤t}) / Σ_bt w_bt

    Both sums run over the whole batch on all devices, so unevenly padded shards weigh as their
    tokens do.

    Args:
      state: see `State`.
      batch: see `Batch`.
      networks, tx: the network and the optimiser.
      axis_name: the mapped axis that splits the batch, if any.

    Returns:
      The new state, and `Info`.
    """

    def loss(params):
        losses, weights = token_losses(params, batch, networks=networks)
        return losses, weights, ()

    nll, _, grads = parallel.mean_and_grad(loss, axis_name)(state.params)
    updates, opt_state = tx.update(grads, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    tokens = parallel.psum(jnp.sum(batch.weights), axis_name)
    info = Info(nll, tokens, optax.tree.norm(grads))
    return State(state.step + 1, state.key, params, opt_state), info
