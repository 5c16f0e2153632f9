"""Finite scalar quantisation against NumPy in float64 and worked arithmetic."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aigc_jax import vq
from aigc_jax.errors import InputError
from aigc_jax.vq import fsq

LEVELS = [(8, 6, 5), (8, 5, 5, 5), (3, 4)]


@pytest.mark.parametrize("levels", LEVELS)
def test_code_and_levels_are_inverse_over_all_codes(levels):
    codes = jnp.arange(math.prod(levels), dtype=jnp.int32)
    found = fsq.levels_of(codes, levels)
    np.testing.assert_array_equal(fsq.codes_of(found, levels), codes)
    # In order: the first digit runs fastest.
    ranges = [range(-(size // 2), (size + 1) // 2) for size in reversed(levels)]
    expected = [tuple(reversed(digits)) for digits in itertools.product(*ranges)]
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("levels", LEVELS)
def test_every_level_is_reached_and_none_besides(levels):
    sweep = jnp.linspace(-12, 12, 4001)[:, None, None, None]
    features = jnp.broadcast_to(sweep, (4001, 1, 1, len(levels)))
    chosen = np.asarray(fsq.levels_of(fsq.quantise(features, levels).codes, levels))
    for d, size in enumerate(levels):
        assert set(chosen[..., d].ravel()) == set(range(-(size // 2), (size + 1) // 2))


def test_a_worked_example():
    # L = 5: 2.002 tanh(f): 0.55 → 1.002, 3 → 1.992, −0.2 → −0.395. L = 4: o / a = ½ / 1.5015, so
    # s = 0.3462, and 1.5015 tanh(f + s) − ½: 0 → 0, 0.5 → 0.534, −1 → −1.362.
    features = jnp.float32([[0.55, 0.0], [3.0, 0.5], [-0.2, -1.0]]).reshape(3, 1, 1, 2)
    found = fsq.quantise(features, (5, 4))
    expected = np.array([[1 / 2, 0 / 2], [2 / 2, 1 / 2], [0 / 2, -1 / 2]])
    np.testing.assert_array_equal(found.vectors.reshape(3, 2), expected)
    np.testing.assert_array_equal(found.codes.ravel(), [3 + 5 * 2, 4 + 5 * 3, 2 + 5 * 1])
    np.testing.assert_array_equal(found.commitment, np.zeros(3))


def test_bounds_are_those_of_the_formula_and_zero_at_zero(rng):
    levels = np.array([8, 5, 6])
    f = rng.normal(size=(50, 3))
    half, offset = 1.001 * (levels - 1) / 2, np.array([0.5, 0.0, 0.5])
    expected = half * np.tanh(f + np.arctanh(offset / half)) - offset
    np.testing.assert_allclose(fsq.bound(jnp.float32(f), levels), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(fsq.bound(jnp.zeros((1, 3)), levels), np.zeros((1, 3)), atol=1e-6)


def test_the_gradient_is_that_of_the_bound_without_the_rounding(rng):
    # ∂/∂f a tanh(f + s) / ⌊L/2⌋ = a (1 − tanh²) / ⌊L/2⌋.
    levels = np.array([8, 5, 6])
    f = rng.normal(size=(4, 2, 2, 3))
    half, offset = 1.001 * (levels - 1) / 2, np.array([0.5, 0.0, 0.5])
    slope = half * (1 - np.tanh(f + np.arctanh(offset / half)) ** 2) / (levels // 2)
    weights = rng.normal(size=f.shape)

    def decoded(features):
        return jnp.sum(jnp.float32(weights) * fsq.quantise(features, (8, 5, 6)).vectors)

    np.testing.assert_allclose(
        jax.grad(decoded)(jnp.float32(f)), weights * slope, rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize("levels", LEVELS)
def test_looking_up_the_codes_gives_the_quantised_features(rng, levels):
    quantiser = vq.finite_scalar_quantiser(levels)
    assert (quantiser.codes, quantiser.features) == (math.prod(levels), len(levels))
    features = jnp.float32(2 * rng.normal(size=(20, 3, 2, len(levels))))
    state = quantiser.init(jax.random.key(0))
    found = quantiser.quantise(state, features)
    np.testing.assert_array_equal(quantiser.look_up(state, found.codes), found.vectors)
    assert quantiser.update(state, features, found.codes, jax.random.key(1), None) == (state, 0)


@pytest.mark.parametrize("levels", [(), (8, 2), (2**16, 2**15)])
def test_unusable_levels_are_refused(levels):
    with pytest.raises(InputError, match="levels"):
        vq.finite_scalar_quantiser(levels)
