"""The configuration of a VAE, its presets, and the algorithm it makes."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax

from aigc_jax import optim
from aigc_jax.algorithm import Algorithm, Keys
from aigc_jax.likelihoods import BERNOULLI, LIKELIHOODS, PIXELS, Likelihood, binarise
from aigc_jax.settings import Partial, Preset, Run, Settings, configuration, constant, setting
from aigc_jax.vae.model import Networks
from aigc_jax.vae.networks import convolutional, ladder, mlp
from aigc_jax.vae.objectives import dreg, elbo, iwae
from aigc_jax.vae.priors import STANDARD_NORMAL, Prior, vamp_prior
from aigc_jax.vae.step import init, sample, step

_WIDTH = "Hidden units of a layer, or channels next to the image."
_SAMPLES = "Samples of z for each image in the bound."


@dataclass(frozen=True, kw_only=True, repr=False)
class Perceptrons(Partial):
    """See `networks.mlp`; an `activation` of None gates the layers."""

    function = staticmethod(mlp)
    width: int = setting(128, _WIDTH)
    depth: int = 1
    activation: Callable[[jax.Array], jax.Array] | None = constant(
        {"relu": jax.nn.relu, "tanh": jnp.tanh, "gated": None}, jax.nn.relu
    )
    bounds: tuple[float, float] | None = None


@dataclass(frozen=True, kw_only=True, repr=False)
class Convolutional(Partial):
    """See `networks.convolutional`."""

    function = staticmethod(convolutional)
    width: int = setting(32, _WIDTH)
    blocks: int = 1


@dataclass(frozen=True, kw_only=True, repr=False)
class Ladder(Partial):
    """See `networks.ladder`."""

    function = staticmethod(ladder)
    width: int = setting(32, _WIDTH)
    layers: int = setting(4, "Layers of latents.")


@dataclass(frozen=True, kw_only=True, repr=False)
class Elbo(Partial):
    """See `objectives.elbo`."""

    function = staticmethod(elbo)
    samples: int = setting(1, _SAMPLES)
    sampled_kl: bool = setting(False, "Take the KL divergence of the sample, not its closed form.")
    free_nats: float = setting(0.0, "KL nats that each layer of latents has for free.", least=0)


@dataclass(frozen=True, kw_only=True, repr=False)
class Iwae(Partial):
    """See `objectives.iwae`."""

    function = staticmethod(iwae)
    samples: int = setting(5, _SAMPLES)


@dataclass(frozen=True, kw_only=True, repr=False)
class Dreg(Partial):
    """See `objectives.dreg`."""

    function = staticmethod(dreg)
    samples: int = setting(5, _SAMPLES)


@dataclass(frozen=True, repr=False)
class StandardNormal(Settings):
    """N(0, I)."""

    def __call__(self, image_shape: tuple[int, int, int]) -> Prior:
        """The prior."""
        return STANDARD_NORMAL


@dataclass(frozen=True, kw_only=True, repr=False)
class Vamp(Settings):
    """See `priors.vamp_prior`."""

    pseudo_inputs: int = setting(500, "Components of the VampPrior.")

    def __call__(self, image_shape: tuple[int, int, int]) -> Prior:
        """The prior of images of that shape."""
        return vamp_prior(image_shape, self.pseudo_inputs)


Architecture = Perceptrons | Convolutional | Ladder
Objective = Elbo | Iwae | Dreg


@dataclass(frozen=True, repr=False)
class Config(Settings):
    """A VAE on images. The defaults are what works best at the textbook's size.

    Attributes:
      image_shape: (H, W, C) of the images.
      classes: how many, for a class-conditional VAE; 0 for one without labels.
      architecture: one of those above, or `(image_shape, latent_size, classes, outputs=, shared=,
        prior=) -> Networks` of your own, where `prior` is given unless it is N(0, I).
      likelihood: p(x|z).
      objective: what is minimised, one of those above or of objectives.py.
      pixels: a transform of grey values at every step, such as `binarise`; None takes them as
        they are.
      optimiser: `(learning rate or schedule) -> optax.GradientTransformation`.
      decay_steps: the step at which the learning rate has come down to a hundredth, along half a
        cosine; None keeps it.
    """

    image_shape: tuple[int, int, int] = (28, 28, 1)
    classes: int = 0
    architecture: Architecture | Callable[..., Networks] = Perceptrons()
    latent_size: int = setting(2, "Dimensions of the latent space.")
    likelihood: Likelihood = setting(
        BERNOULLI,
        "Distribution of the pixels given z: binary, or grey values as real numbers "
        "(continuous_bernoulli, gaussian) or as they are (logistic_mixture).",
        choices=LIKELIHOODS,
    )
    objective: Objective | Callable[..., Any] = setting(
        Elbo(),
        "The bound that is optimised.",
        choices={"elbo": Elbo(), "iwae": Iwae(), "dreg": Dreg()},
    )
    pixels: Callable[[Keys, jax.Array], jax.Array] | None = constant(PIXELS, binarise)
    beta: float = setting(1.0, "Weight of the KL divergence.")
    warmup_steps: int = setting(0, "Steps over which that weight rises from 0.", least=0)
    prior: StandardNormal | Vamp = setting(
        StandardNormal(),
        "N(0, I), or a VampPrior.",
        choices={"normal": StandardNormal(), "vamp": Vamp()},
    )
    optimiser: Callable[..., optax.GradientTransformation] = setting(
        optim.adam,
        "adam, or muon on matrices: fewer and slower steps, for large batches.",
        choices={"adam": optim.adam, "muon": optim.muon},
    )
    learning_rate: float = setting(
        2e-3, "Step size of the optimiser; the peak, where it has a schedule."
    )
    decay_steps: int | None = None
    ema_decay: float = setting(
        0.999,
        "Decay per step of the averaged parameters, for evaluation; 0: none.",
        least=0,
        below=1,
    )

    def __post_init__(self):
        """Refuses settings that exclude each other.

        Raises:
          ValueError: says which.
        """
        super().__post_init__()
        if isinstance(self.architecture, Ladder):
            if isinstance(self.objective, Dreg):
                raise ValueError(
                    "--objective=dreg needs a single layer of latents; take elbo or iwae"
                )
            if self.prior != StandardNormal():
                raise ValueError(
                    "--prior=vamp needs a single layer of latents; a ladder learns its prior"
                )


_SHORT = Run(steps=10_000)
_CONVOLUTIONAL = Run(
    steps=3000,
    batch_size=64,
    eval_every=500,
    checkpoint_every=500,
    log_every=50,
    steps_per_dispatch=10,
)
_COMMAND = "python -m experiments.vae --preset="
_TWO_CORES, _CORE = "on 2 cores of an AMD EPYC", "on one core of an AMD EPYC"

DEFAULT = Preset(
    "default",
    "The textbook's networks, as they work best: binary pixels redrawn, averaged parameters.",
    Config(),
    _SHORT,
    command="python -m experiments.vae",
    time=f"18 s {_TWO_CORES}",
    reaches="−log p 155.5 ± 1.2 nats (k = 100, mnist5k, 3 seeds)",
)

TEXTBOOK = Preset(
    "textbook",
    "The source article's VAE to the letter: cross-entropy on grey values, Adam, no averaging.",
    Config(learning_rate=1e-3, pixels=None, ema_decay=0.0),
    _SHORT,
    command=_COMMAND + "textbook",
    time=f"14 s {_TWO_CORES}",
    reaches="−log p 163.5 ± 2.7 nats (k = 100, mnist5k, 3 seeds)",
)

GATED = Preset(
    "gated",
    "Tomczak and Welling 2018: two gated layers of 300, 40 latents.",
    Config(
        architecture=Perceptrons(width=300, depth=2, activation=None, bounds=(-6.0, 2.0)),
        latent_size=40,
        learning_rate=5e-4,
    ),
    replace(_SHORT, batch_size=100),
    command=_COMMAND + "gated --dataset=fashion_mnist --learning_rate=1e-3 --decay "
    "--warmup_steps=18000 --steps=180000",
    time=f"2,370 s {_CORE}",
    reaches="−log p 228.97 nats (k = 5,000, seed 0)",
)

IWAE = Preset(
    "iwae",
    "Burda et al. 2016, one layer of latents: two tanh layers of 200, 50 latents.",
    Config(
        architecture=Perceptrons(width=200, depth=2, activation=jnp.tanh),
        latent_size=50,
        objective=Iwae(samples=5),
        learning_rate=1e-3,
    ),
    replace(_SHORT, batch_size=100),
    command=_COMMAND + "iwae --dataset=mnist --optimiser=muon --batch_size=250 "
    "--learning_rate=1.5e-3 --decay --steps=4800 --start_from=RUN",
    time=f"770 s {_CORE}, after a VAE's 2,150 s",
    reaches="−log p 85.89 nats (k = 5,000, seed 0)",
)

CONV = Preset(
    "conv",
    "Strided convolutions and a residual block each way, 40 latents.",
    Config(architecture=Convolutional(width=32), latent_size=40, learning_rate=1e-3),
    _CONVOLUTIONAL,
    command=_COMMAND + "conv --dataset=mnist --decay",
    time=f"330 s {_CORE}",
    reaches="−log p 91.97 nats (k = 100, seed 0)",
)

LADDER = Preset(
    "ladder",
    "Four layers of latents on two grids, inferred from the top down.",
    Config(
        architecture=Ladder(width=32, layers=4),
        latent_size=8,
        objective=Elbo(free_nats=0.5),
        warmup_steps=500,
        learning_rate=1e-3,
    ),
    _CONVOLUTIONAL,
    command=_COMMAND + "ladder --dataset=mnist --binarisation=static --decay "
    "--learning_rate=1.5e-3 --steps=24000",
    time=f"5,620 s {_CORE}",
    reaches="−log p 86.75 nats (k = 100, seed 0)",
)

PRESETS = (DEFAULT, TEXTBOOK, GATED, IWAE, CONV, LADDER)
"""The first is the default."""


def networks_of(config: Config | Preset[Config]) -> Networks:
    """The networks that a config, or a preset, describes."""
    config = configuration(config)
    channels = config.image_shape[-1]
    prior = config.prior(config.image_shape)
    return config.architecture(
        config.image_shape,
        config.latent_size,
        config.classes,
        outputs=config.likelihood.outputs(channels),
        shared=config.likelihood.shared(channels),
        **({} if prior is STANDARD_NORMAL else {"prior": prior}),
    )


def make(
    config: Config | Preset[Config],
    *,
    nets: Networks | None = None,
    tx: optax.GradientTransformation | None = None,
) -> Algorithm:
    """Closes `init`, `step` and `sample` over networks, optimiser and constants of `config`.

    Args:
      config: see `Config`; or a preset, for a run of its length.
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
    config = configuration(config)
    nets = nets or networks_of(config)
    rate = optim.cosine(config.learning_rate, config.decay_steps, 0.01)
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
