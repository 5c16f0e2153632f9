"""Files of sound: WAV by this package, others by the soundfile package where it is installed.

Dimensions: T time, C channels.
"""

from pathlib import Path
from types import ModuleType

import numpy as np

from aigc_jax.data import wav
from aigc_jax.errors import InputError

COMPRESSED = (".flac", ".ogg", ".mp3")
SUFFIXES = (".wav", *COMPRESSED)

_BLOCK = 2**18  # frames decoded at a time, as a header may announce any number


def sound_length(path: Path) -> tuple[int, int]:
    """The number of frames T of a file and its rate, from its header alone.

    Raises:
      InputError: it cannot be used.
    """
    if path.suffix.lower() not in COMPRESSED:
        return wav.wav_length(path)
    library = _soundfile(path)
    try:
        info = library.info(str(path))
    except (OSError, RuntimeError) as error:
        raise _unreadable(path, error) from error
    return info.frames, info.samplerate


def read_sound(path: Path) -> tuple[np.ndarray, int]:
    """All samples of a file.

    Args:
      path: named after its kind: .wav, .flac, .ogg or .mp3.

    Returns:
      float32 `[T, C]`, and the rate in samples per second.

    Raises:
      InputError: it cannot be used, or needs the soundfile package.
    """
    if path.suffix.lower() not in COMPRESSED:
        return wav.read_wav(path)
    library = _soundfile(path)
    blocks, bytes_left = [], 4 * wav.MOST_BYTES
    try:
        with library.SoundFile(str(path)) as file:
            rate, announced = file.samplerate, file.frames
            while len(block := file.read(_BLOCK, dtype="float32", always_2d=True)):
                blocks.append(block)
                bytes_left -= block.nbytes
                if bytes_left < 0:
                    limit = f"{4 * wav.MOST_BYTES} bytes"
                    raise InputError(f"{path}: its samples take more than the {limit} allowed")
    except (OSError, RuntimeError) as error:
        raise _unreadable(path, error) from error
    if not blocks:
        raise InputError(f"{path}: has no samples")
    samples = np.concatenate(blocks)
    if len(samples) < announced:
        message = f"its header announces {announced} frames, but {len(samples)} follow"
        raise InputError(f"{path}: {message}; it is truncated or damaged")
    if not np.isfinite(samples).all():
        raise InputError(f"{path}: has samples that are not finite")
    return samples, rate


def _soundfile(path: Path) -> ModuleType:
    try:
        import soundfile
    except (ImportError, OSError) as error:  # OSError where the library that it wraps is missing
        message = f"{path}: reading it needs the soundfile package; pip install soundfile"
        raise InputError(f"{message}, or convert it to WAV") from error
    return soundfile


def _unreadable(path: Path, error: Exception) -> InputError:
    reason = (str(error) or type(error).__name__).splitlines()[0][:200]
    return InputError(f"{path}: cannot be read ({reason})")
