"""Sounds by flag, and as the log-mel images in which they are classified."""

from functools import partial

import jax
import numpy as np

from aigc_jax import spectral
from aigc_jax.data import audio
from aigc_jax.data.audio import Sounds
from aigc_jax.data.fsdd import load_fsdd
from aigc_jax.data.images import Images
from aigc_jax.data.own_sounds import load_own_sounds
from aigc_jax.data.tones import load_tones
from aigc_jax.errors import InputError
from experiments.data.labelled import labelled

DATASETS = ("tones", "fsdd", "notes")

_AT_ONCE = 500


def load(dataset: str, data_dir: str | None, sounds: str | None) -> Sounds:
    """The sounds that flags name.

    Raises:
      InputError: they cannot be loaded.
    """
    if sounds is not None:
        return load_own_sounds(sounds)
    if dataset == "tones":
        return load_tones()
    if dataset == "notes":
        from aigc_jax.data.notes import load_notes

        return load_notes(data_dir)
    if data_dir is None:
        raise InputError(
            "dataset fsdd: pass --data_dir, the folder of the Free Spoken Digit Dataset's "
            "recordings (github.com/Jakobovski/free-spoken-digit-dataset)"
        )
    return load_fsdd(data_dir)


def mel_images(clips: np.ndarray, rate: int) -> np.ndarray:
    """`spectral.mel_image` of sounds as bytes: int16 `[N, T]` → uint8 `[N, F, M, 1]`.

    From 16 bits, so that a classifier cannot tell sounds by what those would round away.
    """
    describe, parts = jax.jit(partial(spectral.mel_image, rate=rate)), []
    for i in range(0, len(clips), _AT_ONCE):
        grey = np.asarray(describe(audio.as_floats(clips[i : i + _AT_ONCE])))
        parts.append(np.rint(255 * grey).astype(np.uint8))
    return np.concatenate(parts)


def as_images(sounds: Sounds, attribute: str | None = None) -> Images:
    """The data set of a classifier of one attribute of sounds; None: the first.

    Raises:
      InputError: the sounds have no such attribute.
    """
    return labelled(
        sounds,
        attribute,
        "sounds",
        lambda: (mel_images(sounds.train, sounds.rate), mel_images(sounds.heldout, sounds.rate)),
    )
