"""The marginal likelihood of a VAE, by importance sampling.

    log p(x) ≈ log 1/K Σ_k w_k,   w_k = p(x|z_k) p(z_k) / q(z_k|x),   z_k ~ q(z|x)

Dimensions: B batch, K importance samples, H W C image.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp

from aigc_jax.algorithm import Key, Keys, Params
from aigc_jax.vae.likelihoods import BERNOULLI, Likelihood
from aigc_jax.vae.model import Networks


def log_weights(
    params: Params,
    context: Any,
    x: jax.Array,
    labels: jax.Array | None,
    keys: Keys,
    *,
    networks: Networks,
    likelihood: Likelihood = BERNOULLI,
) -> jax.Array:
    """log w = log p(x|z) + log p(z) − log q(z|x) for one z ~ q(z|x) per example.

    Args:
      params: of `networks`.
      context: what `networks.encode` gives for x.
      x: images `[B, H, W, C]`, of the kind that `likelihood` is about.
      labels: int `[B]`, of class-conditional networks.
      keys: `[B]`.
      networks, likelihood: the model.

    Returns:
      `[B]` nats; its expectation is the ELBO.
    """
    drawn = networks.draw(params, context, keys)
    return drawn.log_p - drawn.log_q - likelihood.nll(networks.decode(params, drawn.z, labels), x)


def importance_sampled_nll(
    params: Params,
    x: jax.Array,
    key: Key,
    *,
    networks: Networks,
    likelihood: Likelihood = BERNOULLI,
    k: int,
    labels: jax.Array | None = None,
) -> jax.Array:
    """−log p(x), estimated with k importance samples.

    At any k it is an upper bound in expectation, the tighter the larger k. The sum over samples is
    streamed, log(eᵃ + eᵇ) at a time, so memory does not grow with k.

    Args:
      params: of `networks`.
      x: images `[B, H, W, C]`, of the kind that `likelihood` is about.
      key: one key.
      networks, likelihood: the model.
      k: K ≥ 1.
      labels: int `[B]`, of class-conditional networks.

    Returns:
      `[B]` nats.

    Source: Burda et al. 2016, https://arxiv.org/abs/1509.00519, equation 8.
    """

    context = networks.encode(params, x, labels)

    def add_sample(log_sum: jax.Array, sample_key: Key) -> tuple[jax.Array, None]:
        keys = jax.random.split(sample_key, x.shape[0])
        log_w = log_weights(
            params, context, x, labels, keys, networks=networks, likelihood=likelihood
        )
        return jnp.logaddexp(log_sum, log_w), None

    start = jnp.full(x.shape[0], -jnp.inf, jnp.float32)
    log_sum, _ = jax.lax.scan(add_sample, start, jax.random.split(key, k))
    return math.log(k) - log_sum
