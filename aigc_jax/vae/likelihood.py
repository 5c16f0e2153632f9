"""The marginal likelihood of a VAE, by importance sampling.

    log p(x) ≈ log 1/K Σ_k w_k,   w_k = p(x|z_k) p(z_k) / q(z_k|x),   z_k ~ q(z|x)

Dimensions: B batch, Z latent, K importance samples, H W C image.
"""

import math

import jax
import jax.numpy as jnp

from aigc_jax.algorithm import Key, Keys, Params
from aigc_jax.vae.losses import bernoulli_nll, gaussian_log_density
from aigc_jax.vae.step import Networks, reparameterise


def log_weights(
    params: Params,
    x: jax.Array,
    mean: jax.Array,
    log_variance: jax.Array,
    keys: Keys,
    *,
    networks: Networks,
) -> jax.Array:
    """log w = log p(x|z) + log p(z) − log q(z|x) for one z ~ q(z|x) per example.

    Args:
      params: of `networks`.
      x: binary images `[B, H, W, C]`.
      mean, log_variance: of q(z|x), `[B, Z]`, as `networks.encode` gives them.
      keys: `[B]`.

    Returns:
      `[B]` nats; its expectation is the ELBO.
    """
    z = reparameterise(keys, mean, log_variance)
    log_prior = gaussian_log_density(z, jnp.zeros_like(z), jnp.zeros_like(z))
    log_posterior = gaussian_log_density(z, mean, log_variance)
    return log_prior - log_posterior - bernoulli_nll(networks.decode(params, z), x)


def importance_sampled_nll(
    params: Params, x: jax.Array, key: Key, *, networks: Networks, k: int
) -> jax.Array:
    """−log p(x), estimated with k importance samples.

    At any k it is an upper bound in expectation, the tighter the larger k. The sum over samples is
    streamed, log(eᵃ + eᵇ) at a time, so memory does not grow with k.

    Args:
      params: of `networks`.
      x: binary images `[B, H, W, C]`.
      key: one key.
      networks: the networks.
      k: K ≥ 1.

    Returns:
      `[B]` nats.

    Source: Burda et al. 2016, https://arxiv.org/abs/1509.00519, equation 8.
    """

    mean, log_variance = networks.encode(params, x)

    def add_sample(log_sum: jax.Array, sample_key: Key) -> tuple[jax.Array, None]:
        keys = jax.random.split(sample_key, x.shape[0])
        log_w = log_weights(params, x, mean, log_variance, keys, networks=networks)
        return jnp.logaddexp(log_sum, log_w), None

    start = jnp.full(x.shape[0], -jnp.inf)
    log_sum, _ = jax.lax.scan(add_sample, start, jax.random.split(key, k))
    return math.log(k) - log_sum
