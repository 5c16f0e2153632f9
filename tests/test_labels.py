"""Invalid labels and codes are refused in every family, where their values are known."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aigc_jax import classifier, gan, vae, vq
from aigc_jax.errors import InputError
from aigc_jax.labels import check_choices
from aigc_jax.metrics.frechet import mean_distance_by_class

SHAPE, KEY = (4, 4, 1), jax.random.key(0)
IMAGES = jnp.ones((3, *SHAPE))
CLASSIFIER = classifier.make(classifier.Config(SHAPE, classes=5, width=2, features=3))
FAMILIES = {
    "gan": (gan, gan.make(gan.Config(SHAPE, classes=5, latent_size=3))),
    "vae": (vae, vae.make(vae.Config(SHAPE, classes=5, latent_size=2))),
}


@cache
def begun(algorithm):
    """Its state before training."""
    return jax.jit(algorithm.init)(KEY)


WRONG = {
    "too great": ([0, 1, 99], "from 0 to 4, got 99"),
    "one too great": ([0, 5, 1], "from 0 to 4, got 5"),
    "negative": ([-1, 1, 2], "from 0 to 4, got -1"),
    "too great for a byte": (np.array([0, 255, 1], np.uint8), "got 255"),
    "fractions": ([0.0, 1.0, 2.0], "must be integers"),
    "truths": ([True, False, True], "must be integers"),
    "too few": ([1, 2], r"of shape \(3,\), got \(2,\)"),
    "one for all": (3, r"of shape \(3,\), got \(\)"),
    "of several sizes": ([[1], [2, 3], 4], "one array of integers"),
    "one that 32 bits make a class": (np.array([2**32 + 1, 1, 2]), "got 4294967297"),
    "keys": (jax.random.split(KEY, 3), "must be integers"),
    "one-hot": (np.eye(5, dtype=int)[:3], r"of shape \(3,\)"),
}


@pytest.mark.parametrize(("labels", "message"), WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("name", FAMILIES)
def test_images_of_no_class_are_neither_drawn_nor_learned(name, labels, message):
    family, algorithm = FAMILIES[name]
    state = begun(algorithm)
    with pytest.raises(InputError, match=message):
        algorithm.sample(state, KEY, 3, labels)
    with pytest.raises(InputError, match=message):
        algorithm.step(state, family.Batch(IMAGES, labels))


@pytest.mark.parametrize("name", FAMILIES)
def test_any_way_to_write_classes_is_one(name, assert_close):
    _, algorithm = FAMILIES[name]
    state = begun(algorithm)
    expected = algorithm.sample(state, KEY, 3, jnp.array([4, 0, 3]))
    for labels in ([4, 0, 3], np.array([4, 0, 3], np.uint8), np.array([4, 0, 3])):
        assert_close(algorithm.sample(state, KEY, 3, labels), expected)
    traced = jax.jit(lambda labels: algorithm.sample(state, KEY, 3, labels))
    for labels in ([4, 0, 3], jnp.array([4, 0, 3])):
        assert_close(traced(labels), expected)
    with pytest.raises(InputError, match="must be integers"):
        traced(jnp.ones(3))


WRITTEN = (
    [4, 0, 3],
    list(jnp.array([4, 0, 3])),
    np.array([4, 0, 3], np.uint8),
    np.array([4, 0, 3]),
)


@pytest.mark.parametrize("x64", [False, True])
@pytest.mark.parametrize("name", [*FAMILIES, "classifier"])
def test_any_way_to_write_classes_is_learned(name, x64):
    family, algorithm = FAMILIES.get(name, (classifier, CLASSIFIER))
    state = jax.eval_shape(algorithm.init, KEY)

    def step(labels):
        return jax.eval_shape(lambda s: algorithm.step(s, family.Batch(IMAGES, labels)), state)

    expected = step(jnp.array([4, 0, 3]))
    with jax.enable_x64(x64):
        assert [step(labels) for labels in WRITTEN] == 4 * [expected]


def test_any_way_to_write_classes_is_evaluated():
    networks = vae.networks_of(vae.Config(SHAPE, classes=5, latent_size=2))
    params = jax.jit(networks.init)(KEY)
    for evaluator in (vae.heldout_elbo, partial(vae.heldout_nll, k=2)):
        metrics = [
            evaluator(params, vae.Batch(IMAGES, labels), KEY, networks=networks, chunk=2)
            for labels in WRITTEN
        ]
        assert metrics == 4 * metrics[:1]
    logits, rng = np.eye(5, dtype=np.float32)[:3], np.random.default_rng(0)
    train, images = rng.normal(size=(2, 3, 8))
    expected = classifier.cross_entropy(logits, jnp.array([4, 0, 3]))
    for labels in WRITTEN:
        np.testing.assert_array_equal(classifier.cross_entropy(logits, labels), expected)
        assert classifier.most_frequent_class_accuracy(labels, [0, 0, 1]) == 2 / 3
        assert classifier.nearest_mean_accuracy(train, labels, train, labels) == 1
        twice = [*labels, *labels]
        both = np.concatenate([train, images])
        assert mean_distance_by_class(both, twice, both + 1, twice) == pytest.approx(8)


@pytest.mark.parametrize("family", [gan, vae], ids=lambda family: family.__name__)
def test_networks_without_classes_are_not_asked_for_one(family):
    algorithm = family.make(family.Config(SHAPE, latent_size=2))
    with pytest.raises(InputError, match="know no classes"):
        algorithm.sample(begun(algorithm), KEY, 3, [0, 0, 0])


def test_a_conditional_vae_is_not_evaluated_without_its_classes():
    config = vae.Config(SHAPE, classes=5, latent_size=2)
    networks, state = vae.networks_of(config), begun(FAMILIES["vae"][1])
    for labels, message in ((None, "need a Batch with labels"), ([0, 1, 5], "got 5")):
        for evaluator in (vae.heldout_elbo, vae.latent_usage):
            with pytest.raises(InputError, match=message):
                evaluator(state.ema, vae.Batch(IMAGES, labels), KEY, networks=networks)


def test_a_wide_label_is_not_cut_to_a_class():
    with pytest.raises(InputError, match="do not fit into int32"):
        CLASSIFIER.step(begun(CLASSIFIER), classifier.Batch(IMAGES, np.array([0, 2**32 + 1, 4])))


@pytest.mark.parametrize("label", [-1, 5, 255])
def test_the_classifier_learns_and_evaluates_classes_alone(label):
    labels = jnp.array([0, label, 4])
    with pytest.raises(InputError, match=f"got {label}"):
        CLASSIFIER.step(begun(CLASSIFIER), classifier.Batch(IMAGES, labels))
    said = classifier.Description(np.zeros((3, 3)), np.zeros((3, 5), np.float32))
    with pytest.raises(InputError, match=f"got {label}"):
        said.nll(np.array(labels))


@pytest.mark.parametrize("config", [vq.VQ, vq.FSQ], ids=["vq", "fsq"])
def test_codes_that_are_none_are_not_decoded(config):
    quantiser = vq.quantiser_of(config)
    codes = quantiser.codes
    networks = vq.networks_of(config)
    state = jax.eval_shape(vq.make(config).init, KEY)
    for wrong in (-1, codes):
        with pytest.raises(InputError, match=f"codes must be from 0 to {codes - 1}, got {wrong}"):
            vq.decode_codes(
                state, jnp.full((1, 7, 7), wrong), networks=networks, quantiser=quantiser
            )


def test_no_choices_are_no_mistake():
    check_choices("labels", np.zeros(0, np.int32), 3)
