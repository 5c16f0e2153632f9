"""Notes of recorded instruments, played from a General MIDI sound font.

Dimensions: M clips, T time.
"""

import importlib.util
from pathlib import Path

import numpy as np

from aigc_jax.data import audio, sampler
from aigc_jax.data.attributes import Attribute
from aigc_jax.data.audio import Sounds
from aigc_jax.data.soundfont import SoundFont, read_soundfont
from aigc_jax.data.tones import key_name
from aigc_jax.errors import InputError

RATE, LENGTH = 8000, 8192
KEYS = tuple(range(48, 84))  # C3 to B5, as MIDI counts
VELOCITIES = (40, 60, 80, 100, 120)
PROGRAMS = {  # of General MIDI, counted from 0: instruments that hold one steady pitch
    "piano": 0,
    "vibraphone": 11,
    "guitar": 24,
    "violin": 40,
    "trumpet": 56,
    "oboe": 68,
    "clarinet": 71,
    "flute": 73,
}
EVERY = 6  # of this many notes, one is held out

_HELD = 0.8  # of a clip, for which the key is down
_DETUNED = 8.0  # cents, at most
_LATEST = 0.02  # s, at which a note begins
_FADE = 0.01  # s, at the end
_FONT = ("pretty_midi", "TimGM6mb.sf2")  # a package and the font within it


def load_notes(soundfont: str | None = None, rate: int = RATE) -> Sounds:
    """1,440 notes, 8,192 samples each: eight instruments, 36 keys from C3 to B5, five velocities.

    Each begins up to 20 ms late and is detuned by at most 8 cents, by its own amount, so that no
    clip is a louder copy of another. Every sixth is held out: those where the places of velocity,
    key and instrument in their lists add up to a multiple of six, so that each instrument and key
    has some in both parts.

    Args:
      soundfont: a General MIDI sound font, .sf2; None is the TimGM6mb.sf2 of the pretty_midi
        package.
      rate: of the clips, in samples per second.

    Returns:
      int16 `[M, 8192]` in two parts, 1,200 and 240, in the order of instrument, key and velocity,
      with int32 labels `[M, 2]`: pitch and instrument.

    Raises:
      InputError: there is no font, or it cannot be used.
    """
    font = read_soundfont(_default_font() if soundfont is None else soundfont)
    sizes = len(PROGRAMS), len(KEYS), len(VELOCITIES)
    instrument, key, velocity = np.indices(sizes).reshape(3, -1)
    clips = render(
        font,
        np.array(list(PROGRAMS.values()))[instrument],
        np.array(KEYS)[key],
        np.array(VELOCITIES)[velocity],
        rate,
    )
    heldout = (instrument + key + velocity) % EVERY == 0
    labels = np.stack([key, instrument], axis=1).astype(np.int32)
    attributes = (
        Attribute("pitch", tuple(key_name(k) for k in KEYS)),
        Attribute("instrument", tuple(PROGRAMS)),
    )
    parts = clips[~heldout], clips[heldout], labels[~heldout], labels[heldout]
    return Sounds("notes", rate, *parts, attributes)


def render(
    font: SoundFont,
    programs: np.ndarray,
    keys: np.ndarray,
    velocities: np.ndarray,
    rate: int,
    length: int = LENGTH,
) -> np.ndarray:
    """Notes of a font, each at `audio.LEVEL`, less 40 log₁₀(127 / velocity) dB.

    Args:
      font: from `read_soundfont`.
      programs, keys, velocities: integers `[M]`; see `soundfont.voices`.
      rate: in samples per second.
      length: T; the key is released after 0.8 of it.

    Returns:
      int16 `[M, T]`. Delay and detuning of note i depend on i alone.

    Raises:
      InputError: the font cannot play one of them.
    """
    clips = np.empty((len(programs), length), np.int16)
    fade = np.minimum((length - np.arange(length)) / (_FADE * rate), 1)
    for i, (program, key, velocity) in enumerate(zip(programs, keys, velocities, strict=True)):
        late, detuned = note_details(i)
        skipped = min(round(late * rate), length - 1)
        held = _HELD * length / rate
        sound = np.zeros(length)
        sound[skipped:] = sampler.note(
            font, int(program), int(key), int(velocity), rate, length - skipped, held, detuned
        )
        level = audio.LEVEL + 40 * np.log10(velocity / 127)
        clips[i] = audio.quantised(audio.levelled(sound * fade, level))
    return clips


def note_details(index: int) -> tuple[float, float]:
    """By how much note `index` of `render` begins late, in s, and is detuned, in cents."""
    late, detuned = np.random.default_rng([index]).random(2)
    return _LATEST * late, _DETUNED * (2 * detuned - 1)


def _default_font() -> Path:
    package, name = _FONT
    spec = importlib.util.find_spec(package)  # which does not import it
    for place in (spec.submodule_search_locations or []) if spec else []:
        if (path := Path(place, name)).is_file():
            return path
    message = f"dataset notes needs a General MIDI sound font: pip install {package}"
    raise InputError(f"{message}, which has one, or pass an .sf2 file")
