"""The evaluator: which metrics it gives for which data, and on how many images."""

import math

import jax
import numpy as np
import pytest

from aigc_jax.data.images import Images
from aigc_jax.errors import InputError
from experiments.cli.options import from_flags
from experiments.data import images as shared
from experiments.families.gan import experiment as gan
from experiments.fidelity import evaluator as fidelity
from experiments.fidelity.features import FeatureNetwork


@pytest.fixture
def evaluator_of(rng):
    """`evaluator_of(name)` → an evaluator of random images, and what its network was shown."""

    def make(name):
        asked = []

        def describe(images):
            asked.append(len(images))
            features = images.reshape(len(images), -1)[:, :3].astype(np.float32)
            return features, images[:, 0, 0, 0].astype(np.int64)

        images = rng.integers(0, 256, (60, 2, 2, 1), np.uint8)
        network = FeatureNetwork("stub", fidelity.MODES, "", math.nan, describe)
        data = Images(name, images[:40], images[:40, 0, 0, 0], images[40:], images[40:, 0, 0, 0])
        return fidelity.Evaluator(data, network), asked

    return make


def test_modes_are_counted_of_triples_of_digits_alone(evaluator_of, rng):
    def draw(n):
        return rng.integers(0, 256, (n, 2, 2, 1), np.uint8)

    evaluator, asked = evaluator_of("stacked_mnist")
    names = {"nearest_train_distance", "modes", "modes_kl_nats"}
    assert evaluator.final_metrics(draw).keys() == names
    assert asked == [fidelity.MODE_SAMPLES]
    other, asked = evaluator_of("mine")
    assert other.final_metrics(draw).keys() == {"nearest_train_distance"}
    assert asked == []


def test_noise_has_as_many_chances_of_a_mode_as_samples_have(evaluator_of, monkeypatch):
    monkeypatch.setattr(fidelity, "MODE_SAMPLES", 35)
    evaluator, asked = evaluator_of("stacked_mnist")
    baselines = evaluator.baselines(0)
    # Held-out and training images and shuffled pixels, twenty each; then the modes of the last two.
    assert asked == [20, 20, 20, 35, 35]
    for found in baselines.values():
        assert 0 < found["modes"] <= 35
    evaluator, _ = evaluator_of("mine")
    assert all("modes" not in found for found in evaluator.baselines(0).values())


