"""Expectations over the 256 grey values against sums over all of them, in float64."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aigc_jax import vae
from aigc_jax.logistic import logistic_expectation, logistic_mean

BIN = 2 / 255
VALUES = BIN * np.arange(256) - 1
EDGES = VALUES[1:] - BIN / 2


def sigmoid(x):
    return 0.5 * (1 + np.tanh(0.5 * x))


def masses(mean, scale):
    """`[...]` twice → `[..., 256]`."""
    below = sigmoid((EDGES - mean[..., None]) / scale[..., None])
    whole = np.ones((*below.shape[:-1], 1))
    return np.diff(np.concatenate([0 * whole, below, whole], -1), axis=-1)


def means(mean, scale):
    """The same as `masses @ VALUES`, by parts."""
    return BIN * sigmoid((np.asarray(mean)[..., None] - EDGES) / scale).sum(-1) - 1


def test_the_mean_is_the_sum_over_all_values():
    rng = np.random.default_rng(0)
    mean, log_scale = rng.uniform(-1.3, 1.3, 3000), rng.uniform(-7, 3, 3000)
    mean[:300], log_scale[300:600] = rng.choice([-1, 1, 0.2, -40, 40], 300), np.log(BIN / 2)
    expected = masses(mean, np.exp(log_scale)) @ VALUES
    found = jax.jit(logistic_mean)(np.float32(mean), np.float32(log_scale))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_mean_of_no_shape_at_all_is_the_middle():
    found = jax.jit(logistic_mean)(np.zeros(2, np.float32), np.float32([20, 1e6]))
    np.testing.assert_allclose(found, 0, atol=1e-6)


@pytest.mark.parametrize(("cells", "atol"), [(16, 6e-3), (32, 1.5e-3), (254, 3e-6)])
def test_an_expectation_is_the_sum_over_all_values(cells, atol):
    """Of a function that bends at 0.3, and of one that does not.

    A bend from slope −1 to 1 in the middle of a cell costs a quarter of its width by its mass: of
    widths 0.75 s and masses 0.75 / 4, 0.006 at the widest, of half the size a quarter of that.
    """
    rng = np.random.default_rng(1)
    mean, log_scale = rng.uniform(-1.3, 1.3, 500), rng.uniform(-7, 3, 500)
    p = masses(mean, np.exp(log_scale))
    expected = p @ np.abs(VALUES - 0.3), p @ np.cos(2 * VALUES), p.sum(-1)

    def functions(x):
        return jnp.abs(x - 0.3), jnp.cos(2 * x), jnp.ones_like(x)

    expectation = jax.jit(partial(logistic_expectation, functions, cells=cells))
    found = expectation(np.float32(mean), np.float32(log_scale))
    np.testing.assert_allclose(found, expected, atol=atol)


def mixture_mean(outputs, components, channels):
    """E[x] of one pixel, over all values that the channels before it may have: `[C]`."""
    weights = np.exp(outputs[:components]) / np.exp(outputs[:components]).sum()
    rest = outputs[components:].reshape(-1, channels, components)
    scales, total = np.exp(np.maximum(rest[1], -7)), np.zeros(channels)
    for k, weight in enumerate(weights):
        mean, scale = rest[0, :, k], scales[:, k]
        red = masses(mean[0], scale[0])
        each = [red @ VALUES]
        if channels == 3:
            a, b, c = np.tanh(rest[2, :, k])
            moved = mean[1] + a * VALUES
            both = red[:, None] * masses(moved, np.full(256, scale[1]))
            each.append(np.sum(both * VALUES))
            blue = mean[2] + b * VALUES[:, None] + c * VALUES
            each.append(np.sum(both * means(blue, scale[2])))
        total += weight * np.array(each)
    return 0.5 + 0.5 * total


TWO = vae.logistic_mixture(2)
MEAN = jax.jit(TWO.mean)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("log_scale", [-6.5, -3.0, 0.0])
def test_the_mixtures_mean_is_the_sum_over_all_values(channels, log_scale):
    outputs = np.random.default_rng(3).normal(size=(2, TWO.outputs(channels)))
    outputs[:, 2 + 2 * channels : 2 + 4 * channels] += log_scale
    found = np.asarray(MEAN(np.float32(outputs).reshape(1, 2, 1, -1)))[0, :, 0]
    expected = [mixture_mean(pixel, 2, channels) for pixel in outputs]
    np.testing.assert_allclose(found[:, 0], np.array(expected)[:, 0], atol=1e-5)
    np.testing.assert_allclose(found, expected, atol=8e-4)  # a fifth of a grey level


def test_the_mixtures_mean_by_worked_arithmetic():
    """Each component's green follows its own red: 0.9 × 0.8 in both. The mean red is 0, and 0.5."""
    outputs = np.full((1, 2, 1, 20), -7.0, np.float32)  # log scales, of two equal pixels
    outputs[..., :8] = [0, 0, -0.8, 0.8, 0, 0, 0, 0]
    outputs[..., 14:] = [*np.arctanh([-0.9, 0.9]), 0, 0, 0, 0]
    found = np.asarray(MEAN(outputs))[0, :, 0]
    np.testing.assert_allclose(found, [[0.5, 0.86, 0.5]] * 2, atol=2e-3)  # half a grey level
    # A grey value at its lower end: s/2 (log 2 − log(1 + e^{−2/s})) beyond 0, s = 1/e.
    grey = np.float32([0, -1, -1]).reshape(1, 1, 1, 3)
    expected = 0.5 / np.e * (np.log(2) - np.log1p(np.exp(-2 * np.e)))
    found = jax.jit(vae.logistic_mixture(1).mean)(grey).item()
    assert found == pytest.approx(expected, abs=1e-4)


def test_means_have_derivatives_everywhere():
    mean, log_scale = np.meshgrid(np.float32([-40, -1, 0.2, 1]), np.float32([-9, -5.54, 0, 30]))
    slopes = jax.jit(jax.grad(lambda m, s: logistic_mean(m, s).sum(), (0, 1)))(mean, log_scale)
    assert np.isfinite(slopes).all()
