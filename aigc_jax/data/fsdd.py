"""The Free Spoken Digit Dataset: ten digits, spoken by a few people, fifty times each.

Dimensions: M clips, T time.
"""

import re
import stat
from collections import defaultdict
from pathlib import Path

import numpy as np

from aigc_jax import storage
from aigc_jax.data import audio, class_folders, wav
from aigc_jax.data.attributes import Attribute
from aigc_jax.data.audio import Sounds
from aigc_jax.errors import InputError

RATE, LENGTH = 8000, 8192  # 1.024 s, in which 99.4 % of the published recordings fit whole
HELDOUT = range(10)  # the recordings of each digit and speaker that are held out

_DIGITS = tuple("0123456789")
_NAME = re.compile(r"([0-9])_([A-Za-z0-9-]+)_(0|[1-9][0-9]{0,5})\.wav", re.ASCII)
_PATTERN = "{digit}_{speaker}_{index}.wav"


def load_fsdd(folder: str, normalise: bool = True) -> Sounds:
    """Loads the Free Spoken Digit Dataset, 8,192 samples a clip at 8 kHz.

    The recordings 0 to 9 of each digit and speaker are held out: 600 clips of 3,000. The usual test
    split, 0 to 4, is half of these.

    Args:
      folder: of files `{digit}_{speaker}_{index}.wav`, there or in its `recordings`. Each digit and
        speaker must have all recordings from 0 to its last, and more than ten.
      normalise: whether each is brought to a root mean square of −20 dB relative to full scale, or
        less where its peak would clip: between speakers the median peak differs 16-fold.

    Returns:
      int16 `[M, 8192]` in two parts, in the order of digit, speaker and index; longer recordings
      are cut, shorter ones followed by zeros. Labels int32 `[M, 2]`: digit, and speaker in the
      order of the names.

    Raises:
      InputError: a file is missing, damaged or not named so.

    Source: Jackson et al., https://github.com/Jakobovski/free-spoken-digit-dataset.
    """
    if not folder:
        raise InputError(f"dataset fsdd: --data_dir is empty; name the folder of {_PATTERN}")
    below = Path(folder, "recordings")
    place = below if storage.kind_of(below) == stat.S_IFDIR else Path(folder)
    if storage.kind_of(place) != stat.S_IFDIR:
        raise InputError(f"{place}: no such folder; --data_dir must hold {_PATTERN} of fsdd")
    files = _by_digit_speaker_index(place)
    speakers = sorted({speaker for _, speaker, _ in files})
    _check_complete(place, files, speakers)
    audio.check_bytes(place, len(files), LENGTH)
    keys = sorted(files)
    clips = np.stack([_clip(files[key], normalise) for key in keys])
    labels = np.array([(digit, speakers.index(name)) for digit, name, _ in keys], np.int32)
    heldout = np.array([index in HELDOUT for _, _, index in keys])
    attributes = Attribute("digit", _DIGITS), Attribute("speaker", tuple(speakers))
    parts = clips[~heldout], clips[heldout], labels[~heldout], labels[heldout]
    return Sounds("fsdd", RATE, *parts, attributes)


def _by_digit_speaker_index(place: Path) -> dict[tuple[int, str, int], Path]:
    files = {}
    for file in class_folders.entries(place):
        name = _NAME.fullmatch(file.name)
        if name is None:
            raise InputError(f"{file}: not named {_PATTERN}; move it elsewhere")
        files[int(name[1]), name[2], int(name[3])] = file
    return files


def _check_complete(
    place: Path, files: dict[tuple[int, str, int], Path], speakers: list[str]
) -> None:
    if not files:
        raise InputError(f"{place}: holds no recordings {_PATTERN}")
    indices = defaultdict(set)
    for digit, speaker, index in files:
        indices[digit, speaker].add(index)
    for digit in range(10):
        for speaker in speakers:
            found = indices[digit, speaker]
            expected = max(len(found), len(HELDOUT) + 1)
            missing = min(set(range(expected)) - found, default=None)
            if missing is not None:
                name = f"{digit}_{speaker}_{missing}.wav"
                raise InputError(f"{place / name}: no such file; download the data set again")


def _clip(file: Path, normalise: bool) -> np.ndarray:
    samples, rate = wav.read_wav(file)
    return audio.clip_of(samples, rate, RATE, LENGTH, normalise)
