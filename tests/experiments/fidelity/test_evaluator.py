"""The judge: which figures it gives of which data, and on how many images."""

import math

import jax
import numpy as np
import pytest

from aigc_jax.data.images import Images
from aigc_jax.errors import InputError
from experiments.cli.options import from_flags
from experiments.data import images as shared
from experiments.families.gan import experiment as gan
from experiments.fidelity import evaluator
from experiments.fidelity.features import FeatureNetwork


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
        network = FeatureNetwork("stub", evaluator.MODES, "", math.nan, describe)
        data = Images(name, images[:40], images[:40, 0, 0, 0], images[40:], images[40:, 0, 0, 0])
        return evaluator.Judge(data, network), asked

    return make


def test_modes_are_counted_of_triples_of_digits_alone(judge_of, rng):
    def draw(n):
        return rng.integers(0, 256, (n, 2, 2, 1), np.uint8)

    judge, asked = judge_of("stacked_mnist")
    assert judge.costly(draw).keys() == {"nearest_train_distance", "modes", "modes_kl_nats"}
    assert asked == [evaluator.MODE_SAMPLES]
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
    return evaluator.Judge(Images("mine", *draw(300), *draw(240)), network, conditional=True), draw


def test_labels_that_are_not_heeded_show_in_a_conditional_generators_figures(classes_of_points):
    judge, draw = classes_of_points
    images, labels = draw(240)
    heeded = judge.figures(images, labels)
    ignored = judge.figures(images, (labels + 1) % 3)
    assert heeded.pop("label_accuracy") == 1
    assert ignored.pop("label_accuracy") == 0
    assert ignored.pop("class_fcd") > 20 * heeded.pop("class_fcd")
    assert heeded == ignored  # all that is blind to labels
    assert "class_fcd" not in judge.figures(images)


def test_a_perfect_sampler_is_told_by_held_out_images_and_formulas(classes_of_points):
    judge, draw = classes_of_points
    references = judge.references(0)
    assert list(references) == [
        "perfect sampler (expected)",
        "training images",
        "shuffled pixels",
    ]
    perfect, known, shapeless = references.values()
    assert perfect.keys() < known.keys() == shapeless.keys()
    assert known.keys() - perfect.keys() == {"precision", "recall"}
    assert (perfect["kid"], perfect["density"], perfect["label_accuracy"]) == (0, 1, 1)
    assert perfect["class_kl_nats"] == pytest.approx(2 / 240)
    assert perfect["nearest_train_distance"] > known["nearest_train_distance"] == 0
    many = [judge.figures(*draw(240)) for _ in range(30)]
    for name in ("fcd", "class_fcd", "density", "coverage"):
        values = [figures[name] for figures in many]
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
    perfect = evaluator.Judge(data, network, conditional=True).expected()
    assert perfect.keys() == {
        "kid",
        "density",
        "coverage",
        "nearest_train_distance",
        "class_kl_nats",
        "label_accuracy",
    }


def test_a_class_needs_two_held_out_images_to_be_judged_by(rng):
    images = rng.integers(0, 256, (20, 1, 2, 1), np.uint8)
    data = Images("mine", images, np.arange(20) % 10, images[:10], np.arange(10))
    network = FeatureNetwork("stub", 10, "", math.nan, evaluator.pixels)
    with pytest.raises(InputError, match="no two images of any class"):
        evaluator.Judge(data, network, conditional=True)
    with pytest.raises(InputError, match="each of the 11 classes"):
        evaluator.Judge(data, network._replace(classes=11), conditional=True)
    evaluator.Judge(data, network)


@pytest.mark.parametrize("conditional", [False, True])
def test_the_score_of_a_run_is_the_figure_that_its_labels_matter_to(conditional, rng, monkeypatch):
    def describe(images):
        return images.reshape(len(images), -1).astype(np.float32), images[:, 0, 0, 0] % 3

    network = FeatureNetwork("stub", 3, "abc", math.nan, describe)
    monkeypatch.setattr(gan, "network_of", lambda options, images: network)
    images, labels = rng.integers(0, 256, (60, 2, 2, 1), np.uint8), np.arange(60) % 3
    data = Images("mine", images[:40], labels[:40], images[40:], labels[40:])
    given = {"preset": "mlp", "batch_size": 8, "conditional": conditional, "stop_at_fcd": 2.0}
    options = from_flags(gan.PRESETS, given)
    facts = gan.facts(options, data)
    algorithm = gan.algorithm(options, facts)
    task = gan.task(options, data, facts, algorithm)
    assert (task.score, task.goal) == ("class_fcd" if conditional else "fcd", 2.0)
    state = algorithm.init(jax.random.key(0))
    assert np.isfinite(task.evaluate(state)[task.score])
    if conditional:
        drawn = shared.sample(options, facts, algorithm, state, 3, 0, labels=np.array([2, 2, 0]))
        by_hand = algorithm.sample(state, jax.random.key(0), 3, np.array([2, 2, 0]))
        np.testing.assert_array_equal(drawn, by_hand)
