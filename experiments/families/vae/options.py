"""The VAE's options and presets: those of the package, and what an experiment adds."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from aigc_jax import vae
from aigc_jax.likelihoods import GAUSSIAN, binarise, dequantise
from aigc_jax.settings import setting, settings
from experiments.cli.options import checked, presets_of
from experiments.data.images import (
    BINARISATIONS,
    ImageOptions,
    check_binarisation,
    check_conditional,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class VaeOptions(ImageOptions):
    """The options of every experiment on images, and the VAE's own."""

    config: vae.Config = vae.DEFAULT.config
    binarisation: str = setting(
        "dynamic",
        "Whether binary images are drawn from the grey ones at every step, once, or never; for "
        "--likelihood=bernoulli.",
        choices=BINARISATIONS,
    )
    conditional: bool = setting(False, "Give encoder and decoder the class of each image.")
    decay: bool = setting(False, "Decay the learning rate to a hundredth, along half a cosine.")
    start_from: str | None = setting(
        None,
        "Folder of a run whose averaged parameters are the initial ones here, such as a VAE's for "
        "an IWAE.",
        path=True,
    )
    k: int = setting(
        100, "Importance samples of the likelihood of held-out images, at the end.", changeable=True
    )

    def suited_to(self, given: Mapping[str, Any]) -> "VaeOptions":
        """The preset for the kind of pixels that the likelihood takes."""
        before = settings(self)["likelihood"].value
        likelihood = given.get("likelihood", before)
        if likelihood == before:
            return self
        usual = "dynamic" if self.binarisation == "none" else self.binarisation
        binarisation = usual if likelihood == "bernoulli" else "none"
        return dataclasses.replace(self, binarisation=binarisation)


PRESETS = presets_of(
    VaeOptions,
    vae.PRESETS,
    **{
        p.name: {"binarisation": "dynamic" if p.config.pixels is binarise else "none"}
        for p in vae.PRESETS
    },
)


def to_config(options: VaeOptions, metadata: dict[str, Any]) -> vae.Config:
    """The config for data with this `metadata`.

    Raises:
      InputError: options exclude each other, or do not fit the data.
    """
    check_conditional(options.conditional, metadata)
    likelihood = options.config.likelihood
    check_binarisation(options.binarisation, likelihood)
    pixels = binarise if options.binarisation == "dynamic" else None

    def build() -> vae.Config:
        config = dataclasses.replace(
            options.config,
            image_shape=tuple(metadata["image_shape"]),
            classes=metadata["classes"] if options.conditional else 0,
            pixels=dequantise if likelihood is GAUSSIAN else pixels,
            decay_steps=options.steps if options.decay else None,
        )
        vae.make(config)  # which builds the networks, and nothing else
        return config

    return checked(build)
