"""The front door of the room: a configuration, and the algorithm it makes."""

from dataclasses import dataclass
from functools import partial

import optax

from aigc_jax import optim
from aigc_jax.algorithm import Algorithm
from aigc_jax.vae.networks import mlp
from aigc_jax.vae.step import Networks, init, sample, step


@dataclass(frozen=True)
class Config:
    """A VAE on images. The defaults are what works best at the textbook's size.

    Attributes:
      image_shape: (H, W, C) of the images.
      latent_size: Z, the dimensions of z ~ N(0, I).
      hidden: the width of either network's hidden layer.
      learning_rate: Adam's.
      dynamic_binarisation: train on binary images drawn anew at every step, so that the loss bounds
        a likelihood.
      ema_decay: of the averaged parameters, per step; 0 keeps no average.
    """

    image_shape: tuple[int, int, int] = (28, 28, 1)
    latent_size: int = 2
    hidden: int = 128
    learning_rate: float = 2e-3
    dynamic_binarisation: bool = True
    ema_decay: float = 0.999


TEXTBOOK = Config(learning_rate=1e-3, dynamic_binarisation=False, ema_decay=0.0)
"""The source article's VAE to the letter: cross-entropy on grey values, Adam, no averaging."""


def networks_of(config: Config) -> Networks:
    """The networks that `config` describes."""
    return mlp(config.image_shape, config.latent_size, config.hidden)


def make(
    config: Config,
    *,
    nets: Networks | None = None,
    tx: optax.GradientTransformation | None = None,
) -> Algorithm:
    """Closes `init`, `step` and `sample` over networks, optimiser and constants of `config`.

    Args:
      config: see `Config`.
      nets: networks to use in place of the MLPs that `config` describes.
      tx: an optimiser to use in place of Adam.

    Example:
      >>> import jax
      >>> from aigc_jax import vae
      >>> algorithm = vae.make(vae.Config())
      >>> state = algorithm.init(jax.random.key(0))
      >>> state, info = jax.jit(algorithm.step)(state, jax.numpy.zeros((128, 28, 28, 1)))
      >>> algorithm.sample(state, jax.random.key(1), 16).shape
      (16, 28, 28, 1)
    """
    nets = nets or networks_of(config)
    tx = tx or optim.adam(config.learning_rate)
    return Algorithm(
        init=partial(init, networks=nets, tx=tx),
        step=partial(
            step,
            networks=nets,
            tx=tx,
            dynamic_binarisation=config.dynamic_binarisation,
            ema_decay=config.ema_decay,
        ),
        sample=partial(sample, networks=nets),
    )
