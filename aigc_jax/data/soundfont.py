"""Sound fonts: files of recorded instruments, with how each recording is to be played.

Dimensions: T time.
"""

import struct
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from aigc_jax.data import riff
from aigc_jax.data.riff import Damaged
from aigc_jax.errors import InputError

MOST_BYTES = 2**30  # of the samples of a font

# Generators by their numbers, section 8.1.2 of the specification.
START, END, LOOP_START, LOOP_END = 0, 1, 2, 3
START_COARSE, END_COARSE, LOOP_START_COARSE, LOOP_END_COARSE = 4, 12, 45, 50
PAN, INSTRUMENT, KEYS, VELOCITIES = 17, 41, 43, 44
DELAY, ATTACK, HOLD, DECAY, SUSTAIN, RELEASE = 33, 34, 35, 36, 37, 38
KEY_TO_HOLD, KEY_TO_DECAY, KEY, VELOCITY = 39, 40, 46, 47
ATTENUATION, COARSE, FINE, SAMPLE, LOOPS, SCALE, ROOT = 48, 51, 52, 53, 54, 56, 58

_DEFAULTS = {
    **{START: 0, END: 0, LOOP_START: 0, LOOP_END: 0, START_COARSE: 0, END_COARSE: 0},
    **{LOOP_START_COARSE: 0, LOOP_END_COARSE: 0, KEY: -1, VELOCITY: -1, LOOPS: 0, ROOT: -1},
    **{DELAY: -12000, ATTACK: -12000, HOLD: -12000, DECAY: -12000, RELEASE: -12000, SUSTAIN: 0},
    **{KEY_TO_HOLD: 0, KEY_TO_DECAY: 0, PAN: 0, ATTENUATION: 0, COARSE: 0, FINE: 0, SCALE: 100},
}
# Those that a preset adds to what its instrument says.
_ADDED = {PAN, DELAY, ATTACK, HOLD, DECAY, SUSTAIN, RELEASE, KEY_TO_HOLD, KEY_TO_DECAY}
_ADDED |= {ATTENUATION, COARSE, FINE, SCALE}
_ROM = 0x8000  # of the type of a recording that is in a synthesiser, not in the file

# Names are skipped, and so are libraries, genres and modulators.
_RECORDS = {
    b"phdr": "<20xHHH12x",
    b"pbag": "<HH",
    b"pgen": "<Hh",
    b"inst": "<20xH",
    b"ibag": "<HH",
    b"igen": "<Hh",
    b"shdr": "<20xIIIIIBbHH",
}

Zone = dict[int, int]  # generators


class Recording(NamedTuple):
    """Where a recording lies among the samples of its font, and what it is of."""

    begin: int
    end: int
    loop_begin: int
    loop_end: int
    rate: int  # samples per second
    key: int  # MIDI's number of its pitch; above 127 where it has none
    correction: int  # cents
    link: int  # the other channel
    kind: int


class SoundFont(NamedTuple):
    """A font in memory."""

    path: Path
    samples: np.ndarray  # int16 [T], of all recordings
    recordings: list[Recording]
    instruments: list[list[Zone]]
    presets: dict[tuple[int, int], list[Zone]]  # by bank and program


class Voice(NamedTuple):
    """One of the recordings that sound for a note: the samples, and all generators."""

    samples: np.ndarray  # int16 [T]
    loop: tuple[int, int] | None  # within them; None where it is played once
    recording: Recording
    generators: Zone


