"""The VAE's options and presets: each preset is a `vae.Config` of the package, under its flags."""

import dataclasses
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from aigc_jax import optim, vae
from aigc_jax.errors import InputError
from aigc_jax.vae import Config
from experiments.cli.options import option
from experiments.data.images import ImageOptions

LIKELIHOODS = {
    "bernoulli": vae.BERNOULLI,
    "continuous_bernoulli": vae.CONTINUOUS_BERNOULLI,
    "gaussian": vae.GAUSSIAN,
    "logistic_mixture": vae.LOGISTIC_MIXTURE,
}
OBJECTIVES = ("elbo", "iwae", "dreg")
BINARISATIONS = ("dynamic", "static", "none")
PRIORS = ("normal", "vamp")
OPTIMISERS: dict[str, Callable] = {"adam": optim.adam, "muon": optim.muon}


@dataclasses.dataclass(frozen=True, kw_only=True)
class VaeOptions(ImageOptions):
    """The options of every experiment on images, and the VAE's own."""

    likelihood: str = option(
        "bernoulli",
        "Of the pixels given z: of binary ones, or of grey values as real numbers "
        "(continuous_bernoulli, gaussian) or as they are (logistic_mixture).",
        choices=tuple(LIKELIHOODS),
    )
    binarisation: str = option(
        "dynamic",
        "Whether binary images are drawn from the grey ones at every step, once, or never; of "
        "--likelihood=bernoulli.",
        choices=BINARISATIONS,
    )
    objective: str = option("elbo", "The bound that is descended.", choices=OBJECTIVES)
    samples: int = option(1, "Samples of z for each image in the bound.")
    sampled_kl: bool = option(False, "Take the KL divergence of the sample, not its closed form.")
    beta: float = option(1.0, "Weight of the KL divergence.")
    warmup_steps: int = option(0, "Steps over which that weight rises from 0.", least=0)
    free_nats: float = option(
        0.0, "KL nats that each layer of latents has for free; of --objective=elbo.", least=0
    )
    prior: str = option("normal", "N(0, I), or a VampPrior.", choices=PRIORS)
    pseudo_inputs: int = option(500, "Components of the VampPrior.")
    conditional: bool = option(False, "Tell encoder and decoder the class of each image.")
    latent_size: int = option(2, "Dimensions of the latent space.")
    width: int = option(128, "Hidden units of a layer, or channels next to the image.")
    layers: int = option(1, "Layers of latents, of --preset=ladder.")
    optimiser: str = option(
        "adam",
        "adam, or muon on matrices: fewer and slower steps, for large batches.",
        choices=tuple(OPTIMISERS),
    )
    decay: bool = option(False, "Bring the learning rate down to a hundredth, along half a cosine.")
    ema_decay: float = option(
        0.999, "Of the averaged parameters that are judged, per step; 0 keeps none.", least=0
    )
    start_from: str | None = option(
        None,
        "Folder of a run whose averaged parameters are the first ones here, such as a VAE's for "
        "an IWAE.",
        path=True,
    )
    k: int = option(
        100, "Importance samples of the likelihood of held-out images, at the end.", changeable=True
    )

    def suited_to(self, given: Mapping[str, Any]) -> "VaeOptions":
        """The preset for the kind of pixels that the likelihood is about."""
        likelihood = given.get("likelihood", self.likelihood)
        usual = "dynamic" if self.binarisation == "none" else self.binarisation
        if likelihood == self.likelihood:
            return self
        return dataclasses.replace(
            self, binarisation=usual if likelihood == "bernoulli" else "none"
        )


CONFIGS = {
    "default": Config(),
    "textbook": vae.TEXTBOOK,
    "gated": vae.GATED,
    "iwae": vae.IWAE,
    "conv": vae.CONV,
    "ladder": vae.LADDER,
}

