"""The front door of the room: a configuration, and the algorithm it makes."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import optax

from aigc_jax import optim
from aigc_jax.algorithm import Algorithm
from aigc_jax.gan import losses, penalties
from aigc_jax.gan.augment import Augmentation
from aigc_jax.gan.losses import Objective
from aigc_jax.gan.model import Networks, init
from aigc_jax.gan.networks import dcgan, mlp, resnet
from aigc_jax.gan.penalties import Penalty
from aigc_jax.gan.sampling import sample
from aigc_jax.gan.step import step


@dataclass(frozen=True)
class Config:
    """A GAN on images.

    Attributes:
      image_shape: (H, W, C) of the images.
      classes: how many, for a class-conditional GAN; 0 for one without labels.
      architecture: `(image_shape, latent_size, classes, packing) -> Networks`.
      latent_size: Z, the dimensions of z ~ N(0, I).
      objective: the two losses, one of those in losses.py.
      penalties: gradient penalties on D.
      lecam_weight: of the LeCam penalty; 0 leaves it out.
      augmentation: `augment.DIFFAUGMENT`, `augment.ADA` or one of your own; None for none.
      packing: images that D judges together.
      steps_d: updates of D for each of G.
      learning_rate_g, learning_rate_d: Adam's.
      adam_b1, adam_b2: Adam's decay rates, for both players.
      weight_decay_d: AdamW's on the discriminator's matrices, times the learning rate at each step.
      decay_steps: the step at which either learning rate has come down to a tenth, along half a
        cosine; None keeps them.
      ema_half_life: of the averaged generator, in real images; 0 keeps no average.

    Raises:
      ValueError: two settings exclude each other.
    """

    image_shape: tuple[int, int, int] = (28, 28, 1)
    classes: int = 0
    architecture: Callable[..., Networks] = mlp
    latent_size: int = 100
    objective: Objective = losses.NON_SATURATING
    penalties: tuple[Penalty, ...] = ()
    lecam_weight: float = 0.0
    augmentation: Augmentation | None = None
    packing: int = 1
    steps_d: int = 1
    learning_rate_g: float = 2e-4
    learning_rate_d: float = 2e-4
    adam_b1: float = 0.5
    adam_b2: float = 0.999
    weight_decay_d: float = 0.0
    decay_steps: int | None = None
    ema_half_life: float = 0.0

    def __post_init__(self):
        adaptive = self.augmentation is not None and self.augmentation.target is not None
        if adaptive and not self.objective.has_zero:
            raise ValueError(
                "ADA needs an objective whose logits have a zero: minimax, non-saturating or hinge"
            )
        if self.classes and self.packing > 1:
            raise ValueError("packing and classes exclude each other: a pack has no one class")


TEXTBOOK = Config(learning_rate_g=1e-3, learning_rate_d=1e-3, adam_b1=0.9, objective=losses.MINIMAX)
"""The source article's GAN to the letter: min_G max_D, Adam as published, no averaging."""

MLP = Config(weight_decay_d=10.0, ema_half_life=177_000)
"""The textbook's networks as they work best: non-saturating, D decayed, G averaged."""

# Of some thousands of updates, which a CPU can do, these make more than of the papers' ten times
# lower rates: 2e-4 of DCGAN and of SNGAN, 1e-4 of WGAN-GP.
_BRISK = 2e-3

DCGAN = Config(
    architecture=dcgan, learning_rate_g=_BRISK, learning_rate_d=_BRISK, ema_half_life=20_000
)
"""Radford et al. 2016, at a brisker rate, with an averaged generator."""

WGAN_GP = Config(
    architecture=partial(dcgan, normalisation_d="none"),
    objective=losses.WASSERSTEIN,
    penalties=(Penalty(penalties.wgan_gp, 10.0),),
    steps_d=5,
    learning_rate_g=_BRISK,
    learning_rate_d=_BRISK,
    adam_b2=0.9,
    ema_half_life=20_000,
)
"""Gulrajani et al. 2017 on DCGAN's networks, without normalisation of the critic; brisker."""

SNGAN = Config(
    architecture=partial(dcgan, normalisation_d="spectral"),
    objective=losses.HINGE,
    learning_rate_g=_BRISK,
    learning_rate_d=_BRISK,
    ema_half_life=20_000,
)
"""Miyato et al. 2018 on DCGAN's networks: hinge, and Adam with β₁ = ½, as DCGAN has it; brisker."""

R3GAN = Config(
    architecture=resnet,
    latent_size=64,
    objective=losses.RELATIVISTIC,
    penalties=(Penalty(penalties.r1, 0.5), Penalty(penalties.r2, 0.5)),
    learning_rate_g=_BRISK,
    learning_rate_d=_BRISK,
    adam_b1=0.0,
    adam_b2=0.99,
    ema_half_life=20_000,
)
"""Huang et al. 2024: relativistic pairing with R1 and R2, at a small size."""


def networks_of(config: Config) -> Networks:
    """The networks that `config` describes.

    Raises:
      InputError: they cannot make images of that size.
    """
    return config.architecture(
        config.image_shape, config.latent_size, config.classes, config.packing
    )


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
      nets: networks to use in place of those that `config` describes.
      tx_g, tx_d: optimisers to use in place of Adam.

    Raises:
      InputError: the networks cannot make images of that size.
      ValueError: a gradient penalty is asked for under batch normalisation of D.

    Example:
      >>> import jax
      >>> from aigc_jax import gan
      >>> algorithm = gan.make(gan.Config())
      >>> state = algorithm.init(jax.random.key(0))
      >>> state, info = jax.jit(algorithm.step)(state, jax.numpy.zeros((128, 28, 28, 1)))
      >>> algorithm.sample(state, jax.random.key(1), 16).shape
      (16, 28, 28, 1)
    """
    nets = nets or networks_of(config)
    if nets.mixes_examples and config.penalties:
        raise ValueError(
            "a gradient penalty is one image's own; it needs a discriminator without batch "
            "normalisation, as in the presets r3gan, sngan and wgan_gp"
        )
    betas = config.adam_b1, config.adam_b2
    tx_g = tx_g or optim.adam(_schedule(config.learning_rate_g, config.decay_steps), *betas)
    # D's optimiser counts its own updates, of which there are more.
    steps_d = None if config.decay_steps is None else config.decay_steps * config.steps_d
    tx_d = tx_d or optim.adam(
        _schedule(config.learning_rate_d, steps_d), *betas, config.weight_decay_d
    )
    return Algorithm(
        init=partial(init, networks=nets, tx_g=tx_g, tx_d=tx_d, augmentation=config.augmentation),
        step=partial(
            step,
            networks=nets,
            tx_g=tx_g,
            tx_d=tx_d,
            objective=config.objective,
            penalties=config.penalties,
            lecam_weight=config.lecam_weight,
            augmentation=config.augmentation,
            packing=config.packing,
            steps_d=config.steps_d,
            ema_half_life=config.ema_half_life,
        ),
        sample=partial(sample, networks=nets),
    )


def _schedule(rate: float, decay_steps: int | None) -> optax.ScalarOrSchedule:
    return rate if decay_steps is None else optax.cosine_decay_schedule(rate, decay_steps, 0.1)
