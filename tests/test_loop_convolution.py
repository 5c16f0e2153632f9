"""The two functions against their sums, under every transform, and the order of their arrays."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P

from aigc_jax import parallel
from aigc_jax.convolution import conv as conv_anywhere
from aigc_jax.loop_convolution import by_xla, conv, correlate

B, H, W, C, F = 2, 5, 4, 3, 6


@pytest.fixture(params=[3, 5])
def arrays(request, rng):
    """x, K and ȳ."""
    size = request.param
    shapes = (B, H, W, C), (size, size, C, F), (B, H, W, F)
    return [rng.normal(size=shape).astype(np.float32) for shape in shapes]


def test_each_is_its_sum(arrays):
    x, kernel, y = (np.float64(a) for a in arrays)
    size = len(kernel)
    border = ((0, 0), (size // 2, size // 2), (size // 2, size // 2), (0, 0))
    padded = np.pad(x, border)
    sums, kernels = np.zeros((B, H, W, F)), np.zeros(kernel.shape)
    for i, j, h, w in np.ndindex(size, size, H, W):
        sums[:, h, w] += padded[:, h + i, w + j] @ kernel[i, j]
        kernels[i, j] += padded[:, h + i, w + j].T @ y[:, h, w]
    np.testing.assert_allclose(conv(*arrays[:2]), sums, atol=1e-5)
    np.testing.assert_allclose(correlate(arrays[0], arrays[2], size), kernels, atol=1e-4)


def assert_close(found, expected):
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5 * np.abs(b).max())


def slopes(function):
    """Gradients of a scalar; forward over reverse; and of a squared gradient, reverse twice."""

    def scalar(x, kernel):
        return jnp.sum(jnp.sin(function(x, kernel)))

    gradient = jax.grad(scalar, (0, 1))

    def squared(x, kernel):
        return sum(jnp.sum(g**2) for g in gradient(x, kernel))

    def all_of_them(x, kernel):
        along = jax.tree.map(jnp.cos, (x, kernel))
        return (
            gradient(x, kernel),
            jax.jvp(gradient, (x, kernel), along),
            jax.grad(squared, (0, 1))(x, kernel),
        )

    return all_of_them


def test_derivatives_are_those_of_jaxs_convolution(arrays):
    args = arrays[:2]
    assert_close(jax.jit(slopes(conv))(*args), jax.jit(slopes(by_xla))(*args))


@pytest.mark.parametrize("axes", [(0, None), (None, 0), (0, 0), (2, 3), (1, None), (None, 4)])
def test_derivatives_may_be_mapped(axes, rng):
    shapes = (B, H, W, C), (3, 3, C, F)
    args = [
        rng.normal(size=shape if axis is None else (*shape[:axis], 3, *shape[axis:]))
        for shape, axis in zip(shapes, axes, strict=True)
    ]
    args = [a.astype(np.float32) for a in args]
    found, expected = (jax.jit(jax.vmap(slopes(f), axes))(*args) for f in (conv, by_xla))
    assert_close(found, expected)


@pytest.mark.parametrize("checked", [False, True])
def test_a_shard_of_the_images_has_its_part_of_the_gradient(checked, rng):
    """Which a shard_map that checks adds up by itself."""
    x, kernel = rng.normal(size=(4, H, W, C)), rng.normal(size=(3, 3, C, F))
    x, kernel = jnp.float32(x), jnp.float32(kernel)
    gradient = jax.grad(lambda k, x: jnp.sum(jnp.sin(conv(x, k))))
    each = jax.shard_map(
        lambda k, x: gradient(k, x) if checked else jax.lax.psum(gradient(k, x), "batch"),
        mesh=parallel.data_mesh(),
        in_specs=(P(), P("batch")),
        out_specs=P(),
        check_vma=checked,
    )
    assert_close(jax.jit(each)(kernel, x), gradient(kernel, x))


def test_half_and_double_precision_keep_their_dtype(arrays):
    x, kernel, y = arrays
    halves = [jnp.asarray(a, jnp.bfloat16) for a in arrays]
    assert conv(*halves[:2]).dtype == correlate(halves[0], halves[2], 3).dtype == jnp.bfloat16
    with jax.enable_x64(True):
        wide = [jnp.float64(a) for a in (x, kernel, y)]
        exact = slopes(by_xla)(*wide[:2])
        for a, b in zip(
            jax.tree.leaves(slopes(conv)(*wide[:2])), jax.tree.leaves(exact), strict=True
        ):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


def test_within_a_loop_every_convolution_has_the_order_that_is_fast():
    """In the program that the CPU runs, of a step with second derivatives."""
    x = jnp.ones((2, 6, 6, 16))
    kernel = jnp.ones((3, 3, 16, 16))

    def step(kernel, x):
        def penalty(kernel):
            inner = jax.grad(lambda x: jnp.sum(jnp.tanh(conv_anywhere(x, kernel))))(x)
            return jnp.sum(inner**2)

        return kernel - 0.1 * jax.grad(penalty)(kernel), None

    program = jax.jit(lambda k, x: jax.lax.scan(step, k, x)[0])
    text = program.lower(kernel, jnp.stack([x] * 3)).compile().as_text()
    orders = re.findall(r"convolution\(.*dim_labels=(\S+?),", text)
    assert len(orders) >= 4
    assert set(orders) == {"b01f_01io->b01f"}
