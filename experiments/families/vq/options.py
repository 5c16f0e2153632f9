"""The options and presets of autoencoders with discrete latents."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from aigc_jax import vq
from aigc_jax.likelihoods import binarise
from aigc_jax.settings import setting, settings
from experiments.cli.options import checked, presets_of
from experiments.data.images import BINARISATIONS, ImageOptions, check_binarisation


@dataclasses.dataclass(frozen=True, kw_only=True)
class VqOptions(ImageOptions):
    """The options of every experiment on images, and those of discrete latents."""

    config: vq.Config = vq.VQ.config
    binarisation: str = setting(
        "none",
        "Whether binary images are drawn from the grey ones at every step, once, or never; for "
        "--likelihood=bernoulli.",
        choices=BINARISATIONS,
    )
    decay: bool = setting(True, "Decay the learning rate to a hundredth, along half a cosine.")

    def suited_to(self, given: Mapping[str, Any]) -> "VqOptions":
        """The preset for the kind of pixels that the likelihood takes."""
        before = settings(self)["likelihood"].value
        likelihood = given.get("likelihood", before)
        if likelihood == before:
            return self
        binarisation = "dynamic" if likelihood == "bernoulli" else "none"
        return dataclasses.replace(self, binarisation=binarisation)


PRESETS = presets_of(VqOptions, vq.PRESETS)


def to_config(options: VqOptions, metadata: dict[str, Any]) -> vq.Config:
    """The config for data with this `metadata`.

    Raises:
      InputError: options exclude each other, or do not fit the data.
    """
    check_binarisation(options.binarisation, options.config.likelihood)

    def build() -> vq.Config:
        config = dataclasses.replace(
            options.config,
            image_shape=tuple(metadata["image_shape"]),
            pixels=binarise if options.binarisation == "dynamic" else None,
            decay_steps=options.steps if options.decay else None,
        )
        vq.make(config)  # which builds the networks, and nothing else
        return config

    return checked(build)
