"""A trained VAE as an entropy coder needs it: tables of probabilities that are the same each time.

Dimensions: L images in a call of the networks, Z latent, H W C image.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from aigc_jax.algorithm import Params
from aigc_jax.errors import InputError
from aigc_jax.likelihoods import Likelihood
from aigc_jax.vae.model import Networks
from aigc_jax.vae.networks.common import Context

PER_UNIT = 256  # points of the grid of z in a unit: steps well below a posterior's σ
BOUND = 8  # means are clipped to −8 and 8; the prior has 10⁻¹⁵ of its mass beyond
_LOG_VARIANCES = (-14.0, 6.0)  # to which log σ² of q is clipped


class Coder(NamedTuple):
    """A VAE as an entropy coder needs it, in NumPy arrays that are the same in every call.

    Attributes:
      posterior: `(values uint8 [L, H, W, C]) -> (μ, σ)` of q(z|x) in steps of the grid, float64
        `[L, Z]`.
      masses: `(points int32 [L, Z]) -> p(x|z)` as a table of all values, float32
        `[L, H·W·C, levels]`.
      image_shape: (H, W, C).
      latent_size: Z.
      levels: how many values a pixel may take; they are 0, 1, …, levels − 1.
      lanes: L.
    """

    posterior: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
    masses: Callable[[np.ndarray], np.ndarray]
    image_shape: tuple[int, int, int]
    latent_size: int
    levels: int
    lanes: int


@partial(jax.jit, static_argnames=("networks", "levels"))
def _posterior(params: Params, values: jax.Array, networks: Networks, levels: int) -> Any:
    q = networks.encode(params, values.astype(jnp.float32) / (levels - 1)).q
    std = jnp.exp(0.5 * jnp.clip(q.log_variance, *_LOG_VARIANCES))
    return jnp.clip(q.mean, -BOUND, BOUND), std


@partial(jax.jit, static_argnames=("networks", "likelihood"))
def _masses(params: Params, z: jax.Array, networks: Networks, likelihood: Likelihood) -> Any:
    return likelihood.masses(networks.decode(params, z))  # type: ignore[misc]


def make_coder(
    params: Params,
    *,
    networks: Networks,
    likelihood: Likelihood,
    image_shape: tuple[int, int, int],
    lanes: int,
) -> Coder:
    """The coder of a VAE with one layer of latents and the prior N(0, I).

    Args:
      params: of `networks`.
      networks, likelihood: the model.
      image_shape: (H, W, C).
      lanes: L, see `lanes_for`.

    Raises:
      InputError: the model allows no such coder; the message says why.
    """
    _check_model(params, networks, likelihood, image_shape)
    levels = likelihood.levels

    def posterior(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        found = _posterior(params, values, networks, levels)
        mean, std = (PER_UNIT * np.asarray(a, np.float64) for a in found)
        return _finite(mean), _finite(std)

    def masses(points: np.ndarray) -> np.ndarray:
        z = (points / PER_UNIT).astype(np.float32)  # exact
        table = np.asarray(_masses(params, z, networks, likelihood), np.float32)
        return _finite(table).reshape(lanes, -1, levels)

    return Coder(posterior, masses, image_shape, networks.latent_size, levels, lanes)


def _check_model(params: Params, networks: Networks, likelihood: Likelihood, shape: Any) -> None:
    if networks.classes:
        raise InputError("the model is class-conditional, and images come without their classes")
    if likelihood.masses is None:
        raise InputError(
            "the model's likelihood is a density, which has no probabilities to code with; train "
            "with --likelihood=bernoulli or logistic_mixture"
        )
    x = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
    context = jax.eval_shape(networks.encode, params, x)
    if not isinstance(context, Context):
        raise InputError("the model does not have a single layer of normally distributed latents")
    if context.p != ():
        raise InputError("the model has a VampPrior; train with --prior=normal")
    try:
        jax.eval_shape(
            lambda p, c: likelihood.masses(networks.decode(p, c.q.mean)),  # type: ignore[misc]
            params,
            context,
        )
    except ValueError as error:
        raise InputError(f"images of {shape[-1]} channels cannot be coded: {error}") from error


def _finite(array: np.ndarray) -> np.ndarray:
    if not np.isfinite(array).all():
        raise InputError("the model gives numbers that are not finite; it cannot code anything")
    return array
