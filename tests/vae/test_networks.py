"""Shapes, dtypes and parameter counts of the VAE's networks."""

import jax
import jax.numpy as jnp

from aigc_jax import vae


def count(params):
    return sum(x.size for x in jax.tree.leaves(params))


def test_the_textbook_parameter_counts():
    params = vae.mlp().init(jax.random.key(0))
    assert count(params["encoder"]) == (784 * 128 + 128) + (128 * 4 + 4) == 100_996
    assert count(params["decoder"]) == (2 * 128 + 128) + (128 * 784 + 784) == 101_520


def test_shapes():
    networks = vae.mlp((6, 5, 3), latent_size=4, outputs=3, width=8)
    params = networks.init(jax.random.key(1))
    mean, log_variance = networks.encode(params, jnp.zeros((7, 6, 5, 3))).q
    assert mean.shape == log_variance.shape == (7, 4)
    assert networks.decode(params, mean).shape == (7, 6, 5, 3)


def test_mean_and_variance_are_separate_outputs():
    networks = vae.mlp((2, 2, 1), latent_size=3, width=8)
    params = networks.init(jax.random.key(1))
    mean, log_variance = networks.encode(params, jnp.ones((1, 2, 2, 1))).q
    assert not jnp.allclose(mean, log_variance)


def test_the_textbook_preset_is_the_articles():
    config = vae.TEXTBOOK
    assert (config.image_shape, config.latent_size) == ((28, 28, 1), 2)
    assert (config.architecture, config.objective) == (vae.mlp, vae.elbo)
    assert config.pixels is None
    assert config.ema_decay == 0
