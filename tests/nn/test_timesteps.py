"""Time embeddings, against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aigc_jax.nn.timesteps import TimeEmbedding, sinusoidal_embedding


def reference(t, features, max_period=10_000):
    """By the formula, in float64."""
    half = features // 2
    angles = np.float64(t)[:, None] / np.float64(max_period) ** (np.arange(half) / half)[None]
    return np.concatenate([np.cos(angles), np.sin(angles)], axis=1)


def test_the_sinusoids_are_their_formula():
    t = np.array([0.0, 0.5, 1.0, 999.0])
    found = sinusoidal_embedding(jnp.float32(t), 8)
    np.testing.assert_allclose(found, reference(t, 8), atol=1e-4)  # angles of 999 in float32
    np.testing.assert_array_equal(found[0], [1, 1, 1, 1, 0, 0, 0, 0])
    # Worked: frequencies 1, 1/10, 1/100, 1/1000.
    np.testing.assert_allclose(found[2, 4:], np.sin([1, 0.1, 0.01, 0.001]), rtol=1e-5)
    steps = sinusoidal_embedding(jnp.array([0, 999]), 8, max_period=100.0)
    np.testing.assert_allclose(steps, reference([0, 999], 8, 100), atol=1e-4)


def test_an_odd_number_of_features_is_refused():
    with pytest.raises(ValueError, match="even number of features, not 7"):
        sinusoidal_embedding(jnp.zeros(1), 7)


def test_the_time_embedding_is_two_layers_over_them(rng):
    module, t = TimeEmbedding(features=5, frequencies=6), jnp.array([0.0, 0.25, 1.0])
    params = jax.tree.map(
        lambda p: jnp.asarray(rng.normal(size=p.shape), jnp.float32),
        module.init(jax.random.key(0), t),
    )
    first, last = (jax.tree.map(np.float64, params["params"][f"Dense_{i}"]) for i in (0, 1))
    h = reference([0, 250, 1000], 6) @ first["kernel"] + first["bias"]
    expected = h / (1 + np.exp(-h)) @ last["kernel"] + last["bias"]
    np.testing.assert_allclose(module.apply(params, t), expected, rtol=1e-3, atol=1e-3)
    of_steps = TimeEmbedding(features=5, frequencies=6, scale=1.0)
    steps = of_steps.apply(params, jnp.array([0, 250, 1000]))
    np.testing.assert_allclose(module.apply(params, t), steps, rtol=1e-6)
