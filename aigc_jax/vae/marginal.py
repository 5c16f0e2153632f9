"""The marginal likelihood of a VAE, by importance sampling.

    log p(x) ≈ log 1/K Σ_k w_k,   w_k = p(x|z_k) p(z_k) / q(z_k|x),   z_k ~ q(z|x)

Dimensions: B batch, K importance samples, H W C image.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from aigc_jax.algorithm import Key, Keys, Params
from aigc_jax.likelihoods import BERNOULLI, Likelihood
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
      x: images `[B, H, W, C]`, of the kind that `likelihood` models.
      labels: int `[B]`, of class-conditional networks.
      keys: `[B]`.
      networks, likelihood: the model.

    Returns:
      `[B]` nats; its expectation is the ELBO.
    """
    drawn = networks.draw(params, context, keys)
    return drawn.log_p - drawn.log_q - likelihood.nll(networks.decode(params, drawn.z, labels), x)


class _Sum(NamedTuple):
    """Σ w = e^top (total − lost), `[B]` each: a sum that has lost nothing to rounding."""

    top: jax.Array  # the greatest log w so far
    total: jax.Array
    lost: jax.Array  # what the last addition has rounded `total` up by


def _add(so_far: _Sum, log_w: jax.Array) -> _Sum:
    """The sum with one more weight, by Kahan's compensated addition.

    Log sums of some hundred nats, taken one log(eᵃ + eᵇ) at a time in float32, are off by 7e-4 nats
    after 5,000 weights.
    """
    top = jnp.maximum(so_far.top, log_w)
    base = jnp.where(top > -jnp.inf, top, 0.0)
    kept = jnp.exp(so_far.top - base)
    before, term = kept * so_far.total, jnp.exp(log_w - base) - kept * so_far.lost
    total = before + term
    return _Sum(top, total, (total - before) - term)


def importance_sampled_nll(
    params: Params,
    x: jax.Array,
    key: Key,
    *,
    networks: Networks,
    likelihood: Likelihood = BERNOULLI,
    k: int,
    labels: jax.Array | None = None,
    first: jax.Array | int = 0,
) -> jax.Array:
    """−log p(x), estimated with k importance samples.

    At any k it is an upper bound in expectation, the tighter the larger k. The sum over samples is
    streamed, so memory does not grow with k.

    Args:
      params: of `networks`.
      x: images `[B, H, W, C]`, of the kind that `likelihood` models.
      key: one key; the estimate of an image is a function of it and of the image's index.
      networks, likelihood: the model.
      k: K ≥ 1.
      labels: int `[B]`, of class-conditional networks.
      first: the index of x's first image, where x is a part of a larger set.

    Returns:
      `[B]` nats.

    Source: Burda et al. 2016, https://arxiv.org/abs/1509.00519, equation 8.
    """
    context = networks.encode(params, x, labels)
    indices = first + jnp.arange(len(x))

    def weigh(sample_key: Key) -> jax.Array:
        keys = jax.vmap(jax.random.fold_in, (None, 0))(sample_key, indices)
        return log_weights(
            params, context, x, labels, keys, networks=networks, likelihood=likelihood
        )

    def add_sample(so_far: _Sum, sample_key: Key) -> tuple[_Sum, None]:
        return _add(so_far, weigh(sample_key)), None

    zeros = jnp.zeros(len(x), jax.eval_shape(weigh, key).dtype)
    start = _Sum(zeros - jnp.inf, zeros, zeros)
    found, _ = jax.lax.scan(add_sample, start, jax.random.split(key, k))
    return math.log(k) - (found.top + jnp.log(found.total - found.lost))
