"""Sounds, their levels and their rates, against NumPy in float64."""

import dataclasses

import numpy as np
import pytest

from aigc_jax.data import audio
from aigc_jax.data.audio import Sounds
from aigc_jax.errors import InputError

CLIPS = np.arange(12, dtype=np.int16).reshape(4, 3)
LABELS = np.arange(8, dtype=np.int32).reshape(4, 2)
SOUNDS = Sounds("a", 8000, CLIPS[:3], CLIPS[3:], LABELS[:3], LABELS[3:])


def sine(frequency, rate, seconds, amplitude=0.5):
    return amplitude * np.sin(2 * np.pi * frequency * np.arange(round(rate * seconds)) / rate)


@pytest.mark.parametrize(
    "change",
    [
        {"rate": 16000},
        {"train": CLIPS[1:]},
        {"train": CLIPS[:3].reshape(1, 9)},
        {"heldout": CLIPS[:1]},
        {"train_labels": LABELS[1:]},
        {"heldout_labels": None},
    ],
    ids=lambda change: next(iter(change)),
)
def test_the_fingerprint_is_of_all_that_is_trained_on(change):
    assert dataclasses.replace(SOUNDS, **change).fingerprint() != SOUNDS.fingerprint()


def test_the_fingerprint_is_not_of_names_and_layout_in_memory():
    same = dataclasses.replace(SOUNDS, name="b", train=np.asfortranarray(CLIPS[:3]))
    assert same.fingerprint() == SOUNDS.fingerprint()
    assert SOUNDS.unit == "clips"


def test_all_integers_return_from_floats():
    every = np.arange(-(2**15), 2**15).astype(np.int16)
    floats = audio.as_floats(every)
    assert floats.dtype == np.float32
    assert (floats[0], floats[-1]) == (-1, 1 - 2**-15)
    np.testing.assert_array_equal(audio.quantised(floats), every)


def test_beyond_full_scale_is_clipped_and_halves_are_rounded_to_even():
    given = np.array([-1.2, 1.0, 7.0, 2.5 / 2**15, -1.5 / 2**15, 0.6 / 2**15])
    assert audio.quantised(given).tolist() == [-(2**15), 2**15 - 1, 2**15 - 1, 2, -2, 1]


@pytest.mark.parametrize("scale", [1e-30, 1e-3, 1.0, 1e5])
def test_a_level_is_the_root_mean_square_in_decibels(rng, scale):
    given = scale * rng.uniform(-1, 1, 901)
    found = audio.levelled(given, -26.0)
    assert found.dtype == np.float32
    rms = np.sqrt(np.square(np.float64(found)).mean())
    assert rms == pytest.approx(10 ** (-26 / 20), rel=1e-6)
    np.testing.assert_allclose(found / found[7], given / given[7], rtol=1e-6)


def test_a_peak_limits_the_level():
    # RMS 1/30 of the peak: −20 dB would be a gain of 3.
    found = audio.levelled(np.eye(1, 900, 5)[0] * -0.9)
    assert found.min() == pytest.approx(-(1 - 2**-15), rel=1e-7)
    assert audio.quantised(found).min() == -(2**15 - 1)


def test_silence_stays_silent():
    np.testing.assert_array_equal(audio.levelled(np.zeros(5, np.float32)), np.zeros(5))


@pytest.mark.parametrize(("rate", "to"), [(44100, 8000), (8000, 16000), (11025, 8000)])
def test_a_tone_is_itself_at_another_rate(rate, to):
    found = audio.resampled(sine(440, rate, 0.31), rate, to)
    expected = sine(440, to, 0.31)
    assert len(found) == -(-round(rate * 0.31) * to // rate)
    inside = slice(40, len(expected) - 40)  # the filter sees silence beyond the ends
    np.testing.assert_allclose(found[: len(expected)][inside], expected[inside], atol=2e-3)


def test_what_the_new_rate_cannot_hold_is_filtered_out():
    found = audio.resampled(sine(6000, 44100, 0.3), 44100, 8000)  # would else sound at 2 kHz
    assert np.abs(found[100:-100]).max() < 1e-3


def test_a_clip_is_the_mean_of_the_channels_then_zeros():
    stereo = np.array([[0.5, 0.25], [-0.5, -0.75], [0.125, 0.125]], np.float32)
    clip = audio.clip_of(stereo, 8000, 8000, 5, normalise=False)
    assert clip.dtype == np.int16
    assert clip.tolist() == [0.375 * 2**15, -0.625 * 2**15, 0.125 * 2**15, 0, 0]
    assert audio.clip_of(stereo, 8000, 8000, 2, normalise=False).tolist() == clip[:2].tolist()


def test_the_level_is_that_of_the_recording_without_the_zeros_after_it():
    recording = sine(440, 8000, 0.1)[:, None].astype(np.float32)
    clip = audio.as_floats(audio.clip_of(recording, 8000, 8000, 4000))
    assert np.sqrt(np.square(clip[:800]).mean()) == pytest.approx(0.1, abs=2**-15)
    assert not clip[800:].any()


@pytest.mark.parametrize(("rate", "to"), [(44100, 8000), (8000, 22050), (8000, 8000), (90, 8000)])
def test_a_cut_is_that_of_the_whole_recording(rng, rate, to):
    recording = np.float32(rng.uniform(-0.3, 0.3, (4 * rate, 1)))
    length = to // 3
    whole = audio.resampled(np.float64(recording[:, 0]), rate, to)[:length]
    found = audio.clip_of(recording, rate, to, length, normalise=False)
    np.testing.assert_array_equal(found, audio.quantised(whole))


def test_no_more_than_is_needed_is_resampled(monkeypatch):
    # A minute at one sample per second would be 384,000 times as long.
    monkeypatch.setattr(audio, "resampled", lambda x, rate, to: np.zeros(len(x)))
    seen = []
    monkeypatch.setattr(audio, "levelled", lambda x: seen.append(len(x)) or x)
    audio.clip_of(np.zeros((10**6, 1), np.float32), 1, 384_000, 384_000)
    assert seen == [12]


def test_more_bytes_than_allowed_are_refused(monkeypatch):
    monkeypatch.setattr(audio, "MOST_BYTES", 2 * 3 * 1024)
    audio.check_bytes("here", 3, 1024)
    with pytest.raises(InputError, match="here: its samples would take"):
        audio.check_bytes("here", 3, 1025)
