"""The GAN's options and presets: those of the package, and what an experiment adds."""

import dataclasses
from typing import Any

from aigc_jax import gan
from aigc_jax.errors import InputError
from aigc_jax.settings import setting
from experiments.cli.options import checked, presets_of
from experiments.data.images import ImageOptions, check_conditional


@dataclasses.dataclass(frozen=True, kw_only=True)
class GanOptions(ImageOptions):
    """The options of every experiment on images, and the GAN's own."""

    config: gan.Config = gan.R3GAN.config
    conditional: bool = setting(False, "Give both networks the class of each image.")
    decay: bool = setting(False, "Decay the learning rates to a tenth, along half a cosine.")
    classifier: str | None = setting(
        None,
        "Folder of a run of experiments.classifier, for the metrics; trained there first if "
        "missing. Default: runs/classifier-DATASET-default.",
        changeable=True,
        path=True,
    )
    stop_at_fcd: float | None = setting(
        None,
        "End training at the first evaluation with an FCD of at most this; with --conditional, "
        "with a class_fcd of at most this: the mean of the FCDs of single classes, which is higher "
        "the fewer held-out images a class has. It also selects the best checkpoint.",
        changeable=True,
    )


PRESETS = presets_of(GanOptions, gan.PRESETS)


def to_config(options: GanOptions, metadata: dict[str, Any]) -> gan.Config:
    """The config for data with this `metadata`.

    Raises:
      InputError: options exclude each other, or do not fit the data.
    """
    check_conditional(options.conditional, metadata)
    if options.batch_size % options.config.packing:
        raise InputError(
            f"--packing={options.config.packing} does not divide --batch_size={options.batch_size}"
        )

    def build() -> gan.Config:
        config = dataclasses.replace(
            options.config,
            image_shape=tuple(metadata["image_shape"]),
            classes=metadata["classes"] if options.conditional else 0,
            decay_steps=options.steps if options.decay else None,
        )
        gan.make(config)  # which builds the networks, and nothing else
        return config

    return checked(build)
