"""Adaptive layer normalisation, against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aigc_jax.nn.adaptive import AdaptiveLayerNorm


def normalised(x):
    """In float64, without scale and bias."""
    x = np.float64(x)
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6)


def test_a_branch_starts_closed_and_its_input_merely_normalised(rng):
    x, c = np.float32(rng.normal(size=(2, 3, 4))), jnp.ones((2, 5))
    (h, gate), _ = AdaptiveLayerNorm().init_with_output(jax.random.key(0), jnp.asarray(x), c)
    np.testing.assert_allclose(h, normalised(x), atol=1e-5)
    np.testing.assert_array_equal(gate, np.zeros((2, 1, 4)))


@pytest.mark.parametrize("shape", [(2, 4), (2, 3, 4), (2, 3, 5, 4)])
@pytest.mark.parametrize("gated", [True, False])
def test_scale_shift_and_gate_are_linear_in_the_activated_condition(rng, shape, gated):
    x, c = np.float32(rng.normal(size=shape)), np.float32(rng.normal(size=(2, 5)))
    module, parts = AdaptiveLayerNorm(gated=gated), 3 if gated else 2
    kernel = np.float32(rng.normal(size=(5, parts * 4)))
    bias = np.float32(rng.normal(size=parts * 4))
    params = {"params": {"Dense_0": {"kernel": kernel, "bias": bias}}}
    h, gate = module.apply(params, jnp.asarray(x), jnp.asarray(c))
    found = (np.float64(c) / (1 + np.exp(-np.float64(c)))) @ kernel + bias
    scale, shift, *expected = np.split(found.reshape(2, *[1] * (len(shape) - 2), -1), parts, -1)
    np.testing.assert_allclose(h, normalised(x) * (1 + scale) + shift, rtol=1e-4, atol=1e-4)
    if gated:
        np.testing.assert_allclose(gate, expected[0], rtol=1e-4, atol=1e-5)
    else:
        assert gate is None


def test_it_keeps_the_dtype_of_the_stream():
    x = jnp.ones((2, 3, 4), jnp.bfloat16)
    (h, gate), params = AdaptiveLayerNorm().init_with_output(jax.random.key(0), x, jnp.ones((2, 5)))
    assert h.dtype == gate.dtype == jnp.bfloat16
    assert all(p.dtype == jnp.float32 for p in jax.tree.leaves(params))
