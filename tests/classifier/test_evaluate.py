import jax
import numpy as np
import pytest

from aigc_jax import classifier


@pytest.fixture(scope="module")
def made():
    networks = classifier.convolutional((8, 8, 1), classes=3, width=4, features=5)
    return networks, jax.jit(networks.init)(jax.random.key(0))


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (23, 8, 8, 1), np.uint8)


def test_bytes_are_described_as_the_unit_interval(made, images):
    networks, params = made
    said = classifier.describe(params, images, networks=networks)
    grey = images.astype(np.float32) / 255
    features = networks.features(params, grey)
    np.testing.assert_allclose(said.features, features, rtol=1e-5, atol=1e-6)
    logits = classifier.logits(params, grey, networks=networks)
    np.testing.assert_allclose(said.logits, logits, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(said.labels, np.argmax(logits, -1))
    assert said.features.dtype == np.float32


@pytest.mark.parametrize("chunk", [1, 5, 23, 100])
def test_chunks_change_nothing(made, images, chunk):
    networks, params = made
    whole = classifier.describe(params, images, networks=networks)
    parts = classifier.describe(params, images, networks=networks, chunk=chunk)
    np.testing.assert_allclose(parts.features, whole.features, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(parts.logits, whole.logits, rtol=1e-5, atol=1e-6)


def test_sets_of_any_size_are_described_by_one_program(made, images):
    networks, params = made
    traces = []

    def features(params, images):
        traces.append(images.shape)
        return networks.features(params, images)

    counted = networks._replace(features=features)
    for n in (1, 10, 20, 23):
        said = classifier.describe(params, images[:n], networks=counted, chunk=10)
        assert len(said.features) == len(said.logits) == n
    assert traces == [(10, 8, 8, 1)]


def test_the_nll_of_labels_by_hand():
    logits = np.array([[0.0, 0.0], [np.log(3.0), 0.0]], np.float32)
    said = classifier.Description(np.zeros((2, 1), np.float32), logits)
    nll = said.nll(np.array([1, 1]))
    np.testing.assert_allclose(nll, [np.log(2), np.log(4)], rtol=1e-6)
