import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aigc_jax import classifier


@pytest.fixture(scope="module")
def made():
    """A small classifier, compiled, with parameters that are not at their beginning."""
    networks = classifier.convolutional((8, 8, 2), classes=3, width=4, features=5)
    noise = np.random.default_rng(1)
    params = jax.tree.map(
        lambda p: np.float32(p + 0.1 * noise.normal(size=p.shape)),
        jax.device_get(jax.jit(networks.init)(jax.random.key(0))),
    )
    return networks._replace(features=jax.jit(networks.features)), params


def test_an_image_is_described_without_regard_to_its_batch(made, rng):
    networks, params = made
    images = rng.random((300, 8, 8, 2)).astype(np.float32)
    whole = np.asarray(networks.features(params, images))
    for i in (0, 7, 299):
        alone = networks.features(params, images[i : i + 1])
        np.testing.assert_allclose(whole[i : i + 1], alone, rtol=1e-5, atol=1e-6)
    other = images.copy()
    other[:7], other[8:] = 0, 1
    np.testing.assert_array_equal(np.asarray(networks.features(params, other))[7], whole[7])


def test_features_are_penultimate_and_the_head_is_linear(made, rng):
    networks, params = made
    images = rng.random((20, 8, 8, 2)).astype(np.float32)
    features = np.asarray(networks.features(params, images))
    assert features.shape == (20, 5)
    assert features.dtype == np.float32
    assert features.min() == 0 < features.max()
    head = params["head"]["params"]
    kernel, bias = (np.asarray(head[name], np.float64) for name in ("kernel", "bias"))
    expected = np.asarray(features, np.float64) @ kernel + bias
    scores = classifier.logits(params, images, networks=networks)
    np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-6)


def test_the_default_has_64_features():
    made = classifier.make(classifier.Config())
    state = jax.eval_shape(made.init, jax.random.key(0))
    images = jax.ShapeDtypeStruct((7, 28, 28, 1), jnp.float32)
    assert jax.eval_shape(made.features, state.ema, images).shape == (7, 64)
    assert jax.eval_shape(made.logits, state.ema, images).shape == (7, 10)


@pytest.mark.parametrize(
    "size", [(28, 28), (64, 64), (20, 28), (4 * 16, 7 * 16), (27, 30), (4, 4), (1, 1), (3, 64)]
)
def test_images_of_any_size_have_features(size):
    networks = classifier.convolutional((*size, 1), width=2, features=3)
    params = jax.eval_shape(networks.init, jax.random.key(0))
    images = jax.ShapeDtypeStruct((2, *size, 1), jnp.float32)
    assert jax.eval_shape(networks.features, params, images).shape == (2, 3)


def by_definition(params, image):
    """The features of one image of 8×8 pixels, one number at a time, in float64."""
    layers = [params["features"]["params"][name] for name in ("Convolution_0", "Dense_0")]
    (kernel, bias), (weights, offset) = (
        (np.asarray(layer["kernel"], np.float64), np.asarray(layer["bias"], np.float64))
        for layer in layers
    )
    padded = np.pad(image.astype(np.float64), ((1, 1), (1, 1), (0, 0)))
    h = np.zeros((4, 4, kernel.shape[-1]))
    for y, x in np.ndindex(4, 4):
        corners = [(2 * y + i, 2 * x + j) for i in (0, 1) for j in (0, 1)]
        sums = [np.einsum("ijc,ijcf->f", padded[r : r + 3, c : c + 3], kernel) for r, c in corners]
        h[y, x] = np.maximum(np.max(sums, axis=0) + bias, 0)
    return np.maximum(h.ravel() @ weights + offset, 0)


def test_features_are_as_they_are_defined(made, rng):
    networks, params = made
    images = rng.random((3, 8, 8, 2)).astype(np.float32)
    expected = [by_definition(params, image) for image in images]
    np.testing.assert_allclose(networks.features(params, images), expected, rtol=1e-5, atol=1e-6)


def test_the_number_of_parameters_is_as_documented():
    params = jax.eval_shape(classifier.convolutional().init, jax.random.key(0))
    assert sum(leaf.size for leaf in jax.tree.leaves(params["features"])) == 233_920


def test_sides_that_cannot_be_halved_are_padded_with_zeros(rng):
    networks = classifier.convolutional((6, 7, 1), width=2, features=3)
    params, features = jax.jit(networks.init)(jax.random.key(0)), jax.jit(networks.features)
    images = np.float32(rng.random((2, 6, 7, 1)))
    padded = np.pad(images, ((0, 0), (0, 0), (0, 1), (0, 0)))
    assert features(params, images).shape == (2, 3)
    np.testing.assert_array_equal(features(params, images), features(params, padded))
