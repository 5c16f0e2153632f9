"""The classifier's options: those of the package, and what depends on the data."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from aigc_jax import classifier
from aigc_jax.settings import setting
from experiments.cli.options import presets_of
from experiments.data.images import ImageOptions

STEPS = {"mnist5k": 300, "mnist": 1000, "fashion_mnist": 4500, "your own images": 2000}
_STEPS = ", ".join(f"{steps} for {data}" for data, steps in STEPS.items())


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClassifierOptions(ImageOptions):
    """The options of every experiment on images, and the classifier's own."""

    config: classifier.Config = classifier.DEFAULT.config
    steps: int = setting(300, f"Updates to train for in all; {_STEPS}.", changeable=True)

    def suited_to(self, given: Mapping[str, Any]) -> "ClassifierOptions":
        """The preset with what depends on the data."""
        data = "your own images" if "images" in given else given.get("dataset", self.dataset)
        config = dataclasses.replace(self.config, mirrored=data == "fashion_mnist")
        return dataclasses.replace(self, steps=STEPS.get(data, 2000), config=config)


PRESETS = presets_of(ClassifierOptions, classifier.PRESETS)


def to_config(options: ClassifierOptions, metadata: dict[str, Any]) -> classifier.Config:
    """The config for data with this `metadata`."""
    return dataclasses.replace(
        options.config,
        image_shape=tuple(metadata["image_shape"]),
        classes=metadata["classes"],
        decay_steps=options.steps,
    )
