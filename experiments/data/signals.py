"""Data sets of any medium, as a codec takes them: images, sounds and videos by flag.

Dimensions: M or N examples, B batch, S a signal's sides, C channels, A attributes.
"""

import dataclasses
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from aigc_jax.data import images as image_data
from aigc_jax.data import own_images, sound_files, video
from aigc_jax.data.attributes import Attribute
from aigc_jax.data.audio import Sounds
from aigc_jax.data.images import Images, load_images
from aigc_jax.data.moving_digits import MovingDigits, moving_digits, video_keys
from aigc_jax.data.own_images import load_own_images
from aigc_jax.data.video import VideoClips
from aigc_jax.errors import InputError
from aigc_jax.settings import setting
from experiments.cli.options import Options
from experiments.data import sounds as sound_data
from experiments.data import videos as video_data

MEDIA = ("image", "audio", "video")
DATASETS = {
    "image": image_data.DATASETS,
    "audio": sound_data.DATASETS,
    "video": video_data.DATASETS,
}
SUFFIXES = {  # of files of one's own
    "image": own_images.SUFFIXES,
    "audio": sound_files.SUFFIXES,
    "video": video.SUFFIXES,
}
_OWN = {"image": "images", "audio": "sounds", "video": "videos"}


class Signals(NamedTuple):
    """A data set of one medium.

    Attributes:
      source: as its loader gives it.
      medium: one of `MEDIA`.
      train: arrays that `gather` takes a batch from, on the device.
      gather: `(train, indices [B]) -> ` integers `[B, *S, C]`; `floats` makes a signal of them.
      examples: indices run from 0 to this, less 1.
      heldout: uint8 or int16 `[N, *S, C]`.
      train_labels, heldout_labels: int32 `[M, A]`, or None.
      attributes: what the columns of labels are.
      rate: samples or frames per second; None for images.
    """

    source: Any
    medium: str
    train: Any
    gather: Callable[[Any, Any], jax.Array]
    examples: int
    heldout: np.ndarray
    train_labels: np.ndarray | None = None
    heldout_labels: np.ndarray | None = None
    attributes: tuple[Attribute, ...] = ()
    rate: int | None = None

    @property
    def name(self) -> str:
        """Of the data set."""
        return self.source.name

    @property
    def unit(self) -> str:
        """What it is counted in."""
        return self.source.unit

    @property
    def classes(self) -> tuple[str, ...] | None:
        """What the values of its only attribute are called, if not by their number."""
        values = self.attributes[0].values if len(self.attributes) == 1 else ()
        return None if values == tuple(map(str, range(len(values)))) else values

    def fingerprint(self) -> str:
        """Equal where training sees the same data."""
        return self.source.fingerprint()


def floats(signals: Any) -> jax.Array:
    """What networks take: bytes over 255, 16-bit samples over 2¹⁵."""
    return signals.astype(jnp.float32) / (255 if signals.dtype == jnp.uint8 else 2**15)


def integers(signals: Any, medium: str) -> np.ndarray:
    """The inverse of `floats`, rounded: what a file would hold."""
    if medium == "audio":
        return np.clip(np.rint(np.asarray(signals) * 2**15), -(2**15), 2**15 - 1).astype(np.int16)
    return np.clip(np.rint(np.asarray(signals) * 255), 0, 255).astype(np.uint8)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SignalOptions(Options):
    """The options of every experiment, and the choice of signals."""

    dataset: str = setting(
        "mnist5k",
        "What to code. " + "; ".join(f"{m}: {', '.join(d)}" for m, d in DATASETS.items()) + ".",
    )
    images: str | None = setting(
        None,
        "Images of your own to code instead: an .npz file or a folder of PNG and JPEG files, in a "
        "subfolder for each class; see experiments.gan.",
        changeable=True,
        path=True,
    )
    sounds: str | None = setting(
        None,
        "Sounds of your own to code instead: a folder of WAV files, with the extra "
        "`audio` of FLAC, Ogg and MP3 files too, in a subfolder for each class.",
        changeable=True,
        path=True,
    )
    videos: str | None = setting(
        None,
        "Videos of your own to code instead: a folder of GIF or MP4 files of one frame size, in a "
        "subfolder for each class, or an .npz file with an array `videos`.",
        changeable=True,
        path=True,
    )
    digits: int = setting(video_data.DIGITS, "Digits in a video of moving_mnist.")
    frames: int = setting(
        video_data.FRAMES, "Frames of a video; of your own, as many as all have.", least=2
    )

    judges: bool = setting(
        True,
        "Have classifiers of the data, trained first where missing, judge what is generated: "
        "FCD, accuracies and the like. Without them, errors and likelihoods alone.",
    )

    @property
    def data_name(self) -> str:
        """What the run's folder is named after: the data's own name."""
        own = self.images or self.sounds or self.videos
        return Path(os.path.abspath(own)).stem if own else self.dataset


