"""Convolutions against the sums that define them, and their derivatives against XLA's own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from aigc_jax import convolution, layers, loop_convolution
from aigc_jax.convolution import (
    average_pool,
    conv,
    conv_down,
    conv_max_pool,
    conv_up,
    grid_after,
    halvings_to_small_grid,
    max_pool,
    upsample_nearest,
)
from aigc_jax.errors import InputError

NHWC = ("NHWC", "HWIO", "NHWC")


def xla_down(x, kernel):
    return lax.conv_general_dilated(x, kernel, (2, 2), ((1, 1), (1, 1)), dimension_numbers=NHWC)


def xla_up(x, kernel):
    # lax.conv_transpose correlates with the kernel where the transpose would turn it round.
    return lax.conv_transpose(x, kernel[::-1, ::-1], (2, 2), "SAME", dimension_numbers=NHWC)


@pytest.fixture
def x(rng):
    return rng.normal(size=(3, 6, 8, 5))


@pytest.fixture
def kernel(rng):
    return rng.normal(size=(4, 4, 5, 7))


def test_conv_down_is_its_sum(x, kernel):
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    expected = np.zeros((3, 3, 4, 7))
    for h, w, i, j in np.ndindex(3, 4, 4, 4):
        expected[:, h, w] += padded[:, 2 * h + i, 2 * w + j] @ kernel[i, j]
    np.testing.assert_allclose(conv_down(jnp.float32(x), jnp.float32(kernel)), expected, atol=1e-4)


def test_conv_up_is_its_sum(x, kernel):
    expected = np.zeros((3, 14, 18, 7))
    for h, w, i, j in np.ndindex(6, 8, 4, 4):
        expected[:, 2 * h + i, 2 * w + j] += x[:, h, w] @ kernel[i, j]
    actual = conv_up(jnp.float32(x), jnp.float32(kernel))
    np.testing.assert_allclose(actual, expected[:, 1:-1, 1:-1], atol=1e-4)


def test_conv_up_is_the_transpose_of_conv_down(rng, x, kernel):
    x, kernel = jnp.float32(x), jnp.float32(kernel)
    y = jnp.float32(rng.normal(size=(3, 3, 4, 7)))
    down = jnp.sum(conv_down(x, kernel) * y)
    up = jnp.sum(x * conv_up(y, kernel.transpose(0, 1, 3, 2)))
    np.testing.assert_allclose(down, up, rtol=1e-4)


def test_conv_is_its_sum(rng, x):
    kernel = rng.normal(size=(3, 3, 5, 2))
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    expected = np.zeros((3, 6, 8, 2))
    for h, w, i, j in np.ndindex(6, 8, 3, 3):
        expected[:, h, w] += padded[:, h + i, w + j] @ kernel[i, j]
    np.testing.assert_allclose(conv(jnp.float32(x), jnp.float32(kernel)), expected, atol=1e-4)


@pytest.mark.parametrize("few_rows", [0, 10**9], ids=["fenced", "plain"])
@pytest.mark.parametrize(("ours", "xla"), [(conv_down, xla_down), (conv_up, xla_up)])
def test_derivatives_of_either_order_are_those_of_xlas_convolution(
    monkeypatch, x, kernel, ours, xla, few_rows
):
    monkeypatch.setattr(layers, "_FEW_ROWS", few_rows)

    def gradient(f):
        return jax.grad(lambda x, k: jnp.sum(jnp.tanh(f(x, k))), (0, 1))

    def squared_gradient(f):  # the shape of a gradient penalty
        return jax.grad(lambda x, k: jnp.sum(jnp.square(gradient(f)(x, k)[0])), (0, 1))

    x, kernel = jnp.float32(x), jnp.float32(0.1 * kernel)
    for derivative in (gradient, squared_gradient):
        for a, b in zip(
            jax.jit(derivative(ours))(x, kernel), jax.jit(derivative(xla))(x, kernel), strict=True
        ):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5 * np.abs(b).max())


@pytest.mark.parametrize("few", [0, 16])
def test_a_convolution_and_its_maxima_in_one_are_both_one_after_another(rng, monkeypatch, few):
    monkeypatch.setattr(convolution, "_FEW_CHANNELS", few)
    x, kernel = rng.normal(size=(3, 6, 8, 5)), 0.1 * rng.normal(size=(3, 3, 5, 7))
    x, kernel = jnp.float32(x), jnp.float32(kernel)

    def slopes(f):
        scalar = jax.value_and_grad(lambda x, k: jnp.sum(jnp.tanh(f(x, k))), (0, 1))
        return jax.jit(scalar)(x, kernel)

    found = slopes(conv_max_pool)
    expected = slopes(lambda x, k: max_pool(loop_convolution.by_xla(x, k)))
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def test_pooling_and_upsampling():
    x = jnp.arange(16.0).reshape(1, 2, 4, 2)
    np.testing.assert_array_equal(average_pool(x)[0, 0], [[5.0, 6.0], [9.0, 10.0]])
    np.testing.assert_array_equal(max_pool(x)[0, 0], [[10.0, 11.0], [14.0, 15.0]])
    up = upsample_nearest(average_pool(x))
    assert up.shape == x.shape
    np.testing.assert_array_equal(up[0, :, :, 0], [[5, 5, 9, 9], [5, 5, 9, 9]])


@pytest.mark.parametrize(
    ("size", "halvings"), [((28, 28), 2), ((64, 64), 4), ((8, 8), 1), ((56, 28), 2), ((20, 24), 2)]
)
def test_sizes_that_halve_to_a_small_grid(size, halvings):
    assert halvings_to_small_grid((*size, 1)) == halvings
    rows, columns = grid_after((*size, 1), halvings)
    assert (rows * 2**halvings, columns * 2**halvings) == size
    assert 4 <= min(rows, columns) <= 7


@pytest.mark.parametrize("size", [(27, 28), (30, 30), (6, 6), (28, 26), (4, 64)])
def test_sizes_that_do_not_halve_to_a_small_grid_are_refused(size):
    with pytest.raises(InputError, match=f"images of {size[0]}x{size[1]} pixels"):
        halvings_to_small_grid((*size, 1))


def test_a_given_number_of_halvings_must_divide_the_image():
    assert grid_after((64, 32, 3), 2) == (16, 8)
    assert grid_after((7, 5, 1), 0) == (7, 5)
    for size in ((28, 64, 1), (64, 28, 1)):
        with pytest.raises(InputError, match="multiples of 8"):
            grid_after(size, 3)
