"""Pitches of sounds whose frequency is known."""

import numpy as np
import pytest

from aigc_jax.data import tones
from aigc_jax.metrics.pitch import cents, pitch_of

TIME = np.arange(4001) / 8000


def harmonic(frequency, sizes, rate=8000, length=4001):
    time = np.arange(length) / rate
    parts = [a * np.sin(2 * np.pi * h * frequency * time + h) for h, a in enumerate(sizes, 1)]
    return np.sum(parts, axis=0)


def test_cents_are_hundredths_of_a_semitone():
    assert cents(880.0, 440.0) == 1200
    assert cents(440.0, 440 * 2 ** (1 / 12)) == pytest.approx(-100)
    np.testing.assert_allclose(cents(np.array([3.0, 6.0]), 2.0), [701.955, 1901.955], atol=1e-3)


@pytest.mark.parametrize(("index", "seed"), [(0, 0), (2880, 1)])
def test_all_tones_are_found_within_their_detuning(index, seed):
    indices = np.arange(index, index + 96)  # each pitch in each timbre
    found = pitch_of(tones.tones(seed, indices), 8000)
    assert (np.abs(cents(found, tones.tone_notes(seed, indices).frequency)) < 2).all()
    assert (np.abs(cents(found, 440 * 2 ** ((indices % 24 - 21) / 12))) < 10).all()


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
@pytest.mark.parametrize("frequency", [61.7, 137.3, 411.9, 1171.3])
def test_sines_at_any_rate(rate, frequency):
    found = pitch_of(harmonic(frequency, [1], rate, rate // 2)[None], rate)
    assert abs(cents(found, frequency)[0]) < 0.1


@pytest.mark.parametrize(
    "sizes",
    [[0, 1, 1], [0.3, 1, 0, 1, 0.3, 1, 0.1], [1, 0, 0, 0, 1, 0, 0, 1]],
    ids=["no fundamental", "a weak one", "high harmonics"],
)
def test_the_fundamental_is_found_whatever_its_size(sizes):
    found = pitch_of(harmonic(431.7, sizes)[None], 8000)
    assert abs(cents(found, 431.7)[0]) < 1


def test_a_period_between_two_samples_is_not_taken_for_a_multiple():
    # 19.32 samples: three of them are nearly whole, so that integer lags prefer 58.
    found = pitch_of(harmonic(414.1, [0.6, 0.3, 0.1, 0.7, 0.1, 0.6, 0.4])[None], 8000)
    assert abs(cents(found, 414.1)[0]) < 1


def test_a_ripple_on_a_slow_wave_is_not_taken_for_the_pitch():
    # At one period of the ripple, d is only 0.02: the wave has hardly moved.
    found = pitch_of(harmonic(61.7, [1, *[0] * 30, 0.3])[None], 8000, highest=2000)
    assert abs(cents(found, 61.7)[0]) < 1


def test_a_decay_shifts_nothing():
    # By 12 cents where the dips are those of the sum of squared differences.
    found = pitch_of((harmonic(131.3, [1]) * np.exp(-60 * TIME))[None], 8000)
    assert abs(cents(found, 131.3)[0]) < 0.5


def test_loudness_offset_type_and_zeros_behind_change_nothing(rng):
    tone = harmonic(222.2, [1, 0.5, 0.3])
    expected = pitch_of(tone[None], 8000)
    same = np.stack([1e-9 * tone, 1e9 * tone, tone + 5, np.rint(9000 * tone)])
    np.testing.assert_allclose(pitch_of(same, 8000), expected[[0] * 4], rtol=1e-5)
    whole = np.rint(9000 * tone).astype(np.int16)
    np.testing.assert_allclose(pitch_of(whole[None], 8000), expected, rtol=1e-5)
    single = np.float32(tone)[None]
    np.testing.assert_array_equal(pitch_of(single, 8000), pitch_of(np.float64(single), 8000))
    padded = np.concatenate([np.zeros(500), tone, np.zeros(3000)])
    assert abs(cents(pitch_of(padded[None], 8000), 222.2)[0]) < 3


def test_noise_within_a_sound_does_little(rng):
    tone = harmonic(222.2, [1, 0.5, 0.3])
    noisy = tone + 0.25 * rng.normal(size=(70, 4001))  # 70 are more than a block
    assert (np.abs(cents(pitch_of(noisy, 8000), 222.2)) < 6).all()


def test_silence_and_noise_have_none(rng):
    sounds = np.concatenate([np.zeros((1, 4001)), np.ones((1, 4001)), rng.normal(size=(20, 4001))])
    assert np.isnan(pitch_of(sounds, 8000)).all()


def test_a_burst_before_silence_has_none(rng):
    burst = np.concatenate([rng.normal(size=(20, 100)), np.zeros((20, 3901))], axis=1)
    burst -= burst.mean(axis=1, keepdims=True) * 4001 / 100 * (np.arange(4001) < 100)  # no offset
    assert np.isnan(pitch_of(burst, 8000)).all()


def test_only_pitches_within_the_bounds_are_found():
    tone = harmonic(300.3, [1, 1, 1])[None]
    assert cents(pitch_of(tone, 8000, lowest=200, highest=320), 300.3)[0] == pytest.approx(0, abs=1)
    lower = pitch_of(tone, 8000, lowest=70, highest=290)
    assert cents(lower, 300.3 / 2)[0] == pytest.approx(0, abs=1)


def test_no_sounds_have_no_pitches():
    assert pitch_of(np.zeros((0, 4001)), 8000).shape == (0,)


@pytest.mark.parametrize(
    ("length", "bounds", "reason"),
    [
        (269, (60, 1200), "269 samples are less than two periods of 60 Hz"),
        (4001, (60, 2001), "pitches from 60 to 2001 Hz at 8000"),
        (4001, (300, 300), "pitches from 300 to 300"),
        (4001, (0, 300), "pitches from 0 to 300"),
    ],
)
def test_refused(length, bounds, reason):
    with pytest.raises(ValueError, match=reason):
        pitch_of(np.zeros((1, length)), 8000, *bounds)


def test_what_is_not_finite_is_refused():
    sounds = np.zeros((3, 4001))
    sounds[2, 7] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        pitch_of(sounds, 8000)
