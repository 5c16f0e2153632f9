"""The classifier's options: those of the package, and what depends on the data."""

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aigc_jax import classifier
from aigc_jax.errors import InputError
from aigc_jax.settings import setting
from experiments.cli.options import presets_of
from experiments.data import images, sounds
from experiments.data import videos as video_data
from experiments.data.images import ImageOptions

STEPS = {
    "mnist5k": 300,
    "mnist": 1000,
    "fashion_mnist": 4500,
    "tones": 300,
    "fsdd": 600,
    "notes": 600,
    "moving_mnist5k": 1200,
    "moving_mnist": 1200,
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
        choices=(*images.DATASETS, *sounds.DATASETS, *video_data.DATASETS),
    )
    sounds: str | None = setting(
        None,
        "Sounds of your own to train on instead: a folder of WAV files in a subfolder for each "
        "class.",
        changeable=True,
        path=True,
    )
    videos: str | None = setting(
        None,
        "Videos of your own to train on instead: a folder of GIF or MP4 files of one frame size in "
        "a subfolder for each class, or an .npz file with arrays `videos` and `labels`.",
        changeable=True,
        path=True,
    )
    attribute: str | None = setting(
        None,
        "Of sounds, and of videos of your own: what is classified, such as digit or speaker. "
        "Default: the first.",
    )
    digits: int = setting(video_data.DIGITS, "Digits in a video of moving_mnist: 1 or 2.")
    frames: int = setting(
        video_data.FRAMES, "Frames of a video; of your own, as many as all have.", least=2
    )
    steps: int = setting(300, f"Updates to train for in all; {_STEPS}.", changeable=True)

    @property
    def of_sounds(self) -> bool:
        """Whether it classifies sounds."""
        return self.sounds is not None or self.dataset in sounds.DATASETS

    @property
    def of_videos(self) -> bool:
        """Whether it classifies videos."""
        others = self.images or self.sounds
        return bool(self.videos) or (self.dataset in video_data.DATASETS and not others)

    @property
    def data_name(self) -> str:
        """What the run's folder is named after: the data's own name, and what is made of them."""
        own = self.sounds or self.videos
        parts = [Path(os.path.abspath(own)).stem if own else super().data_name]
        parts += [self.attribute] if self.attribute else []
        parts += [f"{self.digits}digit"] if self.digits != video_data.DIGITS else []
        parts += [f"{self.frames}frames"] if self.frames != video_data.FRAMES else []
        return "-".join(parts)

    def suited_to(self, given: Mapping[str, Any]) -> "ClassifierOptions":
        """The preset with what depends on the data."""
        own = "images" in given or "sounds" in given or "videos" in given
        data = "your own data" if own else given.get("dataset", self.dataset)
        config = dataclasses.replace(self.config, mirrored=data == "fashion_mnist")
        return dataclasses.replace(self, steps=STEPS.get(data, 2000), config=config)


PRESETS = presets_of(
    ClassifierOptions,
    classifier.PRESETS,
    perceptual={"seed": 1000},
    video={"dataset": "moving_mnist5k"},
)


def check_use(options: ClassifierOptions) -> None:
    """Refuses a preset of another kind of data, and options that have no effect on these.

    Raises:
      InputError: says which.
    """
    of_videos, moving = options.of_videos, options.of_videos and not options.videos
    kind = "videos" if of_videos else "sounds" if options.of_sounds else "images"
    if of_videos != (len(options.config.image_shape) == 4):
        wanted = "images and sounds" if of_videos else "videos"
        raise InputError(f"--preset={options.preset} is for {wanted}, and these are {kind}")
    if options.attribute is not None and (moving or kind == "images"):
        is_for = "is for sounds, and for videos of your own"
        raise InputError(f"--attribute={options.attribute} {is_for}, and these are {kind}")
    for name, used in (("digits", moving), ("frames", of_videos)):
        value = getattr(options, name)
        if value != getattr(ClassifierOptions, name) and not used:
            raise InputError(f"--{name}={value} has no effect on these {kind}")


def to_config(options: ClassifierOptions, metadata: dict[str, Any]) -> classifier.Config:
    """The config for data with this `metadata`."""
    return dataclasses.replace(
        options.config,
        image_shape=tuple(metadata["image_shape"]),
        classes=metadata["classes"],
        sizes=tuple(metadata.get("sizes", ())),
        decay_steps=options.steps,
    )
