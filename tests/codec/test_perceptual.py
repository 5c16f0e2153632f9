"""The perceptual distance against NumPy in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aigc_jax.codec.perceptual import perceptual_distance
from aigc_jax.errors import InputError

SHAPES = [(3, 4, 5, 7), (3, 2, 6), (3, 9)]  # of an image, a sound and a pooled layer
distance = jax.jit(perceptual_distance)


def drawn(rng):
    return [np.float32(rng.normal(size=shape)) for shape in SHAPES]


def by_definition(x, y):
    """Layer by layer and position by position, from cosines where vectors are long."""
    total = np.zeros(3)
    for f, g in zip(x, y, strict=True):
        f, g = (np.float64(a).reshape(3, -1, a.shape[-1]) for a in (f, g))
        for b in range(3):
            pairs = zip(f[b], g[b], strict=True)
            units = [(p / np.sqrt(p @ p + 1e-8), q / np.sqrt(q @ q + 1e-8)) for p, q in pairs]
            total[b] += np.mean([(p - q) @ (p - q) for p, q in units])
    return total


def slope(x, y, example=None):
    """The gradient of the sum, or of one example's distance, by x."""

    def chosen(x):
        found = perceptual_distance(x, y)
        return jnp.sum(found) if example is None else found[example]

    return jax.grad(chosen)(x)


def test_worked_examples():
    # Of two positions one is turned by 90°, the other by 180°: (2 + 4) / 2; then 60°: 1.
    x = [jnp.float32([[[1, 0], [0, 5]]]), jnp.float32([[2, 0]])]
    y = [jnp.float32([[[0, 3], [0, -2]]]), jnp.float32([[3, 3 * 3**0.5]])]
    np.testing.assert_allclose(perceptual_distance(x, y), [4.0], rtol=1e-6)


def test_the_definition_is_met(rng):
    x, y = drawn(rng), drawn(rng)
    found = distance(x, y)
    assert found.shape == (3,)
    np.testing.assert_allclose(found, by_definition(x, y), rtol=2e-6)
    np.testing.assert_array_equal(found, distance(y, x))


def test_equal_features_are_at_0_with_a_gradient_of_0(rng):
    x = drawn(rng)
    np.testing.assert_array_equal(distance(x, x), np.zeros(3))
    for leaf in slope(x, x):
        np.testing.assert_array_equal(leaf, np.zeros(leaf.shape))


def test_features_of_0_have_a_finite_gradient(rng):
    """As behind a ReLU that nothing passes. At f = 0 it is −2 ĝ / (P √ε)."""
    y = drawn(rng)
    zeros = [np.zeros_like(f) for f in y]
    np.testing.assert_allclose(distance(zeros, y), np.full(3, 3.0), rtol=1e-6)
    for found, g in zip(slope(zeros, y), y, strict=True):
        positions = np.prod(g.shape[1:-1])
        units = np.float64(g) / np.sqrt(np.square(np.float64(g)).sum(-1, keepdims=True) + 1e-8)
        np.testing.assert_allclose(found, -2e4 * units / positions, rtol=1e-5)
    for leaf in slope(zeros, zeros):
        np.testing.assert_array_equal(leaf, np.zeros(leaf.shape))


def test_the_length_of_features_does_not_matter(rng):
    x, y = drawn(rng), drawn(rng)
    scaled = [f * np.float32(rng.uniform(0.5, 9.0, size=(*f.shape[:-1], 1))) for f in x]
    np.testing.assert_allclose(distance(scaled, y), distance(x, y), rtol=1e-5)


def test_each_example_has_a_gradient_from_itself_alone(rng):
    x, y = drawn(rng), drawn(rng)
    for example in range(3):
        for leaf in slope(x, y, example):
            touched = np.abs(np.asarray(leaf)).reshape(3, -1).max(1) > 0
            assert touched.tolist() == [i == example for i in range(3)]


def test_the_gradient_is_that_of_finite_differences(rng):
    x, y = drawn(rng), drawn(rng)
    directions = drawn(rng)
    h = 1e-6
    ahead, behind = (
        by_definition([np.float64(f) + s * d for f, d in zip(x, directions, strict=True)], y)
        for s in (h, -h)
    )
    along = sum(np.vdot(np.float64(g), d) for g, d in zip(slope(x, y), directions, strict=True))
    assert along == pytest.approx((ahead - behind).sum() / (2 * h), rel=2e-5)


def test_narrow_features_are_compared_in_float32(rng):
    x, y = ([jnp.asarray(f, jnp.bfloat16) for f in drawn(rng)] for _ in range(2))
    found = distance(x, y)
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, by_definition(x, y), rtol=2e-6)


def test_layers_that_do_not_fit_are_refused(rng):
    x = drawn(rng)
    wider = [x[0][:, :1], *x[1:]]  # would broadcast
    for a, b in ((x, x[:2]), (x, wider), ([], []), ([x[0][:, 0, 0, 0]],) * 2):
        with pytest.raises(InputError, match="equal layers"):
            perceptual_distance(a, b)
