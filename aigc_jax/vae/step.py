"""One VAE update, as a pure function of state and batch.

Dimensions: B batch, Z latent, H W C image.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from aigc_jax import optim, parallel
from aigc_jax.algorithm import Key, Keys, Params
from aigc_jax.optim import State
from aigc_jax.vae.losses import bernoulli_nll, kl_to_standard_normal


class Networks(NamedTuple):
    """Encoder and decoder as pure functions; the step knows nothing else of them.

    Attributes:
      init: `(key) -> params`.
      encode: `(params, x [B, H, W, C]) -> (mean [B, Z], log_variance [B, Z])` of q(z|x).
      decode: `(params, z [B, Z]) -> logits [B, H, W, C]` of p(x|z).
      latent_size: Z.
    """

    init: Callable[[Key], Params]
    encode: Callable[[Params, jax.Array], tuple[jax.Array, jax.Array]]
    decode: Callable[[Params, jax.Array], jax.Array]
    latent_size: int


class Info(NamedTuple):
    """Means over the whole batch, under the parameters before the update."""

    negative_elbo_nats: jax.Array
    reconstruction_nats: jax.Array
    kl_nats: jax.Array


def binarise(keys: Keys, x: jax.Array) -> jax.Array:
    """x̂ ~ Bernoulli(x): keys `[B]`, grey values `[B, ...]` in [0, 1] → {0, 1} float32.

    Source: Salakhutdinov and Murray 2008; drawn anew at every step as in Burda et al. 2016.
    """
    draw = jax.vmap(lambda key, image: jax.random.bernoulli(key, image))
    return draw(keys, x).astype(jnp.float32)


def reparameterise(keys: Keys, mean: jax.Array, log_variance: jax.Array) -> jax.Array:
    """z = μ + σ ε with ε ~ N(0, I): keys `[B]`, μ and log σ² `[B, Z]` → `[B, Z]`."""
    noise = jax.vmap(lambda key: jax.random.normal(key, mean.shape[1:]))(keys)
    return mean + jnp.exp(0.5 * log_variance) * noise


def elbo_terms(
    params: Params, x: jax.Array, keys: Keys, *, networks: Networks
) -> tuple[jax.Array, jax.Array]:
    """The two terms of −ELBO(x), with one sample of z for each example.

    Args:
      params: of `networks`.
      x: `[B, H, W, C]`.
      keys: `[B]`.

    Returns:
      −log p(x|z) `[B]` and KL(q(z|x) ‖ p(z)) `[B]`, nats.
    """
    mean, log_variance = networks.encode(params, x)
    z = reparameterise(keys, mean, log_variance)
    return bernoulli_nll(networks.decode(params, z), x), kl_to_standard_normal(mean, log_variance)


def init(key: Key, networks: Networks, tx: optax.GradientTransformation) -> State:
    """The state before the first update."""
    return optim.init(key, networks.init, tx)


def step(
    state: State,
    batch: jax.Array,
    *,
    networks: Networks,
    tx: optax.GradientTransformation,
    dynamic_binarisation: bool = True,
    ema_decay: float = 0.999,
    axis_name: str | None = None,
) -> tuple[State, Info]:
    """One step down the gradient of the mean negative ELBO.

        x ~ Bernoulli(batch)                     with dynamic binarisation; x = batch without
        z = μ(x) + σ(x) ε,  ε ~ N(0, I)
        loss = mean_i [ −log p(x_i|z_i) + KL(q(z|x_i) ‖ N(0, I)) ]

    Args:
      state: see `optim.State`.
      batch: grey values `[B, H, W, C]` in [0, 1].
      networks, tx: the networks and the optimiser.
      dynamic_binarisation: draw binary images anew at every step.
      ema_decay: of the averaged parameters, per step, see `optim.update_ema`; 0 keeps none.
      axis_name: the mapped axis that splits the batch, if any.

    Returns:
      The new state, and `Info`.

    Source: Kingma and Welling 2014, algorithm 1 with the estimator of equation 10, L = 1.
    """
    key_x, key_z = jax.random.split(jax.random.fold_in(state.key, state.step))
    size = batch.shape[0]
    x = batch
    if dynamic_binarisation:
        x = binarise(parallel.example_keys(key_x, size, axis_name), batch)
    keys_z = parallel.example_keys(key_z, size, axis_name)

    def loss(params):
        reconstruction, kl = elbo_terms(params, x, keys_z, networks=networks)
        return reconstruction + kl, jnp.ones(size), (jnp.sum(reconstruction), jnp.sum(kl))

    negative_elbo, terms, grads = parallel.mean_and_grad(loss, axis_name)(state.params)
    return optim.update(state, grads, tx, ema_decay), Info(negative_elbo, *terms)


def sample(state: State, key: Key, n: int, *, networks: Networks) -> jax.Array:
    """n images from the prior: the mean of p(x|z) at z ~ N(0, I), `[n, H, W, C]` in [0, 1]."""
    prior = jnp.zeros((n, networks.latent_size))  # mean and log variance alike
    z = reparameterise(parallel.example_keys(key, n), prior, prior)
    return jax.nn.sigmoid(networks.decode(state.ema, z))
