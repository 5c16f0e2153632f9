import jax.numpy as jnp
import numpy as np
import pytest

from aigc_jax import classifier


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
def test_the_cross_entropy_is_its_definition(rng, smoothing):
    logits, labels = 3 * rng.normal(size=(6, 4)), np.array([0, 1, 2, 3, 3, 0])
    targets = (1 - smoothing) * np.eye(4)[labels] + smoothing / 4
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    expected = -(targets * np.log(p)).sum(-1)
    losses = classifier.cross_entropy(jnp.asarray(logits), jnp.asarray(labels), smoothing)
    np.testing.assert_allclose(losses, expected, rtol=1e-5)


def test_a_worked_example():
    # Equal logits: −log ¼ = 1.3863, whatever the label and the smoothing.
    losses = classifier.cross_entropy(jnp.zeros((2, 4)), jnp.array([1, 3]), 0.3)
    np.testing.assert_allclose(losses, 1.3862944, rtol=1e-6)


def test_logits_of_any_size_are_exact():
    logits = jnp.array([[1e4, 0.0], [0.0, 1e4]])
    np.testing.assert_array_equal(classifier.cross_entropy(logits, jnp.array([0, 0])), [0.0, 1e4])


def test_half_precision_logits_are_evaluated_in_float32():
    losses = classifier.cross_entropy(jnp.zeros((3, 7), jnp.bfloat16), jnp.zeros(3, int))
    assert losses.dtype == jnp.float32
    np.testing.assert_allclose(losses, np.log(7), rtol=1e-6)
