"""One update of a codec, as a pure function of state and batch.

Dimensions: B batch, S the signal's sides, C channels, G the grid's sides, D features, N stages.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax

from aigc_jax import optim, parallel
from aigc_jax.algorithm import Key, narrow
from aigc_jax.codec import balancer
from aigc_jax.codec.losses import matching, over_critics
from aigc_jax.codec.model import Critics, Info, Networks, Perception, State, check_signals
from aigc_jax.codec.residual import ResidualQuantiser, stages_used
from aigc_jax.gan.losses import Objective
from aigc_jax.vq.step import perplexity


class Weights(NamedTuple):
    """Of the losses of x̂, relative to each other: see `balancer.balance`."""

    reconstruction: float = 1.0
    perceptual: float = 0.0
    adversarial: float = 0.0
    matching: float = 0.0


def init(
    key: Key,
    *,
    networks: Networks,
    critics: Critics | None,
    perception: Perception | None,
    quantiser: ResidualQuantiser,
    tx: optax.GradientTransformation,
    tx_d: optax.GradientTransformation,
) -> State:
    """The state before the first update."""
    key_n, key_q, key_d, key_p = jax.random.split(key, 4)
    params_d = critics.init(key_d) if critics else ()
    return State(
        trained=optim.init(key_n, networks.init, tx),
        quantiser=quantiser.init(key_q),
        params_d=params_d,
        opt_state_d=tx_d.init(params_d),
        balance=balancer.init(len(Weights._fields)),
        perception=perception.init(key_p) if perception else (),
    )


def step(
    state: State,
    batch: jax.Array,
    *,
    networks: Networks,
    critics: Critics | None,
    perception: Perception | None,
    quantiser: ResidualQuantiser,
    tx: optax.GradientTransformation,
    tx_d: optax.GradientTransformation,
    reconstruction: Callable[[jax.Array, jax.Array], jax.Array],
    weights: Weights,
    objective: Objective,
    adversary_from: int = 0,
    commitment: float = 0.25,
    stage_dropout: float = 0.0,
    balance_decay: float = 0.999,
    ema_decay: float = 0.999,
    axis_name: str | None = None,
) -> tuple[State, Info]:
    """The critics' update, then the codec's through the new critics, then the quantiser's.

        f = encode(x),  z = quantise(f),  x̂ = decode(z)
        θ_D ← θ_D + tx_d(∇ mean_i l_D(D(x_i), D(x̂_i)))
        g = Σ_j (w_j / Σ w) ∂l_j/∂x̂ / n_j                              see `balancer.balance`
        θ   ← θ + tx(mean_i [g_i ∂x̂_i/∂θ + β ∂c_i/∂θ])

    l_j are the losses of `Weights`, and n_j the running norm of each one's gradient; c is the
    commitment of the features, a mean over positions, which stays outside of the balance. Critics
    learn from the first step; only their weights in g are 0 before `adversary_from`.

    Args:
      state: see `State`.
      batch: signals `[B, *S, C]`.
      networks, critics, perception, quantiser: what the codec is made of; without critics, or
        without a perception, their weights must be 0.
      tx, tx_d: the optimisers of the codec and of the critics.
      reconstruction: `(x̂, x) -> [B]`, such as `losses.absolute`.
      weights: see `Weights`.
      objective: of critics and decoder; its functions are elementwise.
      adversary_from: the step from which the critics act on the decoder.
      commitment: β.
      stage_dropout: see `residual.stages_used`; 0 uses all stages. It is of the decoder: the
        codebooks of all stages learn from all examples.
      balance_decay: of the running norms, per step.
      ema_decay: of the averaged parameters, per step; 0 keeps none.
      axis_name: the mapped axis that splits the batch, if any.

    Returns:
      The new state, and `Info`.

    Raises:
      InputError: signals of another rank or number of channels, or of no extent.

    Source: Défossez et al. 2022 (EnCodec), https://arxiv.org/abs/2210.13438, sections 3.3 and 3.4,
    with codebooks by averages. D's loss is taken at every step.
    """
    x = narrow(batch)
    check_signals(x, networks)
    size, sides = len(x), x.shape[1:-1]
    key_q, key_n = jax.random.split(jax.random.fold_in(state.trained.key, state.step))
    used = None
    if stage_dropout:
        keys = parallel.example_keys(key_n, size, axis_name)
        used = stages_used(keys, quantiser.stages, stage_dropout)

    def code(params):
        features = networks.encode(params, x)
        found = quantiser.quantise(state.quantiser, features, used)
        estimate = networks.decode(params, found.vectors, sides)
        strayed = found.commitment * (quantiser.stages / found.codes[0].size)
        return (estimate, strayed), (features, found.codes)

    (estimate, strayed), pullback, (features, codes) = jax.vjp(code, state.params, has_aux=True)
    state, critic_loss = _update_critics(
        state, x, lax.stop_gradient(estimate), critics, tx_d, objective, axis_name
    )

    acting = jnp.float32(state.step >= adversary_from)
    factors = {"adversarial": acting, "matching": acting}
    losses = dict.fromkeys(Weights._fields, jnp.zeros(size, jnp.float32))
    gradients = dict.fromkeys(Weights._fields, jnp.zeros_like(estimate))
    for names, distances in _distances(
        state, x, weights, critics, perception, reconstruction, objective
    ):
        found, back = jax.vjp(distances, estimate)
        for i, name in enumerate(names):
            losses[name] = found[i]
            one = [jnp.full_like(value, i == j) for j, value in enumerate(found)]
            (gradients[name],) = back(tuple(one))
    acting_weights = [weight * factors.get(name, 1.0) for name, weight in weights._asdict().items()]
    direction, balance = balancer.balance(
        state.balance, list(gradients.values()), acting_weights, balance_decay, axis_name
    )

    def along(outputs):
        estimate, strayed = outputs
        slope = jnp.sum((direction * estimate).reshape(size, -1), axis=-1)
        sums = tuple(jnp.sum(x) for x in (*losses.values(), critic_loss, strayed))
        return slope + commitment * strayed, jnp.ones(size, jnp.float32), sums

    _, means, grads = parallel.mean_and_grad(along, axis_name, pullback=pullback)(
        (estimate, strayed)
    )
    trained = optim.update(state.trained, grads, tx, ema_decay)
    book, revived = quantiser.update(
        state.quantiser, lax.stop_gradient(features), codes, key_q, axis_name
    )
    state = state._replace(trained=trained, quantiser=book, balance=balance)
    entropy = _perplexity(codes, quantiser.codes, axis_name)
    return state, Info._make((*means, entropy, revived))


def _distances(
    state: State,
    x: jax.Array,
    weights: Weights,
    critics: Critics | None,
    perception: Perception | None,
    reconstruction: Callable[[jax.Array, jax.Array], jax.Array],
    objective: Objective,
) -> Iterator[tuple[tuple[str, ...], Callable[[jax.Array], tuple[jax.Array, ...]]]]:
    """The losses in use, by name, as functions of x̂; those of the critics share their pass."""
    if weights.reconstruction:
        yield ("reconstruction",), lambda estimate: (reconstruction(estimate, x),)
    if weights.perceptual and perception is not None:
        distance = partial(perception.distance, state.perception)
        yield ("perceptual",), lambda estimate: (distance(estimate, x),)
    if critics is not None:
        judge = partial(critics.judge, state.params_d)

        def by_critics(estimate: jax.Array) -> tuple[jax.Array, jax.Array]:
            real, fake = judge(x), judge(estimate)
            return over_critics(objective.generator, real, fake), matching(real, fake)

        yield ("adversarial", "matching"), by_critics


def _update_critics(
    state: State,
    x: jax.Array,
    estimate: jax.Array,
    critics: Critics | None,
    tx_d: optax.GradientTransformation,
    objective: Objective,
    axis_name: str | None,
) -> tuple[State, jax.Array]:
    """The critics' step, the codec held fixed; and their loss `[B]`, before it."""
    size = len(x)
    if critics is None:
        return state, jnp.zeros(size, jnp.float32)

    def loss(params_d):
        real, fake = critics.judge(params_d, x), critics.judge(params_d, estimate)
        losses = over_critics(objective.discriminator, real, fake)
        return losses, jnp.ones(size, jnp.float32), (), losses

    *_, grads, losses = parallel.mean_and_grad(loss, axis_name)(state.params_d)
    updates, opt_state_d = tx_d.update(grads, state.opt_state_d, state.params_d)
    params_d = optax.apply_updates(state.params_d, updates)
    return state._replace(params_d=params_d, opt_state_d=opt_state_d), losses


def _perplexity(codes: jax.Array, size: int, axis_name: str | None) -> jax.Array:
    """Of the codes `[B, *G, N]` of the whole batch, the mean over stages."""
    stages = codes.shape[-1]
    flat = codes.reshape(-1, stages)
    counts = jnp.zeros((stages, size), jnp.float32)
    counts = counts.at[jnp.arange(stages)[None], flat].add(1.0)
    total = parallel.psum(len(flat), axis_name)
    return jnp.mean(jax.vmap(perplexity)(parallel.psum(counts, axis_name) / total))
