"""The front door of the room: a configuration, and the algorithm it makes."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import optax

from aigc_jax import optim
from aigc_jax.algorithm import Algorithm
from aigc_jax.gan import losses
from aigc_jax.gan.networks import mlp
from aigc_jax.gan.step import Networks, init, sample, step


@dataclass(frozen=True)
class Config:
    """A GAN on images. The defaults are what works best at the textbook's size.

    Attributes:
      image_shape: (H, W, C) of the images.
      latent_size: Z, the dimensions of z ~ N(0, I).
      hidden: the width of either network's hidden layer.
      learning_rate: Adam's, for both players.
      adam_b1, adam_b2: Adam's decay rates, for both players.
      weight_decay_d: AdamW's on the discriminator's matrices, times the learning rate at each step.
        On 4,500 digits precision, recall and coverage all rose with it; 0 is plain Adam.
      ema_decay: of the averaged generator, per step; 0 keeps no average.
      discriminator_loss: `(logits_real [B], logits_fake [B]) -> [B]`.
      generator_loss: `(logits_fake [B]) -> [B]`.
    """

    image_shape: tuple[int, int, int] = (28, 28, 1)
    latent_size: int = 100
    hidden: int = 128
    learning_rate: float = 2e-4
    adam_b1: float = 0.5
    adam_b2: float = 0.999
    weight_decay_d: float = 10.0
    ema_decay: float = 0.9995
    discriminator_loss: Callable = losses.minimax_discriminator_loss
    generator_loss: Callable = losses.nonsaturating_generator_loss


TEXTBOOK = Config(
    learning_rate=1e-3,
    adam_b1=0.9,
    weight_decay_d=0.0,
    ema_decay=0.0,
    generator_loss=losses.saturating_generator_loss,
)
"""The source article's GAN to the letter: min_G max_D, Adam as published, no averaging."""


def networks_of(config: Config) -> Networks:
    """The networks that `config` describes."""
    return mlp(config.image_shape, config.latent_size, config.hidden)


def make(
    config: Config,
    *,
    nets: Networks | None = None,
    tx_g: optax.GradientTransformation | None = None,
    tx_d: optax.GradientTransformation | None = None,
) -> Algorithm:
    """Closes `init`, `step` and `sample` over the networks, optimisers and constants of `config`.

    Args:
      config: see `Config`.
      nets: networks to use in place of the MLPs that `config` describes.
      tx_g, tx_d: optimisers to use in place of Adam.

    Example:
      >>> import jax
      >>> from aigc_jax import gan
      >>> algorithm = gan.make(gan.Config())
      >>> state = algorithm.init(jax.random.key(0))
      >>> state, info = jax.jit(algorithm.step)(state, jax.numpy.zeros((128, 28, 28, 1)))
      >>> algorithm.sample(state, jax.random.key(1), 16).shape
      (16, 28, 28, 1)
    """
    rates = (config.learning_rate, config.adam_b1, config.adam_b2)
    tx_g, tx_d = tx_g or optim.adam(*rates), tx_d or optim.adam(*rates, config.weight_decay_d)
    nets = nets or networks_of(config)
    return Algorithm(
        init=partial(init, networks=nets, tx_g=tx_g, tx_d=tx_d),
        step=partial(
            step,
            networks=nets,
            tx_g=tx_g,
            tx_d=tx_d,
            discriminator_loss=config.discriminator_loss,
            generator_loss=config.generator_loss,
            ema_decay=config.ema_decay,
        ),
        sample=partial(sample, networks=nets),
    )
