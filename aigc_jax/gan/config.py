"""The configuration of a GAN, its presets, and the algorithm it makes."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import optax

from aigc_jax import optim
from aigc_jax.algorithm import Algorithm
from aigc_jax.gan import losses, penalties
from aigc_jax.gan.augment import AUGMENTATIONS, Augmentation
from aigc_jax.gan.losses import Objective
from aigc_jax.gan.model import Networks, init
from aigc_jax.gan.networks import dcgan, mlp, resnet
from aigc_jax.gan.penalties import Penalty
from aigc_jax.gan.sampling import sample
from aigc_jax.gan.step import step
from aigc_jax.settings import Partial, Preset, Run, Settings, configuration, setting

_WIDTH = "Channels next to the image (hidden units, in a perceptron)."


@dataclass(frozen=True, kw_only=True, repr=False)
class Perceptrons(Partial):
    """See `networks.mlp`."""

    function = staticmethod(mlp)
    width: int = setting(128, _WIDTH)


@dataclass(frozen=True, kw_only=True, repr=False)
class Convolutional(Partial):
    """See `networks.dcgan`; `normalisation_d` is `batch`, `spectral` or `none`."""

    function = staticmethod(dcgan)
    width: int = setting(32, _WIDTH)
    normalisation_d: str = "batch"


@dataclass(frozen=True, kw_only=True, repr=False)
class Residual(Partial):
    """See `networks.resnet`."""

    function = staticmethod(resnet)
    width: int = setting(32, _WIDTH)
    depth: int = 1


Architecture = Perceptrons | Convolutional | Residual


@dataclass(frozen=True, repr=False)
class Config(Settings):
    """A GAN on images.

    Attributes:
      image_shape: (H, W, C) of the images.
      classes: how many, for a class-conditional GAN; 0 for one without labels.
      architecture: one of those above, or `(image_shape, latent_size, classes, packing) ->
        Networks` of your own.
      objective: the two losses, one of those in losses.py.
      penalties: gradient penalties on D.
      augmentation: `augment.DIFFAUGMENT`, `augment.ADA` or one of your own; None for none.
      adam_b1, adam_b2: Adam's decay rates, for both players.
      weight_decay_d: AdamW's on the discriminator's matrices, times the learning rate at each step.
      decay_steps: the step at which both learning rates have come down to a tenth, along half a
        cosine; None keeps them constant.

    Raises:
      ValueError: two settings exclude each other.
    """

    image_shape: tuple[int, int, int] = (28, 28, 1)
    classes: int = 0
    architecture: Architecture | Callable[..., Networks] = Perceptrons()
    latent_size: int = setting(100, "Dimensions of z.")
    objective: Objective = setting(
        losses.NON_SATURATING, "What the two players minimise.", choices=losses.OBJECTIVES
    )
    penalties: tuple[Penalty, ...] = setting(
        (),
        "Gradient penalty on the discriminator.",
        name="penalty",
        choices=penalties.PENALTIES,
    )
    lecam_weight: float = setting(0.0, "Weight of the LeCam penalty; 0 leaves it out.", least=0)
    augmentation: Augmentation | None = setting(
        None,
        "Augmentation of what the discriminator sees.",
        name="augment",
        choices=AUGMENTATIONS,
    )
    packing: int = setting(1, "Images that the discriminator classifies together (PacGAN).")
    steps_d: int = setting(1, "Updates of the discriminator, a batch each, for each update of G.")
    learning_rate_g: float = setting(
        2e-4,
        "Step size of G's optimiser, and of D's where it has none of its own.",
        name="learning_rate",
    )
    learning_rate_d: float | None = setting(None, "The discriminator's. Default: learning_rate.")
    adam_b1: float = 0.5
    adam_b2: float = 0.999
    weight_decay_d: float = 0.0
    decay_steps: int | None = None
    ema_half_life: float = setting(
        0.0,
        "Half-life of the averaged generator, in real images; 0 keeps no average.",
        least=0,
    )

    def __post_init__(self):
        super().__post_init__()
        adaptive = self.augmentation is not None and self.augmentation.target is not None
        if adaptive and not self.objective.has_zero:
            raise ValueError(
                "ADA needs an objective whose logits have a zero: minimax, non-saturating or hinge"
            )
        if self.classes and self.packing > 1:
            raise ValueError("packing and classes exclude each other: a pack has no single class")


_PERCEPTRONS = Run(steps=16_000, eval_every=2000, checkpoint_every=2000, log_every=200)
_CONVOLUTIONAL = Run(
    steps=4000,
    batch_size=64,
    eval_every=500,
    checkpoint_every=500,
    log_every=50,
    steps_per_dispatch=10,
)
# As many real images as the others see: five batches per step.
_FIVE_TO_ONE = replace(_CONVOLUTIONAL, steps=800, eval_every=100, checkpoint_every=100)
# In some thousands of updates, which a CPU can do, these rates reach more than the papers' ten
# times lower ones: 2e-4 for DCGAN and SNGAN, 1e-4 for WGAN-GP.
_RATE = 2e-3
_COMMAND = "python -m experiments.gan --dataset=mnist --preset="
_CORE = "on one core of an AMD EPYC"

R3GAN = Preset(
    "r3gan",
    "Huang et al. 2024: relativistic pairing with R1 and R2, at a small size.",
    Config(
        architecture=Residual(width=32),
        latent_size=64,
        objective=losses.RELATIVISTIC,
        penalties=penalties.PENALTIES["r1_r2"],
        learning_rate_g=_RATE,
        adam_b1=0.0,
        adam_b2=0.99,
        ema_half_life=20_000,
    ),
    _CONVOLUTIONAL,
    command=_COMMAND + "r3gan",
    time=f"292 s {_CORE}",
    reaches="FCD 4.5 ± 0.5, coverage 0.710 (3 seeds)",
)

SNGAN = Preset(
    "sngan",
    "Miyato et al. 2018 on DCGAN's networks: hinge, and Adam with β₁ = ½, at a higher rate.",
    Config(
        architecture=Convolutional(width=32, normalisation_d="spectral"),
        objective=losses.HINGE,
        learning_rate_g=_RATE,
        ema_half_life=20_000,
    ),
    _CONVOLUTIONAL,
    command=_COMMAND + "sngan",
    time=f"152 s {_CORE}",
    reaches="FCD 36.6 ± 0.8, coverage 0.293 (3 seeds)",
)

WGAN_GP = Preset(
    "wgan_gp",
    "Gulrajani et al. 2017 on DCGAN's networks, the critic not normalised, at a higher rate.",
    Config(
        architecture=Convolutional(width=32, normalisation_d="none"),
        objective=losses.WASSERSTEIN,
        penalties=penalties.PENALTIES["wgan_gp"],
        steps_d=5,
        learning_rate_g=_RATE,
        adam_b2=0.9,
        ema_half_life=20_000,
    ),
    _FIVE_TO_ONE,
    command=_COMMAND + "wgan_gp",
    time=f"163 s {_CORE}",
    reaches="FCD 34.9 ± 0.4, coverage 0.307 (3 seeds)",
)

DCGAN = Preset(
    "dcgan",
    "Radford et al. 2016, at a higher rate, with an averaged generator.",
    Config(architecture=Convolutional(width=32), learning_rate_g=_RATE, ema_half_life=20_000),
    _CONVOLUTIONAL,
    command=_COMMAND + "dcgan",
    time=f"163 s {_CORE}",
    reaches="FCD 24.3 ± 0.8, coverage 0.446 (3 seeds)",
)

MLP = Preset(
    "mlp",
    "The textbook's networks as they work best: non-saturating, D decayed, G averaged.",
    Config(weight_decay_d=10.0, ema_half_life=177_000),
    _PERCEPTRONS,
    command=_COMMAND + "mlp",
    time=f"66 s {_CORE}",
    reaches="FCD 85.8, coverage 0.222 (seed 0)",
)

TEXTBOOK = Preset(
    "textbook",
    "The source article's GAN to the letter: min_G max_D, Adam as published, no averaging.",
    Config(objective=losses.MINIMAX, learning_rate_g=1e-3, adam_b1=0.9),
    _PERCEPTRONS,
    command=_COMMAND + "textbook --steps=2000",
    time=f"20 s {_CORE}",
    reaches="FCD 305 ± 6, coverage 0.004 (3 seeds)",
)

PRESETS = (R3GAN, SNGAN, WGAN_GP, DCGAN, MLP, TEXTBOOK)
"""The first is the default."""


def networks_of(config: Config | Preset[Config]) -> Networks:
    """The networks that a config, or a preset, describes.

    Raises:
      InputError: they cannot make images of that size.
    """
    config = configuration(config)
    return config.architecture(
        config.image_shape, config.latent_size, config.classes, config.packing
    )


def make(
    config: Config | Preset[Config],
    *,
    nets: Networks | None = None,
    tx_g: optax.GradientTransformation | None = None,
    tx_d: optax.GradientTransformation | None = None,
) -> Algorithm:
    """Closes `init`, `step` and `sample` over the networks, optimisers and constants of `config`.

    Args:
      config: see `Config`; or a preset, for a run of its length.
      nets: networks to use in place of those that `config` describes.
      tx_g, tx_d: optimisers to use in place of Adam.

    Raises:
      InputError: the networks cannot make images of that size.
      ValueError: a gradient penalty is combined with batch normalisation of D.

    Example:
      >>> import jax
      >>> from aigc_jax import gan
      >>> algorithm = gan.make(gan.Config())
      >>> state = algorithm.init(jax.random.key(0))
      >>> state, info = jax.jit(algorithm.step)(state, jax.numpy.zeros((128, 28, 28, 1)))
      >>> algorithm.sample(state, jax.random.key(1), 16).shape
      (16, 28, 28, 1)
    """
    config = configuration(config)
    nets = nets or networks_of(config)
    if nets.mixes_examples and config.penalties:
        raise ValueError(
            "a gradient penalty is per image; it needs a discriminator without batch "
            "normalisation, as in the presets r3gan, sngan and wgan_gp"
        )
    betas = config.adam_b1, config.adam_b2
    steps, rate_g = config.decay_steps, config.learning_rate_g
    tx_g = tx_g or optim.adam(optim.cosine(rate_g, steps, 0.1), *betas)
    # D's optimiser counts its own updates, which are more.
    steps_d = None if steps is None else steps * config.steps_d
    rate_d = optim.cosine(config.learning_rate_d or rate_g, steps_d, 0.1)
    tx_d = tx_d or optim.adam(rate_d, *betas, config.weight_decay_d)
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
