"""Synthesised notes: a data set of sounds that needs no file, and whose pitches are known exactly.

Dimensions: M clips, T time, H harmonics.
"""

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from aigc_jax.data import audio
from aigc_jax.data.attributes import Attribute
from aigc_jax.data.audio import Sounds

RATE, LENGTH = 8000, 8192  # 1.024 s
TRAIN, HELDOUT = 2880, 480  # clips, of which each pitch and timbre has 30 and 5
LOWEST_KEY = 48  # C3 as MIDI counts; 69 is A4, 440 Hz
DETUNED = 8.0  # cents, at most

_NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")

_QUIETEST = -12.0  # dB of the greatest loudness
_RELEASE = 0.03  # s, at the end, so that no clip ends with a click
_BLOCK = 24  # clips synthesised at once, all of one timbre, which keeps them in a processor's cache


def key_name(key: int) -> str:
    """`A4` of 69, as MIDI counts keys."""
    return f"{_NAMES[key % 12]}{key // 12 - 1}"


def key_of(name: str) -> int | None:
    """The inverse of `key_name`; None for what is no key's name."""
    return next((key for key in range(128) if key_name(key) == name), None)


def frequency_of(key: int) -> float:
    """440 · 2^((k − 69) / 12) Hz, of key k in equal temperament."""
    return 440.0 * 2.0 ** ((key - 69) / 12)


PITCHES = tuple(key_name(key) for key in range(LOWEST_KEY, LOWEST_KEY + 24))


class _Timbre(NamedTuple):
    harmonics: tuple[float, ...]  # amplitudes of f, 2f, …, of which 7 stay clear of RATE / 2
    decay: Callable[[int], float]  # of harmonic h, per second
    attack: float  # s


_TIMBRES = {
    "plucked": _Timbre((1, 1 / 2, 1 / 3, 1 / 4, 1 / 5, 1 / 6, 1 / 7), lambda h: 2.0 * h, 0.004),
    "organ": _Timbre((1, 0.8, 0, 0.6, 0, 0.3, 0), lambda h: 0.0, 0.03),
    "reed": _Timbre((1, 0, 0.75, 0, 0.5, 0, 0.25), lambda h: 0.5, 0.08),
    "bell": _Timbre((0.6, 0.3, 0.1, 0.7, 0.1, 0.6, 0.4), lambda h: 3.0 + 0.5 * h, 0.001),
}
TIMBRES = tuple(_TIMBRES)


class Note(NamedTuple):
    """What is drawn of clips, one number of each `[M]`."""

    frequency: np.ndarray  # Hz, of the fundamental
    phase: np.ndarray  # of the fundamental at t = 0, in periods
    decay: np.ndarray  # per second, beyond the timbre's
    loudness: np.ndarray  # the greatest amplitude, over full scale


def load_tones(seed: int = 0) -> Sounds:
    """2,880 notes to train on and 480 held out: 24 pitches from C3 to B4 in four timbres.

    Clip i is `tones(seed, [i])`; those from 2,880 on are held out, and labels are `tone_labels`.

    Args:
      seed: of what differs between notes of one pitch and timbre.

    Returns:
      int16 `[M, 8192]` at 8 kHz in two parts, with int32 labels `[M, 2]`: pitch and timbre.
    """
    indices = np.arange(TRAIN + HELDOUT)
    clips, labels = tones(seed, indices), tone_labels(indices)
    attributes = Attribute("pitch", PITCHES), Attribute("timbre", TIMBRES)
    parts = clips[:TRAIN], clips[TRAIN:], labels[:TRAIN], labels[TRAIN:]
    return Sounds("tones", RATE, *parts, attributes)


def tone_labels(indices: np.ndarray) -> np.ndarray:
    """Pitch i mod 24 and timbre ⌊i / 24⌋ mod 4 of clips i `[M]`, as int32 `[M, 2]`."""
    return np.stack([indices % 24, indices // 24 % 4], axis=1).astype(np.int32)


def tone_notes(seed: int, indices: np.ndarray) -> Note:
    """What distinguishes clips, each drawn from the seed and its own index alone.

    The frequency is that of the equally tempered key k = 48 + pitch, detuned by at most 8 cents:

        f = 440 · 2^((k − 69 + δ / 100) / 12),   δ ~ U(−8, 8)

    The phase is uniform over a period, the decay over 0 to 3 per second, and the loudness, in dB,
    over −12 to 0 of full scale.
    """
    drawn = np.array([np.random.default_rng([seed, i]).random(4) for i in indices]).reshape(-1, 4)
    keys = LOWEST_KEY + indices % 24 + DETUNED * (2 * drawn[:, 0] - 1) / 100
    return Note(
        440 * 2 ** ((keys - 69) / 12),
        drawn[:, 1],
        3 * drawn[:, 2],
        10 ** (_QUIETEST * drawn[:, 3] / 20),
    )


def tones(seed: int, indices: Sequence[int] | np.ndarray) -> np.ndarray:
    """The clips of these indices.

        x(t) = loudness · e^(−decay · t) · A(t) Σ_h a_h e^(−d_h t) sin 2πh(f t + φ) / Σ_h a_h

    with the amplitudes a_h of the timbre's seven harmonics, their decays d_h, and A, which rises
    within the timbre's attack and falls at the end, both times linearly.

    Args:
      seed: see `tone_notes`.
      indices: `[M]`, from 0 on.

    Returns:
      int16 `[M, 8192]`, at 8 kHz.
    """
    indices = np.asarray(indices, np.int64)
    clips = np.empty((len(indices), LENGTH), np.int16)
    timbres = tone_labels(indices)[:, 1]
    for timbre, name in enumerate(TIMBRES):
        chosen = np.flatnonzero(timbres == timbre)
        for begin in range(0, len(chosen), _BLOCK):
            rows = chosen[begin : begin + _BLOCK]
            clips[rows] = audio.quantised(_rendered(name, tone_notes(seed, indices[rows])))
    return clips


def _rendered(timbre: str, note: Note) -> np.ndarray:
    """float64 `[M, T]`, in which another computer's rounding seldom changes an int16."""
    time = np.arange(LENGTH) / RATE
    frequency, phase, decay, loudness = (part[:, None] for part in note)
    angle = 2 * np.pi * ((frequency * time + phase) % 1)
    doubled = 2 * np.cos(angle)
    # Clenshaw: Σ_h c_h sin hθ = b_1 sin θ, where b_h = c_h + 2 cos θ b_(h+1) − b_(h+2).
    after, current = np.zeros_like(angle), np.zeros_like(angle)
    for amplitudes in _amplitudes(timbre)[::-1]:
        after *= -1
        after += doubled * current
        after += amplitudes
        after, current = current, after
    return current * np.sin(angle) * loudness * np.exp(-decay * time)


@functools.cache
def _amplitudes(name: str) -> np.ndarray:
    """Of the harmonics of a timbre over time, float64 `[H, T]`."""
    timbre, time = _TIMBRES[name], np.arange(LENGTH) / RATE
    rise = np.minimum(time / timbre.attack, 1)
    fall = np.minimum((LENGTH / RATE - time) / _RELEASE, 1)
    order = range(1, len(timbre.harmonics) + 1)
    decays = np.array([timbre.decay(h) for h in order])[:, None]
    sizes = np.array(timbre.harmonics)[:, None] / sum(timbre.harmonics)
    return sizes * np.exp(-decays * time) * rise * fall
