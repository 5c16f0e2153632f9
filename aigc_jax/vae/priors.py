"""Priors p(z) of one layer of latents.

Dimensions: B batch, Z latent, K components of a mixture, H W C image.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from aigc_jax.algorithm import Key, Keys, Params
from aigc_jax.density import gaussian_log_density
from aigc_jax.vae.losses import kl_to_standard_normal
from aigc_jax.vae.model import Gaussian, reparameterise

Encoder = Callable[[Params, jax.Array], Gaussian]  # of all parameters and images


class Prior(NamedTuple):
    """p(z) as pure functions.

    Attributes:
      init: `(key) -> params`, its own.
      prepare: `(params, own, encode) -> p`: what the other three take, from all parameters, the
        prior's own, and the encoder; done once for many z.
      log_density: `(p, z [B, Z]) -> [B]` nats.
      sample: `(p, keys [B], Z) -> z [B, Z]`.
      kl: `(p, q) -> KL(q ‖ p) [B, Z]` by latent, in closed form; None where there is none.
    """

    init: Callable[[Key], Params]
    prepare: Callable[[Params, Params, Encoder], Any]
    log_density: Callable[[Any, jax.Array], jax.Array]
    sample: Callable[[Any, Keys, int], jax.Array]
    kl: Callable[[Any, Gaussian], jax.Array] | None


def _standard_log_density(_: Any, z: jax.Array) -> jax.Array:
    return gaussian_log_density(z, jnp.zeros_like(z), jnp.zeros_like(z))


def _standard_sample(_: Any, keys: Keys, latent_size: int) -> jax.Array:
    zeros = jnp.zeros((len(keys), latent_size), jnp.float32)
    return reparameterise(keys, zeros, zeros)


STANDARD_NORMAL = Prior(
    init=lambda key: {},
    prepare=lambda params, own, encode: (),
    log_density=_standard_log_density,
    sample=_standard_sample,
    kl=lambda _, q: kl_to_standard_normal(q.mean, q.log_variance, keep_latents=True),
)
"""p(z) = N(0, I)."""


def mixture_log_density(components: Gaussian, z: jax.Array) -> jax.Array:
    """log 1/K Σ_k N(z; μ_k, σ_k²).

    Args:
      components: μ and log σ², `[K, Z]`.
      z: `[B, Z]`.

    Returns:
      `[B]` nats.
    """
    each = gaussian_log_density(z[:, None], *(a[None] for a in components))
    return jax.nn.logsumexp(each, axis=-1) - math.log(len(components.mean))


def vamp_prior(image_shape: tuple[int, int, int], components: int = 500) -> Prior:
    """VampPrior: p(z) = 1/K Σ_k q(z|u_k), the posterior's mixture over learned pseudo-inputs u_k.

    u_k are kept in [0, 1] by the identity clipped there, and begin as noise around 0.05.

    Args:
      image_shape: (H, W, C).
      components: K.

    Source: Tomczak and Welling 2018, https://arxiv.org/abs/1705.07120.
    """

    def init(key: Key) -> Params:
        noise = 0.05 + 0.01 * jax.random.normal(key, (components, *image_shape), jnp.float32)
        return {"pseudo_inputs": noise}

    def prepare(params: Params, own: Params, encode: Encoder) -> Gaussian:
        return encode(params, jnp.clip(own["pseudo_inputs"], 0.0, 1.0))

    def sample(p: Gaussian, keys: Keys, latent_size: int) -> jax.Array:
        def one(key: Key) -> jax.Array:
            key_k, key_z = jax.random.split(key)
            k = jax.random.randint(key_k, (), 0, components, jnp.int32)
            noise = jax.random.normal(key_z, (latent_size,), jnp.float32)
            return p.mean[k] + jnp.exp(0.5 * p.log_variance[k]) * noise

        return jax.vmap(one)(keys)

    return Prior(init, prepare, mixture_log_density, sample, kl=None)
