"""A GAN's metrics grow as real digits are corrupted more and more.

The features are those of a ridge regression from 500 random ReLU units to 64 random ±1 codes of the
digit: a classifier in one line of algebra.
"""

import numpy as np
import pytest

from aigc_jax.data.images import load_images
from aigc_jax.metrics.frechet import frechet_distance, moments
from aigc_jax.metrics.kid import mmd2
from aigc_jax.metrics.prdc import prdc

REFERENCE = 500  # training images that stand for the data


def noise(images, labels, deviation):
    return images + 255 * deviation * np.random.default_rng(1).normal(size=images.shape)


def blur(images, labels, times):
    for _ in range(times):
        for axis in (1, 2):
            images = (np.roll(images, 1, axis) + 2 * images + np.roll(images, -1, axis)) / 4
    return images


def contrast_loss(images, labels, loss):
    return (1 - loss) * images


def occlusion(images, labels, side):
    spoilt, start = images.copy(), 14 - side // 2
    spoilt[:, start : start + side, start : start + side] = 128
    return spoilt


def translation(images, labels, pixels):
    return np.roll(images, pixels, axis=2)


def mode_dropping(images, labels, dropped):
    """As many images, of the digits that are left."""
    left = np.flatnonzero(labels >= dropped)
    return images[np.resize(left, len(images))]


# Each with three strengths, none of which is no corruption.
CORRUPTIONS = {
    noise: (0.15, 0.3, 0.5),
    blur: (2, 4, 8),
    contrast_loss: (0.25, 0.45, 0.65),
    occlusion: (4, 8, 12),
    translation: (1, 2, 4),
    mode_dropping: (2, 5, 8),
}


@pytest.fixture(scope="module")
def digits():
    return load_images("mnist5k")


@pytest.fixture(scope="module")
def metrics(digits):
    """A function from images to (fcd, kid, 1 − coverage) against training images."""
    rng = np.random.default_rng(0)
    weights, bias = rng.normal(size=(784, 500)) / 10, rng.normal(size=500) / 2
    codes = np.sign(rng.normal(size=(10, 64)))

    def hidden(images):
        return np.maximum(images.reshape(len(images), -1) / 255 @ weights + bias, 0)

    h = hidden(digits.train)
    centred = h - h.mean(axis=0)
    covariance = centred.T @ centred / len(h)
    penalty = 0.1 * np.trace(covariance) / 500 * np.eye(500)
    targets = centred.T @ codes[digits.train_labels] / len(h)
    readout = np.linalg.solve(covariance + penalty, targets)
    reference = hidden(digits.train[:REFERENCE]) @ readout

    def measure(images):
        features = hidden(np.rint(images).clip(0, 255)) @ readout
        fcd = frechet_distance(moments(reference), moments(features))
        return fcd, mmd2(reference, features), 1 - prdc(reference, features).coverage

    return measure


@pytest.fixture(scope="module")
def clean(digits, metrics):
    return metrics(digits.heldout)


@pytest.mark.parametrize("corruption", CORRUPTIONS, ids=lambda c: c.__name__)
def test_every_metric_grows_with_every_corruption(digits, metrics, clean, corruption):
    images, labels = digits.heldout.astype(np.float64), digits.heldout_labels
    spoilt = [metrics(corruption(images, labels, s)) for s in CORRUPTIONS[corruption]]
    growth = np.diff([clean, *spoilt], axis=0)
    assert (growth > 0).all(), dict(zip(("fcd", "kid", "1 - coverage"), growth.T, strict=True))


def test_clean_digits_score_as_digits_and_noise_as_shuffled_pixels(digits, metrics, clean):
    assert clean[0] < 1
    assert abs(clean[1]) < 0.005
    assert clean[2] < 0.1
    uniform = 255 * np.random.default_rng(2).random(digits.heldout.shape)
    fcd, kid, missed = metrics(uniform)
    assert fcd > 20
    assert kid > 1
    assert missed > 0.95
