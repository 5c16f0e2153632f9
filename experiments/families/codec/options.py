"""The codec's options and presets: those of the package, and what an experiment adds."""

import dataclasses
from typing import Any

from aigc_jax import codec
from aigc_jax.errors import InputError
from aigc_jax.settings import setting
from experiments.cli.options import checked, presets_of
from experiments.data.signals import SignalOptions


@dataclasses.dataclass(frozen=True, kw_only=True)
class CodecOptions(SignalOptions):
    """The options of every experiment on signals, and the codec's own."""

    config: codec.Config = codec.IMAGE.config
    decay: bool = setting(True, "Decay the learning rates to a hundredth, along half a cosine.")
    classifier: str | None = setting(
        None,
        "Of images: folder of a run of experiments.classifier, for the metrics; trained there "
        "first if missing. Default: runs/classifier-DATASET-default.",
        changeable=True,
        path=True,
    )
    perception: str | None = setting(
        None,
        "Of images: folder of another classifier, in whose layers images are compared; trained "
        "there first if missing. Default: runs/classifier-DATASET-perceptual.",
        changeable=True,
        path=True,
    )

    @property
    def medium(self) -> str:
        """Of the signals."""
        return self.config.medium


PRESETS = presets_of(
    CodecOptions,
    codec.PRESETS,
    audio={"dataset": "tones"},
    video={"dataset": "moving_mnist5k"},
)
"""By name; the first of a medium, which is named after it, is what --medium stands for."""


def to_config(options: CodecOptions, metadata: dict[str, Any]) -> codec.Config:
    """The config for data with this `metadata`.

    Raises:
      InputError: options exclude each other, or do not fit the data.
    """

    if options.medium == "video" and options.config.perceptual_weight:
        raise InputError(
            f"--perceptual_weight={options.config.perceptual_weight} has no effect on videos"
        )

    def build() -> codec.Config:
        config = dataclasses.replace(
            options.config,
            sides=tuple(metadata["sides"]),
            channels=metadata["channels"],
            rate=metadata["rate"],
            classes=metadata["perceived_classes"],
            decay_steps=options.steps if options.decay else None,
        )
        codec.make(config)  # which builds the networks, and nothing else
        return config

    return checked(build)
