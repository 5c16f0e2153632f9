"""The options and presets of autoencoders with codes for latents."""

import dataclasses
from functools import partial
from typing import Any

from aigc_jax import vq
from aigc_jax.errors import InputError
from aigc_jax.likelihoods import (
    BERNOULLI,
    CONTINUOUS_BERNOULLI,
    GAUSSIAN,
    LOGISTIC_MIXTURE,
    binarise,
)
from experiments.cli.options import option
from experiments.data.images import ImageOptions

LIKELIHOODS = {
    "bernoulli": BERNOULLI,
    "continuous_bernoulli": CONTINUOUS_BERNOULLI,
    "gaussian": GAUSSIAN,
    "logistic_mixture": LOGISTIC_MIXTURE,
}
BINARISATIONS = ("dynamic", "static", "none")
CONFIGS = {"vq": vq.VQ, "fsq": vq.FSQ}


@dataclasses.dataclass(frozen=True, kw_only=True)
class VqOptions(ImageOptions):
    """The options of every experiment on images, and those of codes."""

    likelihood: str = option(
        "gaussian",
        "Of the pixels given z: of binary ones, or of grey values as real numbers "
        "(continuous_bernoulli, gaussian) or as they are (logistic_mixture).",
        choices=tuple(LIKELIHOODS),
    )
    binarisation: str = option(
        "none",
        "Whether binary images are drawn from the grey ones at every step, once, or never; of "
        "--likelihood=bernoulli.",
        choices=BINARISATIONS,
    )
    latent_size: int = option(16, "Features of a code, of --preset=vq.")
    width: int = option(16, "Channels next to the image.")
    codes: int = option(512, "Vectors in the codebook, of --preset=vq.")
    levels: str = option("8,5,5,5", "Values that each feature may take, of --preset=fsq.")
    commitment: float = option(
        1.0, "Weight of what keeps features near their codes, of --preset=vq."
    )
    decay: bool = option(True, "Bring the learning rate down to a hundredth, along half a cosine.")
    ema_decay: float = option(
        0.99, "Of the averaged parameters that are evaluated, per step; 0 keeps none.", least=0
    )

    def suited_to(self, given):
        """The preset for the kind of pixels that the likelihood is about."""
        if given.get("likelihood", self.likelihood) == self.likelihood:
            return self
        binary = given["likelihood"] == "bernoulli"
        return dataclasses.replace(self, binarisation="dynamic" if binary else "none")


_DEFAULT = VqOptions(
    preset="vq",
    learning_rate=3e-3,
    batch_size=64,
    steps=3000,
    eval_every=500,
    checkpoint_every=500,
    log_every=50,
    steps_per_dispatch=10,
)
PRESETS = {"vq": _DEFAULT, "fsq": dataclasses.replace(_DEFAULT, preset="fsq", latent_size=4)}
_FOREIGN = {"vq": ("levels",), "fsq": ("codes", "commitment", "latent_size")}


def to_config(options: VqOptions, metadata: dict[str, Any]) -> vq.Config:
    """The `vq.Config` that the options describe, for data of which `metadata` are known.

    Raises:
      InputError: options have no effect with the preset, or do not fit the data.
    """
    for name in _FOREIGN[options.preset]:
        value = getattr(options, name)
        if value != getattr(PRESETS[options.preset], name):
            raise InputError(f"--{name}={value} has no effect with --preset={options.preset}")
    if options.likelihood != "bernoulli" and options.binarisation != "none":
        raise InputError(
            f"--binarisation={options.binarisation} is of --likelihood=bernoulli, not of "
            f"{options.likelihood}"
        )
    if not options.ema_decay < 1:
        raise InputError(f"--ema_decay must be below 1, got {options.ema_decay}")
    if options.preset == "vq":
        quantiser = vq.vector_quantiser(options.codes, options.latent_size)
    else:
        quantiser = vq.finite_scalar_quantiser(_levels(options.levels))
    preset = CONFIGS[options.preset]
    config = dataclasses.replace(
        preset,
        image_shape=tuple(metadata["image_shape"]),
        architecture=partial(preset.architecture, width=options.width),
        quantiser=quantiser,
        likelihood=LIKELIHOODS[options.likelihood],
        pixels=binarise if options.binarisation == "dynamic" else None,
        commitment=options.commitment,
        learning_rate=options.learning_rate,
        decay_steps=options.steps if options.decay else None,
        ema_decay=options.ema_decay,
    )
    try:
        vq.make(config)  # which builds the networks, and nothing else
    except InputError:
        raise
    except ValueError as error:
        raise InputError(str(error)) from error
    return config


def _levels(text: str) -> tuple[int, ...]:
    parts = text.split(",")
    if not all(part.isdecimal() and int(part) >= 2 for part in parts):
        raise InputError(f"--levels={text} must be whole numbers from 2 on, such as 8,5,5,5")
    return tuple(int(part) for part in parts)