@pytest.fixture
def classes_of_points(rng):
    """Images of one pixel row, three classes apart, and a network that reads the pixels."""

    def draw(n):
        labels = rng.integers(3, size=n)
        images = rng.integers(0, 40, (n, 1, 4, 1)) + 80 * labels[:, None, None, None]
        return images.astype(np.uint8), labels

    def describe(images):
        features = images.reshape(len(images), -1).astype(np.float32)
        return features, (features.mean(1) // 80).astype(np.int64)

    network = FeatureNetwork("stub", 3, "", math.nan, describe)
    return fidelity.Evaluator(
        Images("mine", *draw(300), *draw(240)), network, conditional=True
    ), draw


def test_labels_that_are_not_heeded_show_in_a_conditional_generators_metrics(classes_of_points):
    evaluator, draw = classes_of_points
    images, labels = draw(240)
    heeded = evaluator.metrics(images, labels)
    ignored = evaluator.metrics(images, (labels + 1) % 3)
    assert heeded.pop("label_accuracy") == 1
    assert ignored.pop("label_accuracy") == 0
    assert ignored.pop("class_fcd") > 20 * heeded.pop("class_fcd")
    assert heeded == ignored  # all that is blind to labels
    assert "class_fcd" not in evaluator.metrics(images)


def test_a_perfect_sampler_is_told_by_held_out_images_and_formulas(classes_of_points):
    evaluator, draw = classes_of_points
    baselines = evaluator.baselines(0)
    assert list(baselines) == [
        "perfect sampler (expected)",
        "training images",
        "shuffled pixels",
    ]
    perfect, known, shapeless = baselines.values()
    assert perfect.keys() < known.keys() == shapeless.keys()
    assert known.keys() - perfect.keys() == {"precision", "recall"}
    assert (perfect["kid"], perfect["density"], perfect["label_accuracy"]) == (0, 1, 1)
    assert perfect["class_kl_nats"] == pytest.approx(2 / 240)
    assert perfect["nearest_train_distance"] > known["nearest_train_distance"] == 0
    many = [evaluator.metrics(*draw(240)) for _ in range(30)]
    for name in ("fcd", "class_fcd", "density", "coverage"):
        values = [metrics[name] for metrics in many]
        assert np.mean(values) == pytest.approx(perfect[name], rel=0.35), name
        assert 0.2 * perfect[name] < known[name] < 5 * perfect[name]
    assert shapeless["class_fcd"] > 20 * perfect["class_fcd"]


def test_what_finite_samples_cannot_tell_is_left_out(rng):
    # Forty held-out images and thirty features: the whole set's bias is not known, nor a class's.
    def describe(images):
        return images.reshape(len(images), -1).astype(np.float32), images[:, 0, 0, 0] % 2

    images = rng.integers(0, 256, (80, 1, 30, 1), np.uint8)
    labels = images[:, 0, 0, 0].astype(np.int64) % 2
    data = Images("mine", images[40:], labels[40:], images[:40], labels[:40])
    network = FeatureNetwork("stub", 2, "", math.nan, describe)
    perfect = fidelity.Evaluator(data, network, conditional=True).expected()
    assert perfect.keys() == {
        "kid",
        "density",
        "coverage",
        "nearest_train_distance",
        "class_kl_nats",
        "label_accuracy",
    }


def test_a_class_needs_two_held_out_images_to_be_evaluated_by(rng):
    images = rng.integers(0, 256, (20, 1, 2, 1), np.uint8)
    data = Images("mine", images, np.arange(20) % 10, images[:10], np.arange(10))
    network = FeatureNetwork("stub", 10, "", math.nan, fidelity.pixels)
    with pytest.raises(InputError, match=r"no class of .* has two held-out images"):
        fidelity.Evaluator(data, network, conditional=True)
    with pytest.raises(InputError, match="each of the 11 classes"):
        fidelity.Evaluator(data, network._replace(classes=11), conditional=True)
    fidelity.Evaluator(data, network)


@pytest.mark.parametrize("conditional", [False, True])
def test_the_score_of_a_run_is_the_metric_that_its_labels_matter_to(conditional, rng, monkeypatch):
    def describe(images):
        return images.reshape(len(images), -1).astype(np.float32), images[:, 0, 0, 0] % 3

    network = FeatureNetwork("stub", 3, "abc", math.nan, describe)
    monkeypatch.setattr(gan, "network_of", lambda options, images: network)
    images, labels = rng.integers(0, 256, (60, 2, 2, 1), np.uint8), np.arange(60) % 3
    data = Images("mine", images[:40], labels[:40], images[40:], labels[40:])
    given = {"preset": "mlp", "batch_size": 8, "conditional": conditional, "stop_at_fcd": 2.0}
    options = from_flags(gan.PRESETS, given)
    metadata = gan.metadata(options, data)
    algorithm = gan.algorithm(options, metadata)
    task = gan.task(options, data, metadata, algorithm)
    assert (task.score, task.goal) == ("class_fcd" if conditional else "fcd", 2.0)
    state = algorithm.init(jax.random.key(0))
    assert np.isfinite(task.evaluate(state)[task.score])
    if conditional:
        drawn = shared.sample(options, metadata, algorithm, state, 3, 0, labels=np.array([2, 2, 0]))
        by_hand = algorithm.sample(state, jax.random.key(0), 3, np.array([2, 2, 0]))
        np.testing.assert_array_equal(drawn, by_hand)
