"""What a GAN is made of: its networks as pure functions, its state, and what a step reports.

Dimensions: B batch, Z latent, H W C image.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from aigc_jax.algorithm import Key, Keys, Params
from aigc_jax.gan.augment import Augmentation, Controller, controller
from aigc_jax.gan.penalties import LeCam
from aigc_jax.image_batch import Shape


class Variables(NamedTuple):
    """One network's arrays."""

    params: Params  # what its optimiser updates
    stats: Params  # what its own forward pass updates: running statistics, power iterations


class Networks(NamedTuple):
    """A pair of networks as pure functions; the step knows nothing else about them.

    Both are called with `train=True` in a step: with statistics of the batch, taken over the mapped
    axis too. They return their updated statistics, and the step decides whether to keep them.

    Attributes:
      init: `(key) -> (Variables of G, Variables of D)`.
      generate: `(variables, z [B, Z], labels, train, axis_name) -> (images [B, H, W, C] in [0, 1],
        stats)`.
      discriminate: `(variables, images [B, H, W, C], labels, train, axis_name) -> (logits [B],
        stats)`.
      latent_size: Z.
      classes: how many; 0 where labels are not used.
      mixes_examples: whether D's logit of an image depends on the rest of its batch.
      standing: `(variables, z [B, Z], labels) -> stats`: G's statistics over this batch alone,
        whatever they were before. Default: as training left them.
      image_shape: (H, W, C) of the images that they are made for; None for any.
    """

    init: Callable[[Key], tuple[Variables, Variables]]
    generate: Callable[..., tuple[jax.Array, Params]]
    discriminate: Callable[..., tuple[jax.Array, Params]]
    latent_size: int
    classes: int = 0
    mixes_examples: bool = False
    standing: Callable[..., Params] = lambda variables, z, labels: variables.stats
    image_shape: Shape | None = None


def plain_networks(
    init: Callable[[Key], tuple[Params, Params]],
    generate: Callable[[Params, jax.Array], jax.Array],
    discriminate: Callable[[Params, jax.Array], jax.Array],
    latent_size: int,
) -> Networks:
    """`Networks` from functions that know neither labels nor statistics.

    Args:
      init: `(key) -> (params_g, params_d)`.
      generate: `(params_g, z [B, Z]) -> images [B, H, W, C]` in [0, 1].
      discriminate: `(params_d, images [B, H, W, C]) -> logits [B]`.
      latent_size: Z.
    """

    def init_both(key: Key) -> tuple[Variables, Variables]:
        params_g, params_d = init(key)
        return Variables(params_g, ()), Variables(params_d, ())

    def apply(function: Callable) -> Callable:
        def call(variables, inputs, labels=None, train=False, axis_name=None):
            return function(variables.params, inputs), ()

        return call

    return Networks(init_both, apply(generate), apply(discriminate), latent_size)


class State(NamedTuple):
    """Everything that training changes, and the key it began with."""

    step: jax.Array  # int32 [], the number of updates of G
    key: Key
    params_g: Params
    params_d: Params
    stats_g: Params
    stats_d: Params
    opt_state_g: optax.OptState
    opt_state_d: optax.OptState
    ema_g: Variables  # exponential moving average of G: see `averaged`, which `sample` uses
    controller: Controller  # of ADA
    lecam: LeCam


class Info(NamedTuple):
    """Means over the whole batch, of the quantities that the update was computed from.

    Where D is updated more than once, they are those of its last update, except for `penalty_d`.
    """

    loss_d: jax.Array  # the objective's, without penalties; nats where it is made of softplus
    loss_g: jax.Array  # through the new D
    penalty_d: jax.Array  # all penalties, weighted, over all updates of D; 0 where none is due
    logit_real: jax.Array  # mean of D's logits on real images, under the old D
    logit_fake: jax.Array  # the same on generated ones
    augment_probability: jax.Array  # with which each transform is applied


def latents(keys: Keys, latent_size: int) -> jax.Array:
    """z ~ N(0, I): keys `[B]` → float32 `[B, Z]`, each row a function of its own key."""
    return jax.vmap(lambda key: jax.random.normal(key, (latent_size,), jnp.float32))(keys)


def init(
    key: Key,
    networks: Networks,
    tx_g: optax.GradientTransformation,
    tx_d: optax.GradientTransformation,
    augmentation: Augmentation | None = None,
) -> State:
    """The state before the first update; the average starts at the initial generator."""
    key_init, key_steps = jax.random.split(key)
    g, d = networks.init(key_init)
    return State(
        step=jnp.int32(0),
        key=key_steps,
        params_g=g.params,
        params_d=d.params,
        stats_g=g.stats,
        stats_d=d.stats,
        opt_state_g=tx_g.init(g.params),
        opt_state_d=tx_d.init(d.params),
        ema_g=jax.tree.map(jnp.copy, g),  # a copy, since donated buffers must be distinct
        controller=controller(augmentation),
        lecam=LeCam(jnp.float32(0), jnp.float32(0)),
    )
