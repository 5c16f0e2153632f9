"""Videos by flag, as what a classifier learns from, and side by side.

Dimensions: M or N videos, B batch, T frames, H W C frame, K digits in a video.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from aigc_jax import classifier
from aigc_jax.artefacts import Video
from aigc_jax.data.images import Images
from aigc_jax.data.moving_digits import (
    MovingDigits,
    Videos,
    contents,
    load_moving_digits,
    moving_digits,
    sizes,
    video_keys,
)
from aigc_jax.data.own_videos import load_own_videos
from aigc_jax.data.video import VideoClips
from aigc_jax.errors import InputError
from aigc_jax.pictures import MOST_PER_SECOND
from experiments.data.labelled import labelled

DATASETS = ("moving_mnist5k", "moving_mnist")
FRAMES, DIGITS = 20, 2  # of moving digits, if nothing else is asked for
GENERATED = 2**20  # training videos of moving digits; each is a function of its index
HELDOUT = 500
MOST_DIGITS = 2  # of which a classifier tells all combinations apart
PARTS = ("digits", "motion")  # of what moving digits are labelled by


def load(
    dataset: str, data_dir: str | None, videos: str | None, frames: int, digits: int
) -> MovingDigits | VideoClips:
    """The videos that flags name.

    Raises:
      InputError: they cannot be loaded.
    """
    if videos is not None:
        return load_own_videos(videos, most=frames)
    return load_moving_digits(dataset.removeprefix("moving_"), data_dir, frames, digits)


@dataclass(frozen=True, eq=False)
class LabelledDigits:
    """Moving digits as what a classifier learns from: each video is labelled by its `contents`.

    Raises:
      InputError: there are more digits in a video than are told apart.
    """

    moving: MovingDigits

    def __post_init__(self) -> None:
        if self.moving.count > MOST_DIGITS:
            raise InputError(
                f"--digits={self.moving.count}: a classifier tells videos of 1 or {MOST_DIGITS} "
                "digits apart"
            )

    @property
    def name(self) -> str:
        """Of the data set."""
        return self.moving.name

    @property
    def unit(self) -> str:
        """What it is counted in."""
        return self.moving.unit

    @property
    def examples(self) -> int:
        """How many there are to train on."""
        return GENERATED

    @property
    def train(self) -> np.ndarray:
        """The digits that training videos are made of; see `gather`."""
        return self.moving.train

    @property
    def train_labels(self) -> np.ndarray:
        """Of those digits."""
        return self.moving.train_labels

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many values each part of a label has."""
        return sizes(self.moving.count)

    @property
    def shape(self) -> tuple[int, ...]:
        """(T, H, W, C) of a video."""
        return self.moving.frames, self.moving.size, self.moving.size, 1

    def fingerprint(self) -> str:
        """Equal where training sees the same data."""
        return self.moving.fingerprint()

    @cached_property
    def _heldout(self) -> Videos:
        return self.moving.heldout_videos(HELDOUT)

    @property
    def heldout(self) -> np.ndarray:
        """Videos uint8 `[N, T, H, W, C]`."""
        return self._heldout.frames

    @cached_property
    def heldout_labels(self) -> np.ndarray:
        """What they show: int `[N]`."""
        return np.asarray(self._classes(self._heldout, self.moving.heldout_labels))

    def gather(self, data: Any, indices: jax.Array) -> classifier.Batch:
        """A batch of training videos by their indices: `data` are the digits and their labels."""
        found = self._moved(video_keys(0, indices), data[0])
        return classifier.Batch(
            found.frames.astype(jnp.float32) / 255, self._classes(found, data[1])
        )

    def train_classes(self, n: int) -> np.ndarray:
        """The labels of the first training videos: int `[n]`."""

        @jax.jit
        def classes(keys, digits, labels):
            return self._classes(self._moved(keys, digits), labels)

        return np.asarray(classes(video_keys(0, np.arange(n)), self.train, self.train_labels))

    def _moved(self, keys: jax.Array, digits: Any) -> Videos:
        of = self.moving
        return moving_digits(keys, digits, frames=of.frames, count=of.count, size=of.size)

    def _classes(self, videos: Videos, labels: Any) -> Any:
        return classifier.class_of(contents(videos, labels), self.sizes)


def part_accuracies(said: np.ndarray, labels: np.ndarray, digits: int) -> dict[str, float]:
    """By `PART_accuracy`, the share of videos of which all of that part is right.

    Args:
      said, labels: int `[N]`, classes of `LabelledDigits`.
      digits: K.
    """
    right = [classifier.parts_of(classes, sizes(digits)) for classes in (said, labels)]
    agree = right[0] == right[1]
    halves = agree[:, :digits], agree[:, digits:]
    return {
        f"{name}_accuracy": float(half.all(axis=1).mean())
        for name, half in zip(PARTS, halves, strict=True)
    }


def as_images(clips: VideoClips, attribute: str | None = None) -> Images:
    """The data set of a classifier of one attribute of own videos; None: the first.

    Raises:
      InputError: the videos have no such attribute.
    """
    return labelled(clips, attribute, "videos", lambda: (clips.train, clips.heldout))


def side_by_side(videos: np.ndarray, rate: float, columns: int) -> Video:
    """Videos uint8 `[N, T, H, W, C]` in rows of `columns`, grey lines between.

    Those of more frames a second than a GIF can have are shown slower.
    """
    unit = videos.astype(np.float32) / np.float32(255)
    framed = np.pad(unit, ((0, 0), (0, 0), (0, 1), (0, 1), (0, 0)), constant_values=0.5)
    blanks = np.zeros((-len(framed) % columns, *framed.shape[1:]), np.float32)
    framed = np.concatenate([framed, blanks])
    n, times, height, width, channels = framed.shape
    rows = framed.reshape(n // columns, columns, times, height, width, channels)
    wall = rows.transpose(2, 0, 3, 1, 4, 5)
    return Video(wall.reshape(times, -1, columns * width, channels), min(rate, MOST_PER_SECOND))
