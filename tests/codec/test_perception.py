"""Distances of sounds, at cases whose answers are known."""

import jax
import numpy as np
import pytest

from aigc_jax import spectral
from aigc_jax.codec.config import AUDIO, perception_of
from aigc_jax.codec.perception import of_sounds

RATE = 8000


@pytest.fixture(scope="module")
def distance():
    made = of_sounds(RATE, 64)
    return jax.jit(lambda x, y: made.distance((), x, y))


def test_a_sound_that_is_louder_in_all_bands_is_as_far_as_the_logarithm_of_it(distance, rng):
    x = np.float32(0.1 * rng.normal(size=(2, 512, 1)))  # of noise, so that no band is silent
    louder = x * np.float32([[[3.0]], [[0.5]]])
    np.testing.assert_allclose(distance(louder, x), np.log([3.0, 2.0]), rtol=1e-4)


def test_what_is_softer_than_silence_counts_as_equal(distance, rng):
    x = np.float32(1e-7 * rng.normal(size=(2, 512, 1)))
    assert not np.any(distance(3 * x, x))
    assert np.all(distance(1e4 * x, x) > 0)


def test_windows_are_the_decoders_and_twice_that(distance, rng):
    x, y = np.float32(0.1 * rng.normal(size=(2, 1, 512, 1)))
    own, twice = (
        spectral.mel_distance(x[..., 0], y[..., 0], RATE, [size], [bands])
        for size, bands in ((64, 10), (128, 20))
    )
    np.testing.assert_allclose(distance(x, y), (own + twice) / 2, rtol=1e-5)


def test_the_presets_window_is_that_of_its_decoder(rng):
    x, y = np.float32(0.1 * rng.normal(size=(2, 1, 2048, 1)))
    found = perception_of(AUDIO.config)
    assert found is not None
    np.testing.assert_allclose(
        found.distance((), x, y), of_sounds(8000, 256).distance((), x, y), rtol=1e-6
    )
