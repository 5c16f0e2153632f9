"""The classifier's options: those of the package, and what depends on the data."""

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aigc_jax import classifier
from aigc_jax.settings import setting
from experiments.cli.options import presets_of
from experiments.data import images, sounds
from experiments.data.images import ImageOptions

STEPS = {
    "mnist5k": 300,
    "mnist": 1000,
    "fashion_mnist": 4500,
    "tones": 300,
    "fsdd": 600,
    "notes": 600,
    "your own data": 2000,
}
_STEPS = ", ".join(f"{steps} for {data}" for data, steps in STEPS.items())


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClassifierOptions(ImageOptions):
    """The options of every experiment on images, and the classifier's own."""

    config: classifier.Config = classifier.DEFAULT.config
    dataset: str = setting(
        "mnist5k",
        "What to train on; sounds are classified by images of their log-mels.",
        choices=(*images.DATASETS, *sounds.DATASETS),
    )
    sounds: str | None = setting(
        None,
        "Sounds of your own to train on instead: a folder of WAV files in a subfolder for each "
        "class.",
        changeable=True,
        path=True,
    )
    attribute: str | None = setting(
        None, "Of sounds, what is classified, such as digit or speaker. Default: the first."
    )
    steps: int = setting(300, f"Updates to train for in all; {_STEPS}.", changeable=True)

    @property
    def of_sounds(self) -> bool:
        """Whether it classifies sounds."""
        return self.sounds is not None or self.dataset in sounds.DATASETS

    @property
    def data_name(self) -> str:
        """What the run's folder is named after: the data's own name, and the attribute's."""
        name = Path(os.path.abspath(self.sounds)).stem if self.sounds else super().data_name
        return f"{name}-{self.attribute}" if self.attribute else name

    def suited_to(self, given: Mapping[str, Any]) -> "ClassifierOptions":
        """The preset with what depends on the data."""
        own = "images" in given or "sounds" in given
        data = "your own data" if own else given.get("dataset", self.dataset)
        config = dataclasses.replace(self.config, mirrored=data == "fashion_mnist")
        return dataclasses.replace(self, steps=STEPS.get(data, 2000), config=config)


PRESETS = presets_of(ClassifierOptions, classifier.PRESETS, perceptual={"seed": 1000})


def to_config(options: ClassifierOptions, metadata: dict[str, Any]) -> classifier.Config:
    """The config for data with this `metadata`."""
    return dataclasses.replace(
        options.config,
        image_shape=tuple(metadata["image_shape"]),
        classes=metadata["classes"],
        decay_steps=options.steps,
    )
