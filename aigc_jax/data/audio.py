"""Data sets of sounds: clips of one length and rate, with any number of attributes.

Dimensions: M clips, T time, C channels, A attributes.
"""

import hashlib
import math
from dataclasses import dataclass

import numpy as np

from aigc_jax.data.attributes import Attribute
from aigc_jax.errors import InputError

LEVEL = -20.0  # dB relative to full scale, of a clip's root mean square
MOST_BYTES = 2**35  # of samples, as all are kept in memory

_FULL_SCALE = 2**15
_LOUDEST = (_FULL_SCALE - 1) / _FULL_SCALE  # of what an int16 can hold


@dataclass(frozen=True, eq=False)
class Sounds:
    """A data set in memory, split into a part to train on and a part held out; all of it mono."""

    name: str
    rate: int  # samples per second
    train: np.ndarray  # int16 [M, T]
    heldout: np.ndarray
    train_labels: np.ndarray | None  # int32 [M, A], one column an attribute; None without any
    heldout_labels: np.ndarray | None
    attributes: tuple[Attribute, ...] = ()

    @property
    def unit(self) -> str:
        """What the data set is counted in."""
        return "clips"

    def fingerprint(self) -> str:
        """SHA-256 over the rate, the clips and the labels: equal where training sees the same."""
        digest = hashlib.sha256(str(self.rate).encode())
        for array in (self.train, self.train_labels, self.heldout, self.heldout_labels):
            if array is not None:
                digest.update(str(array.shape).encode())
                digest.update(array.ravel().data)  # a copy only where it is not contiguous
        return digest.hexdigest()


def as_floats(clips: np.ndarray) -> np.ndarray:
    """Samples in [−1, 1): int16 of any shape, over 2¹⁵, as float32."""
    return clips.astype(np.float32) / _FULL_SCALE


def quantised(samples: np.ndarray) -> np.ndarray:
    """The nearest int16 to floating-point samples times 2¹⁵; what is beyond full scale is clipped.

    The inverse of `as_floats`.
    """
    return np.rint(samples * _FULL_SCALE).clip(-_FULL_SCALE, _FULL_SCALE - 1).astype(np.int16)


def levelled(samples: np.ndarray, level: float = LEVEL) -> np.ndarray:
    """Samples times one gain, which brings them to a level, or less where they would clip.

        g = min(10^(level / 20) / RMS(x), 1 / max |x|)

    Args:
      samples: floating point `[T]`; silence stays silence.
      level: of the root mean square, in dB relative to full scale, which is 1.

    Returns:
      float32 `[T]`, no sample beyond what an int16 can hold.
    """
    exact = np.asarray(samples, np.float64)
    peak = np.abs(exact).max(initial=0.0)
    if peak == 0:
        return np.zeros(exact.shape, np.float32)
    exact = exact / peak  # the squares of what is very small would vanish
    gain = min(10 ** (level / 20) / math.sqrt(np.square(exact).mean()), _LOUDEST)
    return (gain * exact).astype(np.float32)


def resampled(samples: np.ndarray, rate: int, to: int) -> np.ndarray:
    """Samples at another rate, by a polyphase filter.

    Args:
      samples: floating point `[T]`.
      rate: theirs, per second.
      to: the rate wanted.

    Returns:
      `[⌈T · to / rate⌉]`, of the same type.
    """
    if rate == to:
        return samples
    from scipy.signal import resample_poly  # slow to import

    shared = math.gcd(rate, to)
    return resample_poly(samples, to // shared, rate // shared)


def clip_of(
    samples: np.ndarray, rate: int, to: int, length: int, normalise: bool = True
) -> np.ndarray:
    """A clip of a data set, made of a recording: mono, at the set's rate, length and level.

    Args:
      samples: float32 `[T', C]`; channels are averaged.
      rate: theirs, per second.
      to: the data set's rate.
      length: T; longer recordings are cut, shorter ones are followed by zeros.
      normalise: whether to bring it to `LEVEL`, measured over the recording without those zeros.

    Returns:
      int16 `[T]`.
    """
    # As many as the filter of `resampled` reads to make T: none beyond them changes a sample.
    needed = -(-length * rate // to) + 11 * max(1, -(-rate // to))
    mono = samples[:needed].mean(axis=1, dtype=np.float64)
    mono = resampled(mono, rate, to)[:length]
    clip = np.zeros(length, np.int16)
    clip[: len(mono)] = quantised(levelled(mono) if normalise else mono)
    return clip


def check_bytes(place: object, clips: int, length: int) -> None:
    """Refuses what would not fit into memory.

    Args:
      place: whose clips they are.
      clips, length: M and T.

    Raises:
      InputError: they would take more than `MOST_BYTES`.
    """
    if (count := 2 * clips * length) > MOST_BYTES:
        sizes = f"{count / 2**30:.1f} GiB, above the {MOST_BYTES / 2**30:.1f} that are allowed"
        raise InputError(f"{place}: its samples would take {sizes}")
