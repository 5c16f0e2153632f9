"""What the architectures share: a VAE's networks from an encoder and a decoder.

Dimensions: B batch, Z latent, H W C image, F outputs for a pixel.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from aigc_jax.algorithm import Key, Keys, Params
from aigc_jax.density import gaussian_log_density
from aigc_jax.image_batch import Shape
from aigc_jax.nn.classes import append_class
from aigc_jax.nn.functions import pure_functions
from aigc_jax.vae.model import Draw, Gaussian, Networks, reparameterise
from aigc_jax.vae.priors import STANDARD_NORMAL, Prior

Path = Callable[[jax.Array], jax.Array]


class Context(NamedTuple):
    """What one layer of latents needs of x."""

    q: Gaussian  # q(z|x), [B, Z]
    p: Any  # the prior, prepared


def one_layer(
    init: Callable[[Key], Params],
    encode: Callable[..., Any],
    decode: Callable[..., jax.Array],
    latent_size: int,
    classes: int = 0,
    prior: Prior = STANDARD_NORMAL,
    image_shape: Shape | None = None,
) -> Networks:
    """`Networks` with q(z|x) = N(μ(x), diag σ²(x)), from two pure functions.

    Labels are given to both functions as a one-hot vector: next to the pixels of x, and next to z.

    Args:
      init: `(key) -> params`, any pytree; a dictionary where the prior has parameters of its own.
      encode: `(params, x [B, H, W, C], one_hot) -> (μ, log σ²)`, `[B, Z]` each; `one_hot` is
        `[B, classes]`, and left out where there are no classes.
      decode: `(params, z [B, Z + classes]) -> outputs [B, H, W, F]`.
      latent_size: Z.
      classes: how many; 0 for networks without labels.
      prior: p(z).
      image_shape: (H, W, C) of the images that they are made for; None for any.

    Raises:
      ValueError: the prior is made of posteriors, which would need classes.
    """
    if classes and prior is not STANDARD_NORMAL:
        raise ValueError("a class-conditional VAE supports only the prior N(0, I)")

    def init_all(key: Key) -> Params:
        key_n, key_p = jax.random.split(key)
        params, own = init(key_n), prior.init(key_p)
        return {**params, "prior": own} if own else params

    def posterior(params: Params, x: jax.Array, labels: jax.Array | None = None) -> Gaussian:
        given = (jax.nn.one_hot(labels, classes, dtype=jnp.float32),) if classes else ()
        return Gaussian(*encode(params, x, *given))

    def prepare(params: Params) -> Any:
        own = params.get("prior", {}) if isinstance(params, Mapping) else {}
        return prior.prepare(params, own, posterior)

    def encode_all(params: Params, x: jax.Array, labels: jax.Array | None = None) -> Context:
        return Context(posterior(params, x, labels), prepare(params))

    def draw(params: Params, context: Context, keys: Keys, path: Path | None = None) -> Draw:
        q, p = context
        z = reparameterise(keys, *q)
        if path is not None:
            z, q = path(z), lax.stop_gradient(q)
        log_q, log_p = gaussian_log_density(z, *q), prior.log_density(p, z)
        sampled = log_q - log_p
        kl = prior.kl(p, q) if prior.kl else sampled[:, None]
        return Draw(z, log_q, log_p, (kl,), (sampled,))

    def decode_all(params: Params, z: jax.Array, labels: jax.Array | None = None) -> jax.Array:
        return decode(params, append_class(z, labels, classes))

    def sample_prior(params: Params, keys: Keys) -> jax.Array:
        return prior.sample(prepare(params), keys, latent_size)

    sizes = (latent_size, classes, image_shape)
    return Networks(init_all, encode_all, draw, decode_all, sample_prior, *sizes)


def from_linen(
    encoder: nn.Module,
    decoder: nn.Module,
    image_shape: Shape,
    latent_size: int,
    classes: int,
    prior: Prior,
) -> Networks:
    """Pure functions from an encoder and a decoder with the signatures of `one_layer`."""

    given = [(classes,)] if classes else []
    init, encode, decode = pure_functions(
        encoder=(encoder, image_shape, *given), decoder=(decoder, (latent_size + classes,))
    )
    return one_layer(init, encode, decode, latent_size, classes, prior, image_shape)
