"""Shapes, dtypes and parameter counts of the GAN's networks."""

import jax
import jax.numpy as jnp
import numpy as np

from aigc_jax import gan


def count(params):
    return sum(x.size for x in jax.tree.leaves(params))


def test_the_textbook_parameter_counts():
    params_g, params_d = gan.mlp().init(jax.random.key(0))
    assert count(params_g) == (100 * 128 + 128) + (128 * 784 + 784) == 114_064
    assert count(params_d) == (784 * 128 + 128) + (128 * 1 + 1) == 100_609


def test_shapes_and_range(rng):
    networks = gan.mlp((6, 5, 3), latent_size=4, hidden=8)
    params_g, params_d = networks.init(jax.random.key(1))
    images = networks.generate(params_g, jnp.asarray(rng.normal(size=(7, 4)) * 9, jnp.float32))
    assert images.shape == (7, 6, 5, 3)
    assert images.dtype == jnp.float32
    assert 0 <= images.min() < 0.5 < images.max() <= 1
    assert networks.discriminate(params_d, images).shape == (7,)


def test_the_networks_are_the_textbook_formulas(rng):
    networks = gan.mlp((2, 3, 1), latent_size=4, hidden=5)
    params_g, params_d = jax.device_get(networks.init(jax.random.key(2)))
    z = rng.normal(size=(3, 4)).astype(np.float32)

    def affine(params, layer, x):
        p = params["params"][layer]
        return x.astype(np.float64) @ p["kernel"] + p["bias"]

    images = 1 / (
        1 + np.exp(-affine(params_g, "Dense_1", np.maximum(affine(params_g, "Dense_0", z), 0)))
    )
    np.testing.assert_allclose(networks.generate(params_g, z).reshape(3, -1), images, rtol=1e-5)
    logits = affine(params_d, "Dense_1", np.maximum(affine(params_d, "Dense_0", images), 0))[:, 0]
    actual = networks.discriminate(params_d, jnp.float32(images.reshape(3, 2, 3, 1)))
    np.testing.assert_allclose(actual, logits, rtol=1e-4, atol=1e-5)
