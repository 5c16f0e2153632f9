"""The front door of the room: a configuration, and the algorithm it makes."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import optax

from aigc_jax import optim
from aigc_jax.algorithm import Algorithm, Keys
from aigc_jax.likelihoods import BERNOULLI, Likelihood, binarise
from aigc_jax.vae.model import Networks
from aigc_jax.vae.networks import convolutional, ladder, mlp
from aigc_jax.vae.objectives import Objective, elbo, iwae
from aigc_jax.vae.priors import vamp_prior
from aigc_jax.vae.step import init, sample, step


@dataclass(frozen=True)
class Config:
    """A VAE on images. The defaults are what works best at the textbook's size.

    Attributes:
      image_shape: (H, W, C) of the images.
      classes: how many, for a class-conditional VAE; 0 for one without labels.
      architecture: `(image_shape, latent_size, classes, outputs=, shared=) -> Networks`, and
        `prior=` where `pseudo_inputs` is above 0.
      latent_size: Z, the dimensions of z.
      likelihood: p(x|z).
      objective: what is descended.
      pixels: what is made of grey values at every step, such as `binarise`; None takes them as
        they are.
      beta: β, the weight of the KL divergence.
      warmup_steps: over which β rises from 0.
      pseudo_inputs: components of a VampPrior; 0 for N(0, I).
      optimiser: `(learning rate or schedule) -> optax.GradientTransformation`.
      learning_rate: its step size, the peak where it has a schedule.
      decay_steps: the step at which the learning rate has come down to a hundredth, along half a
        cosine; None keeps it.
      ema_decay: of the averaged parameters, per step; 0 keeps no average.
    """

    image_shape: tuple[int, int, int] = (28, 28, 1)
    classes: int = 0
    architecture: Callable[..., Networks] = mlp
    latent_size: int = 2
    likelihood: Likelihood = BERNOULLI
    objective: Objective = elbo
    pixels: Callable[[Keys, jax.Array], jax.Array] | None = binarise
    beta: float = 1.0
    warmup_steps: int = 0
    pseudo_inputs: int = 0
    optimiser: Callable[..., optax.GradientTransformation] = optim.adam
    learning_rate: float = 2e-3
    decay_steps: int | None = None
    ema_decay: float = 0.999


TEXTBOOK = Config(learning_rate=1e-3, pixels=None, ema_decay=0.0)
"""The source article's VAE to the letter: cross-entropy on grey values, Adam, no averaging."""

GATED = Config(
    architecture=partial(mlp, width=300, depth=2, activation=None, bounds=(-6.0, 2.0)),
    latent_size=40,
    learning_rate=5e-4,
)
"""Tomczak and Welling 2018: two gated layers of 300, 40 latents."""

IWAE = Config(
    architecture=partial(mlp, width=200, depth=2, activation=jnp.tanh),
    latent_size=50,
    objective=partial(iwae, samples=5),
    learning_rate=1e-3,
)
"""Burda et al. 2016, one layer of latents: two tanh layers of 200, 50 latents."""

CONV = Config(architecture=partial(convolutional, width=32), latent_size=40, learning_rate=1e-3)
"""Strided convolutions and a residual block each way, 40 latents."""

LADDER = Config(
    architecture=partial(ladder, width=32, layers=4),
    latent_size=8,
    objective=partial(elbo, free_nats=0.5),
    warmup_steps=500,
    learning_rate=1e-3,
)
"""Four layers of latents on two grids, inferred from the top down."""


def networks_of(config: Config) -> Networks:
    """The networks that `config` describes."""
    channels = config.image_shape[-1]
    prior = {}
    if config.pseudo_inputs:
        prior = {"prior": vamp_prior(config.image_shape, config.pseudo_inputs)}
    return config.architecture(
        config.image_shape,
        config.latent_size,
        config.classes,
        outputs=config.likelihood.outputs(channels),
        shared=config.likelihood.shared(channels),
        **prior,
    )


def make(
    config: Config,
    *,
    nets: Networks | None = None,
    tx: optax.GradientTransformation | None = None,
) -> Algorithm:
    """Closes `init`, `step` and `sample` over networks, optimiser and constants of `config`.

    Args:
      config: see `Config`.
      nets: networks to use in place of those that `config` describes.
      tx: an optimiser to use in place of the one that `config` describes.

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
    rate: optax.ScalarOrSchedule = config.learning_rate
    if config.decay_steps is not None:
        rate = optax.cosine_decay_schedule(config.learning_rate, config.decay_steps, 0.01)
    beta: optax.ScalarOrSchedule = config.beta
    if config.warmup_steps:
        beta = optax.linear_schedule(0.0, config.beta, config.warmup_steps)
    tx = tx or config.optimiser(rate)
    return Algorithm(
        init=partial(init, networks=nets, tx=tx),
        step=partial(
            step,
            networks=nets,
            tx=tx,
            likelihood=config.likelihood,
            objective=config.objective,
            pixels=config.pixels,
            beta=beta,
            ema_decay=config.ema_decay,
        ),
        sample=partial(sample, networks=nets, likelihood=config.likelihood),
    )
