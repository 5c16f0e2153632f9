"""What a VAE is made of: its networks as pure functions, and a draw from its posterior.

Dimensions: B batch, Z latent, H W C image, F outputs of the decoder for a pixel.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from aigc_jax.algorithm import Key, Keys, Params
from aigc_jax.image_batch import Shape


class Gaussian(NamedTuple):
    """A normal distribution with a diagonal covariance, N(μ, diag σ²)."""

    mean: jax.Array  # μ [..., Z]
    log_variance: jax.Array  # log σ² [..., Z]


class Draw(NamedTuple):
    """One z ~ q(z|x) for each example, and what it costs, in nats."""

    z: Any  # what `decode` takes
    log_q: jax.Array  # log q(z|x) [B]
    log_p: jax.Array  # log p(z) [B]
    kl: tuple[jax.Array, ...]  # for each layer of latents [B, Z_l], whose sum estimates KL(q ‖ p):
    # in closed form given the layers above where there is one, log q − log p of the draw if not
    sampled_kl: tuple[jax.Array, ...]  # log q − log p of each layer's draw [B]


class Networks(NamedTuple):
    """A VAE's networks as pure functions; steps and estimators know nothing else about them.

    What is slow and the same for every sample of z belongs in `encode`: a likelihood with 5,000
    importance samples encodes once.

    Attributes:
      init: `(key) -> params`.
      encode: `(params, x [B, H, W, C], labels) -> context`: all that q(z|x) needs of x. For
        networks with one layer of latents, `Context`.
      draw: `(params, context, keys [B], path=None) -> Draw`. With `path`, a function of z `[B, Z]`
        that does not change its value, z goes through it, and log q is a function of z alone: the
        gradient reaches q's parameters along the path x → z only.
      decode: `(params, z, labels) -> outputs [B, H, W, F]`: the parameters of p(x|z).
      prior: `(params, keys [B]) -> z` drawn from p(z).
      latent_size: Z, all layers together.
      classes: how many; 0 where labels are not used.
      image_shape: (H, W, C) of the images that they are made for; None for any.
    """

    init: Callable[[Key], Params]
    encode: Callable[..., Any]
    draw: Callable[..., Draw]
    decode: Callable[..., jax.Array]
    prior: Callable[[Params, Keys], Any]
    latent_size: int
    classes: int = 0
    image_shape: Shape | None = None


class Info(NamedTuple):
    """Means over the whole batch, under the parameters before the update."""

    loss_nats: jax.Array  # what is minimised
    negative_elbo_nats: jax.Array  # reconstruction + KL, with β = 1 and without free nats
    reconstruction_nats: jax.Array
    kl_nats: jax.Array


def reparameterise(keys: Keys, mean: jax.Array, log_variance: jax.Array) -> jax.Array:
    """z = μ + σ ε with ε ~ N(0, I): keys `[B]`, μ and log σ² `[B, ...]` → `[B, ...]`."""
    noise = jax.vmap(lambda key: jax.random.normal(key, mean.shape[1:], jnp.float32))(keys)
    return mean + jnp.exp(0.5 * log_variance) * noise
