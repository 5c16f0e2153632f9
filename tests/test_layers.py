"""Layers in their fast form against the plain one: values, gradients, and every transform."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from aigc_jax import layers


def plain_layer_norm(x, scale, bias):
    mean = x.mean(-1, keepdims=True)
    variance = ((x - mean) ** 2).mean(-1, keepdims=True)
    return (x - mean) / jnp.sqrt(variance + 1e-5) * scale[None] + bias[None]


ROWS = layers._FEW_ROWS + 5  # enough for `linear` to put up its fences

CASES = {
    "linear of few rows": (layers.linear, lambda x, w: x @ w, [(6, 8), (8, 3)]),
    "fenced narrowing linear": (layers.linear, lambda x, w: x @ w, [(ROWS, 8), (8, 3)]),
    "fenced widening linear": (layers.linear, lambda x, w: x @ w, [(ROWS, 3), (3, 8)]),
    "gelu": (layers.gelu, lambda x: jax.nn.gelu(x, approximate=False), [(6, 8)]),
    "layer norm": (layers.layer_norm, plain_layer_norm, [(6, 8), (8,), (8,)]),
}


@pytest.fixture(params=CASES)
def case(request, rng):
    fast, plain, shapes = CASES[request.param]
    return fast, plain, [rng.normal(size=s).astype(np.float32) for s in shapes]


def weighted(function):
    """A scalar whose gradient is not constant."""
    return lambda *args: jnp.sum(jnp.sin(function(*args)))


def test_values_and_gradients_equal_the_plain_form(case):
    fast, plain, args = case
    which = tuple(range(len(args)))
    actual, expected = (
        jax.jit(jax.value_and_grad(weighted(f), which))(*args) for f in (fast, plain)
    )
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), actual, expected
    )


@pytest.mark.parametrize(("rows", "barriers"), [(ROWS, 1), (6, 0)])
def test_fences_stand_where_there_are_enough_rows_and_only_there(rows, barriers):
    lowered = jax.jit(layers.linear).lower(jnp.ones((rows, 3)), jnp.ones((3, 8)))
    assert lowered.as_text().count("optimization_barrier") == barriers


def test_derivatives_of_both_orders_and_modes_agree_with_finite_differences(case):
    fast, _, args = case
    with jax.enable_x64(True):
        args = [jnp.asarray(a, jnp.float64) for a in args]
        check_grads(fast, args, order=2, modes=("fwd", "rev"))


@pytest.mark.parametrize(("rows", "outputs"), [(6, 9), (ROWS, 9), (ROWS, 3)])
def test_sums_of_half_precision_are_rounded_once_to_the_type_asked_for(rows, outputs, rng):
    """By way of bfloat16 they would be off by up to 2⁻⁹ of themselves."""
    x = jnp.asarray(rng.normal(size=(rows, 8)), jnp.bfloat16)
    module = layers.Dense(outputs, out_dtype=jnp.float32)
    params = jax.jit(module.init)(jax.random.key(0), x)["params"]
    params = jax.tree.map(lambda p: np.asarray(p) + np.float32(0.3), params)
    kernel = np.float64(params["kernel"].astype(jnp.bfloat16))
    y = jax.jit(module.apply)({"params": params}, x)
    assert y.dtype == jnp.float32
    expected = np.float64(x) @ kernel + np.float64(params["bias"])
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)
    slopes = jax.jit(jax.grad(lambda p: jnp.sum(module.apply({"params": p}, x) ** 2)))
    grads = slopes(params)
    assert {g.dtype for g in jax.tree.leaves(grads)} == {jnp.dtype("float32")}
    back = np.float64(jnp.asarray(2 * y, jnp.bfloat16))  # rounded before the product, of which
    slope = np.float64(x).T @ back  # the kernel's gradient, which is of its bfloat16, is a result
    np.testing.assert_allclose(grads["kernel"], slope, rtol=2**-8, atol=1e-3)
    np.testing.assert_allclose(grads["bias"], 2 * expected.sum(0), rtol=1e-4, atol=1e-3)


def test_vmap_of_the_gradient(case):
    fast, plain, args = case
    stacked = [np.stack([a, 2 * a, -a]) for a in args]
    actual, expected = (jax.jit(jax.vmap(jax.grad(weighted(f))))(*stacked) for f in (fast, plain))
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5)


def test_linear_accepts_any_leading_dimensions(rng):
    x, w = rng.normal(size=(2, 3, 4, 5)), rng.normal(size=(5, 2))
    np.testing.assert_allclose(layers.linear(x, w), x @ w, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(layers.linear(x[0, 0, 0], w), x[0, 0, 0] @ w, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (layers.Dense(3), nn.Dense(3, kernel_init=nn.initializers.glorot_uniform())),
        (layers.Dense(9, use_bias=False), nn.Dense(9, use_bias=False)),
        (layers.LayerNorm(), nn.LayerNorm(epsilon=1e-5)),
    ],
)
def test_modules_have_flaxs_parameters_and_values(ours, theirs, rng):
    x = rng.normal(size=(4, 6)).astype(np.float32)
    params = jax.jit(theirs.init)(jax.random.key(0), x)
    params = jax.tree.map(lambda p: np.asarray(p) + np.float32(0.3), params)
    shapes = jax.eval_shape(ours.init, jax.random.key(0), x)
    assert jax.tree.map(jnp.shape, shapes) == jax.tree.map(jnp.shape, params)
    found, expected = (jax.jit(module.apply)(params, x) for module in (ours, theirs))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_layer_norm_of_large_half_precision_inputs_is_computed_in_float32(rng):
    x = jnp.asarray(rng.normal(size=(4, 64)) + 300, jnp.bfloat16)
    one, zero = jnp.ones(64), jnp.zeros(64)
    actual = layers.layer_norm(x, one, zero)
    assert actual.dtype == jnp.bfloat16
    wide = np.asarray(x, np.float64)
    expected = (wide - wide.mean(-1, keepdims=True)) / np.sqrt(wide.var(-1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(np.float64(actual), expected, atol=0.02)  # 2⁻⁸ of values up to 4