_DEFAULT = VaeOptions(steps=10_000, learning_rate=2e-3)
_CONVOLUTIONAL = dataclasses.replace(
    _DEFAULT,
    width=32,
    learning_rate=1e-3,
    batch_size=64,
    steps=3000,
    eval_every=500,
    checkpoint_every=500,
    log_every=50,
    steps_per_dispatch=10,
)
PRESETS = {
    "default": _DEFAULT,
    "textbook": dataclasses.replace(
        _DEFAULT, preset="textbook", learning_rate=1e-3, binarisation="none", ema_decay=0.0
    ),
    "gated": dataclasses.replace(
        _DEFAULT, preset="gated", learning_rate=5e-4, latent_size=40, width=300, batch_size=100
    ),
    "iwae": dataclasses.replace(
        _DEFAULT,
        preset="iwae",
        learning_rate=1e-3,
        latent_size=50,
        width=200,
        batch_size=100,
        objective="iwae",
        samples=5,
    ),
    "conv": dataclasses.replace(_CONVOLUTIONAL, preset="conv", latent_size=40),
    "ladder": dataclasses.replace(
        _CONVOLUTIONAL, preset="ladder", latent_size=8, layers=4, free_nats=0.5, warmup_steps=500
    ),
}


def _objective(options: VaeOptions) -> Any:
    if options.objective == "elbo":
        return partial(
            vae.elbo,
            samples=options.samples,
            sampled_kl=options.sampled_kl,
            free_nats=options.free_nats,
        )
    return partial({"iwae": vae.iwae, "dreg": vae.dreg}[options.objective], samples=options.samples)


def _pixels(options: VaeOptions) -> Any:
    if options.likelihood == "gaussian":
        return vae.dequantise
    return vae.binarise if options.binarisation == "dynamic" else None


def _check(options: VaeOptions) -> None:
    """Refuses what fits no preset."""
    if options.likelihood != "bernoulli" and options.binarisation != "none":
        raise InputError(
            f"--binarisation={options.binarisation} is of --likelihood=bernoulli, not of "
            f"{options.likelihood}"
        )
    if not options.ema_decay < 1:
        raise InputError(f"--ema_decay must be below 1, got {options.ema_decay}")


def to_config(options: VaeOptions, metadata: dict[str, Any]) -> Config:
    """The `vae.Config` that the options describe, for data of which `metadata` are known.

    Raises:
      InputError: options exclude each other, or do not fit the data.
    """
    if options.conditional and not metadata.get("classes"):
        raise InputError(
            "--conditional needs labelled images of two classes at least, and these have none"
        )
    _check(options)
    if options.objective != "elbo" and (options.free_nats or options.sampled_kl):
        raise InputError("--free_nats and --sampled_kl are of --objective=elbo")
    preset = CONFIGS[options.preset]
    size = {"width": options.width}
    if options.preset == "ladder":
        size["layers"] = options.layers
        if options.objective == "dreg":
            raise InputError("--objective=dreg is of one layer of latents; take elbo or iwae")
        if options.prior != "normal":
            raise InputError("--prior=vamp is of one layer of latents; a ladder learns its prior")
    elif options.layers > 1:
        raise InputError(f"--layers={options.layers} needs --preset=ladder")
    try:
        config = dataclasses.replace(
            preset,
            image_shape=tuple(metadata["image_shape"]),
            classes=metadata["classes"] if options.conditional else 0,
            architecture=partial(preset.architecture, **size),
            latent_size=options.latent_size,
            likelihood=LIKELIHOODS[options.likelihood],
            objective=_objective(options),
            pixels=_pixels(options),
            beta=options.beta,
            warmup_steps=options.warmup_steps,
            pseudo_inputs=options.pseudo_inputs if options.prior == "vamp" else 0,
            optimiser=OPTIMISERS[options.optimiser],
            learning_rate=options.learning_rate,
            decay_steps=options.steps if options.decay else None,
            ema_decay=options.ema_decay,
        )
        vae.make(config)  # which builds the networks, and nothing else
    except InputError:
        raise
    except ValueError as error:
        raise InputError(str(error)) from error
    return config
