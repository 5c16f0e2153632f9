"""One update of a Transformer, as a pure function of state and batch.

Dimensions: B batch, T positions, S source positions, D width, V vocabulary.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from aigc_jax import optim, parallel
from aigc_jax.algorithm import Key, Keys, Params, narrow
from aigc_jax.errors import InputError
from aigc_jax.labels import check_choices
from aigc_jax.transformer.losses import Losses, in_chunks, regularised_nll


class Source(NamedTuple):
    """What an encoder reads."""

    tokens: jax.Array  # int32 [B, S]
    segments: jax.Array  # int32 [B, S], from 1: whose they are, see Batch; 0: padding
    positions: jax.Array | None = None  # int32 [B, S], within the segment; None: within the row


class Batch(NamedTuple):
    """What a model reads, and what it is to predict at each position."""

    inputs: jax.Array  # int32 [B, T]
    labels: jax.Array  # int32 [B, T]: what comes next
    weights: jax.Array  # float32 [B, T]: 1 for each label that counts, 0 for padding
    # Several sequences packed into a row see themselves alone, each in its own part of the source.
    segments: jax.Array | None = None  # int32 [B, T], from 1; 0: padding; None: one sequence
    positions: jax.Array | None = None  # int32 [B, T], within the segment; None: within the row
    prefix: jax.Array | None = None  # int32 [B]: so many first tokens are attended both ways
    source: Source | None = None  # what an encoder reads: where there is one, it must be given


class Cache(NamedTuple):
    """Keys and values of the tokens so far; every array has the rows on its first axis."""

    layers: Any  # as the networks have it
    source: jax.Array | None = None  # bool [B, 1, 1, S]: which source tokens there are


class Networks(NamedTuple):
    """A Transformer as pure functions; the step knows nothing else of it.

    Attributes:
      init: `(key) -> params`.
      hidden: `(params, batch, keys [B] or None) -> states [B, T, D]`; states at t depend on inputs
        up to t, and on the source. `keys` are dropout's: None drops nothing.
      logits: `(params, states [..., D]) -> float32 [..., V]`.
      start: `(params, rows, length, source or None) -> cache` of so many slots in each row; with
        an encoder there must be a source, of as many rows.
      grow: `(cache, length) -> cache`, with so many slots in each row, those that were there first.
      extend: `(params, cache, tokens [B, T], positions [B, T], prefix [B] or None) -> (states,
        cache)`: the states of further tokens, which see the slots up to their own.
      vocabulary_size: V.
      context: the greatest T.
    """

    init: Callable[[Key], Params]
    hidden: Callable[..., jax.Array]
    logits: Callable[[Params, jax.Array], jax.Array]
    start: Callable[..., Cache]
    grow: Callable[[Cache, int], Cache]
    extend: Callable[..., tuple[jax.Array, Cache]]
    vocabulary_size: int
    context: int


class Objective(NamedTuple):
    """What is descended beyond the plain loss; see `losses.regularised_nll` and `in_chunks`."""

    smoothing: float = 0.0
    z_weight: float = 0.0
    chunk: int | None = None  # positions whose logits exist at once; None: all


PLAIN = Objective()


class State(NamedTuple):
    """Everything that training changes, and the key it was begun with."""

    step: jax.Array  # int32 [], the number of updates done
    key: Key
    params: Params
    opt_state: optax.OptState
    ema: Params | None = None  # the average of the parameters, where one is kept

    @property
    def judged(self) -> Params:
        """The parameters to judge and to sample with: the average, where there is one."""
        return self.params if self.ema is None else self.ema


class Info(NamedTuple):
    """Sums and means over the whole batch, under the parameters before the update."""

    nll_nats: jax.Array  # mean over counted tokens, of the plain loss
    tokens: jax.Array  # how many were counted
    gradient_norm: jax.Array  # the global L2 norm, before any clipping


def next_tokens(tokens: jax.Array, weights: jax.Array | None = None) -> Batch:
    """The batch in which each token of a text is predicted from those before it.

    Args:
      tokens: int `[B, T + 1]`.
      weights: `[B, T]`; None counts all.
    """
    labels = tokens[:, 1:]
    return Batch(
        tokens[:, :-1], labels, jnp.ones(labels.shape, jnp.float32) if weights is None else weights
    )


def packed_documents(rows: Sequence[jax.Array]) -> Batch:
    """The batch of rows as `pack_documents` gives them, without its count."""
    inputs, labels, weights, segments, positions = rows
    return Batch(inputs, labels, weights, segments, positions)


def token_losses(
    params: Params,
    batch: Batch,
    keys: Keys | None = None,
    *,
    networks: Networks,
    objective: Objective = PLAIN,
) -> Losses:
    """−log p(label | inputs so far) `[B, T]` in nats, and the loss that is descended.

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
    key_init, key_steps = jax.random.split(key)
    params = networks.init(key_init)
    # A copy, since donated buffers must be distinct.
    ema = jax.tree.map(jnp.copy, params) if ema_decay else None
    return State(jnp.int32(0), key_steps, params, tx.init(params), ema)


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
    """One step down the gradient of the mean loss of a token.

        loss = Σ_bt w_bt · l_bt / Σ_bt w_bt

    Both sums run over the whole batch on all devices, so unevenly padded shards weigh as their
    tokens do.

    Args:
      state: see `State`.
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
      InputError: an array is not of the shape that `Batch` says; or inputs or labels, padding's
        too, are not of the vocabulary.
    """
    batch = narrow(batch)
    _check(batch, networks.vocabulary_size)
    key = jax.random.fold_in(state.key, state.step)
    keys = parallel.example_keys(key, len(batch.inputs), axis_name)

    def loss(params, batch, keys):
        losses = token_losses(params, batch, keys, networks=networks, objective=objective)
        return losses.loss, batch.weights, jnp.sum(batch.weights * losses.nll)

    mean_and_grad = parallel.mean_and_grad(loss, axis_name, microbatches)
    _, nll, grads = mean_and_grad(state.params, batch, keys)
    updates, opt_state = tx.update(grads, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    tokens = parallel.psum(jnp.sum(batch.weights), axis_name)
    info = Info(nll, tokens, optax.tree.norm(grads))
    ema = state.ema
    if ema is not None:
        ema = optim.update_ema(ema, params, state.step, ema_decay)
    return State(state.step + 1, state.key, params, opt_state, ema), info


def _check(batch: Batch, vocabulary_size: int) -> None:
    if not isinstance(batch, Batch):
        raise InputError("batch must be a transformer.Batch, as next_tokens(tokens) makes one")
    shape = jnp.shape(batch.inputs)
    if len(shape) != 2 or not shape[1]:
        raise InputError(f"inputs must be of shape [B, T], T at least 1, got {shape}")
    wanted = dict.fromkeys(("labels", "weights", "segments", "positions"), shape)
    for name, own in (wanted | {"prefix": shape[:1]}).items():
        array = getattr(batch, name)
        if array is not None and jnp.shape(array) != own:
            raise InputError(f"{name} must be of shape {own}, got {jnp.shape(array)}")
    tokens = () if batch.source is None else jnp.shape(batch.source.tokens)
    if len(tokens) == 2 and tokens[0] != shape[0]:
        raise InputError(f"source.tokens must be of {shape[0]} rows, got {tokens[0]}")
    check_choices("inputs", batch.inputs, vocabulary_size)
    check_choices("labels", batch.labels, vocabulary_size)
