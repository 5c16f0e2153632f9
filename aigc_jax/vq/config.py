"""The front door of discrete latents: a configuration, and the algorithm it makes."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import optax

from aigc_jax import optim
from aigc_jax.algorithm import Algorithm, Keys
from aigc_jax.likelihoods import GAUSSIAN, Likelihood
from aigc_jax.vq.codebook import vector_quantiser
from aigc_jax.vq.coding import sample
from aigc_jax.vq.fsq import finite_scalar_quantiser
from aigc_jax.vq.model import DiscreteNetworks, Quantiser
from aigc_jax.vq.networks import convolutional
from aigc_jax.vq.step import init, step

_VECTORS = vector_quantiser()


@dataclass(frozen=True)
class Config:
    """An autoencoder with discrete latents on images.

    Attributes:
      image_shape: (H, W, C) of the images.
      architecture: `(image_shape, features, outputs=, shared=) -> DiscreteNetworks`.
      quantiser: what stands between encoder and decoder.
      likelihood: p(x|z).
      pixels: what is made of grey values at every step, such as `vae.binarise`; None takes them as
        they are.
      commitment: β, see `codebook.commitment`.
      learning_rate: Adam's.
      decay_steps: the step at which the learning rate has come down to a hundredth, along half a
        cosine; None keeps it.
      ema_decay: of the averaged parameters and frequencies, per step; 0 keeps no average.
    """

    image_shape: tuple[int, int, int] = (28, 28, 1)
    architecture: Callable[..., DiscreteNetworks] = convolutional
    quantiser: Quantiser = _VECTORS
    likelihood: Likelihood = GAUSSIAN
    pixels: Callable[[Keys, jax.Array], jax.Array] | None = None
    commitment: float = 1.0
    learning_rate: float = 3e-3
    decay_steps: int | None = None
    ema_decay: float = 0.99


VQ = Config()
"""VQ-VAE: 512 codes."""

FSQ = Config(quantiser=finite_scalar_quantiser((8, 5, 5, 5)))
"""Finite scalar quantisation: 1,000 codes of 4 features, which need no upkeep."""


def networks_of(config: Config) -> DiscreteNetworks:
    """The networks that `config` describes."""
    channels = config.image_shape[-1]
    return config.architecture(
        config.image_shape,
        config.quantiser.features,
        outputs=config.likelihood.outputs(channels),
        shared=config.likelihood.shared(channels),
    )


def make(
    config: Config,
    *,
    nets: DiscreteNetworks | None = None,
    tx: optax.GradientTransformation | None = None,
) -> Algorithm:
    """Closes `init`, `step` and `sample` over networks, optimiser and constants of `config`.

    Args:
      config: see `Config`.
      nets: networks to use in place of those that `config` describes.
      tx: an optimiser to use in place of Adam.

    Example:
      >>> import jax
      >>> from aigc_jax.vae import discrete
      >>> algorithm = discrete.make(discrete.VQ)
      >>> state = algorithm.init(jax.random.key(0))
      >>> state, info = jax.jit(algorithm.step)(state, jax.numpy.zeros((128, 28, 28, 1)))
      >>> algorithm.sample(state, jax.random.key(1), 16).shape
      (16, 28, 28, 1)
    """
    nets = nets or networks_of(config)
    rate: optax.ScalarOrSchedule = config.learning_rate
    if config.decay_steps is not None:
        rate = optax.cosine_decay_schedule(config.learning_rate, config.decay_steps, 0.01)
    tx = tx or optim.adam(rate)
    model: dict[str, Any] = {"networks": nets, "quantiser": config.quantiser}
    return Algorithm(
        init=partial(init, **model, tx=tx),
        step=partial(
            step,
            **model,
            tx=tx,
            likelihood=config.likelihood,
            pixels=config.pixels,
            commitment=config.commitment,
            ema_decay=config.ema_decay,
        ),
        sample=partial(sample, **model, likelihood=config.likelihood),
    )
