"""The synthesised notes against their sum of sines, and their data set."""

import numpy as np
import pytest

from aigc_jax.data import tones
from aigc_jax.data.tones import load_tones, tone_labels, tone_notes

TIME = np.arange(8192) / 8000
# Amplitudes, decays per second of harmonic h, and attacks in s.
TIMBRES = [
    ([1, 1 / 2, 1 / 3, 1 / 4, 1 / 5, 1 / 6, 1 / 7], lambda h: 2 * h, 0.004),
    ([1, 0.8, 0, 0.6, 0, 0.3, 0], lambda h: 0, 0.03),
    ([1, 0, 0.75, 0, 0.5, 0, 0.25], lambda h: 0.5, 0.08),
    ([0.6, 0.3, 0.1, 0.7, 0.1, 0.6, 0.4], lambda h: 3 + h / 2, 0.001),
]


def by_definition(seed, index):
    """One clip in float64, harmonic by harmonic."""
    frequency, phase, decay, loudness = (float(x[0]) for x in tone_notes(seed, np.array([index])))
    sizes, decay_of, attack = TIMBRES[index // 24 % 4]
    total = np.zeros(8192)
    for h, size in enumerate(sizes, 1):
        wave = np.sin(2 * np.pi * h * (frequency * TIME + phase))
        total += size / sum(sizes) * np.exp(-decay_of(h) * TIME) * wave
    rise, fall = np.minimum(TIME / attack, 1), np.minimum((1.024 - TIME) / 0.03, 1)
    return loudness * np.exp(-decay * TIME) * rise * fall * total


@pytest.fixture(scope="module")
def sounds():
    return load_tones()


@pytest.mark.parametrize("index", [0, 47, 71, 95, 1234, 3359])
def test_a_clip_is_the_sum_of_its_harmonics(sounds, index):
    clips = np.concatenate([sounds.train, sounds.heldout])
    exact = by_definition(0, index) * 2**15
    assert np.abs(clips[index] - exact).max() < 0.5 + 1e-6
    assert np.abs(exact).max() > 2000


def test_a_clip_is_a_function_of_seed_and_index(sounds):
    # As one of many, of a few in another order, and alone.
    some = tones.tones(0, [100, 7, 2903])
    np.testing.assert_array_equal(some[:2], sounds.train[[100, 7]])
    np.testing.assert_array_equal(some[2:], sounds.heldout[[23]])
    np.testing.assert_array_equal(tones.tones(0, [7])[0], some[1])
    assert (tones.tones(1, [7]) != some[1]).mean() > 0.9
    assert tones.tones(0, []).shape == (0, 8192)


def test_pitch_and_timbre_are_balanced_in_both_parts(sounds):
    assert (sounds.name, sounds.rate) == ("tones", 8000)
    assert sounds.train.dtype == np.int16
    for clips, labels, each in (
        (sounds.train, sounds.train_labels, 30),
        (sounds.heldout, sounds.heldout_labels, 5),
    ):
        assert clips.shape == (96 * each, 8192)
        assert labels.dtype == np.int32
        assert (np.bincount(labels @ [4, 1], minlength=96) == each).all()
    pitch, timbre = sounds.attributes
    assert (pitch.name, timbre.name) == ("pitch", "timbre")
    assert (pitch.values[0], pitch.values[10], pitch.values[23]) == ("C3", "A#3", "B4")
    assert timbre.values == ("plucked", "organ", "reed", "bell")


def test_labels_go_with_the_clips():
    assert tone_labels(np.array([0, 23, 24, 97, 3359])).tolist() == [
        [0, 0],
        [23, 0],
        [0, 1],
        [1, 0],
        [23, 3],
    ]


def test_what_is_drawn_spans_its_ranges():
    indices = np.arange(3360)
    note = tone_notes(0, indices)
    off = 1200 * np.log2(note.frequency / 440) - 100 * (indices % 24 - 21)
    for drawn, least, most in (
        (off, -8, 8),
        (note.phase, 0, 1),
        (note.decay, 0, 3),
        (20 * np.log10(note.loudness), -12, 0),
    ):
        assert least <= drawn.min() < least + (most - least) / 100
        assert most - (most - least) / 100 < drawn.max() <= most
        assert drawn.mean() == pytest.approx((least + most) / 2, abs=(most - least) / 30)


def test_no_clip_is_in_both_parts(sounds):
    clips = [x.tobytes() for x in (*sounds.train, *sounds.heldout)]
    assert len(set(clips)) == 3360
