"""Sound fonts made by hand, and notes played from them by worked arithmetic."""

import numpy as np
import pytest
from soundfonts import RAMP, RATE, SAMPLES, font, recording

from aigc_jax.data import sampler, soundfont
from aigc_jax.data.soundfont import read_soundfont, voices
from aigc_jax.errors import InputError
from aigc_jax.metrics.pitch import cents, pitch_of


def read(tmp_path, *args, **options):
    (tmp_path / "a.sf2").write_bytes(font(*args, **options))
    return read_soundfont(tmp_path / "a.sf2")


def one(tmp_path, *generators, sample=0, preset=(), **options):
    """A font of one instrument that plays one recording."""
    zone = [*generators, (soundfont.SAMPLE, sample)]
    return read(tmp_path, {5: [[*preset, (soundfont.INSTRUMENT, 0)]]}, [[zone]], **options)


def played(made, key=60, velocity=127, rate=RATE, length=30, held=9.0, **options):
    return sampler.note(made, 5, key, velocity, rate, length, held, **options) * 2**15


CENTRE = np.cos(np.pi / 4)
FLAT = np.full(20, 8000, np.int16)  # in place of RAMP, to see the envelope alone
STILL = recording(0, 20, (0, 20))


def test_a_recording_is_played_once_after_its_attack_and_then_silent(tmp_path):
    found = played(one(tmp_path))  # the attack, of 1 ms, ends at the eighth sample
    rise = np.minimum(np.arange(20) / (RATE / 1000), 1)
    np.testing.assert_allclose(found[:20], CENTRE * rise * RAMP, rtol=1e-6)
    assert not found[20:].any()


def test_a_loop_goes_on_between_its_bounds(tmp_path):
    found = played(one(tmp_path, (soundfont.LOOPS, 1)), length=24)
    places = [*range(9), *[4, 5, 6, 7, 8] * 3]
    np.testing.assert_allclose(found[8:], CENTRE * RAMP[places][8:], rtol=1e-6)


def test_between_samples_it_is_interpolated_also_over_the_end_of_the_loop(tmp_path):
    made = one(tmp_path, (soundfont.LOOPS, 1))
    found = played(made, key=48, length=40)  # an octave lower: half a sample a step
    after = [*range(9), *[4, 5, 6, 7, 8] * 3]
    steps = RAMP[after].astype(float)
    expected = np.stack([steps[:-1], (steps[:-1] + steps[1:]) / 2], 1).ravel()[:40]
    np.testing.assert_allclose(found[8:], CENTRE * expected[8:], rtol=1e-6)


@pytest.mark.parametrize(
    ("key", "generators", "options", "expected"),
    [
        (69, [], {}, 440),
        (57, [], {}, 220),
        (76, [], {"detune": 30}, 440 * 2 ** (7.3 / 12)),
        (60, [(soundfont.ROOT, 60)], {}, 440),
        (81, [(soundfont.COARSE, -3), (soundfont.FINE, 20)], {}, 440 * 2 ** (9.2 / 12)),
        (81, [(soundfont.SCALE, 50)], {}, 440 * 2 ** (6 / 12)),
        (81, [(soundfont.KEY, 69)], {}, 440),
    ],
)
def test_the_pitch_is_that_of_the_key(tmp_path, key, generators, options, expected):
    made = one(tmp_path, (soundfont.LOOPS, 1), *generators, sample=1)
    found = pitch_of(played(made, key, length=4000, **options)[None], RATE)
    assert abs(cents(found, expected)[0]) < 0.3


def test_no_damage_makes_a_pitch_overflow(tmp_path):
    made = one(tmp_path, (soundfont.LOOPS, 1), (soundfont.SCALE, 2**15 - 1), sample=1)
    for key in (0, 127):
        assert np.isfinite(played(made, key)).all()


def test_what_is_too_high_for_the_rate_is_filtered_out(tmp_path):
    made = one(tmp_path, (soundfont.LOOPS, 1), (soundfont.SCALE, 400), sample=1)
    assert np.abs(played(made, 81, length=2000)[50:-50]).max() < 30  # 7 kHz, would sound at 1 kHz


