"""Notes played from a sound font.

Dimensions: T time.
"""

import numpy as np

from aigc_jax.data import audio, soundfont
from aigc_jax.data.soundfont import SoundFont, Voice, Zone

_FINEST = 64  # steps of playback to a sample of the output, at most
_FURTHEST = 14400  # cents that a recording is transposed, which a damaged font may exceed
_SHORTEST = 1e-3  # s, of what fades in or out
_SILENT = 100.0  # dB, through which an envelope falls in its time of decay or release


def note(
    font: SoundFont,
    program: int,
    key: int,
    velocity: int,
    rate: int,
    length: int,
    held: float,
    detune: float = 0.0,
) -> np.ndarray:
    """One note, mono.

        x(t) = Σ_voices (velocity / 127)² 10^(−attenuation / 20) A(t) s(2^(cents / 1200) t)

    A rises linearly, is held, and falls linearly in dB to its sustained level and, once the key is
    released, to silence. The recordings s are read by linear interpolation, at steps of at most
    one of their samples, and the sum is low-passed to the rate of the output.

    Args:
      font: from `read_soundfont`.
      program, key, velocity: see `soundfont.voices`.
      rate: of the output, in samples per second.
      length: T.
      held: s, after which the key is released.
      detune: cents.

    Returns:
      float64 `[T]`; full scale is 1, which several voices may exceed.

    Raises:
      InputError: the font cannot play it.

    Source: see `soundfont.read_soundfont`. Without its filters, instruments are brighter than it
    has them, the more so the softer a note is.
    """
    total = np.zeros(length)
    for voice in soundfont.voices(font, program, key, velocity):
        total += _played(voice, key, velocity, rate, length, held, detune)
    return total


def _played(
    voice: Voice, key: int, velocity: int, rate: int, length: int, held: float, detune: float
) -> np.ndarray:
    g = voice.generators
    key = g[soundfont.KEY] if g[soundfont.KEY] >= 0 else key
    velocity = g[soundfont.VELOCITY] if g[soundfont.VELOCITY] >= 0 else velocity
    step = 2 ** ((_cents(voice, key) + detune) / 1200) * voice.recording.rate / rate
    finer = int(np.clip(np.ceil(step), 1, _FINEST))
    count = np.arange(length * finer)
    wave = _read(voice, count * (step / finer)) * _envelope(g, key, count / (rate * finer), held)
    # Constant power between the channels, of which the mean is taken.
    angle = (np.clip(g[soundfont.PAN], -500, 500) / 1000 + 0.5) * np.pi / 2
    gain = (np.cos(angle) + np.sin(angle)) / 2
    gain *= (velocity / 127) ** 2 * 10 ** (-max(g[soundfont.ATTENUATION], 0) / 200)
    return gain * audio.resampled(wave, rate * finer, rate)[:length]


def _cents(voice: Voice, key: int) -> int:
    """How far the note is above the recording."""
    g = voice.generators
    root = g[soundfont.ROOT] if g[soundfont.ROOT] >= 0 else voice.recording.key
    root = root if root <= 127 else 60
    tuned = 100 * g[soundfont.COARSE] + g[soundfont.FINE] + voice.recording.correction
    cents = (key - root) * g[soundfont.SCALE] + tuned
    return min(max(cents, -_FURTHEST), _FURTHEST)


def _read(voice: Voice, places: np.ndarray) -> np.ndarray:
    """The recording between its samples, in [−1, 1); after its end silence."""
    samples = audio.as_floats(voice.samples)
    if voice.loop is None:
        return np.interp(places, np.arange(len(samples)), samples, right=0.0)
    begin, end = voice.loop
    turns = places >= end
    places = np.where(turns, begin + (places - begin) % (end - begin), places)
    samples = np.append(samples[:end], samples[begin])  # after the last of the loop is its first
    return np.interp(places, np.arange(end + 1), samples)


def _envelope(g: Zone, key: int, time: np.ndarray, held: float) -> np.ndarray:
    """The amplitude of a voice at these times, in seconds."""
    above = 60 - key
    attack, release = (
        max(_seconds(g[part]), _SHORTEST) for part in (soundfont.ATTACK, soundfont.RELEASE)
    )
    hold = _seconds(g[soundfont.HOLD] + above * g[soundfont.KEY_TO_HOLD])
    decay = _seconds(g[soundfont.DECAY] + above * g[soundfont.KEY_TO_DECAY])
    begun = np.minimum(time, held) - _seconds(g[soundfont.DELAY])
    fallen = np.maximum(begun - attack - hold, 0) * (_SILENT / max(decay, _SHORTEST))
    fallen = np.minimum(fallen, np.clip(g[soundfont.SUSTAIN] / 10, 0, _SILENT))
    fallen += np.maximum(time - held, 0) * (_SILENT / release)
    rise = np.clip(begun / attack, 0, 1)
    return rise * 10 ** (-fallen / 20)


def _seconds(timecents: int) -> float:
    """2^(timecents / 1200), at most 101 s; 0 from −12,000 on, which fonts say for none."""
    return 2 ** (min(timecents, 8000) / 1200) if timecents > -12000 else 0.0
