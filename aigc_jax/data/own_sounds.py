"""Sounds of the user's own: a folder of WAV files, or of others that the soundfile package reads.

Dimensions: M clips, T time.
"""

import math
import os
import stat
from pathlib import Path

import numpy as np

from aigc_jax import storage
from aigc_jax.data import audio, class_folders, sound_files
from aigc_jax.data.attributes import Attribute
from aigc_jax.data.audio import Sounds
from aigc_jax.data.splits import tenth_held_out
from aigc_jax.data.wav import HIGHEST_RATE
from aigc_jax.errors import InputError

FEWEST = 20  # clips, so that two are held out
RATE = 8000  # samples per second
COVERED = 0.99  # of the clips, whole
MULTIPLE = 1024  # of which T is one, as networks halve it time and again

_KINDS = "a WAV, FLAC, Ogg or MP3 file"


def load_own_sounds(
    path: str, rate: int | None = None, seconds: float | None = None, normalise: bool = True
) -> Sounds:
    """Loads the sounds of a folder, as clips of one length, and splits them 90 / 10.

    The split is by a permutation that depends on M alone; its last ⌊M / 10⌋ are held out.

    Args:
      path: a folder of .wav files and, with the soundfile package, of .flac, .ogg and .mp3 files,
        of any rates, in the order of their names. Where they are in subfolders, each subfolder is
        a value of the attribute `class`, in the order of their names. Names that begin with a dot,
        captions, NAME.txt of NAME.wav, and what systems leave behind are skipped.
      rate: of the clips, in samples per second; None is 8000. Files of other rates are resampled,
        and channels are averaged.
      seconds: of a clip; longer files are cut, shorter ones are followed by zeros. None is the
        shortest multiple of 1024 samples that holds 99 % of the files whole.
      normalise: whether each is brought to a root mean square of −20 dB relative to full scale, or
        less where its peak would clip. Recordings of several people differ widely in level.

    Returns:
      int16 `[M, T]` in two parts, with int32 labels `[M, 1]` or None; named after the folder.

    Raises:
      InputError: names the file or folder that cannot be used.
    """
    if not path:
        raise InputError("--sounds is empty; name a folder of sounds")
    rate = _checked_rate(RATE if rate is None else rate)
    folder = Path(path)
    if storage.kind_of(folder) != stat.S_IFDIR:
        raise InputError(f"{path}: no such folder")
    found = class_folders.listed(folder, sound_files.SUFFIXES, "sounds", _KINDS)
    count = len(found.files)
    if count < FEWEST:
        raise InputError(f"{path}: holds {count} sounds; at least {FEWEST} are needed")
    length = _length(found.files, rate, seconds)
    clips = _clips(folder, found.files, rate, length, normalise)
    train, heldout = tenth_held_out(count)
    name = Path(os.path.abspath(path)).stem
    if found.labels is None:
        return Sounds(name, rate, clips[train], clips[heldout], None, None)
    labels = found.labels[:, None]
    attributes = (Attribute("class", found.classes),)
    parts = clips[train], clips[heldout], labels[train], labels[heldout]
    return Sounds(name, rate, *parts, attributes)


def _checked_rate(rate: int) -> int:
    if not 1 <= rate <= HIGHEST_RATE:
        raise InputError(f"a rate of {rate} samples per second; choose 1 to {HIGHEST_RATE}")
    return rate


def _length(files: list[Path], rate: int, seconds: float | None) -> int:
    """T, from the headers alone where it is not given."""
    if seconds is not None:
        length = round(seconds * rate) if math.isfinite(seconds) else 0
        if length < 1:
            raise InputError(f"clips of {seconds} seconds have no samples; choose more than 0")
        return length
    lengths = []
    for file in files:
        frames, own_rate = sound_files.sound_length(file)
        lengths.append(-(-frames * rate // own_rate))
    covering = int(np.quantile(lengths, COVERED, method="inverted_cdf"))
    return max(-(-covering // MULTIPLE), 1) * MULTIPLE


def _clips(folder: Path, files: list[Path], rate: int, length: int, normalise: bool) -> np.ndarray:
    """int16 `[M, T]`."""
    audio.check_bytes(folder, len(files), length)
    try:
        clips = np.empty((len(files), length), np.int16)
        for i, file in enumerate(files):
            samples, own_rate = sound_files.read_sound(file)
            clips[i] = audio.clip_of(samples, own_rate, rate, length, normalise)
    except MemoryError as error:
        raise InputError(f"{folder}: its sounds do not fit into memory") from error
    return clips