def test_an_envelope_goes_through_its_six_parts(tmp_path):
    # In s: nothing for 1/4, rising for 1/4, held for 1/2, falling by 100 dB a second to −20 dB.
    times = [(soundfont.DELAY, -2400), (soundfont.ATTACK, -2400), (soundfont.HOLD, -1200)]
    times += [(soundfont.DECAY, 0), (soundfont.SUSTAIN, 200), (soundfont.RELEASE, 1200)]
    made = one(tmp_path, (soundfont.LOOPS, 1), *times, recordings=[STILL], samples=FLAT)
    found = played(made, length=2 * RATE, held=1.5) / (8000 * CENTRE)
    in_db = {1.1: -10, 1.19: -19, 1.3: -20, 1.49: -20, 1.6: -25, 1.9: -40}  # half as fast at last
    assert not found[: RATE // 4].any()
    assert found[3 * RATE // 8] == pytest.approx(0.5, rel=1e-6)
    np.testing.assert_allclose(found[RATE // 2 : RATE], 1, rtol=1e-6)
    for time, level in in_db.items():
        assert 20 * np.log10(found[round(time * RATE)]) == pytest.approx(level, abs=1e-4)


def test_a_key_released_during_the_attack_goes_no_higher(tmp_path):
    times = [(soundfont.ATTACK, 0), (soundfont.RELEASE, 1200)]  # 1 s, and 100 dB in 2 s
    made = one(tmp_path, (soundfont.LOOPS, 1), *times, recordings=[STILL], samples=FLAT)
    found = played(made, length=RATE, held=0.5) / (8000 * CENTRE)
    assert found[2 * RATE // 5] == pytest.approx(0.4)
    assert found[7 * RATE // 10] == pytest.approx(0.5 * 10 ** (-10 / 20))


def test_higher_keys_are_held_and_decay_as_their_generators_say(tmp_path):
    times = [(soundfont.HOLD, -2400), (soundfont.DECAY, 0), (soundfont.SUSTAIN, 1000)]
    by_key = [(soundfont.KEY_TO_HOLD, 100), (soundfont.KEY_TO_DECAY, 100)]  # halved an octave up
    made = one(tmp_path, (soundfont.LOOPS, 1), *times, *by_key, recordings=[STILL], samples=FLAT)
    found = played(made, key=72, length=RATE // 2) / (8000 * CENTRE)
    begun = (1 / 1000 + 1 / 8) * RATE
    expected = 10 ** (-200 * (np.arange(RATE // 2) - begun) / RATE / 20)
    np.testing.assert_allclose(found[1100:-20], expected[1100:-20], rtol=1e-4)


def test_loudness(tmp_path):
    def level(*generators, velocity=127, **options):
        made = one(tmp_path, (soundfont.LOOPS, 1), *generators, **options)
        return played(made, velocity=velocity, length=24)[12] / RAMP[7]

    assert level() == pytest.approx(CENTRE)
    assert level(velocity=60) == pytest.approx(CENTRE * (60 / 127) ** 2)
    assert level((soundfont.VELOCITY, 60)) == pytest.approx(CENTRE * (60 / 127) ** 2)
    assert level((soundfont.ATTENUATION, 60)) == pytest.approx(CENTRE * 10 ** (-6 / 20))
    assert level((soundfont.PAN, 500)) == pytest.approx(0.5)  # the mean of all and nothing
    assert level((soundfont.PAN, 250), preset=[(soundfont.PAN, 250)]) == pytest.approx(0.5)
    softer = [(soundfont.ATTENUATION, 20)]
    assert level((soundfont.ATTENUATION, 40), preset=softer) == level((soundfont.ATTENUATION, 60))


def test_zones_are_chosen_by_key_and_velocity_after_what_is_common(tmp_path):
    keys = [(soundfont.KEYS, 59 << 8 | 20), (soundfont.KEYS, 90 << 8 | 60)]
    hard = (soundfont.VELOCITIES, 127 << 8 | 100)
    zones = [
        [(soundfont.FINE, 7), (soundfont.COARSE, 1)],  # of all
        [keys[0], (soundfont.SAMPLE, 0)],
        [keys[1], (soundfont.FINE, 9), (soundfont.SAMPLE, 1)],
        [keys[1], hard, (soundfont.SAMPLE, 0)],
        [(soundfont.COARSE, 50)],  # of none
    ]
    made = read(tmp_path, {5: [[(soundfont.COARSE, 2)], [(soundfont.INSTRUMENT, 0)]]}, [zones])

    def tuned(key, velocity):
        found = [v.generators for v in voices(made, 5, key, velocity)]
        return [(g[soundfont.SAMPLE], g[soundfont.FINE], g[soundfont.COARSE]) for g in found]

    assert tuned(59, 127) == [(0, 7, 3)]
    assert tuned(60, 99) == [(1, 9, 3)]
    assert tuned(60, 100) == [(1, 9, 3), (0, 7, 3)]
    both = sampler.note(made, 5, 60, 100, RATE, 9, 1.0)
    assert len(both) == 9
    for key, velocity in ((19, 60), (91, 60)):
        with pytest.raises(InputError, match=f"no sound for key {key} at velocity 60"):
            voices(made, 5, key, velocity)


def test_offsets_of_samples_are_added(tmp_path):
    moved = [(soundfont.START, 2), (soundfont.END, -1), (soundfont.LOOP_END, -2)]
    (voice,) = voices(one(tmp_path, (soundfont.LOOPS, 1), *moved), 5, 60, 9)
    assert voice.samples.tolist() == RAMP[2:19].tolist()
    assert voice.loop == (2, 5)
    coarse = [(soundfont.START_COARSE, 1), (soundfont.START, -(2**15) + 3)]
    (voice,) = voices(one(tmp_path, *coarse), 5, 60, 9)
    assert (voice.samples[0], voice.loop) == (RAMP[3], None)


def message_of(call, *args, **options):
    with pytest.raises(InputError) as caught:
        call(*args, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


GOOD = {5: [[(soundfont.INSTRUMENT, 0)]]}, [[[(soundfont.SAMPLE, 0)]]]
FONTS = {
    "empty": (b"", "is empty, not a sound font"),
    "wave": (b"RIFF\4\0\0\0WAVE", "not a sound font"),
    "truncated": (font(*GOOD)[:-2], "it is truncated or damaged"),
    "no presets": (font(*GOOD, without=b"phdr"), "has no chunk 'phdr'"),
    "no recordings": (font(*GOOD, without=b"shdr"), "has no chunk 'shdr'"),
    "odd records": (
        font(*GOOD, recordings=[bytes(45)]),
        "its 'shdr' are 91 bytes, not records of 46",
    ),
    "backwards": (
        font(*GOOD).replace(b"pbag\x08\0\0\0\0\0", b"pbag\x08\0\0\0\x09\0"),
        "a list goes from 9 to 1 of 2; it is damaged",
    ),
}


@pytest.mark.parametrize("mistake", FONTS)
def test_files_that_are_refused(tmp_path, mistake):
    content, reason = FONTS[mistake]
    (tmp_path / "a.sf2").write_bytes(content)
    message = message_of(read_soundfont, tmp_path / "a.sf2")
    assert message.startswith(f"{tmp_path / 'a.sf2'}: ")
    assert reason in message


def test_a_font_that_is_too_large(tmp_path, monkeypatch):
    monkeypatch.setattr(soundfont, "MOST_BYTES", SAMPLES.nbytes - 1)
    assert "bytes of samples" in message_of(read, tmp_path, *GOOD)


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        ({"sample": 2}, "has no recording 2; it is damaged"),
        ({"sample": -1}, "has no recording 65535"),
        ({"recordings": [recording(0, 181)]}, "recording 0 has impossible bounds"),
        ({"recordings": [recording(20, 20)]}, "impossible bounds"),
        ({"recordings": [recording(0, 20, rate=0)]}, "impossible bounds"),
        ({"recordings": [recording(0, 20, kind=0x8001)]}, "recording 0 is in a synthesiser's ROM"),
        ({"preset": [(soundfont.KEYS, 9 << 8)]}, "program 5 has no sound for key 60"),
    ],
)
def test_notes_that_cannot_be_played(tmp_path, made, reason):
    assert reason in message_of(voices, one(tmp_path, **made), 5, 60, 90)


@pytest.mark.parametrize("loop", [(9, 9), (9, 4), (4, 21)])
def test_loops_that_cannot_be_played(tmp_path, loop):
    made = one(tmp_path, (soundfont.LOOPS, 1), recordings=[recording(0, 20, loop)])
    assert "impossible bounds" in message_of(voices, made, 5, 60, 90)


def test_a_program_or_an_instrument_that_is_not_there(tmp_path):
    assert "has no program 6 in bank 0" in message_of(voices, read(tmp_path, *GOOD), 6, 60, 90)
    made = read(tmp_path, {5: [[(soundfont.INSTRUMENT, 1)]]}, GOOD[1])
    assert "has no instrument 1; it is damaged" in message_of(voices, made, 5, 60, 90)
