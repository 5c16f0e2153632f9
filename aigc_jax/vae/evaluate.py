"""Figures of a VAE over a whole set of images, in chunks that bound the memory.

Dimensions: M images, H W C image.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from aigc_jax import parallel
from aigc_jax.algorithm import Key, Params
from aigc_jax.vae.likelihood import importance_sampled_nll
from aigc_jax.vae.step import Networks, elbo_terms


@partial(jax.jit, static_argnames="networks")
def _elbo_terms(params, x, keys, networks):
    return elbo_terms(params, x, keys, networks=networks)


@partial(jax.jit, static_argnames=("networks", "k"))
def _nll(params, x, key, networks, k):
    return importance_sampled_nll(params, x, key, networks=networks, k=k)


def heldout_elbo(
    params: Params, images: jax.Array, key: Key, *, networks: Networks, chunk: int = 500
) -> dict[str, float]:
    """The mean negative ELBO of a set of images and its two terms, with one z for each image.

    Args:
      params: of `networks`.
      images: `[M, H, W, C]`; binary, for a bound on a likelihood.
      key: decides z; image i's is a function of the key and i.
      networks: the networks.
      chunk: images in a pass.

    Returns:
      `negative_elbo_nats`, `reconstruction_nats` and `kl_nats`, means in float64.
    """
    keys = parallel.example_keys(key, len(images))
    parts = [
        _elbo_terms(params, images[i : i + chunk], keys[i : i + chunk], networks)
        for i in range(0, len(images), chunk)
    ]
    reconstruction, kl = (_mean([part[term] for part in parts]) for term in (0, 1))
    return {
        "negative_elbo_nats": reconstruction + kl,
        "reconstruction_nats": reconstruction,
        "kl_nats": kl,
    }


def heldout_nll(
    params: Params, images: jax.Array, key: Key, *, networks: Networks, k: int, chunk: int = 500
) -> float:
    """The mean −log p(x) of a set of binary images, by importance sampling with k samples, in nats.

    Args:
      params, images, key, networks, chunk: as in `heldout_elbo`.
      k: see `importance_sampled_nll`.
    """
    parts = [
        _nll(params, images[i : i + chunk], jax.random.fold_in(key, i), networks, k)
        for i in range(0, len(images), chunk)
    ]
    return _mean(parts)


def _mean(parts: list[jnp.ndarray]) -> float:
    return float(np.concatenate([np.asarray(part, np.float64) for part in parts]).mean())
