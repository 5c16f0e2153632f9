"""The judge: which figures it gives of which data, and on how many images."""

import math

import numpy as np
import pytest

from aigc_jax.data.images import Images
from experiments import fidelity
from experiments.features import FeatureNetwork


@pytest.fixture
def judge_of(rng):
    """`judge_of(name)` → a judge of random images, and how many its network was shown each time."""

    def make(name):
        asked = []

        def describe(images):
            asked.append(len(images))
            features = images.reshape(len(images), -1)[:, :3].astype(np.float32)
            return features, images[:, 0, 0, 0].astype(np.int64)

        images = rng.integers(0, 256, (60, 2, 2, 1), np.uint8)
        network = FeatureNetwork("stub", fidelity.MODES, "", math.nan, describe)
        data = Images(name, images[:40], images[:40, 0, 0, 0], images[40:], images[40:, 0, 0, 0])
        return fidelity.Judge(data, network), asked

    return make


def test_modes_are_counted_of_triples_of_digits_alone(judge_of, rng):
    def draw(n):
        return rng.integers(0, 256, (n, 2, 2, 1), np.uint8)

    judge, asked = judge_of("stacked_mnist")
    assert judge.costly(draw).keys() == {"nearest_train_distance", "modes", "modes_kl_nats"}
    assert asked == [fidelity.MODE_SAMPLES]
    other, asked = judge_of("mine")
    assert other.costly(draw).keys() == {"nearest_train_distance"}
    assert asked == []


def test_noise_has_as_many_chances_of_a_mode_as_samples_have(judge_of, monkeypatch):
    monkeypatch.setattr(fidelity, "MODE_SAMPLES", 35)
    judge, asked = judge_of("stacked_mnist")
    references = judge.references(0)
    # Held-out and training images and shuffled pixels, twenty each; then the modes of the last two.
    assert asked == [20, 20, 20, 35, 35]
    for found in references.values():
        assert 0 < found["modes"] <= 35
    judge, _ = judge_of("mine")
    assert all("modes" not in found for found in judge.references(0).values())