def read_soundfont(path: str | Path) -> SoundFont:
    """Reads a sound font of format 2, with samples of 16 bits.

    Raises:
      InputError: it is no such file, or is damaged.

    Source: E-mu Systems, "SoundFont technical specification", version 2.04 (2006). Modulators and
    the generators of filters, vibrato and effects are not read.
    """
    path = Path(path)
    with riff.opened(path) as file:
        chunks = _chunks(file)
        for name in (b"smpl", *_RECORDS):
            if name not in chunks:
                raise Damaged(f"has no chunk {name.decode()!r}")
        if chunks[b"smpl"].size > MOST_BYTES:
            raise Damaged(f"has {chunks[b'smpl'].size} bytes of samples; {MOST_BYTES} are allowed")
        content = riff.content(file, chunks[b"smpl"])
        records = {name: _records(file, chunks[name]) for name in _RECORDS}
        # The last of each list only says where the one before it ends.
        zones = _zones([bag for _, _, bag in records[b"phdr"]], *_lists(records, "p"))
        instruments = _zones([bag for (bag,) in records[b"inst"]], *_lists(records, "i"))
    names = [(bank, program) for program, bank, _ in records[b"phdr"][:-1]]
    return SoundFont(
        path,
        np.frombuffer(content[: len(content) // 2 * 2], "<i2"),
        [Recording(*fields) for fields in records[b"shdr"][:-1]],
        [_with_globals(found, SAMPLE) for found in instruments],
        {name: _with_globals(found, INSTRUMENT) for name, found in zip(names, zones, strict=True)},
    )


def voices(font: SoundFont, program: int, key: int, velocity: int, bank: int = 0) -> list[Voice]:
    """All recordings that sound for a note.

    Args:
      font: the font.
      program: the instrument, 0 … 127; in General MIDI 0 is a grand piano.
      key: the pitch, 0 … 127; 69 is A4.
      velocity: how hard the key is struck, 1 … 127.
      bank: of programs.

    Raises:
      InputError: the font has no such program, nothing sounds, or it is damaged.
    """
    if (bank, program) not in font.presets:
        raise InputError(f"{font.path}: has no program {program} in bank {bank}")
    found = []
    for preset in font.presets[bank, program]:
        if not _is_within(preset, key, velocity):
            continue
        if preset[INSTRUMENT] >= len(font.instruments):
            raise InputError(f"{font.path}: has no instrument {preset[INSTRUMENT]}; it is damaged")
        for zone in font.instruments[preset[INSTRUMENT]]:
            if _is_within(zone, key, velocity):
                total = _DEFAULTS | zone
                for generator in _ADDED & preset.keys():
                    total[generator] += preset[generator]
                found.append(_voice(font, total))
    if not found:
        message = f"program {program} has no sound for key {key} at velocity {velocity}"
        raise InputError(f"{font.path}: {message}")
    return found


def _voice(font: SoundFont, g: Zone) -> Voice:
    number = g[SAMPLE]
    if number >= len(font.recordings):
        raise InputError(f"{font.path}: has no recording {number}; it is damaged")
    recording = font.recordings[number]
    if recording.kind & _ROM:
        raise InputError(f"{font.path}: recording {number} is in a synthesiser's ROM")
    begin = recording.begin + g[START] + 2**15 * g[START_COARSE]
    end = recording.end + g[END] + 2**15 * g[END_COARSE]
    loop = (
        recording.loop_begin + g[LOOP_START] + 2**15 * g[LOOP_START_COARSE] - begin,
        recording.loop_end + g[LOOP_END] + 2**15 * g[LOOP_END_COARSE] - begin,
    )
    looped = g[LOOPS] & 3 in (1, 3)
    inside = 0 <= begin < end <= len(font.samples) and recording.rate > 0
    if not inside or (looped and not 0 <= loop[0] < loop[1] <= end - begin):
        raise InputError(f"{font.path}: recording {number} has impossible bounds; it is damaged")
    return Voice(font.samples[begin:end], loop if looped else None, recording, g)


def _is_within(zone: Zone, key: int, velocity: int) -> bool:
    for generator, value in ((KEYS, key), (VELOCITIES, velocity)):
        bounds = zone.get(generator, 0x7F00)  # the least in the lower byte
        if not bounds & 0xFF <= value <= bounds >> 8 & 0xFF:
            return False
    return True


def _chunks(file: BinaryIO) -> dict[bytes, riff.Chunk]:
    """Those of the lists of samples and of records, by name."""
    found: dict[bytes, riff.Chunk] = {}
    for outer in riff.chunks_of(file, b"sfbk", "a sound font"):
        if outer.name == b"LIST" and outer.size >= 4:
            found |= {inner.name: inner for inner in riff.inner_chunks(file, outer)}
    return found


def _records(file: BinaryIO, chunk: riff.Chunk) -> list[tuple[Any, ...]]:
    layout = struct.Struct(_RECORDS[chunk.name])
    if chunk.size % layout.size or not chunk.size:
        name = chunk.name.decode()
        raise Damaged(f"its {name!r} are {chunk.size} bytes, not records of {layout.size}")
    return list(layout.iter_unpack(riff.content(file, chunk)))


def _lists(records: dict[bytes, list[Any]], kind: str) -> tuple[list[int], list[tuple[int, int]]]:
    """Where each zone's generators begin, and all generators, of presets or instruments."""
    bags = [generator for generator, _ in records[f"{kind}bag".encode()]]
    return bags, records[f"{kind}gen".encode()]


def _zones(
    owners: list[int], bags: list[int], generators: list[tuple[int, int]]
) -> list[list[Zone]]:
    """The zones of each preset or instrument."""
    zones = [dict(generators[a:b]) for a, b in _ranges(bags, len(generators))]
    return [zones[a:b] for a, b in _ranges(owners, len(zones))]


def _ranges(places: list[int], most: int) -> Iterator[tuple[int, int]]:
    for begin, end in pairwise(places):
        if not begin <= end <= most:
            raise Damaged(f"a list goes from {begin} to {end} of {most}; it is damaged")
        yield begin, end


def _with_globals(zones: list[Zone], target: int) -> list[Zone]:
    """Those with a target, after what the first says of all where it has none."""
    common = zones[0] if zones and target not in zones[0] else {}
    own = [common | zone for zone in zones if target in zone]
    return [zone | {target: zone[target] & 0xFFFF} for zone in own]
