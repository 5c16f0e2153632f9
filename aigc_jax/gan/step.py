"""One GAN update, as a pure function of state and batch.

Dimensions: B batch, Z latent, H W C image.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from aigc_jax import optim, parallel
from aigc_jax.algorithm import Key, Keys, Params
from aigc_jax.gan import losses


class Networks(NamedTuple):
    """A pair of networks as pure functions; the step knows nothing else of them.

    Attributes:
      init: `(key) -> (params_g, params_d)`.
      generate: `(params_g, z [B, Z]) -> images [B, H, W, C]` in [0, 1].
      discriminate: `(params_d, images [B, H, W, C]) -> logits [B]`.
      latent_size: Z.
    """

    init: Callable[[Key], tuple[Params, Params]]
    generate: Callable[[Params, jax.Array], jax.Array]
    discriminate: Callable[[Params, jax.Array], jax.Array]
    latent_size: int


class State(NamedTuple):
    """Everything that training changes, and the key it was begun with."""

    step: jax.Array  # int32 [], the number of updates done
    key: Key
    params_g: Params
    params_d: Params
    opt_state_g: optax.OptState
    opt_state_d: optax.OptState
    ema_g: Params  # exponential moving average of params_g: what `sample` uses


class Info(NamedTuple):
    """Means over the whole batch, of the quantities that the update was computed from."""

    loss_d: jax.Array  # nats, for the losses of losses.py
    loss_g: jax.Array  # nats, through the new D
    probability_real: jax.Array  # mean D(x) under the old D
    probability_fake: jax.Array  # mean D(G(z)) under the old D


def latents(keys: Keys, latent_size: int) -> jax.Array:
    """z ~ N(0, I): keys `[B]` → float32 `[B, Z]`, each row a function of its own key."""
    return jax.vmap(lambda key: jax.random.normal(key, (latent_size,)))(keys)


def init(
    key: Key,
    networks: Networks,
    tx_g: optax.GradientTransformation,
    tx_d: optax.GradientTransformation,
) -> State:
    """The state before the first update; the average starts at the initial generator."""
    key_init, key_steps = jax.random.split(key)
    params_g, params_d = networks.init(key_init)
    return State(
        step=jnp.int32(0),
        key=key_steps,
        params_g=params_g,
        params_d=params_d,
        opt_state_g=tx_g.init(params_g),
        opt_state_d=tx_d.init(params_d),
        ema_g=jax.tree.map(jnp.copy, params_g),  # a copy, since donated buffers must be distinct
    )


def step(
    state: State,
    batch: jax.Array,
    *,
    networks: Networks,
    tx_g: optax.GradientTransformation,
    tx_d: optax.GradientTransformation,
    discriminator_loss: Callable = losses.minimax_discriminator_loss,
    generator_loss: Callable = losses.nonsaturating_generator_loss,
    ema_decay: float = 0.999,
    axis_name: str | None = None,
) -> tuple[State, Info]:
    """Draws fakes, updates D on real and fake, then G on these fakes through the **new** D.

        z_i ~ N(0, I),  x̃_i = G(z_i)
        θ_D ← θ_D + tx_D(∇ mean_i l_D(D(x_i), D(x̃_i)))
        θ_G ← θ_G + tx_G(∇ mean_i l_G(D_new(G(z_i))))
        θ_EMA ← β_t θ_EMA + (1 − β_t) θ_G

    Args:
      state: see `State`.
      batch: real images `[B, H, W, C]` in [0, 1].
      networks, tx_g, tx_d: the networks and the optimisers of either player.
      discriminator_loss: `(logits_real [B], logits_fake [B]) -> [B]`.
      generator_loss: `(logits_fake [B]) -> [B]`.
      ema_decay: β of the averaged generator, per step, see `optim.update_ema`; 0 keeps no average.
      axis_name: the mapped axis that splits the batch, if any.

    Returns:
      The new state, and `Info`.

    Source: Goodfellow et al. 2014, algorithm 1 with k = 1, except that G's update reuses the fakes
    of D's.
    """
    size = batch.shape[0]
    keys = parallel.example_keys(jax.random.fold_in(state.key, state.step), size, axis_name)
    z = latents(keys, networks.latent_size)
    ones, fakes = jnp.ones(size), networks.generate(state.params_g, z)

    def loss_d(params_d):
        real, fake = networks.discriminate(params_d, batch), networks.discriminate(params_d, fakes)
        probabilities = jnp.sum(jax.nn.sigmoid(real)), jnp.sum(jax.nn.sigmoid(fake))
        return discriminator_loss(real, fake), ones, probabilities

    mean_d, probabilities, grads_d = parallel.mean_and_grad(loss_d, axis_name)(state.params_d)
    updates_d, opt_state_d = tx_d.update(grads_d, state.opt_state_d, state.params_d)
    params_d = optax.apply_updates(state.params_d, updates_d)

    def loss_g(params_g):
        # The same fakes: XLA sees that they are, and generates them once.
        return (
            generator_loss(networks.discriminate(params_d, networks.generate(params_g, z))),
            ones,
            (),
        )

    mean_g, _, grads_g = parallel.mean_and_grad(loss_g, axis_name)(state.params_g)
    updates_g, opt_state_g = tx_g.update(grads_g, state.opt_state_g, state.params_g)
    params_g = optax.apply_updates(state.params_g, updates_g)

    ema_g = optim.update_ema(state.ema_g, params_g, state.step, ema_decay)
    new = State(state.step + 1, state.key, params_g, params_d, opt_state_g, opt_state_d, ema_g)
    return new, Info(mean_d, mean_g, *probabilities)


def sample(state: State, key: Key, n: int, *, networks: Networks) -> jax.Array:
    """n images of the averaged generator, `[n, H, W, C]` in [0, 1]; each of its own key."""
    z = latents(parallel.example_keys(key, n), networks.latent_size)
    return networks.generate(state.ema_g, z)