def load(options: SignalOptions, medium: str) -> Signals:
    """The signals that the options name.

    Raises:
      InputError: they are not of the medium, or cannot be loaded.
    """
    own = {name: getattr(options, name) for name in _OWN.values()}
    for of, name in _OWN.items():
        if own[name] is not None and of != medium:
            raise InputError(f"--{name} is for --medium={of}, and this codec's is {medium}")
    if own[_OWN[medium]] is None and options.dataset not in DATASETS[medium]:
        raise InputError(
            f"--dataset={options.dataset} is not for --medium={medium}; choose one of "
            f"{', '.join(DATASETS[medium])}, or --{_OWN[medium]}; or another --medium"
        )
    for name in ("digits", "frames"):
        value = getattr(options, name)
        used = medium == "video" and (name == "frames" or not options.videos)
        if value != getattr(SignalOptions, name) and not used:
            raise InputError(f"--{name}={value} has no effect on these {_OWN[medium]}")
    if medium == "image":
        images = load_own_images(options.images) if options.images else None
        return _of_images(images or load_images(options.dataset, options.data_dir))
    if medium == "audio":
        return _of_sounds(sound_data.load(options.dataset, options.data_dir, options.sounds))
    found = video_data.load(
        options.dataset, options.data_dir, options.videos, options.frames, options.digits
    )
    return _of_clips(found) if isinstance(found, VideoClips) else _of_moving(found, options.seed)


def _rows(data: jax.Array, indices: jax.Array) -> jax.Array:
    return data[indices]


def _of_images(images: Images) -> Signals:
    found = Signals(
        source=images,
        medium="image",
        train=images.train,
        gather=_rows,
        examples=len(images.train),
        heldout=images.heldout,
    )
    train, heldout = images.train_labels, images.heldout_labels
    if train is None or heldout is None:
        return found
    count = 1 + int(max(train.max(), heldout.max()))
    if count < 2:  # a single class tells nothing
        return found
    names = images.classes or tuple(map(str, range(count)))
    return found._replace(
        train_labels=np.asarray(train, np.int32)[:, None],
        heldout_labels=np.asarray(heldout, np.int32)[:, None],
        attributes=(Attribute("class", tuple(names)),),
    )


def _of_sounds(sounds: Sounds) -> Signals:
    return Signals(
        source=sounds,
        medium="audio",
        train=sounds.train[..., None],
        gather=_rows,
        examples=len(sounds.train),
        heldout=sounds.heldout[..., None],
        train_labels=sounds.train_labels,
        heldout_labels=sounds.heldout_labels,
        attributes=sounds.attributes,
        rate=sounds.rate,
    )


def _of_clips(clips: VideoClips) -> Signals:
    return Signals(
        source=clips,
        medium="video",
        train=clips.train,
        gather=_rows,
        examples=len(clips.train),
        heldout=clips.heldout,
        train_labels=clips.train_labels,
        heldout_labels=clips.heldout_labels,
        attributes=clips.attributes,
        rate=max(round(clips.rate), 1),
    )


def _of_moving(moving: MovingDigits, seed: int) -> Signals:
    draw = partial(moving_digits, frames=moving.frames, count=moving.count, size=moving.size)

    def gather(digits: jax.Array, indices: jax.Array) -> jax.Array:
        return draw(video_keys(seed, indices), digits).frames

    return Signals(
        source=moving,
        medium="video",
        train=moving.train,
        gather=gather,
        examples=video_data.GENERATED,
        heldout=moving.heldout_videos(video_data.HELDOUT).frames,
        rate=moving.rate,
    )


def check_batch(options: Options, signals: Signals) -> None:
    """Refuses a batch that is larger than the data set, before a classifier of it is trained.

    Raises:
      InputError: says how many there are.
    """
    if options.batch_size > signals.examples:
        raise InputError(
            f"--batch_size={options.batch_size}: {signals.name} has {signals.examples} "
            f"{signals.unit} to train on"
        )


def metadata(signals: Signals) -> dict[str, Any]:
    """What networks on signals need to know, and what samples are shown with."""
    *sides, channels = signals.heldout.shape[1:]
    return {
        "medium": signals.medium,
        "sides": sides,
        "channels": channels,
        "rate": signals.rate,
        "attributes": [[a.name, list(a.values)] for a in signals.attributes],
    }


def attributes_of(metadata: dict[str, Any]) -> tuple[Attribute, ...]:
    """The attributes in a run's metadata."""
    return tuple(Attribute(name, tuple(values)) for name, values in metadata["attributes"])
